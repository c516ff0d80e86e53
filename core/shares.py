"""Pure. How many of some new items go to train, valid and test, so that the shares are approached."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

SPLITS = ("train", "valid", "test")


def shares_of(fresh: int, have: Mapping[str, int], ratios: Sequence[float], tie_break: str) -> dict[str, int]:
    """How many of one label's `fresh` items go to each split, given how many each has.

    Largest remainder towards the ratios of all items, old and new; a tie is decided by a
    hash of `tie_break`, so that over many labels no split gains.
    """
    total = fresh + sum(have.values())
    lacking = [max(0.0, r * total - have.get(s, 0)) for s, r in zip(SPLITS, ratios, strict=True)]
    scale = fresh / sum(lacking) if sum(lacking) > 0 else 0.0
    exact = [x * scale for x in lacking]
    # A hair is added so that 2.9999999 counts as the 3 it stands for.
    plan = [int(x + 1e-9) for x in exact]
    order = sorted(range(3), key=lambda i: (round(plan[i] - exact[i], 9), shuffled(i, tie_break)))
    for i in order[: fresh - sum(plan)]:
        plan[i] += 1
    if total >= 3:
        _fill_empty(plan, have, ratios)
    return dict(zip(SPLITS, plan, strict=True))


def _fill_empty(plan: list[int], have: Mapping[str, int], ratios: Sequence[float]) -> None:
    """Move one item to each split that has a share but nothing, from the one with most to spare."""
    for i, name in enumerate(SPLITS):
        if ratios[i] == 0 or plan[i] + have.get(name, 0) > 0:
            continue
        giver = max(range(3), key=lambda j: (plan[j] > 0, plan[j] + have.get(SPLITS[j], 0), -j))
        if plan[giver] > 0 and plan[giver] + have.get(SPLITS[giver], 0) > 1:
            plan[giver] -= 1
            plan[i] += 1


def shuffled(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()
