"""A model version to predict batches with, and answers as the job gives them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from core import auth, registry, themes
from core.collector import Collector
from core.db.tables import finetuning_jobs
from core.events import Event, Type
from core.gateway import tables
from core.gateway.tables import Row
from core.prediction_batches import Batch
from core.prediction_files import Tally, folder, packed
from core.spec import PredictSpec
from core.workbench import Workbench
from tests.steps import ready_theme
from tests.trained import finished


def ready(wb: Workbench, trainer: auth.User) -> tuple[themes.Theme, registry.Version]:
    """A theme of 24 labelled images of cats and dogs, and the version that was trained with them."""
    theme = ready_theme(wb, trainer)
    version = registry.of_run(wb, finished(wb, trainer, theme.id, lambda _: True, version=1).id)
    assert version is not None
    return theme, version


def spec_of(wb: Workbench, batch: Batch) -> PredictSpec:
    with wb.db.read() as connection:
        query = sa.select(finetuning_jobs.c.spec).where(finetuning_jobs.c.id == batch.run_id)
        return PredictSpec.model_validate(connection.execute(query).scalar_one())


def manifest(wb: Workbench, batch: Batch) -> list[dict[str, Any]]:
    with wb.files.open(spec_of(wb, batch).manifest) as file:
        return pq.read_table(file).to_pylist()


def tell(wb: Workbench, batch: Batch, *told: tuple[Type, dict[str, Any]]) -> None:
    """Store events of the batch's job as the collector does."""
    with wb.db.read() as connection:
        query = sa.select(finetuning_jobs.c.last_event).where(finetuning_jobs.c.id == batch.run_id)
        last = connection.execute(query).scalar_one()
    now = datetime.now(UTC)
    assert batch.run_id is not None
    Collector(wb).store(
        [
            Event(batch.run_id, last + n, batch.attempt, now, kind, said)
            for n, (kind, said) in enumerate(told, 1)
        ]
    )


def answer(wb: Workbench, batch: Batch, share: Callable[[int], float]) -> list[Row]:
    """End the batch's job with so much for the first of two labels in each row that was no refusal."""
    labels = batch.version.labels
    rows = []
    for place, row in enumerate(manifest(wb, batch)):
        first = share(place)
        shares = None if row["error"] else [first, 1 - first]
        label = None if row["error"] else labels[0 if first >= 0.5 else 1]
        rows.append(Row(row["file"], label, shares and max(shares), shares, row["error"]))
    whole = tables.table(rows, labels)
    tally = Tally(labels)
    tally.add(whole)
    key = wb.files.put(packed(whole), f"{folder(batch.id)}/answers", "parquet")
    result = {"answers": key, "version_id": batch.version.id, **tally.told()}
    tell(wb, batch, (Type.RESULT, result), (Type.STATUS, {"status": "succeeded"}))
    return rows
