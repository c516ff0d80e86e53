"""Who sees what: evenly, for ever, and without moving anyone when a test grows."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.ab import assignment
from core.ab.assignment import Plan
from core.errors import InvalidInput

USERS = [f"user-{n}" for n in range(100_000)]


def test_the_position_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b"salt\x00user").digest()
    assert assignment.position("salt", "user") == int.from_bytes(digest[:8], "big") / 2**64
    assert assignment.position("salt", "用户") != assignment.position("other", "用户")


def test_growing_moves_nobody() -> None:
    seen: dict[str, str] = {}
    for coverage in (0.1, 0.5, 1.0):
        plan = Plan("ramp", ("A", "B", "C"), (0.5, 0.3, 0.2), coverage)
        now = {unit: arm for unit in USERS if (arm := plan.arm(unit)) is not None}
        assert sum(now.get(unit) != arm for unit, arm in seen.items()) == 0
        assert len(now) / len(USERS) == pytest.approx(coverage, abs=0.01)
        seen = now
    counts = [list(seen.values()).count(arm) for arm in "ABC"]
    assert stats.chisquare(counts, [50_000, 30_000, 20_000]).pvalue > 0.001


def test_tests_with_other_salts_mix_users_anew() -> None:
    one, two = (Plan(salt, ("A", "B"), (0.5, 0.5)) for salt in ("one", "two"))
    table = [[0, 0], [0, 0]]
    for unit in USERS[:20_000]:
        table[one.arm(unit) == "A"][two.arm(unit) == "A"] += 1
    assert stats.chi2_contingency(table).pvalue > 0.001


@given(
    st.lists(st.integers(0, 10), min_size=2, max_size=6).filter(any),
    st.floats(0, 1),
    st.text(min_size=1, max_size=40),
)
def test_every_unit_falls_to_one_arm_or_none(parts: list[int], coverage: float, unit: str) -> None:
    weights = tuple(part / sum(parts) for part in parts)
    plan = Plan("s", tuple(map(str, range(len(parts)))), weights, coverage)
    if "\0" in unit or any(0xD800 <= ord(c) < 0xE000 for c in unit):
        return
    at = assignment.position("s", unit)
    owners = [
        str(i) for i, (low, high) in enumerate(assignment.ranges(weights, coverage)) if low <= at < high
    ]
    assert [plan.arm(unit)] == (owners or [None])
    assert plan.arm(unit) is None or weights[int(plan.arm(unit) or 0)] > 0


@pytest.mark.parametrize("weights", [(0.5, 0.6), (-0.5, 1.5), (0.2, 0.2)])
def test_weights_that_do_not_sum_are_one_sentence(weights: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInput, match="add up to 1"):
        assignment.ranges(weights)


@pytest.mark.parametrize("unit", ["", "a\0b", "x" * 201])
def test_a_unit_without_a_usable_name_is_one_sentence(unit: str) -> None:
    with pytest.raises(InvalidInput, match="same id for the same user"):
        assignment.position("salt", unit)
