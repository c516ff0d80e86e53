"""Versions that were trained elsewhere: no run and no snapshot, but the columns that they take."""

from core.db.migrations.scripts import run_beside

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
