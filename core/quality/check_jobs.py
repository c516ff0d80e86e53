"""Stored. The check that takes longer than an upload may: a job that doubts labels and looks at every file."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from core import audit, auth, codeversion, queue, side_jobs, themes
from core.db.engine import DATABASE_AWAY, bulk_insert, next_ids, relation
from core.db.tables import finetuning_jobs, image_features, image_findings, model_train_data, train_data
from core.errors import Conflict, InvalidInput, NotFound, VeritrainError
from core.quality import conditions, findings, intake
from core.quality.check_files import MANIFEST
from core.quality.measures import NAMES
from core.spec import CheckSpec
from core.workbench import Workbench

log = logging.getLogger(__name__)

KIND: Literal["check"] = "check"
BATCH = 100_000
"""Rows read at a time."""
PART = 10_000
"""Images measured in one transaction."""


@dataclass(frozen=True)
class State:
    running: bool
    progress: float
    """Share of the running check that is done, 0–1."""
    checked_at: datetime | None
    """When the newest finished check began."""
    accuracy: float | None
    """How well labels of unseen images were told; below core.quality.doubts.SEES_ENOUGH none was doubted."""
    upright: float | None
    """How well it was told which side of unseen images is up; see core.quality.turned.SEES_ENOUGH."""
    together: int | None
    """Images whose labels and sides were judged together; None after a check of before that was counted."""
    since: int
    """Images that came or went between that and the check, see core.quality.judged.GROWTH."""
    changed: int
    """Images that were added or labelled anew since."""
    error: dict[str, Any] | None
    """Why the newest check failed, if it did."""


def start(wb: Workbench, actor: auth.User, theme_id: int, *, anew: bool = False) -> int:
    """Have the theme's images checked; returns the job's id. `anew`: judge all of them together again.

    Raises InvalidInput without images, Conflict while a check runs, NotFound, NotAllowed,
    Unavailable without the queue.
    """
    auth.require(actor, auth.LABELER)
    theme = themes.get(wb, theme_id)
    queue.ping(wb)
    with wb.db.read() as connection:
        _refuse_second(connection, theme_id)
    manifest, vectors = _manifest(wb, theme)

    def work(connection: sa.Connection) -> CheckSpec:
        themes.lock(connection, theme_id)
        _refuse_second(connection, theme_id)
        last = side_jobs.newest_applied(connection, KIND, theme_id) or {}
        alike = last if last.get("vectors") == vectors else {}
        [run_id] = next_ids(connection, "finetuning_jobs_id_seq", 1)
        spec = CheckSpec(
            run_id=run_id,
            kind=KIND,
            theme_id=theme_id,
            manifest=manifest,
            vectors=vectors,
            views=last.get("views"),
            judged=None if anew else alike.get("judged"),
            map=alike.get("map"),
            twins=alike.get("twins"),
            max_file_bytes=wb.settings.max_file_bytes,
            max_pixels=wb.settings.max_pixels,
            code=codeversion.current(wb.settings),
            created_by=actor.name,
        )
        connection.execute(
            finetuning_jobs.insert().values(
                **side_jobs.row(KIND, run_id, theme_id, actor.id),
                spec=spec.model_dump(mode="json"),
                rq_job_id=f"run-{run_id}-1",
            )
        )
        audit.record(connection, actor, "quality.check", f"theme {theme_id}")
        return spec

    spec = wb.db.write(work)
    # The job is accepted: should the broker go away in between, the run watch enqueues it later.
    with contextlib.suppress(VeritrainError):
        queue.enqueue(wb, spec, 1)
    return spec.run_id


def cancel(wb: Workbench, actor: auth.User, theme_id: int) -> None:
    """Stop a check that runs. Raises NotAllowed, Unavailable without the queue."""
    side_jobs.cancel(wb, actor, KIND, theme_id)


def state(wb: Workbench, theme_id: int) -> State:
    """Raises NotFound."""
    themes.get(wb, theme_id)
    column = train_data.c
    with wb.db.read() as connection:
        newest = side_jobs.newest(connection, KIND, theme_id)
        running = connection.execute(side_jobs.going(KIND, theme_id)).first() is not None
        applied = side_jobs.newest_applied(connection, KIND, theme_id)
        since = datetime.fromisoformat(applied["at"]) if applied else None
        changed = 0
        if since is not None:
            changed = connection.execute(
                sa.select(sa.func.count())
                .select_from(train_data)
                .where(
                    conditions.live(theme_id), sa.or_(column.created_at > since, column.labeled_at > since)
                )
            ).scalar_one()
    return State(
        running=running,
        progress=((newest["progress"] or {}).get("fraction", 0.0) if newest and running else 0.0),
        checked_at=since,
        accuracy=applied["accuracy"] if applied else None,
        upright=applied.get("upright") if applied else None,
        together=applied.get("together") if applied else None,
        since=applied.get("since", 0) if applied else 0,
        changed=int(changed),
        error=newest["error"] if newest and not running else None,
    )


def tend(wb: Workbench) -> None:
    """Apply results of finished checks. Called by the collector, often."""
    for row in side_jobs.to_apply(wb, KIND):
        try:
            _apply(wb, row)
        except DATABASE_AWAY:
            raise
        except Exception:  # what one result holds must not keep the collector from everything else
            log.exception("the result of check %s cannot be applied", row["id"])
            _mark(wb, row["id"], {**row["result"], "done": "failed"}, error=_UNREADABLE)


def _apply(wb: Workbench, row: Any) -> None:
    run_id, theme_id, result = row["id"], row["theme_id"], row["result"]
    try:
        theme = themes.get(wb, theme_id)
        with wb.files.open(result["findings"]) as file:
            table = pq.read_table(file)
    except NotFound:  # the theme was deleted
        _mark(wb, run_id, {**result, "done": "superseded"})
        return
    except (OSError, pa.ArrowInvalid):
        log.exception("the result of check %s cannot be read", run_id)
        _mark(wb, run_id, {**result, "done": "failed"}, error=_UNREADABLE)
        return

    measured = table.filter(pc.is_valid(table["look"]))
    for part in measured.to_batches(
        max_chunksize=PART
    ):  # one short transaction each; doing one twice changes nothing
        rows = part.select(["image_id", "look", *NAMES]).to_pylist()
        wb.db.write(partial(_store_measures, theme_id=theme_id, rows=rows))

    def work(connection: sa.Connection) -> None:
        themes.lock(connection, theme_id)
        _store_found(connection, theme_id, table, datetime.now(UTC))
        intake.apply_grey(connection, theme_id, intake.rules_of(connection, theme_id))
        if measured.num_rows:
            intake.forget(connection, theme_id, pc.min(measured["image_id"]).as_py())

    wb.db.write(work)
    intake.catch_up(wb, theme_id)
    _join_twins(wb, theme_id, result.get("twins"))

    def end(connection: sa.Connection) -> None:
        detail = {name: result[name] for name in ("images", "accuracy", "left_out", "upright")}
        findings.note(connection, theme, row["created_by"], "check", detail)
        done = {**result, "at": row["created_at"].isoformat(), "done": "applied"}
        side_jobs.set_result(connection, run_id, done)

    wb.db.write(end)


def _join_twins(wb: Workbench, theme_id: int, key: str | None) -> None:
    """Of pairs that are near by their vectors those that are twins, whatever their hashes say; again changes nothing."""
    if key is None:  # of a job of an earlier release
        return
    with wb.files.open(key) as file:
        table = pq.read_table(file)
    table = table.filter(table["other"].is_valid())
    pairs = np.stack([table[name].to_numpy() for name in ("image_id", "other")], axis=1)
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    for start in range(0, len(pairs), BATCH):
        intake.join_near(wb, theme_id, pairs[start : start + BATCH])


def _store_measures(connection: sa.Connection, theme_id: int, rows: list[dict[str, Any]]) -> None:
    """Looks and measures of images that had none; every other column of their row stays."""
    themes.lock(connection, theme_id)
    given_rows = [{**each, "theme_id": theme_id} for each in rows]
    with relation(connection, image_features, given_rows) as (source, given):
        sets = ", ".join(f"{name} = s.{name}" for name in ("look", *NAMES))
        connection.execute(
            sa.text(
                f"UPDATE image_features SET {sets} FROM (SELECT * FROM {source}) AS s"
                " WHERE image_features.image_id = s.image_id"
            ),
            given,
        )
        columns = ", ".join(given_rows[0])
        connection.execute(
            sa.text(
                f"INSERT INTO image_features ({columns}) SELECT {columns} FROM (SELECT * FROM {source}) AS s"
                " WHERE NOT EXISTS (SELECT 1 FROM image_features o WHERE o.image_id = s.image_id)"
            ),
            given,
        )
    intake.take_in(connection, theme_id, [each["image_id"] for each in rows])


def _store_found(connection: sa.Connection, theme_id: int, table: pa.Table, now: datetime) -> None:
    """Open findings of these kinds in the place of those of the last check.

    What a person decided stays so: what was called fine, the label that somebody took when it was doubted, which
    leaves the doubt as its proof, and the one by which somebody settled a contradiction. A label that came otherwise is
    doubted like any other.
    """
    column = image_findings.c
    of_theme = sa.and_(column.theme_id == theme_id, column.kept_at.is_(None))
    same_label = sa.exists().where(
        train_data.c.id == column.image_id, train_data.c.label_id == column.label_id
    )
    anew = ("unreadable", "turned", "outlier")
    connection.execute(image_findings.delete().where(of_theme, column.kind.in_(anew)))
    connection.execute(image_findings.delete().where(of_theme, column.kind == "mislabelled", same_label))
    decided: dict[tuple[int, str], tuple[int | None, ...]] = {
        (row.image_id, row.kind): (row.label_id, row.guess_id)
        for row in connection.execute(
            sa.select(column.image_id, column.kind, column.label_id, column.guess_id).where(
                column.theme_id == theme_id, column.kind.in_((*anew, "mislabelled"))
            )
        )
    }
    settled = set(connection.execute(SETTLED, {"theme": theme_id}).scalars())
    blank = set(
        connection.execute(sa.select(column.image_id).where(of_theme, column.kind == "blank")).scalars()
    )
    rows = [
        {"theme_id": theme_id, "at": now, "label_id": None, "guess_id": None, "turn": None, **found}
        for found in _found(table)
    ]

    def is_new(row: dict[str, Any]) -> bool:
        labels = decided.get((row["image_id"], row["kind"]))
        if row["kind"] != "mislabelled":
            return labels is None
        return row["image_id"] not in settled and (labels is None or row["label_id"] not in labels)

    # A single colour is blank and nothing else.
    rows = [row for row in rows if row["image_id"] not in blank and is_new(row)]
    if again := [row["image_id"] for row in rows if (row["image_id"], row["kind"]) in decided]:
        connection.execute(_FORGET, {"ids": again})
    bulk_insert(connection, image_findings, rows)


def _found(table: pa.Table) -> Iterator[dict[str, Any]]:
    """What a result says of single images, as columns of image_findings."""
    for row in table.to_pylist():
        image = {"image_id": row["image_id"]}
        if row["unreadable"]:
            yield {**image, "kind": "unreadable", "score": None}
        if row["guess_id"] is not None:
            doubt = {name: row[name] for name in ("score", "label_id", "guess_id")}
            yield {**image, "kind": "mislabelled", **doubt}
        if row["turn"] is not None:
            yield {**image, "kind": "turned", "score": row["lies_right"], "turn": row["turn"]}
        if row["distance"] is not None:
            yield {**image, "kind": "outlier", "score": -row["distance"]}


def _manifest(wb: Workbench, theme: themes.Theme) -> tuple[str, int]:
    """Write the theme's live images to the file store; (key, version whose vectors they have or 0).

    Raises InvalidInput where there are none.
    """
    column, feature = train_data.c, image_features.c
    with wb.db.read() as connection:
        by_model = connection.execute(
            sa.select(
                sa.func.count(sa.distinct(feature.version_id)),
                sa.func.count(),
                sa.func.count(feature.version_id),
                sa.func.max(feature.version_id),
            )
            .select_from(image_features)
            .join(train_data, column.id == feature.image_id)
            .where(conditions.live(theme.id), column.label_id.is_not(None))
        ).one()
        embedded = by_model[0] == 1 and by_model[1] == by_model[2]
        learnt = (
            sa.select(model_train_data.c.image_id)
            .where(
                model_train_data.c.version_id == (by_model[3] if embedded else None),
                model_train_data.c.split == "train",
            )
            .subquery()
        )
        query = (
            sa.select(
                column.id,
                column.image_path,
                column.sha256,
                column.size,
                column.label_id,
                feature.embedding if embedded else feature.look,
                feature.contrast.is_not(None),
                learnt.c.image_id.is_not(None) if embedded else sa.null(),
            )
            .select_from(train_data)
            .outerjoin(image_features, feature.image_id == column.id)
            .outerjoin(learnt, learnt.c.image_id == column.id)
            .where(conditions.live(theme.id))
            .order_by(column.id)
        )
        out = io.BytesIO()
        written = 0
        with pq.ParquetWriter(out, MANIFEST, compression="zstd") as writer:
            found = connection.execution_options(stream_results=True).execute(query)
            for part in found.partitions(BATCH):
                arrays = [
                    pa.array(values, field.type)
                    for values, field in zip(zip(*part, strict=True), MANIFEST, strict=True)
                ]
                writer.write_batch(pa.record_batch(arrays, schema=MANIFEST))
                written += len(part)
    if not written:
        raise InvalidInput("The theme “{name}” has no images; upload some first.", name=theme.name)
    return wb.files.put(out.getvalue(), "checks", "parquet"), int(by_model[3] or 0) if embedded else 0


def _refuse_second(connection: sa.Connection, theme_id: int) -> None:
    if connection.execute(side_jobs.going(KIND, theme_id)).first() is not None:
        raise Conflict("This theme's images are being checked already; wait for the end of it.")


def _mark(wb: Workbench, run_id: int, result: dict[str, Any], **values: Any) -> None:
    wb.db.write(lambda connection: side_jobs.set_result(connection, run_id, result, **values))


_FORGET = sa.text(
    "DELETE FROM image_findings WHERE kind = 'mislabelled' AND image_id IN (SELECT unnest(CAST(:ids AS BIGINT[])))"
)
# Images whose newest label is an answer to a finding, or which have that of two labels which somebody called right.
SETTLED = sa.text(
    "SELECT h.image_id FROM label_history h WHERE h.theme_id = :theme AND h.source = 'settled'"
    " AND NOT EXISTS (SELECT 1 FROM label_history n WHERE n.image_id = h.image_id AND n.id > h.id)"
    " UNION SELECT f.image_id FROM image_findings f JOIN train_data t ON t.id = f.image_id"
    " WHERE f.theme_id = :theme AND f.kind = 'contradicted' AND f.kept_at IS NOT NULL AND f.label_id = t.label_id"
)
_UNREADABLE = {
    "kind": "environment",
    "message": "The file with the check's findings cannot be read.",
    "next_step": "Look whether the file store answers, then check again.",
    "id": "",
}
