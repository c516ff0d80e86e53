"""Stored. The tables of text datasets; their rows and findings are Parquet files in the file store.

A version never changes but for what its check found. See core.texts.rowfile and core.quality.texts.foundfile.
"""

from __future__ import annotations

import sqlalchemy as sa

from core.db import batch_tables, tables, watching_tables  # noqa: F401  # what these refer to, and all others
from core.db.columns import Json, Time, id_column, metadata, postgres_index, reference

training_datasets = sa.Table(
    "training_datasets",
    metadata,
    id_column("training_datasets"),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("shape", sa.String(16), nullable=False),  # see core.texts.mapping.SHAPES
    sa.Column("rules", Json),  # core.quality.texts.rules.Rules; NULL = the defaults
    *reference("created_by", "users"),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("deleted_at", Time),
)

training_dataset_versions = sa.Table(
    "training_dataset_versions",
    metadata,
    id_column("training_dataset_versions"),
    *reference("dataset_id", "training_datasets"),
    sa.Column("number", sa.Integer, nullable=False),  # from 1 within the dataset
    sa.Column("parent_id", sa.BigInteger),  # the version it was made from
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("path", sa.String(160), nullable=False),  # Parquet file of the rows, key in the file store
    sa.Column("hash", sa.String(64), nullable=False),  # SHA-256 of the canonical content
    sa.Column("source", Json),  # the uploaded file and how it was read; NULL where a fix made the version
    sa.Column("change", Json, nullable=False),  # {"kind": …, "added": n, "removed": n, "changed": n}
    sa.Column("splits", Json, nullable=False),  # {"train": n, "valid": n, "test": n, "": n}
    sa.Column("statistics", Json, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),  # unchecked | passed | failed
    sa.Column("found", Json),  # what the newest check found; NULL = not checked yet
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)
postgres_index(training_dataset_versions, "dataset_id", "number")

text_kept = sa.Table(  # findings that a person called fine as they are; they follow the row's content
    "text_kept",
    metadata,
    sa.Column("dataset_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("row_hash", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(32), primary_key=True),
    sa.Column("kept_by", sa.BigInteger, nullable=False),
    sa.Column("kept_at", Time, nullable=False),
)

text_vault = sa.Table(  # what was masked, sealed with a key that lies outside the database
    "text_vault",
    metadata,
    sa.Column("dataset_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("token", sa.String(64), primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
)
