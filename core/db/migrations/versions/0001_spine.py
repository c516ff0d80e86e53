"""The spine: people, image data, runs, models, deployments."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the statements kept beside this file, one file a backend."""
    script = Path(__file__).with_suffix(f".{op.get_bind().dialect.name}.sql")
    for statement in script.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)
