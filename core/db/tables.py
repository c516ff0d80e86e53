"""Stored. Every table, once, for DuckDB and Postgres alike.

Ids come from explicit sequences, times are UTC, and what one backend cannot do is
not used: foreign keys and indexes on mutable columns are emitted on Postgres only
(on DuckDB they make updates of referenced rows fail); core keeps integrity and
`tests/core/db` proves it on both.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

Json = sa.JSON(none_as_null=True)
Time = sa.DateTime(timezone=True)


def _id(name: str) -> sa.Column[int]:
    sequence = sa.Sequence(f"{name}_id_seq", metadata=metadata)
    return sa.Column("id", sa.BigInteger, sequence, server_default=sequence.next_value(), primary_key=True)


def _reference(name: str, target: str, *, nullable: bool = False) -> list[sa.sql.schema.SchemaItem]:
    column: sa.Column[int] = sa.Column(name, sa.BigInteger, nullable=nullable)
    return [column, sa.ForeignKeyConstraint([name], [f"{target}.id"]).ddl_if(dialect="postgresql")]


def _postgres_index(table: sa.Table, *columns: str) -> None:
    name = f"ix_{table.name}_{'_'.join(columns)}"
    sa.Index(name, *(table.c[c] for c in columns)).ddl_if(dialect="postgresql")


# --- people -----------------------------------------------------------------

users = sa.Table(
    "users",
    metadata,
    _id("users"),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("password_hash", sa.String(256), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("language", sa.String(8)),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    *_reference("user_id", "users"),
    sa.Column("kind", sa.String(16), nullable=False),  # browser | token
    sa.Column("name", sa.String(64)),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    _id("audit_log"),
    sa.Column("at", Time, nullable=False),
    sa.Column("user_id", sa.BigInteger),
    sa.Column("user_name", sa.String(64)),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("object", sa.String(128), nullable=False),
    sa.Column("detail", Json),
)

# --- image data -------------------------------------------------------------

themes = sa.Table(
    "themes",
    metadata,
    _id("themes"),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    *_reference("created_by", "users"),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("deleted_at", Time),
)

labels = sa.Table(
    "labels",
    metadata,
    _id("labels"),
    *_reference("theme_id", "themes"),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("color", sa.String(9), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("deleted_at", Time),
)

train_data = sa.Table(
    "train_data",
    metadata,
    _id("train_data"),
    *_reference("theme_id", "themes"),
    sa.Column("image_path", sa.String(160), nullable=False),  # key in the file store
    sa.Column("file_name", sa.Text, nullable=False),  # as uploaded, for people only
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("phash", sa.String(16), nullable=False),  # 64-bit perceptual hash, hex
    sa.Column("format", sa.String(8), nullable=False),
    sa.Column("width", sa.Integer, nullable=False),  # pixels, EXIF orientation applied
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),  # bytes
    *_reference("label_id", "labels", nullable=True),
    sa.Column("split", sa.String(8)),  # train | valid | test | NULL = not dealt yet
    sa.Column("labeled_by", sa.BigInteger),
    sa.Column("labeled_at", Time),
    sa.Column("uploaded_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("deleted_at", Time),  # tombstone: the row stays for snapshots that used it
)
_postgres_index(train_data, "theme_id", "id")
_postgres_index(train_data, "theme_id", "label_id", "id")
_postgres_index(train_data, "theme_id", "sha256")

label_history = sa.Table(
    "label_history",
    metadata,
    _id("label_history"),
    *_reference("theme_id", "themes"),
    *_reference("image_id", "train_data"),
    sa.Column("at", Time, nullable=False),
    sa.Column("user_id", sa.BigInteger, nullable=False),
    sa.Column("from_label_id", sa.BigInteger),
    sa.Column("to_label_id", sa.BigInteger),
    sa.Column("source", sa.String(16), nullable=False),  # hand | upload | demo | api
)
_postgres_index(label_history, "image_id")

snapshots = sa.Table(
    "snapshots",
    metadata,
    _id("snapshots"),
    *_reference("theme_id", "themes"),
    sa.Column("hash", sa.String(64), nullable=False),  # SHA-256 of the canonical content
    sa.Column("path", sa.Text, nullable=False),  # Parquet manifest, key in the file store
    sa.Column("counts", Json, nullable=False),  # {"train": {"7": 120, …}, …}
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

# --- runs -------------------------------------------------------------------

finetuning_jobs = sa.Table(
    "finetuning_jobs",
    metadata,
    _id("finetuning_jobs"),
    sa.Column("kind", sa.String(16), nullable=False),  # vision
    *_reference("theme_id", "themes", nullable=True),
    *_reference("snapshot_id", "snapshots", nullable=True),
    sa.Column("status", sa.String(16), nullable=False),  # see core.events.Status
    sa.Column("spec", Json, nullable=False),  # core.spec.RunSpec, frozen
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("rq_job_id", sa.String(64)),
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("started_at", Time),
    sa.Column("ended_at", Time),
    sa.Column("last_event", sa.BigInteger, nullable=False),  # highest event number stored
    sa.Column("heartbeat_at", Time),
    sa.Column("progress", Json),  # payload of the newest `progress` event
    sa.Column("result", Json),  # payload of the `result` event
    sa.Column("error", Json),  # {"kind", "message", "next_step", "id"}
    sa.Column("mlflow_run_id", sa.String(64)),
)
_postgres_index(finetuning_jobs, "theme_id", "id")

run_events = sa.Table(
    "run_events",
    metadata,
    sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("payload", Json, nullable=False),
)

run_metrics = sa.Table(
    "run_metrics",
    metadata,
    sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.Double, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("at", Time, nullable=False),
)

training_checkpoints = sa.Table(
    "training_checkpoints",
    metadata,
    _id("training_checkpoints"),
    *_reference("run_id", "finetuning_jobs"),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("metric", sa.Double),
    sa.Column("kind", sa.String(8), nullable=False),  # last | best
    sa.Column("created_at", Time, nullable=False),
)

model_evaluations = sa.Table(
    "model_evaluations",
    metadata,
    _id("model_evaluations"),
    *_reference("run_id", "finetuning_jobs"),
    sa.Column("split", sa.String(8), nullable=False),
    sa.Column("metrics", Json, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

# --- models -----------------------------------------------------------------

models = sa.Table(
    "models",
    metadata,
    _id("models"),
    *_reference("theme_id", "themes", nullable=True),
    sa.Column("name", sa.String(200), nullable=False),  # the registered name in MLflow
    sa.Column("created_at", Time, nullable=False),
)

model_registry = sa.Table(
    "model_registry",
    metadata,
    _id("model_registry"),
    *_reference("model_id", "models"),
    *_reference("run_id", "finetuning_jobs"),
    sa.Column("version", sa.Integer, nullable=False),  # MLflow's version number
    sa.Column("stage", sa.String(16), nullable=False),  # staging | production | archived
    sa.Column("uri", sa.Text, nullable=False),  # models:/name/version
    sa.Column("snapshot_hash", sa.String(64), nullable=False),
    sa.Column("code", Json, nullable=False),  # {"commit", "dirty", "source_hash"}
    sa.Column("metrics", Json, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

model_train_data = sa.Table(
    "model_train_data",
    metadata,
    sa.Column("version_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("image_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("split", sa.String(8), nullable=False),
    sa.Column("label_id", sa.BigInteger, nullable=False),
)

deployments = sa.Table(
    "deployments",
    metadata,
    _id("deployments"),
    *_reference("version_id", "model_registry"),
    sa.Column("desired", sa.String(8), nullable=False),  # up | down
    sa.Column("status", sa.String(16), nullable=False),  # starting | up | restarting | failed | down
    sa.Column("url", sa.Text),
    sa.Column("detail", sa.Text),
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
)
