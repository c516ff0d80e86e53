"""Stored. Every table, once, for DuckDB and Postgres alike.

Ids come from explicit sequences, times are UTC, and what one backend cannot do is
not used: foreign keys and indexes on mutable columns are emitted on Postgres only
(on DuckDB they make updates of referenced rows fail); core keeps integrity and
`tests/core/db` proves it on both.
"""

from __future__ import annotations

import sqlalchemy as sa

from core.db.columns import Json, Time, id_column, metadata, postgres_index, reference

# --- people -----------------------------------------------------------------

users = sa.Table(
    "users",
    metadata,
    id_column("users"),
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
    *reference("user_id", "users"),
    sa.Column("kind", sa.String(16), nullable=False),  # browser | token
    sa.Column("name", sa.String(64)),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    id_column("audit_log"),
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
    id_column("themes"),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    *reference("created_by", "users"),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("deleted_at", Time),
    sa.Column("teamwork", Json),  # core.teamwork.Rules; NULL = the defaults
    sa.Column("quality", Json),  # core.quality.rules.Rules; NULL = the defaults
    sa.Column("compared_until", sa.BigInteger),  # images up to this id were compared with all before them
    sa.Column("frozen_test", Json),  # core.quality.frozen.FrozenTest; NULL = not frozen yet
)

labels = sa.Table(
    "labels",
    metadata,
    id_column("labels"),
    *reference("theme_id", "themes"),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("color", sa.String(9), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("deleted_at", Time),
)

train_data = sa.Table(
    "train_data",
    metadata,
    id_column("train_data"),
    *reference("theme_id", "themes"),
    sa.Column("image_path", sa.String(160), nullable=False),  # key in the file store
    sa.Column("file_name", sa.Text, nullable=False),  # as uploaded, for people only
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("phash", sa.String(16), nullable=False),  # 64-bit perceptual hash, hex
    sa.Column("format", sa.String(8), nullable=False),
    sa.Column("width", sa.Integer, nullable=False),  # pixels, EXIF orientation applied
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),  # bytes
    *reference("label_id", "labels", nullable=True),
    sa.Column("split", sa.String(8)),  # train | valid | test | NULL = not dealt yet
    sa.Column("labeled_by", sa.BigInteger),
    sa.Column("labeled_at", Time),
    sa.Column("uploaded_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("deleted_at", Time),  # tombstone: the row stays for snapshots that used it
    sa.Column("group_name", sa.Text),  # images of one group fall into one split
    sa.Column("import_id", sa.BigInteger),  # the import that brought it
    sa.Column("flag_note", sa.Text),  # NULL = not flagged as unsure; "" = flagged without a note
    sa.Column("flagged_by", sa.BigInteger),
    sa.Column("suggested_label_id", sa.BigInteger),
    sa.Column("suggested_confidence", sa.Double),  # 0–1
    sa.Column("suggested_margin", sa.Double),  # best minus second-best probability; small = unsure
    sa.Column("suggested_by", sa.BigInteger),  # model_registry.id
    sa.Column("suggested_at", Time),
    sa.Column("teach_rank", sa.BigInteger),  # 1 = labelling it would teach a model most
    sa.Column("sweep_rank", sa.BigInteger),  # neighbours in this order look alike
    sa.Column("group_by_name", sa.Boolean),  # TRUE = the theme's pattern read the group from the file name
)
postgres_index(train_data, "theme_id", "id")
postgres_index(train_data, "theme_id", "label_id", "id")
postgres_index(train_data, "theme_id", "sha256")

label_history = sa.Table(
    "label_history",
    metadata,
    id_column("label_history"),
    *reference("theme_id", "themes"),
    *reference("image_id", "train_data"),
    sa.Column("at", Time, nullable=False),
    sa.Column("user_id", sa.BigInteger, nullable=False),
    sa.Column("from_label_id", sa.BigInteger),
    sa.Column("to_label_id", sa.BigInteger),
    sa.Column("source", sa.String(16), nullable=False),  # see core.images.SOURCES
    sa.Column("action_id", sa.String(36)),  # label_actions.id: what one key press did
    sa.Column("seconds", sa.Double),  # time a person spent on this one image
)
postgres_index(label_history, "image_id")
postgres_index(label_history, "theme_id", "id")
postgres_index(label_history, "action_id")

label_actions = sa.Table(
    "label_actions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),  # made by the sender: a second delivery is known by it
    *reference("theme_id", "themes"),
    sa.Column("user_id", sa.BigInteger, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("images", sa.Integer, nullable=False),  # how many it changed
)

label_votes = sa.Table(
    "label_votes",
    metadata,
    sa.Column("image_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
    *reference("theme_id", "themes"),
    sa.Column("label_id", sa.BigInteger, nullable=False),  # what this person said without seeing the others
    sa.Column("at", Time, nullable=False),
)

assignments = sa.Table(
    "assignments",
    metadata,
    sa.Column("image_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
    *reference("theme_id", "themes"),
    sa.Column("at", Time, nullable=False),
    sa.Column("touched_at", Time, nullable=False),  # released when nothing happened for a while
    sa.Column("done_at", Time),
)
postgres_index(assignments, "theme_id", "user_id")

label_checks = sa.Table(
    "label_checks",
    metadata,
    id_column("label_checks"),
    *reference("theme_id", "themes"),
    sa.Column("image_id", sa.BigInteger, nullable=False),
    sa.Column("user_id", sa.BigInteger, nullable=False),
    sa.Column("label_id", sa.BigInteger, nullable=False),  # the label that was checked
    sa.Column("answer_id", sa.BigInteger, nullable=False),  # what the checker said without seeing it
    sa.Column("at", Time, nullable=False),
)

image_features = sa.Table(
    "image_features",
    metadata,
    sa.Column("image_id", sa.BigInteger, primary_key=True, autoincrement=False),
    *reference("theme_id", "themes"),
    sa.Column("look", sa.LargeBinary, nullable=False),  # core.looks: colour and shape, without a model
    sa.Column("embedding", sa.LargeBinary),  # int8 unit vector, from the model version below
    sa.Column("version_id", sa.BigInteger),
    sa.Column("shade", sa.Double),  # these six: core.quality.measures; NULL = not measured yet
    sa.Column("light", sa.Double),
    sa.Column("contrast", sa.Double),
    sa.Column("entropy", sa.Double),
    sa.Column("sharpness", sa.Double),
    sa.Column("colour", sa.Double),
)
postgres_index(image_features, "theme_id")

image_clusters = sa.Table(
    "image_clusters",
    metadata,
    sa.Column("image_id", sa.BigInteger, primary_key=True, autoincrement=False),
    *reference("theme_id", "themes"),
    sa.Column(
        "cluster_id", sa.BigInteger, nullable=False
    ),  # least image id of those that look nearly the same
)
postgres_index(image_clusters, "theme_id", "cluster_id")

image_findings = sa.Table(
    "image_findings",
    metadata,
    sa.Column("image_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), primary_key=True),  # see core.quality.kinds
    *reference("theme_id", "themes"),
    sa.Column("score", sa.Double),  # the lower, the worse
    sa.Column("label_id", sa.BigInteger),  # of a doubted label: the one that was doubted
    sa.Column("guess_id", sa.BigInteger),  # … and the one that is likelier
    sa.Column("at", Time, nullable=False),
    sa.Column("kept_by", sa.BigInteger),  # who said that it is fine as it is; NULL = open
    sa.Column("kept_at", Time),
    sa.Column("turn", sa.Integer),  # of a turned image: quarters clockwise that set it upright, 1–3
)
postgres_index(image_findings, "theme_id", "kind")

frozen_tests = sa.Table(
    "frozen_tests",
    metadata,
    sa.Column("image_id", sa.BigInteger, primary_key=True, autoincrement=False),
    *reference("theme_id", "themes"),
    sa.Column("label_id", sa.BigInteger, nullable=False),  # what the image was called when it was frozen
)
postgres_index(frozen_tests, "theme_id")

image_picks = sa.Table(
    "image_picks",
    metadata,
    sa.Column("hash", sa.String(32), primary_key=True),  # of the theme and the ids: see core.quality.picks
    sa.Column("image_id", sa.BigInteger, primary_key=True, autoincrement=False),
)

dataset_quality_logs = sa.Table(
    "dataset_quality_logs",
    metadata,
    id_column("dataset_quality_logs"),
    *reference("theme_id", "themes", nullable=True),
    sa.Column("dataset_id", sa.BigInteger),  # a text dataset instead of a theme
    sa.Column("version_id", sa.BigInteger),  # … and which of its versions
    sa.Column("at", Time, nullable=False),
    sa.Column("user_id", sa.BigInteger),
    sa.Column("action", sa.String(16), nullable=False),  # check | fix | keep | rules | freeze | override
    sa.Column("score", sa.Integer),  # of the gate afterwards, 0–100
    sa.Column("passed", sa.Boolean),
    sa.Column("detail", Json, nullable=False),
)
postgres_index(dataset_quality_logs, "theme_id", "id")
postgres_index(dataset_quality_logs, "dataset_id", "id")

imports = sa.Table(
    "imports",
    metadata,
    id_column("imports"),
    *reference("theme_id", "themes"),
    sa.Column("format", sa.String(16), nullable=False),  # see core.transfer
    sa.Column("source", sa.Text, nullable=False),  # file name or folder, for people
    sa.Column("status", sa.String(16), nullable=False),  # running | done | stopped | failed
    sa.Column("options", Json, nullable=False),
    sa.Column("counts", Json, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("ended_at", Time),
)
postgres_index(imports, "theme_id", "id")

snapshots = sa.Table(
    "snapshots",
    metadata,
    id_column("snapshots"),
    *reference("theme_id", "themes"),
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
    id_column("finetuning_jobs"),
    sa.Column("kind", sa.String(16), nullable=False),  # see core.signatures.KINDS
    *reference("theme_id", "themes", nullable=True),
    *reference("snapshot_id", "snapshots", nullable=True),
    sa.Column("dataset_id", sa.BigInteger),  # a text dataset instead of a theme
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
    sa.Column("parent_id", sa.BigInteger),  # the tuning that a trial belongs to
)
postgres_index(finetuning_jobs, "theme_id", "id")
postgres_index(finetuning_jobs, "dataset_id", "id")
postgres_index(finetuning_jobs, "parent_id")

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
    id_column("training_checkpoints"),
    *reference("run_id", "finetuning_jobs"),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("metric", sa.Double),
    sa.Column("kind", sa.String(8), nullable=False),  # last | best, of predictions part
    sa.Column("created_at", Time, nullable=False),
)

model_evaluations = sa.Table(
    "model_evaluations",
    metadata,
    id_column("model_evaluations"),
    *reference("run_id", "finetuning_jobs"),
    sa.Column("split", sa.String(8), nullable=False),
    sa.Column("metrics", Json, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

# --- models -----------------------------------------------------------------

models = sa.Table(
    "models",
    metadata,
    id_column("models"),
    *reference("theme_id", "themes", nullable=True),
    sa.Column("name", sa.String(200), nullable=False),  # the registered name in MLflow
    sa.Column("created_at", Time, nullable=False),
)

model_registry = sa.Table(
    "model_registry",
    metadata,
    id_column("model_registry"),
    *reference("model_id", "models"),
    *reference("run_id", "finetuning_jobs", nullable=True),  # NULL = it was trained elsewhere
    sa.Column("version", sa.Integer, nullable=False),  # MLflow's version number
    sa.Column("stage", sa.String(16), nullable=False),  # staging | production | archived
    sa.Column("uri", sa.Text, nullable=False),  # models:/name/version
    sa.Column("snapshot_hash", sa.String(64)),  # NULL where there is no run
    sa.Column(
        "code", Json, nullable=False
    ),  # {"commit", "dirty", "source_hash"}; empty where there is no run
    sa.Column("metrics", Json, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("files", Json),  # {name: SHA-256}; NULL for versions of before they were kept
    sa.Column("size", sa.BigInteger),  # bytes of the files
    sa.Column("major", sa.Integer, nullable=False),  # its semantic version, each once in a model
    sa.Column("minor", sa.Integer, nullable=False),
    sa.Column("patch", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),  # vision
    sa.Column("architecture", sa.String(64), nullable=False),
    sa.Column("weights", sa.String(200), nullable=False),  # that the training began with
    sa.Column("labels", Json, nullable=False),  # in the order of the model's outputs
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("deleted_at", Time),
    sa.Column("inputs", Json),  # [{"name", "type", "required"}]; NULL for what is trained here
)
postgres_index(model_registry, "run_id")
sa.Index(
    "ux_model_registry_semver",
    model_registry.c.model_id,
    model_registry.c.major,
    model_registry.c.minor,
    model_registry.c.patch,
    unique=True,
).ddl_if(dialect="postgresql")

model_tags = sa.Table(
    "model_tags",
    metadata,
    sa.Column("version_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tag", sa.String(40), primary_key=True),
)
postgres_index(model_tags, "tag", "version_id")

model_benchmarks = sa.Table(
    "model_benchmarks",  # append-only; the newest of a name counts
    metadata,
    id_column("model_benchmarks"),
    *reference("version_id", "model_registry"),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("score", sa.Double, nullable=False),  # 0–1
    sa.Column("detail", Json, nullable=False),
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)
postgres_index(model_benchmarks, "version_id", "id")

registry_ledger = sa.Table(
    "registry_ledger",  # append-only; core.ledger alone writes it
    metadata,
    id_column("registry_ledger"),
    *reference("model_id", "models"),
    *reference("version_id", "model_registry"),
    sa.Column("at", Time, nullable=False),
    sa.Column("actor_id", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("from_stage", sa.String(16), nullable=False),
    sa.Column("to_stage", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("evidence", Json, nullable=False),
    sa.Column("evidence_hash", sa.String(64), nullable=False),  # SHA-256 of the evidence
    sa.Column("previous_hash", sa.String(64), nullable=False),  # `hash` of the entry before
    sa.Column("hash", sa.String(64), nullable=False),  # SHA-256 of all of the above
)
postgres_index(registry_ledger, "model_id", "id")

registry_approvals = sa.Table(
    "registry_approvals",  # append-only
    metadata,
    id_column("registry_approvals"),
    *reference("version_id", "model_registry"),
    sa.Column("user_id", sa.BigInteger, nullable=False),
    sa.Column("user_name", sa.String(64), nullable=False),  # at that moment
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", Time, nullable=False),
)
postgres_index(registry_approvals, "version_id", "id")

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
    id_column("deployments"),
    *reference("version_id", "model_registry"),
    sa.Column("desired", sa.String(8), nullable=False),  # up | down
    sa.Column("status", sa.String(16), nullable=False),  # starting | up | restarting | failed | down
    sa.Column("replicas", sa.Integer),
    sa.Column("url", sa.Text),  # of those that are up, with a space between
    sa.Column("detail", sa.Text),
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
)

# --- A/B tests --------------------------------------------------------------

ab_experiments = sa.Table(
    "ab_experiments",
    metadata,
    id_column("ab_experiments"),
    *reference("theme_id", "themes"),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),  # draft | running | stopped | concluded
    sa.Column("plan", Json, nullable=False),  # core.ab.plan.Plan
    sa.Column("seal", sa.String(64)),  # SHA-256 of the plan when it started
    sa.Column("phase", sa.Integer, nullable=False),  # 0 before the start
    sa.Column("outcome", Json),  # winner, reason and the verdict at the end
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("started_at", Time),
    sa.Column("ended_at", Time),
)

ab_phases = sa.Table(
    "ab_phases",
    metadata,
    sa.Column("test_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("salt", sa.String(64), nullable=False),
    sa.Column("weights", Json, nullable=False),  # never changed: other weights are another phase
    sa.Column("coverage", sa.Double, nullable=False),
    sa.Column("started_at", Time, nullable=False),
)

ab_assignments = sa.Table(
    "ab_assignments",
    metadata,
    sa.Column("test_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("phase", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("unit", sa.String(200), primary_key=True),
    sa.Column("arm", sa.Integer, nullable=False),  # 0 is A
    sa.Column("forced", sa.Boolean, nullable=False),  # a tester's choice, not counted
    sa.Column("at", Time, nullable=False),
)
# DuckDB looks single rows up by indexes of one column only; these rows are never changed.
sa.Index("ix_ab_assignments_unit", ab_assignments.c.unit).ddl_if(dialect="duckdb")

ab_exposures = sa.Table(
    "ab_exposures",
    metadata,
    sa.Column("test_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(64), primary_key=True),  # that of the interaction which follows
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("unit", sa.String(200), nullable=False),
    sa.Column("arm", sa.Integer, nullable=False),
    sa.Column("at", Time, nullable=False),
)

ab_test_logs = sa.Table(
    "ab_test_logs",
    metadata,
    sa.Column("test_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(64), primary_key=True),  # made by the sender: a second delivery is known by it
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("unit", sa.String(200), nullable=False),
    sa.Column("arm", sa.Integer, nullable=False),
    sa.Column("forced", sa.Boolean, nullable=False),
    sa.Column("at", Time, nullable=False),  # when it happened, as the sender says
    sa.Column("logged_at", Time, nullable=False),
    sa.Column("status", sa.String(8), nullable=False),  # ok | error | timeout
    sa.Column("response_time_ms", sa.Double),
    sa.Column("cost", sa.Double),
    sa.Column("rating", sa.SmallInteger),
    sa.Column("feedback", sa.Text),
    sa.Column("query", sa.Text),
    sa.Column("response", sa.Text),
    sa.Column("segments", Json),
)
postgres_index(ab_test_logs, "test_id", "phase", "unit")

ab_user_sums = (
    sa.Table(  # of ab_test_logs without testers; a user has several rows that add up (core.ab.rollups)
        "ab_user_sums",
        metadata,
        sa.Column("test_id", sa.BigInteger, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("unit", sa.String(200), nullable=False),
        sa.Column("arm", sa.Integer, nullable=False),  # the least
        sa.Column("last_arm", sa.Integer, nullable=False),  # the greatest: another one = seen in several
        sa.Column("n", sa.BigInteger, nullable=False),  # interactions
        sa.Column("bad", sa.BigInteger, nullable=False),  # of them not ok
        sa.Column("rating_n", sa.BigInteger, nullable=False),
        sa.Column("rating_sum", sa.Double, nullable=False),
        sa.Column("time_n", sa.BigInteger, nullable=False),
        sa.Column("time_sum", sa.Double, nullable=False),  # ms
        sa.Column("cost_n", sa.BigInteger, nullable=False),
        sa.Column("cost_sum", sa.Double, nullable=False),
        sa.Column("first_at", Time, nullable=False),
        sa.Column("last_at", Time, nullable=False),
        sa.Column("logged_at", Time, nullable=False),  # the last
    )
)
postgres_index(ab_user_sums, "test_id", "phase", "unit")

ab_user_segments = sa.Table(  # what a user said first of a field; of several rows the earliest counts
    "ab_user_segments",
    metadata,
    sa.Column("test_id", sa.BigInteger, nullable=False),
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("unit", sa.String(200), nullable=False),
    sa.Column("field", sa.String(64), nullable=False),
    sa.Column("value", sa.String(100), nullable=False),
    sa.Column("at", Time, nullable=False),
)
postgres_index(ab_user_segments, "test_id", "phase", "field")

ab_test_results = sa.Table(
    "ab_test_results",
    metadata,
    id_column("ab_test_results"),
    sa.Column("test_id", sa.BigInteger, nullable=False),
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("users", sa.BigInteger, nullable=False),
    sa.Column("p", sa.Double, nullable=False),  # smallest always-valid p so far
    sa.Column("mismatch_p", sa.Double, nullable=False),  # smallest sequential p of the split so far
    sa.Column("verdict", sa.String(16), nullable=False),
)
postgres_index(ab_test_results, "test_id", "id")

# --- duels ------------------------------------------------------------------

ab_duels = sa.Table(
    "ab_duels",
    metadata,
    id_column("ab_duels"),
    *reference("theme_id", "themes"),
    sa.Column("test_id", sa.BigInteger),  # the A/B test it belongs to; a draft of it may be thrown away
    sa.Column("variant", sa.String(1), nullable=False),  # which of the test's variants is called B here
    *reference("version_a", "model_registry"),
    *reference("version_b", "model_registry"),
    sa.Column("salt", sa.String(64), nullable=False),  # of the order left and right; never leaves the server
    sa.Column("sample", Json),  # core.ab.duels.Sample; NULL = a program gave the items
    sa.Column("status", sa.String(16), nullable=False),  # open | closed
    sa.Column("created_by", sa.BigInteger, nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("closed_at", Time),
)

ab_duel_items = sa.Table(
    "ab_duel_items",
    metadata,
    sa.Column("duel_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # from 1, the order of judging
    sa.Column("key", sa.String(64), nullable=False),  # the sender's, else a hash: the same item comes in once
    sa.Column("image_id", sa.BigInteger),
    sa.Column("query", sa.Text),
    sa.Column("answer_a", sa.Text, nullable=False),
    sa.Column("answer_b", sa.Text, nullable=False),
    sa.Column("confidence_a", sa.Double),  # 0–1
    sa.Column("confidence_b", sa.Double),
    sa.Column("same", sa.Boolean, nullable=False),  # both answered the same, so there is nothing to judge
)

ab_duel_judgements = sa.Table(
    "ab_duel_judgements",
    metadata,
    sa.Column("duel_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("choice", sa.String(3), nullable=False),  # a | b | tie
    sa.Column("seconds", sa.Double),  # from seeing to choosing
    sa.Column("at", Time, nullable=False),
)

ab_duel_looks = sa.Table(
    "ab_duel_looks",
    metadata,
    sa.Column("duel_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Time, nullable=False),  # who has seen the results of an open duel judges no more
)
