"""Stored. Jobs in which a model version suggests labels: started, followed by the collector, applied to the images."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from core import audit, auth, codeversion, queue, registry, runs, side_jobs, themes
from core.db.engine import next_ids
from core.db.tables import finetuning_jobs, train_data, users
from core.errors import Conflict, InvalidInput, NotFound, VeritrainError
from core.events import Status
from core.signatures import VISION
from core.spec import SuggestSpec, VersionRef
from core.suggestion_files import BATCH, MANIFEST, RESULT
from core.workbench import Workbench

log = logging.getLogger(__name__)

KIND: Literal["suggest"] = "suggest"
TEND_SECONDS = 1.0
"""How long one call of `tend` goes on taking further batches."""


def start(wb: Workbench, actor: auth.User, theme_id: int, version_id: int | None = None) -> int:
    """Have a model version (the theme's newest by default) suggest labels; returns the job's id.

    Raises InvalidInput without a version, without images, or where labels of the model are gone;
    Conflict while suggestions are being made, or for a version that takes no images; NotFound, NotAllowed,
    Unavailable without the queue.
    """
    auth.require(actor, auth.LABELER)
    theme = themes.get(wb, theme_id)
    if version_id is None:
        newest = registry.newest(wb, theme_id, kind=VISION)
        if newest is None:
            raise InvalidInput(
                "The theme “{name}” has no trained model yet that could suggest labels; train one first.",
                name=theme.name,
            )
        version_id = newest.id
    queue.ping(wb)
    with wb.db.read() as connection:
        _refuse_second(connection, theme_id)
    version = _version(wb, theme_id, version_id)
    ids = _live_label_ids(wb, theme, version)
    manifest = _manifest(wb, theme)

    def work(connection: sa.Connection) -> SuggestSpec:
        themes.lock(connection, theme_id)
        _refuse_second(connection, theme_id)
        [run_id] = next_ids(connection, "finetuning_jobs_id_seq", 1)
        spec = _spec(wb, theme_id, version, ids, manifest, run_id, actor.name)
        connection.execute(
            finetuning_jobs.insert().values(
                **side_jobs.row(KIND, run_id, theme_id, actor.id),
                spec=spec.model_dump(mode="json"),
                rq_job_id=f"run-{run_id}-1",
            )
        )
        audit.record(connection, actor, "suggest.start", f"theme {theme_id}", {"version": version_id})
        return spec

    spec = wb.db.write(work)
    # The job is accepted: should the broker go away in between, the run watch enqueues it later.
    with contextlib.suppress(VeritrainError):
        queue.enqueue(wb, spec, 1)
    return spec.run_id


def follow(connection: sa.Connection, run: Mapping[Any, Any], version_id: int) -> None:
    """Note, in the transaction that registers a version, that it shall suggest labels; `tend` goes on."""
    [run_id] = next_ids(connection, "finetuning_jobs_id_seq", 1)
    connection.execute(
        finetuning_jobs.insert().values(
            **side_jobs.row(KIND, run_id, run["theme_id"], run["created_by"]), spec={"version_id": version_id}
        )
    )


def cancel(wb: Workbench, actor: auth.User, theme_id: int) -> None:
    """Stop the theme's jobs that have not ended. Raises NotAllowed, Unavailable without the queue."""
    side_jobs.cancel(wb, actor, KIND, theme_id)


def tend(wb: Workbench) -> None:
    """Make jobs that `follow` noted ready for the queue, and apply results. Called by the collector, often."""
    column = finetuning_jobs.c
    noted = sa.and_(column.kind == KIND, column.status == Status.QUEUED.value, column.rq_job_id.is_(None))
    with wb.db.read() as connection:
        waiting = connection.execute(sa.select(finetuning_jobs).where(noted)).mappings().all()
    results = side_jobs.to_apply(wb, KIND)
    for row in waiting:
        _make_ready(wb, row)
    until = time.monotonic() + TEND_SECONDS
    for row in results:
        while not _apply_next(wb, row["id"]) and time.monotonic() < until:
            pass


def ingest(wb: Workbench, run_id: int) -> None:
    """Apply all of a finished job's result: suggestions, ranks and embeddings, BATCH images a transaction.

    No label changes. Applying again changes nothing; what a newer job of the theme suggested stays.
    """
    while not _apply_next(wb, run_id):
        pass


def going(theme_id: int) -> sa.Select[tuple[int]]:
    """Jobs that have not ended, or whose result is not applied yet."""
    return side_jobs.going(KIND, theme_id)


def newest_applied(connection: sa.Connection, theme_id: int) -> dict[str, Any] | None:
    """Result of the theme's newest job whose suggestions were applied."""
    return side_jobs.newest_applied(connection, KIND, theme_id)


def _refuse_second(connection: sa.Connection, theme_id: int) -> None:
    if connection.execute(going(theme_id)).first() is not None:
        raise Conflict("Suggestions for this theme are being made already; wait for their end.")


def _version(wb: Workbench, theme_id: int, version_id: int) -> registry.Version:
    version = registry.get(wb, version_id)
    if version.theme_id != theme_id:
        raise NotFound("There is no model version {id} in this theme.", id=version_id)
    registry.require_images(version)
    return version


def _live_label_ids(wb: Workbench, theme: themes.Theme, version: registry.Version) -> tuple[int, ...]:
    """Ids of the labels the model tells apart, in the order of its outputs. Raises InvalidInput."""
    snapshot = runs.get(wb, registry.made_by(version)).spec.snapshot
    with wb.files.open(snapshot.path) as file:
        table = pq.read_table(file, columns=["label", "label_id"])
    pairs = table.group_by(["label", "label_id"]).aggregate([]).to_pylist()
    ids = {str(pair["label"]): int(pair["label_id"]) for pair in pairs}
    live = {label.id for label in theme.labels}
    gone = [name for name in version.labels if ids[name] not in live]
    if gone:
        raise InvalidInput(
            "The model was trained with labels that are deleted now: {names}. Train again, then ask for suggestions.",
            names=", ".join(gone),
        )
    return tuple(ids[name] for name in version.labels)


def _manifest(wb: Workbench, theme: themes.Theme) -> str:
    """Write the theme's live images to the file store; the key. Raises InvalidInput where there are none."""
    column = train_data.c
    query = (
        sa.select(column.id.label("image_id"), *(column[name] for name in MANIFEST.names[1:]))
        .where(column.theme_id == theme.id, column.deleted_at.is_(None))
        .order_by(column.id)
    )
    out = io.BytesIO()
    written = 0
    with wb.db.read() as connection, pq.ParquetWriter(out, MANIFEST, compression="zstd") as writer:
        found = connection.execution_options(stream_results=True).execute(query)
        for part in found.partitions(BATCH):
            columns = zip(*part, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, MANIFEST, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=MANIFEST))
            written += len(part)
    if not written:
        raise InvalidInput("The theme “{name}” has no images; upload some first.", name=theme.name)
    return wb.files.put(out.getvalue(), "suggestions", "parquet")


def _spec(
    wb: Workbench,
    theme_id: int,
    version: registry.Version,
    label_ids: tuple[int, ...],
    manifest: str,
    run_id: int,
    person: str,
) -> SuggestSpec:
    return SuggestSpec(
        run_id=run_id,
        kind=KIND,
        theme_id=theme_id,
        version=VersionRef(id=version.id, uri=version.uri),
        labels=version.labels,
        label_ids=label_ids,
        manifest=manifest,
        code=codeversion.current(wb.settings),
        created_by=person,
    )


def _make_ready(wb: Workbench, row: Mapping[Any, Any]) -> None:
    """Freeze the images for a job that `follow` noted, and enqueue it."""
    run_id, theme_id = row["id"], row["theme_id"]
    try:
        theme = themes.get(wb, theme_id)
        version = _version(wb, theme_id, row["spec"]["version_id"])
        ids = _live_label_ids(wb, theme, version)
        manifest = _manifest(wb, theme)
    except (VeritrainError, OSError) as error:
        told = _UNREADABLE
        if isinstance(error, VeritrainError):
            told = {"kind": "data", "message": error.text(), "next_step": "", "id": ""}
        else:
            log.exception("suggestions of run %s cannot be prepared", run_id)
        wb.db.write(lambda connection: side_jobs.end(connection, run_id, Status.FAILED, error=told))
        return
    with wb.db.read() as connection:
        person = connection.execute(sa.select(users.c.name).where(users.c.id == row["created_by"])).scalar()
    spec = _spec(wb, theme_id, version, ids, manifest, run_id, person or "")

    def work(connection: sa.Connection) -> bool:
        column = finetuning_jobs.c
        done = connection.execute(
            finetuning_jobs.update()
            .where(column.id == run_id, column.rq_job_id.is_(None), column.status == Status.QUEUED.value)
            .values(spec=spec.model_dump(mode="json"), rq_job_id=f"run-{run_id}-1")
            .returning(column.id)
        )
        return done.first() is not None

    if wb.db.write(work):
        with contextlib.suppress(VeritrainError):  # then the run watch enqueues it
            queue.enqueue(wb, spec, 1)


# --- results ----------------------------------------------------------------

_SUGGEST = sa.text(
    "UPDATE train_data SET suggested_label_id = s.label_id, suggested_confidence = s.confidence,"
    " suggested_margin = s.margin, suggested_by = :version, suggested_at = CAST(:at AS TIMESTAMPTZ),"
    " teach_rank = s.teach_rank, sweep_rank = s.sweep_rank FROM _suggested AS s"
    " WHERE train_data.id = s.image_id AND train_data.theme_id = :theme AND train_data.deleted_at IS NULL"
    " AND s.label_id IN (SELECT id FROM labels WHERE theme_id = :theme AND deleted_at IS NULL)"
)
_EMBED = sa.text(
    "UPDATE image_features SET embedding = s.embedding, version_id = :version FROM _suggested AS s"
    " WHERE image_features.image_id = s.image_id AND image_features.theme_id = :theme"
)


def _apply_next(wb: Workbench, run_id: int) -> bool:
    """Apply the next batch of a result; True when there is nothing left to do."""
    with wb.db.read() as connection:
        row = connection.execute(sa.select(finetuning_jobs).where(finetuning_jobs.c.id == run_id))
        found = row.mappings().one()
    result, theme_id = found["result"], found["theme_id"]
    if result is None or result.get("done"):
        return True
    applied = result.get("applied", 0)
    try:
        with wb.files.open(result["suggestions"]) as file:
            parquet = pq.ParquetFile(file)
            groups = parquet.num_row_groups
            rows = parquet.read_row_group(applied) if applied < groups else RESULT.empty_table()
    except (OSError, pa.ArrowInvalid):
        log.exception("suggestions of run %s cannot be read", run_id)
        return _mark(wb, run_id, {**result, "done": "failed"}, error=_UNREADABLE)
    last = applied + 1 >= groups

    def work(connection: sa.Connection) -> bool:
        themes.lock(connection, theme_id)
        now = connection.execute(
            sa.select(finetuning_jobs.c.result).where(finetuning_jobs.c.id == run_id)
        ).scalar_one()
        if now.get("done") or now.get("applied", 0) != applied:
            return bool(now.get("done"))  # another process did it
        newer = sa.select(finetuning_jobs.c.id).where(
            finetuning_jobs.c.theme_id == theme_id, finetuning_jobs.c.id > run_id, side_jobs.DONE == "applied"
        )
        if connection.execute(newer).first() is not None:
            side_jobs.set_result(connection, run_id, {**now, "done": "superseded"})
            return True
        bound = {"theme": theme_id, "version": result["version_id"], "at": result["at"]}
        with _suggested(connection, rows):
            connection.execute(_SUGGEST, bound)
            connection.execute(_EMBED, {name: bound[name] for name in ("theme", "version")})
        done = {"done": "applied"} if last else {}
        side_jobs.set_result(connection, run_id, {**now, "applied": applied + 1, **done})
        return last

    try:
        return wb.db.write(work)
    except NotFound:  # the theme was deleted
        return _mark(wb, run_id, {**result, "done": "superseded"})


_UNREADABLE = {
    "kind": "environment",
    "message": "The files of the suggestions cannot be read or written.",
    "next_step": "Look whether the file store answers, then ask for suggestions again.",
    "id": "",
}


def _mark(wb: Workbench, run_id: int, result: dict[str, Any], **values: Any) -> bool:
    wb.db.write(lambda connection: side_jobs.set_result(connection, run_id, result, **values))
    return True


@contextlib.contextmanager
def _suggested(connection: sa.Connection, rows: pa.Table) -> Iterator[None]:
    """Within: `rows` are the table `_suggested` of this transaction."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name == "duckdb":
        raw.register("_suggested", rows)
        try:
            yield
        finally:
            raw.unregister("_suggested")
        return
    with raw.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE _suggested (image_id BIGINT, label_id BIGINT, confidence FLOAT8,"
            " margin FLOAT8, embedding BYTEA, teach_rank BIGINT, sweep_rank BIGINT) ON COMMIT DROP"
        )
        with cursor.copy("COPY _suggested FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "int8", "float8", "float8", "bytea", "int8", "int8"])
            for row in zip(*(rows[name].to_pylist() for name in RESULT.names), strict=True):
                copy.write_row(row)
        cursor.execute("ANALYZE _suggested")
    yield
