"""Quality of image data: measures, clusters of look-alikes, findings, and the log of checks."""

from core.db.migrations.scripts import run_beside

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
