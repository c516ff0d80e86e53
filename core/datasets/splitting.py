"""Stored. Splits a text dataset: at once, or, where that takes long, in a job (core.datasets.split_jobs)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core import auth
from core.datasets import findings, store
from core.datasets.store import Also, Made, Version
from core.errors import InvalidInput
from core.quality.texts import dealing
from core.quality.texts.dealing import Dealt
from core.shares import SPLITS
from core.splits import MAX_SEED, RATIOS, SEED, check_ratios
from core.workbench import Workbench

LARGE = 100_000
"""Rows beyond which a split takes more than some seconds, and memory that the app has not to spare."""


@dataclass(frozen=True)
class SplitReport:
    version: Version
    """The one that the split made; the newest where there was nothing to deal."""
    ratios: tuple[float, float, float]
    seed: int
    dealt: dict[str, int]
    """Rows that got a split now."""
    kept: int
    """Rows that had one."""
    together: int
    """Rows dealt as a group, since they are copies or ask the same."""
    torn: int
    """Rows left out, since what belongs with them lies in two splits already: repair the leak first."""


def split(
    wb: Workbench,
    actor: auth.User,
    dataset_id: int,
    *,
    ratios: Sequence[float] = RATIOS,
    seed: int = SEED,
) -> SplitReport:
    """Give every row of the newest version that has no split one of train, valid and test.

    The same rows, ratios and seed give the same split, whatever the order of the rows.
    Raises InvalidInput, NotFound, NotAllowed, and Conflict where another version is made meanwhile.
    """
    auth.require(actor, auth.LABELER)
    shares = checked(ratios, seed)
    parent = store.version(wb, dataset_id)
    if not waiting(parent):
        return SplitReport(parent, shares, seed, dict.fromkeys(SPLITS, 0), parent.row_count, 0, 0)
    likeness = findings.rules(wb, dataset_id).likeness
    dealt = dealing.deal(wb.files, parent.path, shares, seed, likeness)
    version = adopt(wb, actor, parent, shares, seed, dealt)
    return SplitReport(version, shares, seed, dealt.dealt, dealt.kept, dealt.together, dealt.torn)


def checked(ratios: Sequence[float], seed: int) -> tuple[float, float, float]:
    """The shares of a split. Raises InvalidInput for shares or a seed that are none."""
    shares = check_ratios(ratios)
    if not 0 <= seed <= MAX_SEED:
        raise InvalidInput(
            "The seed is {seed}; set it to a whole number from 0 to {high}.", seed=seed, high=MAX_SEED
        )
    return shares


def waiting(version: Version) -> int:
    """Rows that have no split yet."""
    return version.splits.get("", 0)


def takes_long(version: Version) -> bool:
    """True where a job (core.datasets.split_jobs) should split it, so that nobody waits."""
    return version.row_count > LARGE and waiting(version) > 0


def adopt(
    wb: Workbench,
    actor: auth.User,
    parent: Version,
    ratios: Sequence[float],
    seed: int,
    dealt: Dealt,
    also: Also = lambda connection, version: None,
) -> Version:
    """The version that a split of `parent` makes; `parent` where every row was left out.

    `also` is done in the same transaction.
    Raises Conflict where another version was made meanwhile, NotFound, NotAllowed.
    """
    if dealt.hash == parent.hash:
        wb.db.write(lambda connection: also(connection, parent))
        return parent
    # What rows say, and so their statistics, stays.
    made = Made(parent.row_count, dealt.hash, dealt.path, dealt.splits, parent.statistics)
    change = {
        "kind": "split", "ratios": list(ratios), "seed": seed, "dealt": dealt.dealt, "torn": dealt.torn,
        "added": 0, "removed": 0, "changed": 0, "resplit": sum(dealt.dealt.values()),
    }  # fmt: skip
    return store.adopt(wb, actor, parent.dataset_id, made, change, parent=parent.id, also=also)
