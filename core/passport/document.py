"""Pure. What a passport shows, in the reader's language: sections of texts, tables, drawings and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.drawing import Drawing


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """As wide as `head`."""
    title: str = ""
    long: bool = False
    """Of many rows, which few people read; it has a title."""


@dataclass(frozen=True)
class Charts:
    drawn: tuple[tuple[str, Drawing], ...]
    """(title, drawing)"""


@dataclass(frozen=True)
class Pictures:
    shown: tuple[tuple[bytes | None, str], ...]
    """(WebP, words below it); None: there is no picture any more."""


@dataclass(frozen=True)
class Unknown:
    """What nobody knows, in one sentence."""

    code: str
    """For programs."""
    sentence: str


Block = Text | Table | Charts | Pictures | Unknown


@dataclass(frozen=True)
class Section:
    name: str
    """For programs and links; the same in every language."""
    title: str
    card: str
    """The section of a model card that it is; empty where a model card has none."""
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    title: str
    about: str
    """What it is of and when it was made, in one line."""
    summary: str
    """One sentence for those who read no more."""
    sections: tuple[Section, ...]

    @property
    def unknown(self) -> tuple[Unknown, ...]:
        """Everything that is not known, in the order of the sections."""
        return tuple(
            block for section in self.sections for block in section.blocks if isinstance(block, Unknown)
        )


def pairs(given: Mapping[str, str], what: str, value: str) -> Table:
    """A table of two columns with these titles."""
    return Table((what, value), tuple(given.items()))
