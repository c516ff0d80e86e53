"""Stored. The tables of batches of images that are predicted in the background; see core.prediction_files."""

from __future__ import annotations

import sqlalchemy as sa

from core.db import tables  # noqa: F401  # the tables that these refer to
from core.db.columns import Time, id_column, metadata, postgres_index, reference

prediction_batches = sa.Table(
    "prediction_batches",
    metadata,
    id_column("prediction_batches"),
    *reference("theme_id", "themes"),  # that of the version
    *reference("version_id", "model_registry"),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("state", sa.String(8), nullable=False),  # open | sealed | gone: its files are deleted, too
    sa.Column("images", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger, nullable=False),  # files
    sa.Column("run_id", sa.BigInteger),  # of the job, once it was started
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("deleted_at", Time),
)
postgres_index(prediction_batches, "theme_id", "id")

prediction_batch_parts = sa.Table(
    "prediction_batch_parts",  # what came together
    metadata,
    sa.Column("batch_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # from 1
    sa.Column("path", sa.Text, nullable=False),  # key in the file store
)
