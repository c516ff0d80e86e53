"""How often the A/B rule calls a winner that is none, and who is moved by a ramp.

    python -m benchmarks.ab_rules

Simulates tests of two equal variants and asks the rule of the product (`core.ab.analysis.estimate`) after
every day. Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from scipy import stats

from core.ab import analysis, rehearsal
from core.ab.assignment import Plan as Assignment
from core.ab.metrics import GUARDRAILS, METRICS
from core.ab.moments import Moments, Pairs
from core.ab.plan import Plan
from core.ab.planner import Past

RUNS = 2_000
DAYS = 30
USERS_A_DAY = 100
"""An arm."""
RATINGS = 20
"""Of each user in the clustered tests."""
UNITS = 100_000
METRIC = METRICS["rating"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="not needed here; tests are simulated")
    parser.parse_args()
    figures = {
        "aa_30_looks": (daily_looks(stars), 0.05),
        "aa_clustered": (daily_looks(clustered), 0.065),
        "aa_90_10_unequal": (daily_looks(unequal), 0.06),
        "fixed_t_30_looks": (daily_looks(stars, fixed=True), None),
    }
    texts = {
        "aa_30_looks": f"A/A, {DAYS} daily looks, {RUNS} tests: false winners",
        "aa_clustered": f"the same, {RATINGS} ratings a user",
        "aa_90_10_unequal": "the same, 90/10 with SD 0.6 against 1.2",
        "fixed_t_30_looks": "for comparison: Welch's t at every look",
    }
    for name, (share, most) in figures.items():
        limit = f"(≤ {most * 100:g} %)" if most is not None else ""
        print(f"{texts[name]:58} {share * 100:5.1f} %  {limit}")
    moved = ramped()
    print(f"{'ramp 10 → 50 → 100 %: users who change the variant':58} {moved} of {UNITS:,}  (0)")
    micros = assigning()
    print(f"{'assignment in process':58} {micros:5.2f} µs  (≤ 5)")
    seconds = rehearsing()
    print(f"{'1,000 rehearsals of 5,000 users, 30 looks, 3 guardrails':58} {seconds:5.2f} s  (< 3)")
    plain = {name: round(share, 4) for name, (share, _) in figures.items()}
    found = {**plain, "ramp_moved": moved, "assign_us": round(micros, 2), "rehearsal_s": round(seconds, 2)}
    print(json.dumps({"benchmark": "ab_rules", **found}))


def stars(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One value a user and arm, in the order of their coming: 1 to 5 stars."""
    n = DAYS * USERS_A_DAY
    chances = [0.08, 0.1, 0.2, 0.32, 0.3]
    a, b = rng.choice(5, (2, n), p=chances) + 1.0
    return a, b


def clustered(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Users who rate many times have one taste: the mean of their ratings is their value."""
    n = DAYS * USERS_A_DAY // 4
    taste = rng.normal(3.5, 0.8, (2, n, 1))
    ratings = np.clip(np.round(taste + rng.normal(0, 0.8, (2, n, RATINGS))), 1, 5)
    a, b = ratings.mean(axis=2)
    return a, b


def unequal(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    n = 2 * DAYS * USERS_A_DAY
    return rng.normal(3.5, 0.6, n * 9 // 10), rng.normal(3.5, 1.2, n // 10)


def daily_looks(draw, *, fixed: bool = False) -> float:  # type: ignore[no-untyped-def]
    """Share of tests in which some look calls a winner."""
    false = 0
    for run in range(RUNS):
        a, b = draw(np.random.default_rng(run))
        plan = Plan.model_validate(
            {"versions": [1, 2], "minimum": 0.1, "planned_users": len(a) + len(b), "days": DAYS}
        )
        for day in range(1, DAYS + 1):
            arms = [_pairs(values[: len(values) * day // DAYS]) for values in (a, b)]
            found = analysis.estimate(METRIC, plan, *arms)
            low, high = (found.fixed_low, found.fixed_high) if fixed else (found.low, found.high)
            if found.ready and (low > 0 or high < 0):
                false += 1
                break
    return false / RUNS


def _pairs(values: np.ndarray) -> Pairs:
    n = len(values)
    return Pairs(Moments(n, 1.0, 0.0), Moments(n, float(values.mean()), float(values.var() * n)), 0.0)


def ramped() -> int:
    units = [f"user-{n}" for n in range(UNITS)]
    seen: dict[str, str] = {}
    moved = 0
    for coverage in (0.1, 0.5, 1.0):
        rule = Assignment("ramp", ("A", "B"), (0.5, 0.5), coverage)
        now = {unit: arm for unit in units if (arm := rule.arm(unit)) is not None}
        moved += sum(now.get(unit) != arm for unit, arm in seen.items())
        seen = now
    counts = list(seen.values()).count("A")
    assert stats.binomtest(counts, UNITS, 0.5).pvalue > 1e-6
    return moved


def assigning() -> float:
    """Microseconds of one assignment by the hash, the best of five rounds."""
    rule = Assignment("speed", ("A", "B"), (0.5, 0.5))
    units = [f"user-{n}" for n in range(UNITS)]
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for unit in units:
            rule.arm(unit)
        best = min(best, time.perf_counter() - began)
    return best / UNITS * 1e6


def rehearsing() -> float:
    """Seconds of one rehearsal with and without a difference, the best of three."""
    plan = Plan.model_validate(
        {
            "versions": [1, 2],
            "minimum": 0.13,
            "planned_users": 5_000,
            "days": DAYS,
            "guardrails": [{"metric": name, "margin": 0.1} for name in GUARDRAILS],
        }
    )
    nothing = Past(0, None, {name: np.empty((0, 2)) for name in METRICS})
    times = []
    for _ in range(3):
        began = time.perf_counter()
        rehearsal.rehearse(plan, nothing)
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
