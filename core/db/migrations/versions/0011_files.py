"""What a model version consists of: its files with their hashes, and their size."""

from core.db.migrations.scripts import run_beside

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
