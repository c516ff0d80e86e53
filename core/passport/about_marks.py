"""Pure. What a passport says of how well a model does: marks, kinds of images, calibration, mistakes, advice."""

from __future__ import annotations

from core.drawing import COLORS, GREY, Dot, Drawing, Frame, Path
from core.evaluations import words
from core.evaluations.calibration import Calibration
from core.evaluations.words import share, span
from core.i18n import gettext as _
from core.i18n import ngettext
from core.passport.document import Block, Charts, Pictures, Table, Text, Unknown
from core.passport.structure import Evaluation, Failure, Identity, Measured

MOST_LABELS = 12
"""Of a confusion matrix that still fits a page."""
MARKS = ("accuracy", "macro_f1", "loss")


def metrics(it: Evaluation) -> tuple[Block, ...]:
    """What each mark means."""
    meanings = (
        (_("Accuracy"), _("Share of images that are called rightly; its interval is Wilson's.")),
        (
            _("Macro F1"),
            _("Mean over labels of F1, so that rare labels count as much; its interval is by the bootstrap."),
        ),
        (
            _("Calibration error"),
            _("How far confidence and share of right answers lie apart (Guo et al. 2017). 0 is best."),
        ),
        (_("Brier score"), _("Mean squared error of all probabilities (Brier 1950): 0 is best, 2 worst.")),
    )
    return (
        Table((_("Mark"), _("What it means")), meanings),
        Text(
            _(
                "All intervals are at 95 %. The best epoch was chosen by the validation images, never by the test."
            )
        ),
    )


def kinds(it: Evaluation) -> tuple[Block, ...]:
    """Slices: kinds of images on which it does better or worse."""
    found = it.measured
    if found is None:
        return (_no_answers(),)
    if not found.slices:
        text = _(
            "Whether it does worse on some kinds of images is not known: the test has too few of each kind."
        )
        return (Unknown("slices", text),)
    differing = sum(each.differs for each in found.slices)
    text = (
        ngettext(
            "One kind of images differs from the others by more than chance.",
            "{n} kinds of images differ from the others by more than chance.",
            differing,
        ).format(n=differing)
        if differing
        else _("No kind of images differs from the others by more than chance.")
    )
    head = (
        _("What"),
        _("Kind"),
        _("Images"),
        _("Right answers"),
        _("Interval (95 %)"),
        _("All others"),
        _("Chance (p)"),
    )
    rows = tuple(
        (
            words.feature(each.feature),
            words.kind(each),
            f"{each.n:,}",
            share(each.right.value),
            span(each.right),
            share(each.others),
            words.chance(each.p),
        )
        for each in found.slices
    )
    people = _("Whether it does worse on some groups of people is not known: no image says whom it shows.")
    return (Text(text), Table(head, rows), Unknown("groups", people))


def analyses(it: Evaluation, identity: Identity) -> tuple[Block, ...]:
    """Marks with intervals, by label, calibration and confusion."""
    blocks: list[Block] = [_marks(it)]
    if it.measured is None:
        blocks.append(_no_answers())
    else:
        blocks += _calibration(it.measured)
    if it.per_class:
        head = (_("Label"), _("Precision"), _("Recall"), "F1", _("Test images"))
        rows = tuple(
            (
                str(row["label"]),
                *(share(row[name]) for name in ("precision", "recall", "f1")),
                f"{row['support']:,}",
            )
            for row in it.per_class
        )
        blocks.append(Table(head, rows, _("By label")))
    else:
        blocks.append(Unknown("by-label", _("How well it does on each label is not known.")))
    if it.confusion:
        blocks.append(_confusion(it.confusion, identity.labels))
    else:
        blocks.append(Unknown("confusion", _("Which labels it takes for each other is not known.")))
    return tuple(blocks)


def _marks(it: Evaluation) -> Block:
    titles = {"accuracy": _("Accuracy"), "macro_f1": _("Macro F1"), "loss": _("Loss")}
    test, valid = it.metrics.get("test", {}), it.metrics.get("valid", {})
    intervals = {}
    if it.measured is not None:
        intervals = {"accuracy": it.measured.accuracy, "macro_f1": it.measured.macro_f1}

    def said(name: str, value: float | None) -> str:
        if value is None:
            return "–"
        return f"{value:.4f}" if name == "loss" else share(value)

    rows = tuple(
        (
            titles[name],
            said(name, test.get(name)),
            span(intervals[name]) if name in intervals else "–",
            said(name, valid.get(name)),
        )
        for name in MARKS
    )
    return Table((_("Mark"), _("Test"), _("Interval (95 %)"), _("Validation")), rows)


def _no_answers() -> Unknown:
    return Unknown(
        "answers",
        _(
            "The answers to single test images were not kept: intervals, kinds of images and calibration are not known."
        ),
    )


def _calibration(found: Measured) -> list[Block]:
    sure = found.calibration
    if sure.overconfidence > 0.02:
        text = _("The model is surer than it is right, by {by} on average.")
    elif sure.overconfidence < -0.02:
        text = _("The model is more often right than it is sure, by {by} on average.")
    else:
        text = _("The model is about as often right as it is sure.")
    figures = _("Calibration error {ece}, Brier score {brier}.").format(
        ece=share(sure.ece), brier=f"{sure.brier:.3f}"
    )
    said = f"{text.format(by=share(abs(sure.overconfidence)))} {figures}"
    title = _("How often it is right (upwards) when it is so sure (to the right)")
    return [Text(said), Charts(((title, reliability(sure)),))]


def reliability(sure: Calibration) -> Drawing:
    """How often it is right against how sure it is, with intervals; the dashed line is as sure as right."""
    frame = Frame((0.0, 1.0), (0.0, 1.0), height=170.0)
    shapes = frame.axes("{:.0%}", "{:.0%}")
    shapes.append(Path((frame.at(0, 0), frame.at(1, 1)), GREY, 0.7, dashed=True))
    for each in sure.bins:
        x = each.confidence
        shapes.append(Path((frame.at(x, each.right.low), frame.at(x, each.right.high)), COLORS[0]))
        shapes.append(Dot(*frame.at(x, each.right.value), COLORS[0]))
    line = tuple(frame.at(each.confidence, each.right.value) for each in sure.bins)
    if len(line) > 1:
        shapes.append(Path(line, COLORS[0], 1.4))
    return Drawing(frame.width, frame.height, tuple(shapes))


def _confusion(matrix: tuple[tuple[int, ...], ...], labels: tuple[str, ...]) -> Block:
    """The matrix; of many labels the most frequent mistakes."""
    if len(labels) <= MOST_LABELS and len(labels) == len(matrix):
        rows = tuple(
            (label, *(f"{n:,}" if n else "·" for n in row)) for label, row in zip(labels, matrix, strict=True)
        )
        return Table((_("Label (rows), answer (columns)"), *labels), rows, _("What was taken for what"))
    mistakes = sorted(
        (-n, labels[true], labels[said])
        for true, row in enumerate(matrix)
        for said, n in enumerate(row)
        if n and true != said
    )
    found = tuple((true, said, f"{-n:,}") for n, true, said in mistakes[: 2 * MOST_LABELS])
    return Table((_("Label"), _("Answer"), _("Images")), found, _("The most frequent mistakes"))


def failures(it: Evaluation) -> tuple[Block, ...]:
    """The wrong answers that it was surest of, with pictures."""
    found = it.measured
    if found is None:
        return (Unknown("failures", _("Which images it gets wrong is not known.")),)
    if not found.wrong:
        return (Text(_("It got none of the {n} test images wrong.").format(n=f"{found.n:,}")),)
    text = ngettext(
        "{wrong} of {n} test images was called wrongly; the surest mistake:",
        "{wrong} of {n} test images were called wrongly; the surest {shown} mistakes:",
        found.wrong,
    )
    said = text.format(wrong=f"{found.wrong:,}", n=f"{found.n:,}", shown=len(found.failures))
    return (Text(said), Pictures(tuple((each.picture, _failure(each)) for each in found.failures)))


def _failure(each: Failure) -> str:
    return _("image {id}: “{label}”, called “{said}” ({share})").format(
        id=each.image_id, label=each.label, said=each.said, share=share(each.confidence)
    )


def caveats(it: Evaluation) -> tuple[Block, ...]:
    """What would help next, and what these marks do not promise."""
    found = it.measured
    advice = [Text(words.advice(each)) for each in found.advice] if found is not None else []
    return (
        *advice,
        Text(
            _(
                "The marks hold for images like those of the test. Watch its answers where it is used, and test it "
                "again when cameras, light or products change."
            )
        ),
    )
