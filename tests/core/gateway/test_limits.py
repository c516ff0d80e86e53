"""Requests a minute of one key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import TooMany
from core.gateway import limits
from core.gateway.limits import Limiter


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 8))
def test_no_minute_has_more_than_the_limit_and_the_wait_is_as_long_as_was_said(
    pauses: list[float], limit: int
) -> None:
    now = [1000.0]
    limiter = Limiter(clock=lambda: now[0])
    passed: list[float] = []
    for pause in pauses:
        now[0] += pause
        try:
            limiter.take("key", limit)
        except TooMany as error:
            assert sum(time > now[0] - 60 for time in passed) == limit
            now[0] += error.fields["seconds"]
            limiter.take("key", limit)
        passed.append(now[0])
        assert sum(time > now[0] - 60 for time in passed) <= limit


def test_keys_are_counted_apart_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEYS", 2)
    now = [0.0]
    limiter = Limiter(clock=lambda: now[0])
    for key in ("ada", "grace"):
        limiter.take(key, 1)
        with pytest.raises(TooMany, match="1 requests a minute; go on in 60 s"):
            limiter.take(key, 1)
    now[0] = 61
    limiter.take("linus", 1)
    assert list(limiter._times) == ["linus"]
    for _ in range(3):
        limiter.take("linus", 0)  # no limit
