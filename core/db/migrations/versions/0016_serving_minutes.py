"""Requests to deployments, counted by the minute."""

from core.db.migrations.scripts import run_beside

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
