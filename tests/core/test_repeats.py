from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from core import auth, repeats, runs
from core.collector import Collector
from core.db.tables import finetuning_jobs
from core.errors import Conflict
from core.evaluations import words
from core.events import Event, Type
from core.workbench import Workbench
from tests.steps import ready_theme
from tests.trained import finished


def ended(wb: Workbench, run_id: int, losses: list[float], result: dict[str, Any]) -> None:
    """Let a waiting run end with these losses and this result."""
    said: list[tuple[Type, dict[str, Any]]] = [
        (
            Type.METRIC,
            {"step": step, "epoch": float(step), "values": {"train_loss": loss, "images_per_second": step}},
        )
        for step, loss in enumerate(losses, 1)
    ]
    said += [(Type.RESULT, {"metrics": {}, **result}), (Type.STATUS, {"status": "succeeded"})]
    now = datetime.now(UTC)
    with wb.db.read() as connection:
        query = sa.select(finetuning_jobs.c.last_event).where(finetuning_jobs.c.id == run_id)
        last = connection.execute(query).scalar_one()
    Collector(wb).store([Event(run_id, last + n, 1, now, *each) for n, each in enumerate(said, 1)])


def test_a_repetition_says_identical_or_where_it_first_differs(wb: Workbench, trainer: auth.User) -> None:
    theme = ready_theme(wb, trainer)
    original = runs.start(wb, trainer, theme.id)
    with pytest.raises(Conflict, match="has no result"):
        repeats.start(wb, trainer, original.id)
    facts: dict[str, Any] = {
        "weights_sha256": "a" * 64,
        "device": "the processor",
        "precision": "fp32",
        "threads": 2,
    }
    facts["versions"] = {"torch": "2.13", "numpy": "2.1"}
    ended(wb, original.id, [3.0, 2.0, 1.0], facts)
    again = repeats.start(wb, trainer, original.id)
    assert (again.spec.repeats, again.status) == (original.id, "queued")
    assert again.spec.params == original.spec.params and again.spec.snapshot == original.spec.snapshot
    assert repeats.verdict(wb, again) is None
    ended(wb, again.id, [3.0, 2.0, 1.0], facts)
    same = repeats.verdict(wb, runs.get(wb, again.id))
    assert same is not None and same.identical and same.difference is None and not same.environment
    assert "to the last bit" in words.repeated(same) and words.surroundings(same) == ""

    other = repeats.start(wb, trainer, again.id)
    newer = {"weights_sha256": "b" * 64, "threads": 4, "versions": {"torch": "2.14", "numpy": "2.1"}}
    ended(wb, other.id, [3.0, 2.5, 1.5], facts | newer)
    found = repeats.verdict(wb, runs.get(wb, other.id))
    assert found is not None and not found.identical
    assert found.difference == repeats.Difference("train_loss", 2, 2.0, 2.5)
    assert "first at step 2, train_loss is 2.5 and was 2" in words.repeated(found)
    assert "threads from 2 to 4" in words.surroundings(found)
    assert "torch from 2.13 to 2.14" in words.surroundings(found) and "numpy" not in words.surroundings(found)
    assert repeats.verdict(wb, runs.get(wb, original.id)) is None


def test_a_repetition_over_a_run_without_weights_is_not_called_identical(
    wb_duckdb: Workbench, trainer: auth.User
) -> None:
    theme = ready_theme(wb_duckdb, trainer)
    original = finished(wb_duckdb, trainer, theme.id, lambda _id: True)
    again = repeats.start(wb_duckdb, trainer, original.id)
    ended(wb_duckdb, again.id, [], {"weights_sha256": "a" * 64})
    found = repeats.verdict(wb_duckdb, runs.get(wb_duckdb, again.id))
    assert found is not None and not found.identical and found.difference is None
