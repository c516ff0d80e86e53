"""Duels: both models' answers to the same queries, judged blind side by side."""

from core.db.migrations.scripts import run_beside

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
