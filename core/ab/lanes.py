"""Pure. Tests that share no users: lanes side by side on a group's line, and a place for one more."""

from __future__ import annotations

from collections.abc import Collection

from core.ab import assignment

Lane = tuple[float, float]
"""[start, end) within [0, 1)."""
_NEAR = 1e-9
"""Parts such as a third, added up, miss the end of the line by less than this."""


def position(theme_id: int, group: str, unit: str) -> float:
    """Where a unit stands on the line of a theme's group; the same for all of the group's tests. Raises InvalidInput."""
    return assignment.position(f"exclusion {theme_id} {group}", unit)


def free(taken: Collection[Lane], part: float) -> Lane | None:
    """The first lane as wide as `part` that touches none of those taken; None where there is no room."""
    start = 0.0
    for low, high in [*sorted(taken), (1.0, 1.0)]:
        if low - start >= part - _NEAR:
            return start, min(start + part, low)
        start = max(start, high)
    return None


def room(taken: Collection[Lane]) -> float:
    """The widest part that could still be had."""
    start, widest = 0.0, 0.0
    for low, high in [*sorted(taken), (1.0, 1.0)]:
        widest = max(widest, low - start)
        start = max(start, high)
    return widest
