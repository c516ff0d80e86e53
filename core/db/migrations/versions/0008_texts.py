"""Text datasets, their versions, and the log of their checks."""

from core.db.migrations.scripts import run_beside

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
