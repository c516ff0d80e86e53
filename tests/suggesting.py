"""A theme with a model version and suggestions, as the collector hears of them from jobs."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from pictures import png

from core import auth, images, registry, runs, splits, suggestions, themes
from core.collector import Collector
from core.db.tables import finetuning_jobs, image_features, train_data
from core.events import Event, Type
from core.spec import SuggestSpec
from core.suggestion_files import RESULT
from core.workbench import Workbench


@dataclass
class Bench:
    """A theme with 24 labelled and 16 unlabelled images, a training run, and how its events are told."""

    wb: Workbench
    actor: auth.User
    theme: themes.Theme
    run: runs.Run
    collector: Collector

    def tell(self, run_id: int, *told: tuple[Type, dict[str, Any]]) -> None:
        """Store events of a job as the collector does."""
        with self.wb.db.read() as connection:
            last = connection.execute(
                sa.select(finetuning_jobs.c.last_event).where(finetuning_jobs.c.id == run_id)
            ).scalar_one()
        now = datetime.now(UTC)
        self.collector.store(
            [Event(run_id, last + n, 1, now, kind, payload) for n, (kind, payload) in enumerate(told, 1)]
        )

    def register(self) -> registry.Version:
        """What the training's result makes, without the job that follows from it."""
        self.tell(self.run.id, *trained(self.theme.id))
        self.wb.db.write(
            lambda c: c.execute(finetuning_jobs.delete().where(finetuning_jobs.c.kind == "suggest"))
        )
        [version] = registry.versions(self.wb, self.theme.id)
        return version

    def job(self, run_id: int) -> Any:
        with self.wb.db.read() as connection:
            query = sa.select(finetuning_jobs).where(finetuning_jobs.c.id == run_id)
            return connection.execute(query).mappings().one()

    def ids(self, state: str = "all") -> list[int]:
        column = train_data.c
        query = sa.select(column.id).where(column.theme_id == self.theme.id).order_by(column.id)
        if state == "unlabelled":
            query = query.where(column.label_id.is_(None))
        with self.wb.db.read() as connection:
            return list(connection.execute(query).scalars())

    def stored(self) -> list[tuple[Any, ...]]:
        column, feature = train_data.c, image_features.c
        query = (
            sa.select(
                column.id, column.label_id, column.suggested_label_id, column.suggested_confidence,
                column.suggested_margin, column.suggested_by, column.suggested_at, column.teach_rank,
                column.sweep_rank, column.updated_at, feature.embedding, feature.version_id,
            )
            .outerjoin(image_features, feature.image_id == column.id)
            .order_by(column.id)
        )  # fmt: skip
        with self.wb.db.read() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def finish(self, run_id: int, rows: list[dict[str, Any]], group: int = 7) -> None:
        """Tell a result as the job does, in row groups of `group`."""
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, RESULT), out, row_group_size=group)
        spec = SuggestSpec.model_validate(self.job(run_id)["spec"])
        result = {
            "suggestions": self.wb.files.put(out.getvalue(), "suggestions", "parquet"),
            "version_id": spec.version.id,
            "at": datetime.now(UTC).isoformat(),
            "n": len(rows),
            "skipped": 0,
        }
        self.tell(run_id, (Type.RESULT, result), (Type.STATUS, {"status": "succeeded"}))

    def suggest(self, label: Callable[[int], int], confidence: float = 0.99) -> list[dict[str, Any]]:
        """Start a job and apply a result in which image i gets label(i)."""
        run_id = suggestions.start(self.wb, self.actor, self.theme.id)
        rows = [
            {
                "image_id": image_id,
                "label_id": label(image_id),
                "confidence": confidence,
                "margin": 2 * confidence - 1,
                "embedding": bytes([image_id % 128] * 64),
                "teach_rank": place if place % 2 else None,
                "sweep_rank": place,
            }
            for place, image_id in enumerate(self.ids(), 1)
        ]
        self.finish(run_id, rows)
        suggestions.ingest(self.wb, run_id)
        return rows


def trained(theme_id: int) -> list[tuple[Type, dict[str, Any]]]:
    name = f"veritrain-theme-{theme_id}"
    result = {
        "metrics": {"valid": {"accuracy": 0.5}, "test": {"accuracy": 0.5}},
        "model": {"name": name, "version": 3, "uri": f"models:/{name}/3", "size": 9},
    }
    return [(Type.RESULT, result), (Type.STATUS, {"status": "succeeded"})]


def made(wb: Workbench, trainer: auth.User) -> Bench:
    """The theme, its run that has not ended, and a look of each image."""
    theme = themes.create(wb, trainer, name="Animals", labels=["cat", "dog"])
    images.add(
        wb,
        trainer,
        theme.id,
        [(f"{('cat', 'dog')[n % 2]}/{n}.png", png(n, (8, 8))) for n in range(24)],
        label_from_folder=True,
    )
    splits.split(wb, trainer, theme.id)
    run = runs.start(wb, trainer, theme.id)
    images.add(wb, trainer, theme.id, [(f"{n}.png", png(n, (8, 8))) for n in range(24, 40)])
    return Bench(wb, trainer, theme, run, Collector(wb))
