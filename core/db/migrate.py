"""Stored. Brings the database to the newest schema at start, on both backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from core.db.engine import Database

ADVISORY_LOCK = 7_216_001
"""Postgres advisory lock: of several app replicas that start at once, one migrates."""


def upgrade(db: Database) -> None:
    """Apply every migration that is missing. Safe to call at each start and from several processes."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with _lock(db) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _lock(db: Database) -> Iterator[sa.Connection]:
    with db.engine.connect() as connection:
        if db.is_duckdb:
            yield connection
            connection.commit()
            return
        connection.execute(sa.text("SELECT pg_advisory_lock(:k)"), {"k": ADVISORY_LOCK})
        connection.commit()
        try:
            yield connection
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(sa.text("SELECT pg_advisory_unlock(:k)"), {"k": ADVISORY_LOCK})
            connection.commit()
