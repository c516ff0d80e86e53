"""Runs a migration's statements, which are kept beside it, one file a backend."""

from pathlib import Path

from alembic import op


def run_beside(migration: str) -> None:
    """Run `<migration>.<dialect>.sql`."""
    script = Path(migration).with_suffix(f".{op.get_bind().dialect.name}.sql")
    for statement in script.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)
