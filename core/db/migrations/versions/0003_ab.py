"""A/B tests: plans, phases, assignments, exposures, interactions, looks at the results."""

from core.db.migrations.scripts import run_beside

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
