"""Stored. Imports as they run: started, watched, stopped and taken up again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core import audit, auth, images_io, themes
from core.archives import Member, Refusal
from core.db.engine import next_ids
from core.db.tables import imports, users
from core.errors import Conflict, InvalidInput, NotFound, VeritrainError
from core.labels import create_missing_labels
from core.quality import intake as quality
from core.transfer import kept, rows
from core.transfer.formats import Options, Row
from core.transfer.plans import Prepared, permit, prepare
from core.transfer.sources import Source, directory, shown
from core.uploads import BATCH, Stored, decoded
from core.workbench import Workbench

KNOWN_BATCH = 20_000
"""Rows of one transaction that need no decoding."""
REFUSALS = 100
"""Refusals that an import names one by one; the rest it counts."""
ENDING_SECONDS = 2
"""How long a resume waits for a thread that has said its last word."""
RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped", "failed"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Import:
    """One import. `total` images were found in the source (0 while it is still being read)."""

    id: int
    theme_id: int
    format: str
    """One of FORMATS; "" until the source was looked at."""
    source: str
    """File name or folder, for people."""
    status: str
    """running, done, stopped or failed."""
    options: Options
    total: int
    done: int
    """Of `total`, how many were dealt with; at the end `added` + `known` + those refused on the way."""
    added: int
    labelled: int
    """Images that got a label, known ones without one included."""
    known: int
    """Images that the theme had, or that came twice in the source; not added again."""
    refused: int
    """What the source has and is not imported, with what it names and lacks."""
    refusals: list[tuple[str, str]]
    """(name, sentence) of the first REFUSALS of them."""
    seconds: float
    """How long it ran, stops left out."""
    eta_s: float | None
    """Seconds to the end at the present speed; None where it cannot be told."""
    error: str | None
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


@dataclass
class _Counts:
    total: int = 0
    done: int = 0
    added: int = 0
    labelled: int = 0
    known: int = 0
    refused: int = 0
    seconds: float = 0.0
    refusals: list[list[str]] = field(default_factory=list)

    def refuse(self, refusal: Refusal) -> None:
        self.refused += 1
        if len(self.refusals) < REFUSALS:
            self.refusals.append([refusal.name, str(refusal.error)])


@dataclass
class _Job:
    thread: threading.Thread
    stop: threading.Event = field(default_factory=threading.Event)
    rate: float | None = None
    """Images a second, lately."""


_jobs: dict[tuple[str, int], _Job] = {}
_jobs_lock = threading.Lock()


def start(
    wb: Workbench, actor: auth.User, theme_id: int, source: Path, options: Options, name: str = ""
) -> Import:
    """Begin an import in a thread of this process; `get` tells how it goes.

    `source` is a folder inside the allowed roots, or a file that the caller may read, of which a
    copy is kept until the import is done. The same source again adds nothing. A source that
    cannot be read makes a failed import. Raises NotFound, NotAllowed, InvalidInput.
    """
    permit(wb, actor, theme_id, options)
    folder = directory(str(source), wb.settings) if source.is_dir() else None
    import_id = wb.db.write(lambda connection: next_ids(connection, "imports_id_seq", 1))[0]
    if folder is None:
        kept.take(wb, source, import_id)
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "id": import_id,
        "theme_id": theme_id,
        "format": options.format or "",
        "source": shown(name or source.name),
        "status": RUNNING,
        "options": {**asdict(options), "directory": None if folder is None else str(folder)},
        "counts": asdict(_Counts()),
        "created_by": actor.id,
        "created_at": now,
        "updated_at": now,
    }

    def work(connection: sa.Connection) -> None:
        themes.lock(connection, theme_id)
        connection.execute(imports.insert().values(**values))
        detail = {"import": import_id, "source": values["source"]}
        audit.record(connection, actor, "import.start", f"theme {theme_id}", detail)

    try:
        _launch(wb, actor, import_id, work)
    except BaseException:
        kept.drop(wb, import_id)
        raise
    return get(wb, import_id)


def get(wb: Workbench, import_id: int) -> Import:
    """One import as it is now; one that its process left behind is shown as stopped. Raises NotFound."""
    found = _imports(wb, imports.c.id == import_id, limit=1)
    if not found:
        raise NotFound("There is no import {id}; it may have been deleted.", id=import_id)
    return found[0]


def history(wb: Workbench, theme_id: int, *, after: int | None = None, limit: int = 50) -> list[Import]:
    """Imports into the theme, newest first; give the last one's id as `after` for those before it."""
    where = [imports.c.theme_id == theme_id]
    if after is not None:
        where.append(imports.c.id < after)
    return _imports(wb, *where, limit=limit)


def stop(wb: Workbench, actor: auth.User, import_id: int) -> Import:
    """Ask an import to stop after the batch it is at; what it added stays. Raises NotFound, Conflict."""
    auth.require(actor, auth.LABELER)
    found = get(wb, import_id)
    if found.status != RUNNING:
        raise Conflict("Import {id} is not running, so there is nothing to stop.", id=import_id)
    job = _jobs.get((wb.db.url, import_id))
    if job is not None:
        job.stop.set()
    _note(wb, actor, "import.stop", found)
    return get(wb, import_id)


def resume(wb: Workbench, actor: auth.User, import_id: int) -> Import:
    """Take a stopped or failed import up again; what it added already is not added twice.

    Raises NotFound, NotAllowed, Conflict.
    """
    found = get(wb, import_id)
    permit(wb, actor, found.theme_id, found.options)
    if found.status not in (STOPPED, FAILED):
        raise Conflict(
            "Import {id} is {status}; only a stopped or failed one can go on.",
            id=import_id,
            status=found.status,
        )

    def work(connection: sa.Connection) -> None:
        themes.lock(connection, found.theme_id)
        _set(connection, import_id, status=RUNNING, error=None, ended_at=None)
        audit.record(connection, actor, "import.resume", f"theme {found.theme_id}", {"import": import_id})

    _launch(wb, actor, import_id, work)
    return get(wb, import_id)


def _launch(wb: Workbench, actor: auth.User, import_id: int, work: Callable[[sa.Connection], None]) -> None:
    """Write what makes the import a running one, and run it."""
    key = (wb.db.url, import_id)
    job = _Job(
        threading.Thread(
            name=f"import-{import_id}", daemon=True, target=lambda: _thread(wb, actor, import_id, job)
        )
    )
    ending = _jobs.get(key)
    if ending is not None:
        ending.thread.join(ENDING_SECONDS)
    with _jobs_lock:
        if key in _jobs:
            raise Conflict("Import {id} is just ending; try again in a moment.", id=import_id)
        _jobs[key] = job
    try:
        wb.db.write(work)
        job.thread.start()
    except BaseException:
        del _jobs[key]
        raise


def _thread(wb: Workbench, actor: auth.User, import_id: int, job: _Job) -> None:
    status, error = FAILED, None
    try:
        status = _Run(wb, actor, import_id, job).carry_out()
    except VeritrainError as problem:
        error = str(problem)
    except Exception:
        _log.exception("import %d failed", import_id)
        error = "The import failed for a reason that is in the server's log; resume it to try again."
    now = datetime.now(UTC)
    try:
        # A closing database leaves the row as it is; the next process shows it as stopped.
        with suppress(Exception):
            wb.db.write(
                lambda c: _set(c, import_id, status=status, error=error, ended_at=now, updated_at=now)
            )
            if status == DONE:
                kept.drop(wb, import_id)
    finally:
        del _jobs[(wb.db.url, import_id)]
    try:
        # Look-alikes are searched for at the end: once over all is quicker, and nobody waits for it.
        quality.catch_up(wb, get(wb, import_id).theme_id)
    except Exception:  # the next upload, split or check does it; a closing database is the usual reason
        _log.info("images of import %d are compared later", import_id, exc_info=True)


class _Run:
    """One import from where it stands to its end or a stop."""

    def __init__(self, wb: Workbench, actor: auth.User, import_id: int, job: _Job) -> None:
        self._wb, self._actor, self._id, self._job = wb, actor, import_id, job
        self._began = self._at = time.monotonic()
        with wb.db.read() as connection:
            row = connection.execute(sa.select(imports).where(imports.c.id == import_id)).one()
        self._theme = int(row.theme_id)
        self._name = str(row.source)
        self._folder = row.options["directory"]
        self._options = _options(row.options)
        self._counts = _Counts(**row.counts)
        self._before = self._counts.seconds

    def carry_out(self) -> str:
        """The status it ends with."""
        path = Path(self._folder) if self._folder else kept.taken(self._wb, self._id)
        prepared = prepare(self._wb, self._theme, path, self._options, self._name)
        self._begin(prepared)
        stored: list[tuple[Row, int | None]] = []
        unread: dict[str, Row] = {}
        for sha256, row in prepared.rows.items():
            have = prepared.known.get(sha256)
            if have is not None and have.import_id == self._id:
                continue
            if have is not None or sha256 in prepared.elsewhere:
                stored.append((row, prepared.elsewhere.get(sha256)))
            else:
                unread[sha256] = row
        for at in range(0, len(stored), KNOWN_BATCH):
            if self._job.stop.is_set():
                return STOPPED
            self._write(stored[at : at + KNOWN_BATCH])
        self._job.rate = None
        return self._decode(prepared.source, unread)

    def _begin(self, prepared: Prepared) -> None:
        reading = prepared.reading
        mine = sum(1 for known in prepared.known.values() if known.import_id == self._id)
        self._counts = replace(
            self._counts,
            total=len(prepared.rows) + prepared.doubles,
            done=mine + prepared.doubles,
            known=prepared.doubles,
            refused=reading.problems_total,
            refusals=[[problem.name, str(problem.error)] for problem in reading.problems[:REFUSALS]],
        )
        used = (row.label for row in prepared.rows.values() if row.label)
        labels = dict.fromkeys([*(name for name, _ in reading.labels), *used])

        def work(connection: sa.Connection) -> None:
            themes.lock(connection, self._theme)
            if self._options.create_labels:
                create_missing_labels(connection, self._theme, labels, dict(reading.labels))
            _set(connection, self._id, format=reading.format, counts=asdict(self._counts))

        self._wb.db.write(work)

    def _decode(self, source: Source, unread: dict[str, Row]) -> str:
        """Add the images that are not stored yet."""
        if not unread:
            return DONE
        batch: list[tuple[Row, Stored]] = []
        refused: list[Refusal] = []

        def members() -> Iterator[Member | Refusal]:
            for member in source.read([row.file for row in unread.values() if row.file is not None]):
                if self._job.stop.is_set():
                    return
                yield member

        limits = images_io.Limits.of(self._wb.settings)
        for outcome in decoded(self._wb.files, members(), limits):
            if isinstance(outcome, Refusal):
                refused.append(outcome)
            elif (row := unread.pop(outcome.info.sha256, None)) is not None:
                batch.append((row, outcome))
            else:
                changed = InvalidInput(
                    "“{name}” changed while it was read; import it again.", name=outcome.name
                )
                refused.append(Refusal(outcome.name, changed))
            if len(batch) + len(refused) >= BATCH:
                self._write(batch, refused)
                batch, refused = [], []
        self._write(batch, refused)
        return STOPPED if self._job.stop.is_set() and self._counts.done < self._counts.total else DONE

    def _write(
        self, batch: Sequence[tuple[Row, Stored | int | None]], refused: Sequence[Refusal] = ()
    ) -> None:
        """A batch and the counts with it, in one transaction."""

        def work(connection: sa.Connection) -> _Counts:
            themes.lock(connection, self._theme)
            written = rows.write(connection, self._actor, self._theme, self._id, batch)
            counts = self._counts
            counts = replace(
                counts,
                done=counts.done + len(batch) + len(refused),
                added=counts.added + written.added,
                labelled=counts.labelled + written.labelled,
                known=counts.known + written.known,
                seconds=round(self._before + time.monotonic() - self._began, 3),
                refusals=list(counts.refusals),
            )
            for refusal in (*refused, *map(_lost, written.lost)):
                counts.refuse(refusal)
            _set(connection, self._id, counts=asdict(counts), updated_at=datetime.now(UTC))
            return counts

        self._counts = self._wb.db.write(work)
        now = time.monotonic()
        self._job.rate = (len(batch) + len(refused)) / max(now - self._at, 1e-3)
        self._at = now


def _lost(name: str) -> Refusal:
    return Refusal(
        name, InvalidInput("“{name}” was deleted meanwhile; put the file into the source.", name=name)
    )


def _set(connection: sa.Connection, import_id: int, **values: Any) -> None:
    connection.execute(imports.update().where(imports.c.id == import_id).values(**values))


def _note(wb: Workbench, actor: auth.User, action: str, found: Import) -> None:
    wb.db.write(lambda c: audit.record(c, actor, action, f"theme {found.theme_id}", {"import": found.id}))


def _options(stored: dict[str, Any]) -> Options:
    return Options(**{name: value for name, value in stored.items() if name != "directory"})


def _imports(wb: Workbench, *where: sa.ColumnElement[bool], limit: int) -> list[Import]:
    # Before the rows: an import that ends in between is then read with its last status.
    jobs = dict(_jobs)
    query = (
        sa.select(imports, users.c.name.label("person"))
        .outerjoin(users, users.c.id == imports.c.created_by)
        .where(*where)
        .order_by(imports.c.id.desc())
        .limit(limit)
    )
    with wb.db.read() as connection:
        return [_import(row, jobs.get((wb.db.url, row.id))) for row in connection.execute(query)]


def _import(row: Any, job: _Job | None) -> Import:
    counts = _Counts(**row.counts)
    running = row.status == RUNNING and job is not None
    rate = job.rate if job is not None and running else None
    return Import(
        **{
            **asdict(counts),
            "refusals": [(name, reason) for name, reason in counts.refusals],
            "id": row.id,
            "theme_id": row.theme_id,
            "format": row.format,
            "source": row.source,
            "status": STOPPED if row.status == RUNNING and job is None else row.status,
            "options": _options(row.options),
            "eta_s": (counts.total - counts.done) / rate if rate else None,
            "error": row.error,
            "created_by": row.person,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "ended_at": row.ended_at,
        }
    )
