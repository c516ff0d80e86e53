"""Pure. A passport in words, in the reader's language, along the sections of a model card.

Mitchell et al., “Model Cards for Model Reporting”, FAT* 2019.
"""

from __future__ import annotations

from core.evaluations.words import share, span
from core.i18n import gettext as _
from core.passport import about_data, about_elsewhere, about_marks, about_past
from core.passport.document import Block, Document, Section, Text, Unknown, pairs
from core.passport.names import cards, megabytes, minute, stage
from core.passport.structure import Passport
from core.signatures import called


def document(passport: Passport) -> Document:
    """The whole passport. What is missing says so where it is missing, and once more at the end."""
    card, past = cards(), about_past
    elsewhere = passport.training is None
    marks = passport.evaluation
    sections = [
        Section("details", _("What it is"), card["details"], _details(passport)),
        Section("purpose", _("What it is for"), card["use"], _purpose(passport)),
        *(about_elsewhere.unknown(card) if elsewhere else _measured(passport, card)),
        Section("ethics", _("People and rights"), card["ethics"], _ethics(elsewhere)),
        Section(
            "caveats",
            _("What to heed"),
            card["caveats"],
            about_elsewhere.caveats() if elsewhere else about_marks.caveats(marks),
        ),
        Section("decisions", _("Decisions"), "", past.decisions(passport.decisions)),
        Section("tests", _("A/B tests"), "", past.tests(passport.tests)),
        Section("deployments", _("Where it answered"), "", past.deployments(passport.deployments)),
        Section("verify", _("How to verify this"), "", past.verify(passport)),
    ]
    told = Document(_title(passport), _about(passport), _summary(passport), tuple(sections))
    unknown = tuple(Text(each.sentence) for each in told.unknown)
    last = Section(
        "unknown", _("What is not known"), card["caveats"], unknown or (Text(_("Nothing is missing.")),)
    )
    return Document(told.title, told.about, told.summary, (*told.sections, last))


def _measured(passport: Passport, card: dict[str, str]) -> list[Section]:
    """What the training left behind: data, parameters, marks."""
    marks, data, training = passport.evaluation, passport.data, passport.training
    assert data is not None and training is not None
    return [
        Section(
            "factors", _("On which kinds of images it differs"), card["factors"], about_marks.kinds(marks)
        ),
        Section("metrics", _("How it is measured"), card["metrics"], about_marks.metrics(marks)),
        Section("evaluation-data", _("Images it was tested on"), card["tested"], about_data.tested(data)),
        Section("training-data", _("Images it learnt from"), card["learnt"], about_data.learnt(data)),
        Section("training", _("How it was trained"), card["details"], about_data.training(training)),
        Section(
            "analyses",
            _("How well it does"),
            card["analyses"],
            about_marks.analyses(marks, passport.identity),
        ),
        Section("failures", _("Where it fails"), card["analyses"], about_marks.failures(marks)),
    ]


def _title(passport: Passport) -> str:
    return _("Passport of {theme}, version {n}").format(
        theme=called(passport.identity.kind, passport.purpose.theme, passport.identity.model),
        n=passport.identity.version,
    )


def _about(passport: Passport) -> str:
    checksum = passport.identity.checksum
    parts = (passport.identity.uri, checksum[:12] if checksum else "", minute(passport.made_at))
    return " · ".join(part for part in parts if part)


def _summary(passport: Passport) -> str:
    place = stage(passport.identity.stage)
    found = passport.evaluation.measured
    if found is not None:
        return _(
            "It was right on {share} of {n} test images ({span} at 95 %). Its stage is “{stage}”."
        ).format(share=share(found.accuracy.value), n=f"{found.n:,}", span=span(found.accuracy), stage=place)
    accuracy = passport.evaluation.metrics.get("test", {}).get("accuracy")
    if accuracy is None:
        return _("How often it is right is not known. Its stage is “{stage}”.").format(stage=place)
    return _("It was right on {share} of the test images. Its stage is “{stage}”.").format(
        share=share(accuracy), stage=place
    )


def _details(passport: Passport) -> tuple[Block, ...]:
    it = passport.identity
    facts = {
        _("Model"): it.model,
        _("Version"): f"{it.version} ({it.semver})",
        _("Stage"): stage(it.stage),
        _("Network") if passport.training else _("Made with"): it.architecture,
    }
    if passport.training is not None:
        facts[_("Labels")] = ", ".join(it.labels)
        facts[_("Trained by")] = passport.training.started_by
    facts[_("Registered")] = minute(it.registered_at)
    if it.aliases:
        facts[_("Aliases in MLflow")] = ", ".join(it.aliases)
    if it.tags:
        facts[_("Tags")] = ", ".join(it.tags)
    if it.description.strip():
        facts[_("Description")] = it.description.strip()
    if it.benchmarks:
        scores = (f"{name} {score:.3f}" for name, score in it.benchmarks.items())
        facts[_("Benchmarks (0 to 1)")] = " · ".join(scores)
    if it.size is not None and it.files is not None:
        facts[_("Files")] = _("{n} files, {size}").format(n=len(it.files), size=megabytes(it.size))
    if it.checksum:
        facts[_("SHA-256 of all files")] = it.checksum
    if it.place:
        facts[_("Place of the files")] = it.place
    blocks: list[Block] = [pairs(facts, _("Item"), _("Value"))]
    if passport.training is None:
        blocks.append(about_elsewhere.origin())
    if it.files is None:
        blocks.append(
            Unknown(
                "files",
                _("Its files were not hashed when it was registered, so nobody can tell if they changed."),
            )
        )
    if it.place is None:
        blocks.append(
            Unknown("place", _("MLflow did not answer, so where the model's files lie is not known now."))
        )
    blocks.append(Unknown("licence", _("Under which licence the model may be used is not written down.")))
    return tuple(blocks)


def _purpose(passport: Passport) -> tuple[Block, ...]:
    purpose, it = passport.purpose, passport.identity
    blocks: list[Block] = []
    if it.inputs is not None:
        blocks += about_elsewhere.takes(it.kind, it.inputs)
    else:
        text = _("It says which one of {n} labels an image has: {labels}.")
        blocks.append(Text(text.format(n=len(it.labels), labels=_(", ").join(it.labels))))
    if purpose.description.strip():
        blocks.append(Text(purpose.description.strip()))
    else:
        blocks.append(
            Unknown(
                "purpose", _("Nobody wrote down what the model is meant for: its theme has no description.")
            )
        )
    if it.inputs is None:
        blocks.append(
            Text(
                _(
                    "Out of scope: images of another kind than those it learnt from. It gives one of its labels to "
                    "every image, also to one that shows none of them."
                )
            )
        )
    if purpose.deleted:
        blocks.append(Text(_("The theme was deleted since.")))
    return tuple(blocks)


def _ethics(elsewhere: bool) -> tuple[Block, ...]:
    harm = Unknown("harm", _("Whom a wrong answer harms was not examined."))
    if elsewhere:
        return (*about_elsewhere.ethics(), harm)
    people = _("Whether people can be seen in the images, and whether they agreed, is not recorded.")
    rights = _("Who owns the images, and what they may be used for, is not recorded.")
    return (Unknown("people", people), Unknown("rights", rights), harm)
