"""The metadata database keeps its promises on both backends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.db import Database, text_tables
from core.db import tables as t
from core.db.engine import bulk_insert, next_ids
from core.db.migrate import upgrade
from core.workbench import Workbench

ROOT = Path(__file__).resolve().parents[2]


def test_migrations_make_exactly_the_tables_of_the_code(wb: Workbench) -> None:
    upgrade(wb.db)  # a second start changes nothing
    found = sa.inspect(wb.db.engine)
    assert set(found.get_table_names()) - {"alembic_version"} == set(text_tables.metadata.tables)
    for name, table in text_tables.metadata.tables.items():
        columns = {column["name"]: column["nullable"] for column in found.get_columns(name)}
        assert columns == {column.name: bool(column.nullable) for column in table.columns}, name


def test_bulk_insert_stores_what_single_inserts_store(wb: Workbench) -> None:
    now = datetime(2026, 11, 20, 12, 30, 1, 250_000, tzinfo=UTC)
    rows = [
        {
            "id": None,
            "at": now,
            "user_id": None,
            "user_name": "김 “quoted”\ttab",
            "action": f"a{n}",
            "object": "theme:1",
            "detail": {"n": n, "text": "ラベル", "none": None},
        }
        for n in range(50)
    ]

    def work(connection: sa.Connection) -> None:
        ids = next_ids(connection, "audit_log_id_seq", len(rows))
        assert len(set(ids)) == len(rows)
        bulk_insert(connection, t.audit_log, [{**row, "id": i} for row, i in zip(rows, ids, strict=True)])

    wb.db.write(work)
    with wb.db.read() as connection:
        stored = connection.execute(sa.select(t.audit_log).order_by(t.audit_log.c.id)).mappings().all()
    assert [{**row, "id": None} for row in stored] == rows


def test_a_failed_write_leaves_nothing_and_the_next_one_works(wb: Workbench) -> None:
    entry = {"at": datetime.now(UTC), "action": "x", "object": "y"}

    def fails(connection: sa.Connection) -> None:
        connection.execute(t.audit_log.insert().values(**entry))
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        wb.db.write(fails)
    wb.db.write(lambda connection: connection.execute(t.audit_log.insert().values(**entry)) and None)
    with wb.db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(t.audit_log)).scalar() == 1


def test_a_read_sees_one_state_and_days_are_those_of_universal_time(wb: Workbench) -> None:
    entry = {"at": datetime(2026, 11, 21, 23, 30, tzinfo=UTC), "action": "x", "object": "y"}
    if not wb.db.is_duckdb:  # DuckDB takes the machine's zone, Postgres what its administrator set
        name = sa.make_url(wb.db.url).database
        zone = sa.text(f"ALTER DATABASE {name} SET timezone = 'Asia/Seoul'")
        wb.db.write(lambda connection: connection.execute(zone) and None)
    count = sa.select(sa.func.count()).select_from(t.audit_log)
    day = sa.select(sa.cast(t.audit_log.c.at, sa.Date))
    db = wb.db if wb.db.is_duckdb else Database(wb.db.url)
    for _ in range(2):  # and from a connection that was given back
        with db.read() as connection:
            before = connection.execute(count).scalar()
            wb.db.write(lambda connection: connection.execute(t.audit_log.insert().values(**entry)) and None)
            assert connection.execute(count).scalar() == before
        with db.read() as connection:
            assert str(connection.execute(day).scalars().first()) == "2026-11-21"
    if db is not wb.db:
        db.close()


def test_many_threads_write_one_row_and_no_write_is_lost(wb: Workbench) -> None:
    row = {"at": datetime.now(UTC), "action": "count", "object": "row", "user_id": 0}
    wb.db.write(lambda connection: connection.execute(t.audit_log.insert().values(**row)) and None)
    errors: list[BaseException] = []

    def add_one() -> None:
        statement = t.audit_log.update().values(user_id=t.audit_log.c.user_id + 1)
        try:
            for _ in range(10):
                wb.db.write(lambda connection: connection.execute(statement) and None)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=add_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with wb.db.read() as connection:
        assert connection.execute(sa.select(t.audit_log.c.user_id)).scalar() == 80


WRITER = """
import sys
from datetime import datetime, UTC
from core.db import Database, text_tables
from core.db import tables as t
from core.db.migrate import upgrade
db = Database(sys.argv[1])
upgrade(db)
for n in range(100_000):
    row = {"at": datetime.now(UTC), "action": "n", "object": str(n)}
    db.write(lambda c: c.execute(t.audit_log.insert().values(**row)) and None)
    print(n, flush=True)
"""


def test_kill_9_loses_no_acknowledged_write(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path / 'killed.duckdb'}"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = -1
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged == 60:
            process.send_signal(signal.SIGKILL)
    process.wait()
    db = Database(url)
    with db.read() as connection:
        stored = connection.execute(sa.select(sa.func.count()).select_from(t.audit_log)).scalar()
    db.close()
    assert stored is not None and stored >= acknowledged + 1
