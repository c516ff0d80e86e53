"""Stored. The metadata database: one engine, one set of tables, one way to write."""

from core.db.engine import Database

__all__ = ["Database"]
