"""Pure. The second view: how likely B is the better one, and what a wrong choice costs on average."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special, stats

from core.ab import means
from core.ab.moments import Moments
from core.errors import InvalidInput


@dataclass(frozen=True)
class Posterior:
    """Normal posterior of the difference or lift."""

    mean: float
    sd: float
    low: float
    high: float

    @property
    def chance_to_win(self) -> float:
        """That B is above A."""
        return float(stats.norm.cdf(self.mean / self.sd)) if self.sd else float(self.mean > 0)

    @property
    def loss_keep(self) -> float:
        """Expected loss of keeping A: mΦ(m/s) + sφ(m/s)."""
        return self._loss(self.mean)

    @property
    def loss_ship(self) -> float:
        """Expected loss of taking B: −mΦ(−m/s) + sφ(m/s)."""
        return self._loss(-self.mean)

    def _loss(self, gain: float) -> float:
        if not self.sd:
            return max(0.0, gain)
        z = gain / self.sd
        return float(gain * stats.norm.cdf(z) + self.sd * stats.norm.pdf(z))


def gaussian(
    a: Moments,
    b: Moments,
    prior: tuple[float, float] | None = None,
    alpha: float = 0.05,
    *,
    as_share: bool = True,
) -> Posterior:
    """Posterior of the relative lift (or of the difference) with a flat or a normal prior (mean, variance).

    Raises InvalidInput for a prior without variance and for arms that cannot be compared.
    """
    found = means.relative(a, b) if as_share else means.welch(a, b)
    return normal(found.est, found.se**2, prior, alpha)


def normal(
    est: float, variance: float, prior: tuple[float, float] | None = None, alpha: float = 0.05
) -> Posterior:
    """Posterior of a normal estimate."""
    if prior is not None:
        if prior[1] <= 0:
            raise InvalidInput("The prior's variance is {x}; make it more than 0.", x=prior[1])
        precision = 1 / variance + 1 / prior[1]
        est = (est / variance + prior[0] / prior[1]) / precision
        variance = 1 / precision
    sd = math.sqrt(variance)
    reach = float(stats.norm.ppf(1 - alpha / 2)) * sd
    return Posterior(est, sd, est - reach, est + reach)


def beta_binomial(a: tuple[int, int], b: tuple[int, int]) -> float:
    """P(B's share > A's) with uniform priors, exact; each arm is (successes, n).

    The sum over B's successes of Miller, “Formulas for Bayesian A/B Testing” (2014).
    """
    for successes, n in (a, b):
        Moments.of_counts(n, successes)
    alpha_a, beta_a = a[0] + 1, a[1] - a[0] + 1
    alpha_b, beta_b = b[0] + 1, b[1] - b[0] + 1
    terms = [
        special.betaln(alpha_a + i, beta_a + beta_b)
        - math.log(beta_b + i)
        - special.betaln(1 + i, beta_b)
        - special.betaln(alpha_a, beta_a)
        for i in range(alpha_b)
    ]
    return float(math.fsum(math.exp(term) for term in terms))
