"""Pure. The report as one HTML page that needs nothing else: to mail, to print, to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from core import webpage
from core.ab import figures, words
from core.i18n import gettext as _

_CSS = """
.verdict.better { border-color: #15803d; } .verdict.worse { border-color: #b91c1c; }
.verdict.broken { border-color: #b45309; }
svg { width: 100%; height: auto; }
td:nth-child(2) { font-weight: 600; }
@media print { details { display: none; } }
"""
WIDTH, HEIGHT, EDGE = 720, 240, 48
LEFT, LINE = 104, 26


def render(report: Mapping[str, Any], leaves: Sequence[tuple[str, Any]]) -> str:
    """The page. `leaves` are all figures, as the CSV has them, for a table at the end."""
    test, judged = report["test"], report["verdict"]
    metric = test["metric"]
    parts = [
        f"<h1>{escape(test['name'])}</h1>",
        f"<p><small>{escape(test['theme'])} · {escape(str(test['started_at'])[:10])} · "
        f"{escape(_('plan sealed as {hash}').format(hash=str(test['seal'])[:12]))}</small></p>",
        f"<div class='verdict {escape(judged['kind'])}'><strong>{escape(judged['sentence'])}</strong>"
        + "".join(
            f"<p>{escape(judged[name])}</p>" for name in ("reason", "cost_of_being_wrong", "how_long_still")
        )
        + "</div>",
        *_section(_("Variants"), webpage.table(*figures.variants(report))),
    ]
    if report["overall"]:
        parts.append(f"<p>{escape(figures.overall(report['overall']))}</p>")
    for each, (title, sentence) in zip(report["comparisons"], figures.sections(report), strict=True):
        parts += [
            f"<h2>{escape(title)}</h2><p>{escape(sentence)}</p>",
            webpage.table(
                [_("Figure"), _("Value"), _("What it means")],
                [(row.label, row.value, row.meaning) for row in figures.rows(each, test)],
            ),
        ]
        if each["days"]:
            parts += [
                f"<h3>{escape(_('The difference over the days'))}</h3>",
                _course(each["days"], test, metric),
            ]
        if each["segments"]:
            parts += [f"<h3>{escape(_('By segment'))}</h3>", _forest(each["segments"], metric), _hint()]
    if report["comparisons"]:
        parts += _distributions(report)
    parts += _section(
        _("Can the numbers be believed?"),
        webpage.table(
            [_("Figure"), _("Value"), _("What it means")],
            [(row.label, row.value, row.meaning) for row in figures.health(report["health"])],
        ),
    )
    parts += _conversations(report)
    every = [(path, "" if value is None else str(value)) for path, value in leaves]
    listed = webpage.table([_("Figure"), _("Value")], every)
    parts.append(f"<details><summary>{escape(_('All figures'))}</summary>{listed}</details>")
    return webpage.page(test["name"], parts, _CSS)


def _section(title: str, body: str) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", body]


def _hint() -> str:
    text = _("Hints for the next test, not verdicts: with many segments one stands out by chance.")
    return f"<p><small>{escape(text)}</small></p>"


def _distributions(report: Mapping[str, Any]) -> list[str]:
    """How the ratings and the response times are spread, by variant."""
    parts: list[str] = []
    arms = report["variants"]
    if any(sum(arm["ratings"]) for arm in arms):
        rows = [[arm["name"], *_parts(arm["ratings"])] for arm in arms]
        head = [_("Variant"), "1", "2", "3", "4", "5"]
        parts += _section(_("Answers by their stars"), webpage.table(head, rows))
    times = figures.latencies(report)
    if times[1]:
        parts += _section(_("Response times"), webpage.table(*times))
    return parts


def _parts(counts: Sequence[int]) -> list[str]:
    total = sum(counts) or 1
    return [f"{n:,} ({n / total * 100:.0f} %)" for n in counts]


def _conversations(report: Mapping[str, Any]) -> list[str]:
    rows = [
        [name, *(str(row[column] or "") for column in ("query", "response", "rating", "feedback"))]
        for name, found in report.get("conversations", {}).items()
        for row in found
    ]
    if not rows:
        return []
    head = [_("Variant"), _("Asked"), _("Answered"), _("Stars"), _("Feedback")]
    return _section(_("Where users were not content"), webpage.table(head, rows))


def _course(days: Sequence[Mapping[str, Any]], test: Mapping[str, Any], metric: str) -> str:
    """The interval over the days as a drawing, with the zero line and the band that does not matter."""
    band = test["smallest_difference_that_matters"]
    edges = [day[name] for day in days for name in ("low", "high")] + [-band, band]
    bottom, top = min(edges), max(edges)

    def y(value: float) -> float:
        return EDGE / 2 + (top - value) / (top - bottom) * (HEIGHT - EDGE)

    def x(index: int) -> float:
        return LEFT + (index + 0.5) * (WIDTH - LEFT) / len(days)

    drawn = [
        f"<rect x='{LEFT}' y='{y(band):.1f}' width='{WIDTH - LEFT}' height='{y(-band) - y(band):.1f}'"
        " fill='gray' opacity='.15'/>",
        f"<line x1='{LEFT}' x2='{WIDTH}' y1='{y(0):.1f}' y2='{y(0):.1f}' stroke='gray'/>",
    ]
    for value in (top, 0, bottom):
        drawn.append(_word(0, y(value) + 4, words.amount(metric, value, signed=True)))
    for index, day in enumerate(days):
        title = escape(f"{day['day']}: {words.amount(metric, day['est'], signed=True)}")
        drawn.append(
            f"<g stroke='#0f766e' stroke-width='2'><title>{title}</title><line x1='{x(index):.1f}' x2='{x(index):.1f}'"
            f" y1='{y(day['low']):.1f}' y2='{y(day['high']):.1f}'/>"
            f"<circle cx='{x(index):.1f}' cy='{y(day['est']):.1f}' r='3' fill='#0f766e'/></g>"
        )
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>{''.join(drawn)}</svg>"


def _forest(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """The difference in each segment, one a line."""
    left, height = 250, LINE * len(rows) + LINE
    bottom, top = min(0.0, *(row["low"] for row in rows)), max(0.0, *(row["high"] for row in rows))

    def x(value: float) -> float:
        return left + (value - bottom) / ((top - bottom) or 1.0) * (WIDTH - left - 8)

    drawn = [f"<line x1='{x(0):.1f}' x2='{x(0):.1f}' y1='0' y2='{height - LINE}' stroke='gray'/>"]
    for number, row in enumerate(rows):
        y = LINE * (number + 0.5)
        name = figures.segment(row)
        drawn.append(_word(0, y + 4, name if len(name) <= 44 else f"{name[:43]}…"))
        drawn.append(
            f"<g stroke='#0f766e' stroke-width='2'><title>{escape(name)}</title>"
            f"<line x1='{x(row['low']):.1f}' x2='{x(row['high']):.1f}' y1='{y}' y2='{y}'/>"
            f"<circle cx='{x(row['est']):.1f}' cy='{y}' r='3' fill='#0f766e'/></g>"
        )
    for value in dict.fromkeys((bottom, 0.0, top)):
        drawn.append(_word(min(x(value), WIDTH - 70), height - 6, words.amount(metric, value, signed=True)))
    return f"<svg viewBox='0 0 {WIDTH} {height}' role='img'>{''.join(drawn)}</svg>"


def _word(x: float, y: float, text: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='11' fill='currentColor'>{escape(text)}</text>"
