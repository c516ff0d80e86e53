"""The ledger of the registry: every change of a version's stage, chained by hashes."""

from core.db.migrations.scripts import run_beside

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
