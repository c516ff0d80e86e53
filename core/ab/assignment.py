"""Pure. Which variant a unit sees: a hash, so that the same unit always sees the same one.

Arm i owns the positions [start_i, start_i + coverage · w_i), where start_i is the sum of the weights
before it: raising the coverage lets units in and moves nobody.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from core.errors import InvalidInput

_POSITIONS = float(2**64)
MAX_UNIT = 200
"""Characters of a unit's name."""


def position(salt: str, unit: str) -> float:
    """Where a unit stands in [0, 1): the first eight bytes of SHA-256 over salt, a zero byte and unit.

    Raises InvalidInput for a name that is empty or too long, and for a zero byte in either.
    """
    if not unit or len(unit) > MAX_UNIT or "\0" in unit:
        raise InvalidInput(
            "A unit's id has 1 to {limit} characters and no zero byte; send the same id for the same user.",
            limit=MAX_UNIT,
        )
    digest = hashlib.sha256(b"%b\0%b" % (salt.encode(), unit.encode())).digest()
    return min(int.from_bytes(digest[:8], "big") / _POSITIONS, math.nextafter(1.0, 0.0))


def ranges(weights: Sequence[float], coverage: float = 1.0) -> list[tuple[float, float]]:
    """The positions of each arm. Raises InvalidInput for weights or a coverage that are not right."""
    if any(not 0 <= weight <= 1 for weight in weights) or not math.isclose(
        math.fsum(weights), 1, abs_tol=1e-9
    ):
        raise InvalidInput(
            "The weights must each lie between 0 and 1 and add up to 1; they add up to {total:g}.",
            total=math.fsum(weights),
        )
    if not 0 <= coverage <= 1:
        raise InvalidInput("The coverage is a share from 0 to 1; {x:g} is not.", x=coverage)
    starts = [math.fsum(weights[:i]) for i in range(len(weights))]
    return [(start, start + coverage * weight) for start, weight in zip(starts, weights, strict=True)]


@dataclass(frozen=True)
class Plan:
    """A phase's rule: its salt, what each arm is called, and how much each gets."""

    salt: str
    arms: tuple[str, ...]
    weights: tuple[float, ...]
    coverage: float = 1.0

    @cached_property
    def _ranges(self) -> list[tuple[float, float]]:
        return ranges(self.weights, self.coverage)

    @cached_property
    def _starts(self) -> list[float]:
        return [start for start, _ in self._ranges]

    def arm(self, unit: str) -> str | None:
        """The arm a unit falls to, None where the test does not cover it."""
        at = position(self.salt, unit)
        # Of arms with one start all but the last are empty, and bisect finds the last.
        index = bisect_right(self._starts, at) - 1
        return self.arms[index] if at < self._ranges[index][1] else None
