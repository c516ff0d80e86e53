"""Stored. The engine, reads, and the one way to write.

DuckDB lets one process write and answers two writers of one row with a conflict, so
every write of this process goes through one thread in the order it was asked for.
On Postgres writers run side by side; a serialisation failure or deadlock is tried again.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from core.errors import Unavailable

T = TypeVar("T")

WRITE_TRIES = 5
"""Attempts of one transaction that meets a conflict before the conflict is raised."""
READ_CONNECTIONS = 16
"""Connections a process keeps for readers; Streamlit runs each browser tab in its own thread."""


DATABASE_AWAY = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError, Unavailable)
"""What a database that cannot be reached now raises; what failed of it is tried again as a whole."""


class Database:
    """One metadata database: `read()` for queries, `write(fn)` for a transaction."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = sa.create_engine(
            url, poolclass=sa.QueuePool, pool_size=READ_CONNECTIONS, max_overflow=READ_CONNECTIONS
        )
        self.is_duckdb = self.engine.dialect.name == "duckdb"
        sa.event.listen(self.engine, "connect", _duckdb_session if self.is_duckdb else _postgres_session)
        # Of one pool. DuckDB's transactions see one state anyway, Postgres's by default one each statement.
        self._readers = (
            self.engine
            if self.is_duckdb
            else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )
        self._jobs: queue.SimpleQueue[tuple[Callable[..., Any], Future[Any]] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._closed = False
        self._writes = 0
        if self.is_duckdb:
            self._writer = threading.Thread(target=self._write_loop, name="db-writer", daemon=True)
            self._writer.start()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for queries; what it sees is one consistent state."""
        with self._readers.connect() as connection:
            yield connection

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work(connection)` in one transaction and return its result once it is durable.

        `work` may run again after a conflict, so it must change nothing but the database.
        An exception rolls everything back and is raised here.
        """
        if self._writer is None:
            return self._transaction(work)
        if threading.current_thread() is self._writer:
            raise RuntimeError("a write inside a write: pass the connection on instead")
        if self._closed:
            raise Unavailable("The database is closing; try again in a moment.")
        future: Future[T] = Future()
        self._jobs.put((work, future))
        return future.result()

    @property
    def writes(self) -> int | None:
        """How many transactions were written so far; None where other processes write, too."""
        return self._writes if self.is_duckdb else None

    def close(self) -> None:
        self._closed = True
        if self._writer is not None:
            self._jobs.put(None)
            self._writer.join()
        self.engine.dispose()

    def _write_loop(self) -> None:
        pa.array([0])  # pyarrow imports pandas at its first array: now, not under a person's first label
        while (job := self._jobs.get()) is not None:
            work, future = job
            try:
                done = self._transaction(work)
                self._writes += 1  # before anybody knows of it
                future.set_result(done)
            except BaseException as error:  # handed to the caller, who raises it
                future.set_exception(error)

    def _transaction(self, work: Callable[[sa.Connection], T]) -> T:
        for attempt in range(1, WRITE_TRIES + 1):
            try:
                with self.engine.begin() as connection:
                    return work(connection)
            except OperationalError as error:
                if attempt == WRITE_TRIES or not _is_conflict(error):
                    raise
                time.sleep(0.005 * 2**attempt)
        raise AssertionError("unreachable")


def _duckdb_session(connection: Any, _record: Any) -> None:
    connection.execute("SET TimeZone = 'UTC'")


def _postgres_session(connection: Any, _record: Any) -> None:
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()  # else the first rollback would take it back


def _is_conflict(error: OperationalError) -> bool:
    text = str(error.orig).lower()
    return "conflict" in text or getattr(error.orig, "sqlstate", None) in ("40001", "40P01")


def hold(connection: sa.Connection, what: str) -> None:
    """Until the transaction ends nobody else holds `what`, such as the names of a table; DuckDB writes one at a time."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:what))"), {"what": what})


def next_ids(connection: sa.Connection, sequence: str, count: int) -> list[int]:
    """Reserve `count` ids of a table's sequence (`themes_id_seq`, …) in one statement."""
    query = sa.text("SELECT nextval(:sequence) FROM generate_series(1, :count)")
    if connection.dialect.name == "duckdb":
        # DuckDB wants the name as a literal; it comes from tables.py, never from a person.
        query = sa.text(f"SELECT nextval('{sequence}') FROM generate_series(1, :count)")
        return list(connection.execute(query, {"count": count}).scalars())
    return list(connection.execute(query, {"sequence": sequence, "count": count}).scalars())


def fetch_column(connection: sa.Connection, query: sa.Select[tuple[int]]) -> np.ndarray:
    """All values of a query for one column of whole numbers, as int64; a million take tens of milliseconds."""
    if connection.dialect.name == "duckdb":
        compiled = query.compile(connection.engine, compile_kwargs={"render_postcompile": True})
        raw: Any = connection.connection.driver_connection
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        [column] = raw.execute(str(compiled), values).fetchnumpy().values()
        return np.asarray(column, dtype=np.int64)
    return np.fromiter(connection.execute(query).scalars(), dtype=np.int64)


def bulk_insert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert many rows at once: through Arrow on DuckDB, COPY on Postgres.

    Row-by-row inserts cost about 1 ms each on DuckDB; this is some 80 times cheaper.
    Every row must have the same keys; JSON columns take Python values.
    """
    if not rows:
        return
    names = list(rows[0])
    columns = ", ".join(f'"{n}"' for n in names)
    if connection.dialect.name == "duckdb":
        with relation(connection, table, rows) as (source, _):
            connection.exec_driver_sql(
                f'INSERT INTO "{table.name}" ({columns}) SELECT {columns} FROM {source}'
            )
        return
    raw: Any = connection.connection.driver_connection
    json_columns = {c.name for c in table.columns if isinstance(c.type, sa.JSON)}
    with raw.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row([_json(row[n]) if n in json_columns else row[n] for n in names])


@contextmanager
def relation(
    connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a table, not stored yet, for the FROM of a statement: (SQL, its parameters).

    Arrow on DuckDB, arrays on Postgres. Every row must have the same keys; JSON columns take Python values.
    """
    columns = {name: table.c[name] for name in rows[0]}
    values = {
        name: [_json(row[name]) for row in rows]
        if isinstance(column.type, sa.JSON)
        else [row[name] for row in rows]
        for name, column in columns.items()
    }
    if connection.dialect.name == "duckdb":
        raw: Any = connection.connection.driver_connection
        source = f"_rows_of_{table.name}"
        raw.register(source, pa.table({name: pa.array(column) for name, column in values.items()}))
        yield source, {}
        raw.unregister(source)  # after an error the rollback takes it away
        return
    types = {name: column.type.compile(connection.dialect) for name, column in columns.items()}
    arrays = ", ".join(f"CAST(:rows_{name} AS {kind}[])" for name, kind in types.items())
    names = ", ".join(f'"{name}"' for name in columns)
    yield f"unnest({arrays}) AS given ({names})", {f"rows_{name}": each for name, each in values.items()}


def _json(value: Any) -> str | None:
    import json

    return None if value is None else json.dumps(value, ensure_ascii=False)
