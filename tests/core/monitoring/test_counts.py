"""Counts add up, and percentiles of sums are right to within a bucket."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.monitoring.counts import BUCKETS, FEATURES, Counts, latency_bucket, latency_edge

times = st.lists(st.floats(1e-5, 250), min_size=1, max_size=200)


@given(st.lists(times, min_size=1, max_size=4), st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_percentiles_of_merged_counts_lie_in_the_bucket_of_the_true_one(
    parts: list[list[float]], share: float
) -> None:
    whole = Counts()
    for part in parts:
        counts = Counts()
        for seconds in part:
            counts.hear(seconds, 200)
        whole.add(Counts.of(json.loads(json.dumps(counts.plain()))))
    values = np.concatenate(parts)
    true = float(np.quantile(values, share, method="inverted_cdf"))
    found = whole.percentile(share)
    assert found is not None and latency_bucket(found) == latency_bucket(true)
    assert whole.requests == len(values) and np.isclose(whole.seconds, values.sum())


@given(st.floats(1e-6, 1e4))
def test_a_response_time_lies_within_its_bucket(seconds: float) -> None:
    bucket = latency_bucket(seconds)
    assert bucket == BUCKETS or seconds <= latency_edge(bucket)
    assert bucket == 0 or seconds > latency_edge(bucket - 1)


@given(st.sampled_from(sorted(FEATURES)), st.floats(0, 2**31))
def test_the_middle_of_a_bin_lies_in_it(name: str, value: float) -> None:
    scale = FEATURES[name]
    place = scale.place(value)
    assert scale.place(scale.middle(place)) == place


def test_answers_errors_and_confidence() -> None:
    counts = Counts()
    counts.hear(0.1, 200)
    counts.hear(0.2, 503)
    counts.hear(0.3, 422)
    counts.answer("cat", 1.0)
    counts.answer("dog", 0.5)
    counts.answer(None, None)
    assert (counts.requests, counts.errors, counts.refused, counts.images, counts.unread) == (3, 1, 1, 2, 1)
    assert counts.error_rate == 1 / 3 and counts.mean_confidence == 0.75
    assert counts.confidence == {19: 1, 10: 1} and Counts().percentile(0.5) is None
