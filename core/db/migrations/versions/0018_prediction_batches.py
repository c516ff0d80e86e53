"""Batches of images that are predicted in the background."""

from core.db.migrations.scripts import run_beside

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
