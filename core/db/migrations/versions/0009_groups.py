"""Groups read from file names, the frozen test set, which way up an image belongs, images picked on the map."""

from core.db.migrations.scripts import run_beside

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
