"""Labelling: suggestions, flags, actions, votes, assignments, checks, features, imports."""

from core.db.migrations.scripts import run_beside

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
