"""Every statistic gives the numbers its authors, or R's own help pages, printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.ab import statistics
from core.errors import InvalidInput

CASES = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_published_number(case: dict[str, Any]) -> None:
    found = statistics.compute(case["method"], case["input"])
    for key, expected in case["expected"].items():
        assert found[key] == pytest.approx(expected, abs=case["tolerance"].get(key, 0) + 1e-15, rel=0), key


def test_the_command_answers_every_case_and_names_what_is_wrong() -> None:
    bad = [
        {"id": "no-such", "method": "magic", "input": {}},
        {"id": "lacks", "method": "welch_t", "input": {"a": [1, 2]}},
        {"id": "short", "method": "welch_t", "input": {"a": [1], "b": [1, 2]}},
        {
            "id": "weights",
            "method": "coverage_ranges",
            "input": {"n_variations": 2, "coverage": 1, "weights": [1, 1]},
        },
    ]
    asked = json.dumps({"cases": CASES + bad})
    run = subprocess.run([sys.executable, "-m", "core.ab"], input=asked, capture_output=True, text=True)
    results = json.loads(run.stdout)["results"]
    assert run.returncode == 1 and len(results) == len(CASES) + len(bad)
    for case in CASES:
        assert results[case["id"]].keys() == case["expected"].keys()
    assert "not a method" in results["no-such"]["error"]
    assert "needs “b”" in results["lacks"]["error"]
    assert "at least two" in results["short"]["error"]
    assert "add up to 1" in results["weights"]["error"]
    wrong = subprocess.run([sys.executable, "-m", "core.ab"], input="{}", capture_output=True, text=True)
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr


@pytest.mark.parametrize(
    ("method", "given", "sentence"),
    [
        ("welch_t", {"a": [1, float("nan")], "b": [1, 2]}, "finite"),
        ("wilson_ci", {"n": 3, "successes": 4}, "0 to 3"),
        ("welch_relative_delta", {"a": [-1, 1], "b": [1, 2]}, "too near zero"),
        ("asymptotic_cs", {"a": [1, 2], "b": [1, 2], "N_star": 0}, "more than 0"),
        ("srm_chi2", {"users": [1, 2], "weights": [0, 0]}, "one weight above 0"),
        ("quantile_ci_order_statistics", {"n": 5, "q": 0.95}, "too few"),
        ("bradley_terry_mle", {"wins_a": 5, "wins_b": 0}, "judge some more"),
        ("welch_t", {"a": [1, 2], "b": [1, 2], "alpha": 1}, "between 0 and 1"),
    ],
)
def test_what_has_no_answer_is_one_sentence(method: str, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        statistics.compute(method, given)
    assert sentence in str(raised.value)
