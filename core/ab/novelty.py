"""Pure. Does a difference wear off? Users who came first against those who came later.

People like what is new, or dislike it, for a while; a difference that shrinks from the first users to
the later ones promises less than it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date

from scipy import stats

from core.ab.findings import Estimate, Novelty
from core.ab.moments import Pairs

Daily = Sequence[tuple[date, int, Pairs]]
"""(day, arm, sums of the users who came first on it), in the order of days."""


def novelty(
    days: Daily, index: int, compare: Callable[[Pairs, Pairs], Estimate], alpha: float
) -> Novelty | None:
    """The arm `index` against A, the users cut into halves by their first day; None where a half is too small."""
    own = [(day, arm, pairs) for day, arm, pairs in days if arm in (0, index)]
    total = sum(pairs.x.n for _, _, pairs in own)
    so_far = 0
    until: date | None = None
    for day in sorted({day for day, _, _ in own}):
        so_far += sum(pairs.x.n for each, _, pairs in own if each == day)
        if 2 * so_far >= total:
            until = day
            break
    if until is None:
        return None
    parts: dict[tuple[bool, int], Pairs] = {}
    for day, arm, pairs in own:
        at = (day > until, arm)
        parts[at] = parts.get(at, Pairs.of([], [])) + pairs
    if len(parts) < 4:
        return None
    return change(
        until,
        compare(parts[False, 0], parts[False, index]),
        compare(parts[True, 0], parts[True, index]),
        alpha,
    )


def change(until: date, first: Estimate, later: Estimate, alpha: float = 0.05) -> Novelty | None:
    """From both halves' differences; they hold different users, so their errors add up."""
    if not (first.ready and later.ready):
        return None
    gap, se = later.est - first.est, math.hypot(first.se, later.se)
    reach = float(stats.norm.ppf(1 - alpha / 2)) * se
    p = 2 * float(stats.norm.sf(abs(gap) / se)) if se else float(gap == 0)
    return Novelty(until, first.est, later.est, gap, gap - reach, gap + reach, p)
