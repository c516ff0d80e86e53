"""How many servers a deployment has."""

from core.db.migrations.scripts import run_beside

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
