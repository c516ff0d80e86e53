"""Pure. Documents as PDF: headings, text, tables and intervals, in any of our languages, from nothing but data.

The Japanese and Korean fonts are the ones every PDF reader brings (CID fonts), so none is shipped or embedded.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape

from core.drawing import TEXT, Dot, Drawing, Path

LATIN, BOLD, JAPANESE, KOREAN = "Helvetica", "Helvetica-Bold", "HeiseiKakuGo-W5", "HYGothic-Medium"
UNKNOWN = "?"
"""Stands for a character that none of the fonts has, such as an emoji."""
ACCENT = "#0f766e"
WIDTH = 483.0
"""Points between the margins of an A4 page."""


@dataclass(frozen=True)
class Interval:
    """One line of a drawing: what it is of, and its estimate between both ends."""

    label: str
    est: float
    low: float
    high: float


class Paper:
    """A document that grows from top to bottom; `data` gives the file.

    The same content gives the same bytes. Texts are shown as they are, never read as markup.
    """

    def __init__(self, title: str, *, footer: str = "") -> None:
        self._title = title
        self._footer = footer
        self._parts: list[Any] = []
        self.heading(title, level=1)

    def heading(self, text: str, *, level: int = 2, below: str = "") -> None:
        """A title that stays with what follows it, with a few small words `below` it."""
        size, above = {1: (18, 0), 2: (12, 14)}.get(level, (10, 8))
        self._parts.append(_paragraph(text, size=size, bold=True, above=above, keep=level > 1))
        if below:
            self._parts.append(_paragraph(below, size=8, keep=True))

    def text(self, text: str, *, small: bool = False) -> None:
        self._parts.append(_paragraph(text, size=8 if small else 10))

    def callout(self, title: str, lines: Sequence[str], color: str) -> None:
        """What must be seen first: a title and a few lines behind a coloured bar."""
        from reportlab.lib import colors
        from reportlab.platypus import Spacer, Table

        cell = [_paragraph(title, size=15, bold=True), *(_paragraph(line, size=10) for line in lines if line)]
        style = [
            ("BACKGROUND", (0, 0), (-1, -1), colors.HexColor("#f1f5f4")),
            ("LINEBEFORE", (0, 0), (0, -1), 5, colors.HexColor(color)),
            ("LEFTPADDING", (0, 0), (-1, -1), 12),
            ("TOPPADDING", (0, 0), (-1, -1), 8),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 10),
        ]
        self._parts += [Spacer(1, 4), Table([[cell]], colWidths=[WIDTH], style=style), Spacer(1, 4)]

    def note(self, text: str, color: str) -> None:
        """A sentence behind a thin coloured bar."""
        from reportlab.lib import colors
        from reportlab.platypus import Table

        style = [
            ("LINEBEFORE", (0, 0), (0, -1), 2, colors.HexColor(color)),
            ("TOPPADDING", (0, 0), (-1, -1), 0),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
        ]
        self._parts.append(
            Table([[_paragraph(text, size=10)]], colWidths=[WIDTH], style=style, spaceBefore=2, spaceAfter=4)
        )

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        widths: Sequence[float] = (),
        small: bool = False,
    ) -> None:
        """`widths` are parts of the page's width; equal where none are given."""
        from reportlab.lib import colors
        from reportlab.platypus import LongTable

        size = 7 if small else 8.5
        shares = list(widths) or [1 / len(head)] * len(head)
        cells = [[_paragraph(text, size=size, bold=True) for text in head]]
        cells += [[_paragraph(text, size=size) for text in row] for row in rows]
        style = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor("#cbd5e1")),
            ("LEFTPADDING", (0, 0), (-1, -1), 3),
            ("RIGHTPADDING", (0, 0), (-1, -1), 3),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ]
        columns = [WIDTH * share / sum(shares) for share in shares]
        self._parts.append(LongTable(cells, colWidths=columns, repeatRows=1, style=style))

    def intervals(
        self, rows: Sequence[Interval], *, band: float = 0.0, write: Callable[[float], str] = "{:g}".format
    ) -> None:
        """Each row's interval as a line with its estimate as a dot, zero as a line, ±`band` in grey."""
        finite = [row for row in rows if all(map(math.isfinite, (row.est, row.low, row.high)))]
        if finite:
            self._parts.append(_drawing(finite, band, write))

    def drawings(self, drawn: Sequence[tuple[str, Drawing]]) -> None:
        """Small drawings with their titles, two beside each other."""
        self._beside([[_paragraph(title, size=8.5, bold=True), _shapes(each)] for title, each in drawn], 2)

    def pictures(self, shown: Sequence[tuple[bytes | None, str]], *, side: float = 72.0) -> None:
        """Image files with a few words below each, five beside each other; `side` is the longer one, in points.

        None: the words stand alone.
        """
        cells = []
        for data, words in shown:
            below = _paragraph(words, size=7)
            cells.append([below] if data is None else [_picture(data, side), below])
        self._beside(cells, 5)

    def _beside(self, cells: Sequence[list[Any]], columns: int) -> None:
        from reportlab.platypus import Table

        rows = [list(cells[start : start + columns]) for start in range(0, len(cells), columns)]
        if rows:
            rows[-1] += [[]] * (columns - len(rows[-1]))
            style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
            self._parts.append(Table(rows, colWidths=[WIDTH / columns] * columns, style=style))

    def data(self) -> bytes:
        """The PDF."""
        from reportlab.platypus import SimpleDocTemplate

        out = io.BytesIO()
        document = SimpleDocTemplate(
            out, pagesize=_page(), leftMargin=56, rightMargin=56, topMargin=48, bottomMargin=48,
            title=self._title, invariant=1,
        )  # fmt: skip

        def foot(canvas: Any, page: Any) -> None:
            x = 56.0
            for font, part in runs(f"{self._footer} · {page.page}" if self._footer else str(page.page)):
                canvas.setFont(_registered(font), 7)
                canvas.setFillGray(0.4)
                canvas.drawString(x, 28, part)
                x += canvas.stringWidth(part, font, 7)

        document.build(list(self._parts), onFirstPage=foot, onLaterPages=foot)
        return out.getvalue()


def runs(text: str, *, bold: bool = False) -> Iterator[tuple[str, str]]:
    """(font, part) of a text: each character in a font that has it."""
    latin = BOLD if bold else LATIN
    for font, part in groupby(text, key=_font):
        characters = "".join(part)
        if font in (JAPANESE, KOREAN):
            yield font, characters
        else:
            yield latin, characters if font else UNKNOWN * len(characters)


@cache
def _font(character: str) -> str:
    """The font that has the character; empty for none."""
    for font, encoding in ((LATIN, "cp1252"), (JAPANESE, "cp932"), (KOREAN, "cp949")):
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            continue
        return font
    return ""


@cache
def _registered(font: str) -> str:
    if font in (JAPANESE, KOREAN):
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.cidfonts import UnicodeCIDFont

        pdfmetrics.registerFont(UnicodeCIDFont(font))
    return font


def _paragraph(text: str, *, size: float, bold: bool = False, above: float = 0, keep: bool = False) -> Any:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    parts = list(runs(" ".join(_printable(text).split()), bold=bold))
    asian = any(font in (JAPANESE, KOREAN) for font, _ in parts)
    marked = "".join(f'<font name="{_registered(font)}">{escape(part)}</font>' for font, part in parts)
    style = ParagraphStyle(
        "", fontName=LATIN, fontSize=size, leading=size * 1.4, spaceBefore=above, spaceAfter=size * 0.3,
        wordWrap="CJK" if asian else None, splitLongWords=1, uriWasteReduce=0, keepWithNext=keep,
    )  # fmt: skip
    return Paragraph(marked or "&nbsp;", style)


def _picture(data: bytes, side: float) -> Any:
    """An image file as JPEG, which a PDF takes as it is."""
    from PIL import Image
    from reportlab.platypus import Image as Picture

    out = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        scale = side / max(image.size)
        size = (image.width * scale, image.height * scale)
        image.convert("RGB").save(out, "JPEG", quality=85)
    return Picture(out, *size, hAlign="LEFT")


def _printable(text: str) -> str:
    """Without the control characters that XML and PDF refuse."""
    return "".join(character if character.isprintable() else " " for character in text)


def _page() -> tuple[float, float]:
    from reportlab.lib.pagesizes import A4

    return A4


def _shapes(drawing: Drawing) -> Any:
    """A drawing at half of the page's width."""
    from reportlab.graphics import shapes
    from reportlab.lib import colors
    from reportlab.pdfbase.pdfmetrics import stringWidth

    scale = (WIDTH / 2 - 12) / drawing.width
    made = shapes.Drawing(drawing.width * scale, drawing.height * scale)

    def at(x: float, y: float) -> tuple[float, float]:
        return x * scale, (drawing.height - y) * scale

    for shape in drawing.shapes:
        color = colors.HexColor(shape.color)
        if isinstance(shape, Path):
            line = [length for point in shape.points for length in at(*point)]
            dashes = [2, 2] if shape.dashed else None
            made.add(
                shapes.PolyLine(line, strokeColor=color, strokeWidth=shape.width, strokeDashArray=dashes)
            )
        elif isinstance(shape, Dot):
            made.add(
                shapes.Circle(*at(shape.x, shape.y), shape.radius * scale, fillColor=color, strokeColor=None)
            )
        else:
            size = TEXT * scale
            parts = [(_registered(font), part) for font, part in runs(shape.text)]
            x, y = at(shape.x, shape.y)
            if shape.anchor == "end":
                x -= sum(stringWidth(part, font, size) for font, part in parts)
            for font, part in parts:
                made.add(shapes.String(x, y, part, fontName=font, fontSize=size, fillColor=color))
                x += stringWidth(part, font, size)
    return made


def _drawing(rows: Sequence[Interval], band: float, write: Callable[[float], str]) -> Any:
    from reportlab.graphics.shapes import Circle, Drawing, Line, Rect, String
    from reportlab.lib import colors
    from reportlab.pdfbase.pdfmetrics import stringWidth

    left, line, foot = 150.0, 16.0, 18.0
    low = min(0.0, -band, *(row.low for row in rows))
    high = max(0.0, band, *(row.high for row in rows))
    scale = (WIDTH - left - 8) / ((high - low) or 1.0)
    height = line * len(rows) + foot
    drawing = Drawing(WIDTH, height)

    def x(value: float) -> float:
        return left + (value - low) * scale

    def word(at: float, y: float, text: str) -> None:
        for font, part in runs(text):
            drawing.add(String(at, y, part, fontName=_registered(font), fontSize=7, fillColor=dark))
            at += stringWidth(part, font, 7)

    dark, grey, ink = colors.HexColor("#334155"), colors.HexColor("#e2e8f0"), colors.HexColor(ACCENT)
    if band:
        drawing.add(Rect(x(-band), foot, 2 * band * scale, height - foot, fillColor=grey, strokeColor=None))
    drawing.add(Line(x(0), foot, x(0), height, strokeColor=colors.HexColor("#94a3b8"), strokeWidth=0.7))
    for number, row in enumerate(rows):
        y = height - line * (number + 0.5)
        label = row.label if len(row.label) <= 44 else f"{row.label[:43]}…"
        word(0, y - 2.5, label)
        drawing.add(Line(x(row.low), y, x(row.high), y, strokeColor=ink, strokeWidth=1.4))
        drawing.add(Circle(x(row.est), y, 2.4, fillColor=ink, strokeColor=None))
    for value in dict.fromkeys((low, 0.0, high)):
        text = write(value)
        word(min(max(x(value) - 12, left), WIDTH - 44), 4, text)
    return drawing
