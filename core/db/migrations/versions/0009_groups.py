"""Groups read from file names, the frozen test set, and which way up an image belongs."""

from core.db.migrations.scripts import run_beside

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
