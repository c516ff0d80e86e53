"""Pure. The report as a PDF: to send round, to print, to file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.ab import figures, words
from core.i18n import gettext as _
from core.pdf import Interval, Paper

COLORS = {"better": "#15803d", "worse": "#b91c1c", "broken": "#b45309"}
MOST_DAYS = 40
"""Days drawn; of a longer test the last ones."""


def render(report: Mapping[str, Any], leaves: Sequence[tuple[str, Any]]) -> bytes:
    """The document. `leaves` are all figures, as the CSV has them, for a table at the end."""
    test, judged = report["test"], report["verdict"]
    metric = test["metric"]
    paper = Paper(test["name"], footer=_("A/B test {id}").format(id=test["id"]))
    sealed = _("plan sealed as {hash}").format(hash=str(test["seal"])[:12])
    paper.text(f"{test['theme']} · {str(test['started_at'])[:10]} · {sealed}", small=True)
    lines = [judged[name] for name in ("reason", "cost_of_being_wrong", "how_long_still")]
    paper.callout(judged["sentence"], lines, COLORS.get(judged["kind"], "#64748b"))
    paper.heading(_("Variants"))
    paper.table(*figures.variants(report), small=True)
    if report["overall"]:
        paper.text(figures.overall(report["overall"]))

    def write(value: float) -> str:
        return words.amount(metric, value, signed=True)

    for each, (title, sentence) in zip(report["comparisons"], figures.sections(report), strict=True):
        paper.heading(title)
        paper.text(sentence)
        _meanings(paper, figures.rows(each, test))
        if each["days"]:
            paper.heading(_("The difference over the days"), level=3)
            days = [Interval(day["day"], day["est"], day["low"], day["high"]) for day in each["days"]]
            paper.intervals(days[-MOST_DAYS:], band=test["smallest_difference_that_matters"], write=write)
        if each["segments"]:
            paper.heading(_("By segment"), level=3)
            paper.intervals(
                [
                    Interval(figures.segment(row), row["est"], row["low"], row["high"])
                    for row in each["segments"]
                ],
                write=write,
            )
            paper.text(
                _("Hints for the next test, not verdicts: with many segments one stands out by chance."),
                small=True,
            )
    if report["comparisons"]:
        _distributions(paper, report)
    paper.heading(_("Can the numbers be believed?"))
    _meanings(paper, figures.health(report["health"]))
    _conversations(paper, report)
    paper.heading(_("All figures"))
    every = [(path, "" if value is None else str(value)) for path, value in leaves]
    paper.table([_("Figure"), _("Value")], every, widths=(5, 6), small=True)
    return paper.data()


def _meanings(paper: Paper, rows: Sequence[figures.Row]) -> None:
    paper.table(
        [_("Figure"), _("Value"), _("What it means")],
        [(row.label, row.value, row.meaning) for row in rows],
        widths=(5, 6, 8),
    )


def _distributions(paper: Paper, report: Mapping[str, Any]) -> None:
    arms = report["variants"]
    if any(sum(arm["ratings"]) for arm in arms):
        paper.heading(_("Answers by their stars"))
        paper.table(
            [_("Variant"), "1", "2", "3", "4", "5"],
            [[arm["name"], *(f"{n:,}" for n in arm["ratings"])] for arm in arms],
        )
    head, rows = figures.latencies(report)
    if rows:
        paper.heading(_("Response times"))
        paper.table(head, rows)


def _conversations(paper: Paper, report: Mapping[str, Any]) -> None:
    rows = [
        [name, *(str(row[column] or "") for column in ("query", "response", "rating", "feedback"))]
        for name, found in report.get("conversations", {}).items()
        for row in found
    ]
    if rows:
        paper.heading(_("Where users were not content"))
        head = [_("Variant"), _("Asked"), _("Answered"), _("Stars"), _("Feedback")]
        paper.table(head, rows, widths=(2, 6, 4, 2, 6), small=True)
