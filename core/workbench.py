"""Stored. What every stored noun needs, opened once a process and passed as the first argument."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from core.db import Database
from core.db.migrate import upgrade
from core.files import FileStore
from core.settings import Settings


@dataclass(frozen=True)
class Workbench:
    """Settings, metadata database, file store and broker of one app process."""

    settings: Settings
    db: Database
    files: FileStore
    broker: redis.Redis

    @classmethod
    def open(cls, settings: Settings) -> Workbench:
        """Open everything and migrate the database. The broker is reached on first use."""
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        settings.artifacts_dir.mkdir(parents=True, exist_ok=True)
        db = Database(settings.database_url)
        upgrade(db)
        return cls(
            settings=settings,
            db=db,
            files=FileStore(settings.files_url),
            broker=redis.Redis.from_url(
                settings.redis_url,
                # A broker that hangs must not hang a screen; the collector's reads block for 0.2 s only.
                socket_connect_timeout=2,
                socket_timeout=10,
                health_check_interval=15,
            ),
        )

    def close(self) -> None:
        self.db.close()
        self.broker.close()


_current: Workbench | None = None


def set_current(workbench: Workbench | None) -> None:
    """Called by app.py's lifespan; pages and routes then find it with `current()`."""
    global _current
    _current = workbench


def current() -> Workbench:
    if _current is None:
        raise RuntimeError("no workbench is open in this process")
    return _current
