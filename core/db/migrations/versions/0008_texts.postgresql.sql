ALTER TABLE dataset_quality_logs ADD COLUMN dataset_id BIGINT;

ALTER TABLE dataset_quality_logs ADD COLUMN version_id BIGINT;

ALTER TABLE finetuning_jobs ADD COLUMN dataset_id BIGINT;

CREATE INDEX ix_dataset_quality_logs_dataset_id_id ON dataset_quality_logs (dataset_id, id);

CREATE INDEX ix_finetuning_jobs_dataset_id_id ON finetuning_jobs (dataset_id, id);

CREATE SEQUENCE training_datasets_id_seq;

CREATE TABLE training_datasets (
    id BIGINT DEFAULT nextval('training_datasets_id_seq') NOT NULL,
    name VARCHAR(200) NOT NULL,
    description TEXT NOT NULL,
    shape VARCHAR(16) NOT NULL,
    rules JSON,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE SEQUENCE training_dataset_versions_id_seq;

CREATE TABLE training_dataset_versions (
    id BIGINT DEFAULT nextval('training_dataset_versions_id_seq') NOT NULL,
    dataset_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    parent_id BIGINT,
    row_count BIGINT NOT NULL,
    path VARCHAR(160) NOT NULL,
    hash VARCHAR(64) NOT NULL,
    source JSON,
    change JSON NOT NULL,
    splits JSON NOT NULL,
    statistics JSON NOT NULL,
    status VARCHAR(16) NOT NULL,
    found JSON,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(dataset_id) REFERENCES training_datasets (id)
);

CREATE INDEX ix_training_dataset_versions_dataset_id_number ON training_dataset_versions (dataset_id, number);

CREATE TABLE text_kept (
    dataset_id BIGINT NOT NULL,
    row_hash VARCHAR(64) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    kept_by BIGINT NOT NULL,
    kept_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (dataset_id, row_hash, kind)
);

CREATE TABLE text_vault (
    dataset_id BIGINT NOT NULL,
    token VARCHAR(64) NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (dataset_id, token)
);
