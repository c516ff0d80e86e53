"""Pure. A plan rehearsed on past users: how often its rule calls a winner that is none, and one that is.

Users are drawn anew from the past, dealt to the variants and looked at every day, a thousand times: once
as they are, so that no variant differs, and once with B better by the smallest difference that matters.
Each look asks `verdict.first_that_holds`, as a live test does, about the intervals of `core.ab.sequences`.
All of it is sums: the difference is put into the sums of the same draws, and large tests draw blocks of users.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.ab import proportions, quantiles, sequences, verdict
from core.ab.metrics import METRICS, P95
from core.ab.plan import Plan
from core.ab.planner import USUAL, Past, Values, seen
from core.errors import InvalidInput

REPLAYS = 1_000
LOOKS = 30
"""At most so many looks are rehearsed; those of a longer test are spread evenly over its days."""
DRAWS = 5_000
"""Users, or blocks of them, that one replay draws at most."""
BLOCKS = 20_000
MAX_PEOPLE = 2_000_000
"""Users of a plan that can be rehearsed within seconds."""
STEP = 25
"""Replays between two words about how far it is."""
MADE_UP = 5_000
"""Users made up from the usual values where too few were logged."""
GRID = np.concatenate([np.linspace(0.6, 0.9, 7), np.linspace(0.91, 0.995, 18)])
"""Quantiles of past response times between which a p95 is interpolated."""
OPEN, B_WINS, OTHER_WINS, A_WINS, SAME, STOPPED = range(6)
"""How a replay ended: still open at its end, B better, another variant better, A better, practically the
same, stopped by a guardrail."""

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Course:
    """What became of the replays. `ends` counts them by how they ended, in the order of `OPEN` … `STOPPED`."""

    ends: tuple[int, ...]
    users: int | None
    """Median of the users with a value until B was found better; None where it never was."""
    days: int | None


@dataclass(frozen=True)
class Rehearsal:
    replays: int
    equal: Course
    """No variant differs."""
    different: Course
    """B is better by the smallest difference that matters."""
    own: bool
    """On the theme's own past users, not on made-up ones with the usual values."""

    @property
    def false_winners(self) -> int:
        """Of the replays without any difference those that called a winner, whichever."""
        return sum(self.equal.ends[end] for end in (A_WINS, B_WINS, OTHER_WINS))

    @property
    def found(self) -> int:
        return self.different.ends[B_WINS]

    def interval(self, count: int) -> tuple[float, float]:
        """Which shares so many of the replays may stand for, with 95 % confidence (Wilson)."""
        return proportions.wilson(count, self.replays)


def rehearse(plan: Plan, past: Past, *, replays: int = REPLAYS, seed: int = 0) -> Rehearsal:
    """Rehearse a plan; the same plan, past and seed give the same answer. Raises InvalidInput for one too large."""
    *_, (_, found) = rehearsing(plan, past, replays=replays, seed=seed)
    assert found is not None
    return found


def rehearsing(
    plan: Plan, past: Past, *, replays: int = REPLAYS, seed: int = 0
) -> Iterator[tuple[float, Rehearsal | None]]:
    """As `rehearse`, saying after each step how much is done (0 to 1); the last one brings the answer."""
    rng = np.random.default_rng(seed)
    stage = _Stage.of(plan, past, rng)
    parts: list[tuple[Numbers, Any, Any]] = []
    for begin in range(0, replays, STEP):
        drawn = stage.draw(min(STEP, replays - begin), rng)
        users = drawn[0][..., 0].sum(axis=-1)
        parts.append((users, judge(plan, drawn, stage.edges), judge(plan, drawn, stage.edges, plan.minimum)))
        yield min(1.0, (begin + STEP) / replays), None
    users = np.concatenate([part[0] for part in parts])
    equal, different = (
        _course(
            np.concatenate([part[kind][0] for part in parts]),
            np.concatenate([part[kind][1] for part in parts]),
            users,
            plan.days,
        )
        for kind in (1, 2)
    )
    yield 1.0, Rehearsal(replays, equal, different, seen(past, plan.primary).own)


@dataclass(frozen=True)
class _Stage:
    """Past users as rows of sums, in the order of their coming, and how many of them a look brings."""

    plan: Plan
    table: Numbers
    """(users or blocks, columns): the columns of the primary metric, then those of each guardrail."""
    splits: list[int]
    """Where the columns of the guardrails begin."""
    edges: Numbers
    """Response times up to which users are counted."""
    looks: int
    each: int
    """Users or blocks a look."""
    blocks: bool

    @classmethod
    def of(cls, plan: Plan, past: Past, rng: np.random.Generator) -> _Stage:
        primary = seen(past, plan.primary)
        people = round(plan.planned_users / primary.answering)
        if people > MAX_PEOPLE:
            raise InvalidInput(
                "This plan needs {n:,} users; at most {most:,} can be rehearsed. Look for a larger difference.",
                n=people,
                most=MAX_PEOPLE,
            )
        values = past.values if primary.own else _made_up(rng)
        times = values["response_time_ms"]
        edges = edges_of(times)
        columns = [sums_of(values[plan.primary])]
        for guard in plan.guardrails:
            columns.append(below(times, edges) if guard.metric == P95 else sums_of(values[guard.metric]))
        table = np.concatenate(columns, axis=1)
        looks = min(LOOKS, plan.days)
        size = -(-people // DRAWS)
        if size > 1:
            table = _blocks(table, looks, size, rng)
        splits = np.cumsum([part.shape[1] for part in columns])[:-1]
        return cls(plan, table, list(splits), edges, looks, -(-people // (size * looks)), size > 1)

    def draw(self, replays: int, rng: np.random.Generator) -> list[Numbers]:
        """Sums so far at each look, (replay, look, variant, column): of the primary metric, of each guardrail.

        A look draws from its own part of the past, so what changed over the days goes on to do so.
        """
        shape = (replays, self.looks, self.each)
        rows = _place(np.arange(self.looks)[:, None] + rng.random(shape), self.looks, len(self.table))
        # Users are dealt one by one. Blocks are dealt evenly: by chance, a few would outweigh many users.
        lot = (
            (np.arange(self.each) + rng.random((*shape[:2], 1))) / self.each
            if self.blocks
            else rng.random(shape)
        )
        arms = np.searchsorted(np.cumsum(self.plan.weights)[:-1], lot, side="right")
        dealt = (arms[..., None, :] == np.arange(len(self.plan.weights))[:, None]).astype(float)
        return np.split(np.cumsum(dealt @ self.table[rows], axis=1), self.splits, axis=-1)


def judge(plan: Plan, drawn: Sequence[Numbers], edges: Numbers, gain: float = 0.0) -> tuple[Places, Places]:
    """(how each replay ended, at which look) with B better by `gain`: at the first look that says something.

    `drawn` has sums so far at each look, (replay, look, variant, column): those of `sums_of` for the primary
    metric and each guardrail, those of `below` for a p95.
    """
    sign = 1 if METRICS[plan.primary].higher_is_better else -1
    est, low, high, ready = _compare(_shifted(drawn[0], sign * gain), plan)
    breached = np.zeros(ready.shape, dtype=bool)
    for guard, sums in zip(plan.guardrails, drawn[1:], strict=True):
        worse = _p95_worse(sums, edges, plan) if guard.metric == P95 else _worse(sums, plan)
        breached |= worse > guard.margin
    low, high = (low, high) if sign > 0 else (-high, -low)
    place = verdict.first_that_holds(low, high, plan.minimum, ready, breached)
    # A variant without users says nothing; A is always one of those with.
    rank = np.where(np.asarray(plan.weights[1:]) > 0, _RANK[place], len(verdict.ORDER))
    # As `verdict.judge`: what ranks first of all variants, of winners the one that is furthest ahead.
    ahead = np.where(rank == rank.min(axis=-1, keepdims=True), np.where(rank == 0, sign * est, 0), -np.inf)
    first = ahead.argmax(axis=-1)
    said = _ENDS[np.take_along_axis(place, first[..., None], axis=-1)[..., 0]]
    end = np.where((said == B_WINS) & (first > 0), OTHER_WINS, said)
    closed = end != OPEN
    look = np.where(closed.any(axis=1), closed.argmax(axis=1), closed.shape[1] - 1)
    return np.take_along_axis(end, look[:, None], axis=1)[:, 0], look


_RANK = np.array([verdict.ORDER.index(kind) for kind, _ in verdict.RULE])
_ENDS = np.array(
    [
        STOPPED
        if reason == "guardrail"
        else {verdict.BETTER: B_WINS, verdict.WORSE: A_WINS, verdict.SAME: SAME, verdict.UNCLEAR: OPEN}[kind]
        for kind, reason in verdict.RULE
    ]
)


def _course(ends: Places, looks: Places, users: Numbers, days: int) -> Course:
    counts = np.bincount(ends, minlength=STOPPED + 1)
    won = ends == B_WINS
    if not won.any():
        return Course(tuple(map(int, counts)), None, None)
    until = np.median(users[won, looks[won]])
    day = np.ceil(np.median(looks[won] + 1) / users.shape[1] * days)
    return Course(tuple(map(int, counts)), int(until), int(day))


def sums_of(values: Values) -> Numbers:
    """(users, 6): n, x, y, xx, yy, xy of each, zeros for one without a value."""
    x, y = np.nan_to_num(values).T
    has = ~np.isnan(values[:, 0])
    return np.stack([has, x, y, x * x, y * y, x * y], axis=1).astype(float)


def edges_of(times: Values) -> Numbers:
    """Typical times of the past users, at the quantiles of `GRID`."""
    known = times[~np.isnan(times[:, 0])]
    return np.quantile(known[:, 1] / known[:, 0], GRID) if len(known) else np.zeros(len(GRID))


def below(times: Values, edges: Numbers) -> Numbers:
    """(users, 1 + edges): whether each has a typical time at all, and whether it is at most each edge."""
    typical = times[:, 1] / times[:, 0]
    return np.concatenate([~np.isnan(typical)[:, None], typical[:, None] <= edges], axis=1).astype(float)


def _place(at: Numbers, looks: int, length: int) -> Places:
    """Rows of the past for moments of the test, of which each look has one."""
    return np.minimum((at * (length / looks)).astype(np.intp), length - 1)


def _blocks(table: Numbers, looks: int, size: int, rng: np.random.Generator) -> Numbers:
    """Sums over `size` users each, drawn from one look's part of the past."""
    each = -(-BLOCKS // looks)
    return np.concatenate(
        [
            table[_place(look + rng.random((each, size)), looks, len(table))].sum(axis=1)
            for look in range(looks)
        ]
    )


def _made_up(rng: np.random.Generator) -> dict[str, Values]:
    """Users with the usual values, one answer each, every metric on its own."""
    found = {}
    for name, (mean, sd) in USUAL.items():
        share = METRICS[name].unit == "share"
        shape = (mean / sd) ** 2
        y = rng.random(MADE_UP) < mean if share else rng.gamma(shape, mean / shape, MADE_UP)
        found[name] = np.stack([np.ones(MADE_UP), y], axis=1).astype(float)
    return found


def _shifted(sums: Numbers, gain: float) -> Numbers:
    """The sums as if every user of B had `gain` more of y a unit of x."""
    _, x, _, xx, _, xy = np.moveaxis(sums[..., 1, :], -1, 0)
    found = sums.copy()
    found[..., 1, 2] += gain * x
    found[..., 1, 4] += 2 * gain * xy + gain * gain * xx
    found[..., 1, 5] += gain * xx
    return found


def _ratio(sums: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """(n, y over x, its variance by the delta method) over the last axis; of a mean it is s²/n."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = y / x
        spread = (yy - y * y / n) - 2 * r * (xy - x * y / n) + r * r * (xx - x * x / n)
        return n, r, np.maximum(spread, 0) / (n - 1) * n / (x * x)


def _compare(sums: Numbers, plan: Plan) -> tuple[Numbers, Numbers, Numbers, NDArray[np.bool_]]:
    """(difference from A, low, high, whether there are enough users) of each variant but A, on the last axis."""
    n, r, variance = _ratio(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.sqrt(variance[..., 1:] + variance[..., :1])
        est = r[..., 1:] - r[..., :1]
        half = se * _reach(n, plan)
    ready = (np.minimum(n[..., 1:], n[..., :1]) >= sequences.MIN_USERS) & (se > 0)
    return est, est - half, est + half, ready


def _worse(sums: Numbers, plan: Plan) -> Numbers:
    """How much worse than A at least, as a share of A; minus infinity where nothing is proven.

    An A that has nothing is compared with the spread of both together, as live.
    """
    est, low, _, ready = _compare(sums, plan)
    n, value, _ = _ratio(sums)
    both, _, variance = _ratio(sums[..., 1:, :] + sums[..., :1, :])
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.sqrt(variance * both * (1 / n[..., 1:] + 1 / n[..., :1]))
    base = value[..., :1]
    low = np.where(base > 0, low, est - se * _reach(n, plan))
    return np.where(ready, _share(low, base), -np.inf)


def _p95_worse(sums: Numbers, edges: Numbers, plan: Plan) -> Numbers:
    """As `_worse`, of the time that 95 of 100 users' typical time stays below.

    Live, answers are counted and users who come several times widen the interval; here each has one time.
    """
    n = sums[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = sums[..., 1:] / n[..., None]
        spread = quantiles.normal_reach() * np.sqrt(0.95 * 0.05 / (n - 1))
        value, low, high = (_crossing(shares, edges, 0.95 + side * spread) for side in (0, -1, 1))
        se = (high - low) / (2 * quantiles.normal_reach())
        half = np.hypot(se[..., 1:], se[..., :1]) * _reach(n, plan)
    ready = (np.minimum(n[..., 1:], n[..., :1]) >= sequences.MIN_USERS) & (half > 0)
    return np.where(ready, _share(value[..., 1:] - value[..., :1] - half, value[..., :1]), -np.inf)


def _reach(n: Numbers, plan: Plan) -> Numbers:
    """Standard errors to either side for each variant but A, from the users of all; each gets its part of α."""
    level = plan.alpha / (len(plan.versions) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return sequences.reach(n[..., 1:] + n[..., :1], plan.planned_users, level)


def _share(low: Numbers, base: Numbers) -> Numbers:
    """The least difference as a share of A's value; above nothing, any is infinitely much."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(base > 0, low / base, np.where(low > 0, np.inf, -np.inf))


def _crossing(shares: Numbers, edges: Numbers, q: Numbers) -> Numbers:
    """The time at which a share of users first reaches q, between two edges in a straight line."""
    place = np.clip((shares < q[..., None]).sum(axis=-1), 1, len(edges) - 1)
    before, after = (np.take_along_axis(shares, at[..., None], axis=-1)[..., 0] for at in (place - 1, place))
    step = np.where(after > before, (q - before) / np.where(after > before, after - before, 1), 1.0)
    return edges[place - 1] + np.clip(step, 0, 1) * (edges[place] - edges[place - 1])
