"""Pure. A passport as PDF."""

from __future__ import annotations

from core.i18n import gettext as _
from core.passport.document import Block, Charts, Document, Table, Text, Unknown
from core.pdf import Paper

COLOR = "#64748b"
UNKNOWN = "#b45309"
WIDEST = 6
"""Columns from which on a table is set in small letters."""


def render(document: Document) -> bytes:
    paper = Paper(document.title, footer=document.about)
    paper.text(document.about, small=True)
    paper.callout(document.summary, [], COLOR)
    for section in document.sections:
        card = _("model card: {section}").format(section=section.card) if section.card else ""
        paper.heading(section.title, below=card)
        for block in section.blocks:
            _block(paper, block)
    return paper.data()


def _block(paper: Paper, block: Block) -> None:
    if isinstance(block, Text):
        paper.text(block.text)
    elif isinstance(block, Unknown):
        paper.note(block.sentence, UNKNOWN)
    elif isinstance(block, Table):
        if block.title:
            paper.heading(block.title, level=3)
        paper.table(
            block.head, block.rows, small=block.long or len(block.head) >= WIDEST, widths=_widths(block)
        )
    elif isinstance(block, Charts):
        paper.drawings(block.drawn)
    else:
        paper.pictures([(data, words) for data, words in block.shown])


def _widths(table: Table) -> list[float]:
    """Columns as wide as their longest text asks, within reason."""
    columns = zip(table.head, *table.rows, strict=True)
    return [min(max(len(max(column, key=len)), 8), 40) for column in columns]
