"""Model versions: semantic version, tags, description, what they are made of, benchmarks, a tombstone."""

from core.db.migrations.scripts import run_beside

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
