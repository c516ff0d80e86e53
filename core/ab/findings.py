"""Pure. What an analysis finds: an arm, a comparison with A, and whether any of it may be believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from core.ab import mismatch
from core.ab.metrics import METRICS, Metric
from core.ab.trials import Trial

if TYPE_CHECKING:  # they bring scipy.stats, which takes a second of the app's start
    from core.ab.means import Equivalence
    from core.ab.quantiles import Quantile
    from core.ab.ranks import Ordinal


@dataclass(frozen=True)
class Arm:
    """One variant's part: everything per user but `interactions`, `ratings`, `latency` and `p95`."""

    name: str
    version_id: int
    users: int
    interactions: int
    rated_users: int
    silent_users: int
    """Users who never rated."""
    value: float
    """The primary metric; NaN without data."""
    sd: float
    """Spread a user; of a ratio, that of its parts brought to one user."""
    low: float
    high: float
    """The value's own interval, for one look at the planned end."""
    stars: tuple[int, ...]
    """Users by their mean rating rounded to 1 … 5 stars."""
    ratings: tuple[int, ...]
    """Answers by their rating, 1 … 5 stars."""
    latency: tuple[float, ...]
    """Response times that 50, 90, 95 and 99 of 100 answers stay below, ms; empty without any."""
    p95: Quantile | None
    error_rate: float
    cost: float


@dataclass(frozen=True)
class Estimate:
    """A variant against A. `low`, `high` and `p` hold at every look; `fixed` counts at the planned end only."""

    est: float
    se: float
    low: float
    high: float
    p: float
    fixed_low: float
    fixed_high: float
    fixed_p: float
    users: int
    ready: bool
    """Enough users in both arms for the sequence to be trusted."""


@dataclass(frozen=True)
class Guard:
    """A guardrail: `worse` is how much worse than A, as a share; `breached` is proven, `safe` too.

    Of an A that has nothing, whatever is more is infinitely worse.
    """

    metric: str
    margin: float
    worse: float
    low: float
    high: float
    breached: bool
    safe: bool


@dataclass(frozen=True)
class Segment:
    field: str
    value: str
    users: int
    est: float
    low: float
    high: float
    p: float
    """Corrected for all segments of the test (Benjamini–Hochberg)."""


@dataclass(frozen=True)
class Shares:
    """Satisfied users: both shares, their difference with Newcombe's interval, and p."""

    a: float
    b: float
    est: float
    low: float
    high: float
    p: float
    exact: bool
    """p is Fisher's, for counts were small; else chi-square's."""


@dataclass(frozen=True)
class Adjusted:
    """The difference after what was known of the users before is taken out (CUPED)."""

    estimate: Estimate
    kept: float
    """Share of the variance that remains: 1 says that it helped nothing."""
    known: int
    """Users of whom something was known."""


@dataclass(frozen=True)
class Novelty:
    """The difference among the users who came first and among those who came later."""

    until: date
    """The last day of the first part."""
    first: float
    later: float
    change: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Silence:
    """How different B's silent users would have to be for the verdict to turn, A's being like A's raters.

    `tip` is the difference from B's raters in the metric's unit (negative: lower), NaN where there is
    no verdict to turn; `possible` says whether the scale allows it.
    """

    rated_a: float
    rated_b: float
    """Shares of the users who rated."""
    rated_p: float
    """Chance of such a gap between both shares where nothing is behind it."""
    tip: float
    possible: bool


@dataclass(frozen=True)
class Day:
    """A comparison with the users who had come by the end of a day."""

    day: date
    est: float
    low: float
    high: float


@dataclass(frozen=True)
class Against:
    """One variant compared with A."""

    name: str
    primary: Estimate
    adjusted_p: float
    """The always-valid p, corrected for the number of variants (Holm)."""
    lift: Estimate | None
    """Relative difference, None where A's value is too near zero."""
    equivalence: Equivalence | None
    chance_to_win: float
    loss_ship: float
    loss_keep: float
    superiority: Ordinal | None
    """How often a user of B gives more stars than one of A."""
    effect_size: float | None
    """Hedges' g of a mean, Cohen's h of a share."""
    shares: Shares | None
    p95: Estimate | None
    """Difference of the response times that 95 of 100 answers stay below, ms."""
    cuped: Adjusted | None
    novelty: Novelty | None
    silence: Silence | None
    guards: tuple[Guard, ...]
    segments: tuple[Segment, ...]
    days: tuple[Day, ...]


@dataclass(frozen=True)
class Overall:
    """Three variants or more: do any differ at all, before asking which?"""

    p: float
    """Welch's analysis of variance of the primary metric."""
    shares_p: float | None
    """Chi-square of the shares of satisfied users."""


@dataclass(frozen=True)
class Health:
    """Whether the numbers may be believed at all."""

    expected: tuple[float, ...]
    """Users each arm should have."""
    users: tuple[int, ...]
    """Users each arm has: as they were assigned, or as they were logged where that is dealt less evenly."""
    mismatch_p: float
    """Chi-square over the users who had come by the planned end, for one look: it decides from then on.

    This p and the next are of the worst of two counts, as assigned and as logged, doubled for there are two.
    """
    mismatch_sequential_p: float
    """Right however often it is looked at: it decides at any look."""
    past_end: bool
    """The planned end came before the test was ended, so that `mismatch_p` decides too."""
    both_arms: int
    """Users seen in more than one arm, or in another than they were assigned."""
    seen: int
    exposures: tuple[int, ...]
    """Answers about to be asked of a model through Veritrain, by arm."""
    unlogged: tuple[int, ...]
    """Exposures older than five minutes without an interaction, by arm."""
    last_logged: datetime | None
    lag_p50: float | None
    lag_p95: float | None
    """Seconds from the answer until it was logged, that 50 and 95 of 100 stay below."""
    phase: int
    """Which phase this is, from 1; other shares of the users begin a new one."""
    level: float
    """The chance of a false winner in this phase, its part of the plan's α."""
    spent: float
    """The same over all phases so far, at most; below 2α however many there are."""

    @property
    def mismatched(self) -> bool:
        """Whether chance does not deal users like that."""
        once = self.mismatch_p if self.past_end else 1.0
        return min(once, self.mismatch_sequential_p) < mismatch.ALARM


@dataclass(frozen=True)
class Results:
    trial: Trial
    at: datetime
    arms: tuple[Arm, ...]
    against: tuple[Against, ...]
    health: Health
    users_a_day: float
    overall: Overall | None = field(default=None)

    @property
    def metric(self) -> Metric:
        return METRICS[self.trial.plan.primary]
