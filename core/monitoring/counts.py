"""Pure. Counts of requests that add up, over minutes and app processes alike, in fixed buckets.

Percentiles of sums are right to within a bucket, which is not so of averaged percentiles.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FASTEST, PER_DOUBLING, BUCKETS = 0.001, 4, 72
"""Response times: the first bucket ends at FASTEST seconds, four are a doubling, the last is open from 262 s on."""
MOST_CLASSES = 2_000
"""Labels that are counted: what writes short texts has as many answers as it has requests."""
CONFIDENCES = 20
"""Bins of the confidence, 0–1."""


@dataclass(frozen=True)
class Scale:
    """Bins of a feature: `count` of `width` from `low` on, of the value or of its logarithm to base 2."""

    low: float
    width: float
    count: int
    log: bool = False

    def place(self, value: float) -> int:
        if self.log:
            value = math.log2(value) if value > 0 else self.low
        return min(max(math.floor((value - self.low) / self.width), 0), self.count - 1)

    def middle(self, place: int) -> float:
        found = self.low + (place + 0.5) * self.width
        return 2.0**found if self.log else found


FEATURES = {
    # Of core.quality.measures: brightness 0–255, its spread, bits, variance of edges, distance from grey.
    "shade": Scale(0, 4, 64),
    "light": Scale(0, 4, 64),
    "contrast": Scale(0, 2, 64),
    "entropy": Scale(0, 0.125, 64),
    "sharpness": Scale(0, 0.25, 56, log=True),
    "colour": Scale(0, 2, 64),
    # Pixels, their ratio, bytes. Half a bin aside, so that powers of two lie in the middle of theirs.
    "width": Scale(-1 / 16, 1 / 8, 121, log=True),
    "height": Scale(-1 / 16, 1 / 8, 121, log=True),
    "aspect": Scale(-4 - 1 / 32, 1 / 16, 129, log=True),
    "size": Scale(5, 0.25, 100, log=True),
}


def latency_bucket(seconds: float) -> int:
    """The bucket of a response time: it is at most `latency_edge` of it, and more than that of the one before."""
    if seconds <= FASTEST:
        return 0
    found = math.ceil(PER_DOUBLING * math.log2(seconds / FASTEST))
    while found and seconds <= latency_edge(found - 1):  # rounding of the logarithm at an edge
        found -= 1
    while seconds > latency_edge(found):
        found += 1
    return min(found, BUCKETS)


def latency_edge(bucket: int) -> float:
    """Seconds at which a bucket ends, that included."""
    return FASTEST * 2.0 ** (bucket / PER_DOUBLING)


@dataclass
class Counts:
    """What was asked of a deployment in some time, and what it answered."""

    requests: int = 0
    errors: int = 0
    """Answers that say the fault is ours (5xx)."""
    refused: int = 0
    """Answers that say the fault is the caller's (4xx)."""
    seconds: float = 0.0
    """Response times of all requests together."""
    latency: Counter[int] = field(default_factory=Counter)
    images: int = 0
    """That were answered."""
    unread: int = 0
    """Images that could not be read."""
    confidences: float = 0.0
    """Sum over the images that were answered."""
    confidence: Counter[int] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    measured: int = 0
    """Images whose features were looked at: a sample."""
    features: dict[str, Counter[int]] = field(default_factory=dict)
    """Of each of FEATURES how many images lie in which bin."""

    def hear(self, seconds: float, status: int) -> None:
        """One request."""
        self.requests += 1
        self.seconds += seconds
        self.latency[latency_bucket(seconds)] += 1
        if status >= 500:
            self.errors += 1
        elif status >= 400:
            self.refused += 1

    def answer(self, label: str | None, confidence: float | None, answered: bool = False) -> None:
        """One image of it; None where it could not be read, or was `answered` by something else than a label."""
        if label is None:
            self.images += answered
            self.unread += not answered
            return
        self.images += 1
        if label in self.classes or len(self.classes) < MOST_CLASSES:
            self.classes[label] += 1
        if confidence is not None:
            self.confidences += confidence
            self.confidence[min(int(confidence * CONFIDENCES), CONFIDENCES - 1)] += 1

    def measure(self, features: Mapping[str, float]) -> None:
        """What one image of the sample looks like, by names of FEATURES."""
        self.measured += 1
        for name, value in features.items():
            self.features.setdefault(name, Counter())[FEATURES[name].place(value)] += 1

    def add(self, other: Counts) -> None:
        """Put `other` into this."""
        self.requests += other.requests
        self.errors += other.errors
        self.refused += other.refused
        self.seconds += other.seconds
        self.images += other.images
        self.unread += other.unread
        self.confidences += other.confidences
        self.measured += other.measured
        self.latency.update(other.latency)
        self.confidence.update(other.confidence)
        self.classes.update(other.classes)
        for name, bins in other.features.items():
            self.features.setdefault(name, Counter()).update(bins)

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.requests if self.requests else None

    @property
    def mean_confidence(self) -> float | None:
        answered = self.confidence.total()
        return self.confidences / answered if answered else None

    def percentile(self, share: float) -> float | None:
        """Seconds within which `share` (0–1) of the requests were answered, to within a bucket (19 %)."""
        return percentile(self.latency, share)

    def plain(self) -> dict[str, Any]:
        """As JSON can say it; zeros are left out."""
        numbers = ("requests", "errors", "refused", "seconds", "images", "unread", "confidences", "measured")
        found: dict[str, Any] = {name: value for name in numbers if (value := getattr(self, name))}
        bins = {name: dict(getattr(self, name)) for name in ("latency", "confidence", "classes")}
        features = {name: dict(each) for name, each in self.features.items()}
        return found | {name: each for name, each in bins.items() if each} | {"features": features}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Counts:
        """From what `plain` gave, through JSON and back."""
        found = cls(**{name: value for name, value in plain.items() if not isinstance(value, dict)})
        found.latency = _numbered(plain.get("latency", {}))
        found.confidence = _numbered(plain.get("confidence", {}))
        found.classes = Counter(plain.get("classes", {}))
        found.features = {name: _numbered(bins) for name, bins in plain.get("features", {}).items()}
        return found


def _numbered(bins: Mapping[Any, int]) -> Counter[int]:
    """JSON's keys are texts."""
    return Counter({int(place): n for place, n in bins.items()})


def percentile(latency: Counter[int], share: float) -> float | None:
    """The response time at rank ⌈share · n⌉, placed within its bucket by rank; None of no requests."""
    total = latency.total()
    if not total:
        return None
    rank = max(math.ceil(share * total), 1)
    below = 0
    for bucket in sorted(latency):
        inside = latency[bucket]
        if below + inside >= rank:
            start = latency_edge(bucket - 1) if bucket else 0.0
            return start + (latency_edge(bucket) - start) * (rank - below) / inside
        below += inside
    raise AssertionError("unreachable")
