CREATE SEQUENCE users_id_seq;

CREATE TABLE users (
    id BIGINT DEFAULT nextval('users_id_seq') NOT NULL,
    name VARCHAR(64) NOT NULL,
    password_hash VARCHAR(256) NOT NULL,
    role VARCHAR(16) NOT NULL,
    language VARCHAR(8),
    active BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);

CREATE SEQUENCE audit_log_id_seq;

CREATE TABLE audit_log (
    id BIGINT DEFAULT nextval('audit_log_id_seq') NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    user_id BIGINT,
    user_name VARCHAR(64),
    action VARCHAR(64) NOT NULL,
    object VARCHAR(128) NOT NULL,
    detail JSON,
    PRIMARY KEY (id)
);

CREATE TABLE run_events (
    run_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    type VARCHAR(16) NOT NULL,
    payload JSON NOT NULL,
    PRIMARY KEY (run_id, number)
);

CREATE TABLE run_metrics (
    run_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    name VARCHAR(64) NOT NULL,
    step BIGINT NOT NULL,
    epoch DOUBLE PRECISION NOT NULL,
    value DOUBLE PRECISION,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (run_id, number, name)
);

CREATE TABLE model_train_data (
    version_id BIGINT NOT NULL,
    image_id BIGINT NOT NULL,
    split VARCHAR(8) NOT NULL,
    label_id BIGINT NOT NULL,
    PRIMARY KEY (version_id, image_id)
);

CREATE TABLE sessions (
    token_hash VARCHAR(64) NOT NULL,
    user_id BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    name VARCHAR(64),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (token_hash),
    FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE SEQUENCE themes_id_seq;

CREATE TABLE themes (
    id BIGINT DEFAULT nextval('themes_id_seq') NOT NULL,
    name VARCHAR(200) NOT NULL,
    description TEXT NOT NULL,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE SEQUENCE labels_id_seq;

CREATE TABLE labels (
    id BIGINT DEFAULT nextval('labels_id_seq') NOT NULL,
    theme_id BIGINT NOT NULL,
    name VARCHAR(100) NOT NULL,
    position INTEGER NOT NULL,
    color VARCHAR(9) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(theme_id) REFERENCES themes (id)
);

CREATE SEQUENCE snapshots_id_seq;

CREATE TABLE snapshots (
    id BIGINT DEFAULT nextval('snapshots_id_seq') NOT NULL,
    theme_id BIGINT NOT NULL,
    hash VARCHAR(64) NOT NULL,
    path TEXT NOT NULL,
    counts JSON NOT NULL,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(theme_id) REFERENCES themes (id)
);

CREATE SEQUENCE models_id_seq;

CREATE TABLE models (
    id BIGINT DEFAULT nextval('models_id_seq') NOT NULL,
    theme_id BIGINT,
    name VARCHAR(200) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(theme_id) REFERENCES themes (id)
);

CREATE SEQUENCE train_data_id_seq;

CREATE TABLE train_data (
    id BIGINT DEFAULT nextval('train_data_id_seq') NOT NULL,
    theme_id BIGINT NOT NULL,
    image_path VARCHAR(160) NOT NULL,
    file_name TEXT NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    phash VARCHAR(16) NOT NULL,
    format VARCHAR(8) NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    size BIGINT NOT NULL,
    label_id BIGINT,
    split VARCHAR(8),
    labeled_by BIGINT,
    labeled_at TIMESTAMP WITH TIME ZONE,
    uploaded_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(theme_id) REFERENCES themes (id),
    FOREIGN KEY(label_id) REFERENCES labels (id)
);

CREATE INDEX ix_train_data_theme_id_id ON train_data (theme_id, id);

CREATE INDEX ix_train_data_theme_id_sha256 ON train_data (theme_id, sha256);

CREATE INDEX ix_train_data_theme_id_label_id_id ON train_data (theme_id, label_id, id);

CREATE SEQUENCE finetuning_jobs_id_seq;

CREATE TABLE finetuning_jobs (
    id BIGINT DEFAULT nextval('finetuning_jobs_id_seq') NOT NULL,
    kind VARCHAR(16) NOT NULL,
    theme_id BIGINT,
    snapshot_id BIGINT,
    status VARCHAR(16) NOT NULL,
    spec JSON NOT NULL,
    attempt INTEGER NOT NULL,
    rq_job_id VARCHAR(64),
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    last_event BIGINT NOT NULL,
    heartbeat_at TIMESTAMP WITH TIME ZONE,
    progress JSON,
    result JSON,
    error JSON,
    mlflow_run_id VARCHAR(64),
    PRIMARY KEY (id),
    FOREIGN KEY(theme_id) REFERENCES themes (id),
    FOREIGN KEY(snapshot_id) REFERENCES snapshots (id)
);

CREATE INDEX ix_finetuning_jobs_theme_id_id ON finetuning_jobs (theme_id, id);

CREATE SEQUENCE label_history_id_seq;

CREATE TABLE label_history (
    id BIGINT DEFAULT nextval('label_history_id_seq') NOT NULL,
    theme_id BIGINT NOT NULL,
    image_id BIGINT NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    user_id BIGINT NOT NULL,
    from_label_id BIGINT,
    to_label_id BIGINT,
    source VARCHAR(16) NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(theme_id) REFERENCES themes (id),
    FOREIGN KEY(image_id) REFERENCES train_data (id)
);

CREATE INDEX ix_label_history_image_id ON label_history (image_id);

CREATE SEQUENCE training_checkpoints_id_seq;

CREATE TABLE training_checkpoints (
    id BIGINT DEFAULT nextval('training_checkpoints_id_seq') NOT NULL,
    run_id BIGINT NOT NULL,
    path TEXT NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    epoch INTEGER NOT NULL,
    step BIGINT NOT NULL,
    metric DOUBLE PRECISION,
    kind VARCHAR(8) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(run_id) REFERENCES finetuning_jobs (id)
);

CREATE SEQUENCE model_evaluations_id_seq;

CREATE TABLE model_evaluations (
    id BIGINT DEFAULT nextval('model_evaluations_id_seq') NOT NULL,
    run_id BIGINT NOT NULL,
    split VARCHAR(8) NOT NULL,
    metrics JSON NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(run_id) REFERENCES finetuning_jobs (id)
);

CREATE SEQUENCE model_registry_id_seq;

CREATE TABLE model_registry (
    id BIGINT DEFAULT nextval('model_registry_id_seq') NOT NULL,
    model_id BIGINT NOT NULL,
    run_id BIGINT NOT NULL,
    version INTEGER NOT NULL,
    stage VARCHAR(16) NOT NULL,
    uri TEXT NOT NULL,
    snapshot_hash VARCHAR(64) NOT NULL,
    code JSON NOT NULL,
    metrics JSON NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(model_id) REFERENCES models (id),
    FOREIGN KEY(run_id) REFERENCES finetuning_jobs (id)
);

CREATE SEQUENCE deployments_id_seq;

CREATE TABLE deployments (
    id BIGINT DEFAULT nextval('deployments_id_seq') NOT NULL,
    version_id BIGINT NOT NULL,
    desired VARCHAR(8) NOT NULL,
    status VARCHAR(16) NOT NULL,
    url TEXT,
    detail TEXT,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(version_id) REFERENCES model_registry (id)
);
