"""Pure. A trust report as JSON, as one HTML page that needs nothing else, and as PDF; of images and of texts alike.

Whoever makes a report gives a plain list of sections; nothing here knows what they are about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from core import webpage
from core.ab.plain import plain
from core.i18n import gettext as _

_CSS = """
.verdict.pass { border-color: #15803d; } .verdict.fail { border-color: #b91c1c; }
td { min-width: 9ch; }
"""
COLORS = {True: "#15803d", False: "#b91c1c", None: "#64748b"}
CLASSES = {True: "pass", False: "fail", None: ""}


@dataclass(frozen=True)
class Section:
    """One question and its answer, in the reader's language."""

    name: str
    """For programs; the same in every language."""
    title: str
    sentence: str
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    """As wide as `head`."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The same as numbers, for programs."""


@dataclass(frozen=True)
class Report:
    title: str
    about: str
    """What it is of and when it was made, in one line."""
    sentence: str
    passed: bool | None
    """Of the gate; None where there is none."""
    sections: tuple[Section, ...]
    not_checked: tuple[str, ...]
    """One sentence each: what, and why."""
    of: Mapping[str, Any]
    """Ids, hashes and dates, for programs."""


def as_json(report: Report) -> dict[str, Any]:
    """As JSON can say it."""
    found: dict[str, Any] = plain(
        {
            "title": report.title,
            "about": report.about,
            "sentence": report.sentence,
            "passed": report.passed,
            "of": dict(report.of),
            "sections": [
                {
                    "name": each.name,
                    "title": each.title,
                    "sentence": each.sentence,
                    "head": each.head,
                    "rows": each.rows,
                    "figures": dict(each.figures),
                }
                for each in report.sections
            ],
            "not_checked": report.not_checked,
        }
    )
    return found


def as_html(report: Report) -> str:
    parts = [
        f"<h1>{escape(report.title)}</h1><p><small>{escape(report.about)}</small></p>",
        f"<div class='verdict {CLASSES[report.passed]}'><strong>{escape(_stamp(report))}</strong>"
        f"<p>{escape(report.sentence)}</p></div>",
    ]
    for each in report.sections:
        parts.append(f"<h2>{escape(each.title)}</h2><p>{escape(each.sentence)}</p>")
        if each.rows:
            parts.append(webpage.table(each.head, each.rows))
    items = "".join(f"<li>{escape(text)}</li>" for text in report.not_checked)
    parts.append(f"<h2>{escape(_('What was not checked, and why'))}</h2><ul>{items}</ul>")
    return webpage.page(report.title, parts, _CSS)


def as_pdf(report: Report) -> bytes:
    from core.pdf import Paper  # reportlab is needed for nothing else here

    paper = Paper(report.title, footer=report.about)
    paper.text(report.about, small=True)
    paper.callout(_stamp(report), [report.sentence], COLORS[report.passed])
    for each in report.sections:
        paper.heading(each.title)
        paper.text(each.sentence)
        if each.rows:
            paper.table(each.head, each.rows)
    paper.heading(_("What was not checked, and why"))
    for text in report.not_checked:
        paper.text(f"• {text}")
    return paper.data()


def _stamp(report: Report) -> str:
    return {True: _("PASS"), False: _("FAIL"), None: _("Report")}[report.passed]
