"""Pure. Whether new images are like those a model learnt from: feature by feature, and as a whole.

Effect before chance: a feature drifted where its population stability index reaches MUCH *and* the
difference is no accident once all features are counted together (Holm, Scand. J. Statist. 6, 1979).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

BINS = 10
"""Bins of the index, by quantiles of the reference."""
SOME, MUCH = 0.10, 0.25
"""Of the index: a little, and a lot (Siddiqi, Credit Risk Scorecards, Wiley 2006)."""
ALPHA = 0.05
LEAST = 20
"""Values on either side below which nothing is said of a feature."""
LOOKED_AT = 300
"""Images of either side that the comparison as a whole takes; the same ones each time."""
PERMUTATIONS = 499
"""Enough that a p of its own can stay below ALPHA when Holm multiplies it by the number of features."""
BARS = 12
LOOK = "look"
RARE = 5
"""Expected count below which chi-square's own distribution is not trusted (Cochran, Biometrics 10, 1954)."""

Values = np.ndarray
"""n numbers, float64, NaN where unknown; or n names, None where unknown."""


@dataclass(frozen=True)
class Feature:
    """One thing measured in every image, in the reference and in the batch."""

    name: str
    n_reference: int
    n_batch: int
    psi: float | None
    """Population stability index; None of the look as a whole, which has none."""
    statistic: float
    """Kolmogorov and Smirnov's D, chi-square of categories, or the unbiased squared MMD of the look."""
    p: float
    adjusted: float = 1.0
    """p after Holm over all features."""
    middle_reference: float | None = None
    """Median; None of categories and of the look."""
    middle_batch: float | None = None
    bars: tuple[str, ...] = ()
    """What each bar stands for: a category, or the middle of an interval."""
    reference: tuple[float, ...] = ()
    batch: tuple[float, ...] = ()
    """Shares of the bars, 0–1."""

    @property
    def level(self) -> str:
        """same, some or much."""
        if self.adjusted >= ALPHA:
            return "same"
        if self.psi is None or self.psi >= MUCH:
            return "much"
        return "some" if self.psi >= SOME else "same"


@dataclass(frozen=True)
class Drift:
    features: tuple[Feature, ...]
    """Those that moved most first."""

    @property
    def drifted(self) -> tuple[Feature, ...]:
        return tuple(each for each in self.features if each.level == "much")


def compare(
    numbers: Mapping[str, tuple[Values, Values]],
    categories: Mapping[str, tuple[Values, Values]],
    looks: tuple[np.ndarray, np.ndarray] | None = None,
) -> Drift:
    """Every feature as (reference, batch), and the looks as two matrices of vectors (rows are images).

    A feature with fewer than LEAST known values on either side is left out. The same input gives the
    same answer.
    """
    found: list[Feature] = []
    for name, (reference, batch) in numbers.items():
        one, two = reference[np.isfinite(reference)], batch[np.isfinite(batch)]
        if min(len(one), len(two)) >= LEAST:
            found.append(number(name, one, two))
    for name, (reference, batch) in categories.items():
        known = [[each for each in side if each is not None] for side in (reference, batch)]
        if min(map(len, known)) >= LEAST:
            found.append(category(name, *known))
    if looks is not None and min(map(len, looks)) >= LEAST:
        one, two = (each[:LOOKED_AT] for each in looks)
        squared, p = mmd(one, two)
        found.append(Feature(LOOK, len(one), len(two), None, squared, p))
    return ranked(found)


def ranked(found: Sequence[Feature]) -> Drift:
    """Features that were compared one by one, their chance corrected for all of them."""
    corrected = holm([each.p for each in found])
    found = [replace(each, adjusted=p) for each, p in zip(found, corrected, strict=True)]
    order = {"much": 0, "some": 1, "same": 2}
    return Drift(tuple(sorted(found, key=lambda each: (order[each.level], -(each.psi or 0.0)))))


def number(name: str, reference: Values, batch: Values) -> Feature:
    """Two samples of a number, without unknown values."""
    from scipy.stats import ks_2samp

    few = max(len(reference), len(batch)) <= 1_000  # beyond, the exact distribution takes seconds
    found = ks_2samp(reference, batch, method="exact" if few else "asymp")
    cuts = quantile_cuts(reference)
    index = psi(*(np.bincount(np.searchsorted(cuts, x), minlength=len(cuts) + 1) for x in (reference, batch)))
    both = np.concatenate([reference, batch])
    low, high = np.percentile(both, [1, 99])
    if low == high:
        low, high = both.min(), both.max()
    width = (high - low) / BARS or 1.0
    counts = [
        np.bincount(np.clip((x - low) // width, 0, BARS - 1).astype(np.int64), minlength=BARS)
        for x in (reference, batch)
    ]
    return Feature(
        name,
        len(reference),
        len(batch),
        index,
        float(found.statistic),
        float(found.pvalue),
        middle_reference=float(np.median(reference)),
        middle_batch=float(np.median(batch)),
        bars=tuple(f"{low + (place + 0.5) * width:.4g}" for place in range(BARS)),
        reference=tuple((counts[0] / len(reference)).tolist()),
        batch=tuple((counts[1] / len(batch)).tolist()),
    )


def category(name: str, reference: Sequence[str], batch: Sequence[str], *, seed: int = 0) -> Feature:
    """Two samples of names: Pearson's chi-square of the table 2 × k.

    Where a count is expected below RARE, p comes from PERMUTATIONS tables with the same margins
    instead: the chance to deal the images so by accident.
    """
    return counted(name, Counter(reference), Counter(batch), seed=seed)


def counted(name: str, reference: Mapping[str, int], batch: Mapping[str, int], *, seed: int = 0) -> Feature:
    """The same, of how often each name was there."""
    from scipy.stats import chi2

    names = sorted({*reference, *batch})
    counts = np.array([[side.get(each, 0) for each in names] for side in (reference, batch)])
    statistic = _chi_square(counts[1], counts.sum(axis=0))
    p = 1.0
    if len(names) > 1:
        if np.outer(counts.sum(axis=1), counts.sum(axis=0)).min() / counts.sum() >= RARE:
            p = float(chi2.sf(statistic, len(names) - 1))
        else:
            rng = np.random.default_rng(seed)
            dealt = rng.multivariate_hypergeometric(counts.sum(axis=0), counts[1].sum(), size=PERMUTATIONS)
            # A table as rare as ours must count as such whatever rounding says.
            as_far = _chi_square(dealt, counts.sum(axis=0)) >= statistic * (1 - 1e-12)
            p = float((1 + as_far.sum()) / (1 + PERMUTATIONS))
    shares = counts / counts.sum(axis=1, keepdims=True)
    order = np.argsort(-shares.sum(axis=0), kind="stable")
    return Feature(
        name,
        int(counts[0].sum()),
        int(counts[1].sum()),
        psi(*counts),
        float(statistic),
        p,
        bars=tuple(names[at] for at in order),
        reference=tuple(shares[0][order].tolist()),
        batch=tuple(shares[1][order].tolist()),
    )


def _chi_square(batch: np.ndarray, totals: np.ndarray) -> Any:
    """Pearson's statistic of one or many batches (… × k) against the rest of `totals` (k)."""
    n, size = totals.sum(), batch.sum(axis=-1, keepdims=True)
    expected, rest = totals * (size / n), totals * (1 - size / n)
    gap = (batch - expected) ** 2
    return (gap / expected + gap / rest).sum(axis=-1)


def psi(reference: np.ndarray, batch: np.ndarray) -> float:
    """Population stability index of two rows of counts: Σ (b − r) · ln(b / r) over the shares.

    Half a count is added to every bin, so that an empty one gives no infinity.
    """
    one, two = (np.asarray(each, dtype=np.float64) + 0.5 for each in (reference, batch))
    one, two = one / one.sum(), two / two.sum()
    return float(((two - one) * np.log(two / one)).sum())


def quantile_cuts(reference: Values, bins: int = BINS) -> np.ndarray:
    """Upper edges (included) of all bins but the last, at the reference's quantiles.

    A value so frequent that several quantiles fall on it gets a bin of its own, so that a batch
    which lies beyond the only value of the reference does not fall into the same bin.
    """
    quantiles = np.quantile(reference, np.arange(1, bins) / bins, method="inverted_cdf")
    values, times = np.unique(quantiles, return_counts=True)
    below = [np.nextafter(value, -np.inf) for value, n in zip(values, times, strict=True) if n > 1]
    return np.unique(np.concatenate([values, below]))


def mmd(one: np.ndarray, two: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """(unbiased squared maximum mean discrepancy, p of a permutation test) of two sets of vectors (rows).

    Gaussian kernel whose width is the median distance of all pairs; Gretton, Borgwardt, Rasch,
    Schölkopf, Smola, “A Kernel Two-Sample Test”, JMLR 13 (2012) 723–773, equation 3.
    """
    kernel = _kernel(np.concatenate([one, two]))
    np.fill_diagonal(kernel, 0.0)
    m, n = len(one), len(two)
    dealt = np.zeros((PERMUTATIONS + 1, m + n), dtype=np.float32)
    dealt[:, :m] = 1.0
    dealt[1:] = np.random.default_rng(seed).permuted(dealt[1:], axis=1)
    within = np.einsum("pi,pi->p", dealt @ kernel, dealt, dtype=np.float64)
    rows = kernel.sum(axis=1, dtype=np.float64)
    across = dealt @ rows - within
    others = rows.sum() - within - 2 * across
    found = within / (m * (m - 1)) + others / (n * (n - 1)) - 2 * across / (m * n)
    # Sums in single precision differ by rounding; a permutation that is ours must count as such.
    as_far = found[1:] >= found[0] - 1e-7
    return float(found[0]), float((1 + as_far.sum()) / (1 + PERMUTATIONS))


def unlike(reference: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """For each vector of the batch how much likelier it is there than in the reference, by the same kernel.

    The witness function of Gretton et al. (2012), section 2.3.
    """
    kernel = _kernel(np.concatenate([reference, batch]))[len(reference) :]
    found: np.ndarray = kernel[:, len(reference) :].mean(axis=1) - kernel[:, : len(reference)].mean(axis=1)
    return found


def extremes(feature: Feature, batch: Values) -> np.ndarray:
    """Places of the batch's values, those that show best how the feature moved first; unknown ones left out."""
    if feature.middle_reference is None:
        grown = max(
            zip(feature.bars, feature.reference, feature.batch, strict=True), key=lambda bar: bar[2] - bar[1]
        )
        return np.array([at for at, value in enumerate(batch) if value == grown[0]], dtype=np.int64)
    known = np.flatnonzero(np.isfinite(batch))
    away = batch[known] - feature.middle_reference
    shift = (feature.middle_batch or 0.0) - feature.middle_reference
    return known[np.argsort(-(away * np.sign(shift) if shift else np.abs(away)), kind="stable")]


def holm(p: Sequence[float]) -> list[float]:
    """Each p adjusted for all of them (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(each) for each in adjusted]


def sample(ids: np.ndarray, most: int, *, seed: int = 0) -> np.ndarray:
    """At most `most` of the ids in random order, the same ones each time."""
    found: np.ndarray = np.random.default_rng(seed).permutation(np.sort(ids))[:most]
    return found


def _kernel(vectors: np.ndarray) -> np.ndarray:
    """Gaussian kernel of all pairs, float32, its width the median distance."""
    rows = vectors.astype(np.float32)
    lengths = np.einsum("ij,ij->i", rows, rows)
    gaps = np.maximum(lengths[:, None] + lengths[None, :] - 2 * rows @ rows.T, 0)
    width = float(np.median(gaps[np.triu_indices(len(rows), 1)]))
    found: np.ndarray = np.exp(-gaps / (2 * width or 1.0))
    return found
