"""Pure. Small drawings as plain shapes, for a page (SVG) and for paper (core.pdf) alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

GREY, INK = "#94a3b8", "#64748b"
"""Seen on white and on black."""
COLORS = ("#0f766e", "#c2410c", "#4f46e5", "#a16207")
"""Of the lines of a chart, in their order."""
TEXT = 9.0
"""Size of words."""


@dataclass(frozen=True)
class Path:
    """A line through points (x, y)."""

    points: tuple[tuple[float, float], ...]
    color: str
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    color: str
    radius: float = 2.5


@dataclass(frozen=True)
class Word:
    x: float
    y: float
    """Of the line that the letters stand on."""
    text: str
    color: str = INK
    anchor: Literal["start", "end"] = "start"


@dataclass(frozen=True)
class Drawing:
    """`y` grows downwards; all lengths are in points."""

    width: float
    height: float
    shapes: tuple[Path | Dot | Word, ...]


@dataclass(frozen=True)
class Frame:
    """Where a chart's values lie: `x` and `y` say from where to where each axis goes."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 300.0
    height: float = 150.0
    left: float = 40.0
    top: float = 18.0
    bottom: float = 18.0

    def at(self, x: float, y: float) -> tuple[float, float]:
        return (
            self.left + _share(x, self.x) * (self.width - self.left - 6),
            self.height - self.bottom - _share(y, self.y) * (self.height - self.top - self.bottom),
        )

    def axes(self, write_x: str = "{:g}", write_y: str = "{:.3g}") -> list[Path | Dot | Word]:
        """Both axes with the values at their ends."""
        zero, right, top = (
            self.at(self.x[0], self.y[0]),
            self.at(self.x[1], self.y[0]),
            self.at(self.x[0], self.y[1]),
        )
        below = self.height - self.bottom + TEXT + 3
        return [
            Path((top, zero, right), GREY, 0.7),
            Word(zero[0], below, write_x.format(self.x[0])),
            Word(right[0], below, write_x.format(self.x[1]), anchor="end"),
            Word(zero[0] - 4, zero[1], write_y.format(self.y[0]), anchor="end"),
            Word(zero[0] - 4, top[1] + TEXT - 2, write_y.format(self.y[1]), anchor="end"),
        ]


def curves(series: Mapping[str, Sequence[tuple[float, float]]]) -> Drawing | None:
    """Lines of points (x, y), each with its name in its colour; None where no line has a value."""
    points = [point for line in series.values() for point in line if math.isfinite(point[1])]
    if not points:
        return None
    xs, ys = zip(*points, strict=True)
    frame = Frame((min(xs), max(xs)), (min(ys), max(ys)))
    shapes = frame.axes()
    left = frame.left
    for color, (name, line) in zip(COLORS, series.items(), strict=False):
        placed = tuple(frame.at(x, y) for x, y in line if math.isfinite(y))
        shapes += [Path(placed, color, 1.4)] if len(placed) > 1 else [Dot(*each, color) for each in placed]
        shapes.append(Word(left, TEXT + 1, name, color))
        left += (frame.width - frame.left) / len(series)
    return Drawing(frame.width, frame.height, tuple(shapes))


def svg(drawing: Drawing) -> str:
    """The drawing as an SVG file."""
    drawn = "".join(_svg(shape) for shape in drawing.shapes)
    box = f"0 0 {drawing.width:g} {drawing.height:g}"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='{box}' width='{drawing.width:g}' height='{drawing.height:g}' "
        f"font-family='sans-serif' font-size='{TEXT:g}'>{drawn}</svg>"
    )


def _svg(shape: Path | Dot | Word) -> str:
    if isinstance(shape, Path):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        dashes = " stroke-dasharray='3 3'" if shape.dashed else ""
        return f"<polyline points='{points}' fill='none' stroke='{shape.color}' stroke-width='{shape.width:g}'{dashes}/>"
    if isinstance(shape, Dot):
        return f"<circle cx='{shape.x:.1f}' cy='{shape.y:.1f}' r='{shape.radius:g}' fill='{shape.color}'/>"
    return (
        f"<text x='{shape.x:.1f}' y='{shape.y:.1f}' fill='{shape.color}' text-anchor='{shape.anchor}'>"
        f"{escape(shape.text)}</text>"
    )


def _share(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return (value - low) / (high - low) if high > low else 0.5
