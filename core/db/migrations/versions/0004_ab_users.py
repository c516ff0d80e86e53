"""A/B tests: what each user did, summed beside the interactions, and made here of those that exist."""

from core.db.migrations.scripts import run_beside

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
