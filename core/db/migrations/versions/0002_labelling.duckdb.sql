ALTER TABLE themes ADD COLUMN teamwork JSON;

ALTER TABLE train_data ADD COLUMN group_name TEXT;

ALTER TABLE train_data ADD COLUMN import_id BIGINT;

ALTER TABLE train_data ADD COLUMN flag_note TEXT;

ALTER TABLE train_data ADD COLUMN flagged_by BIGINT;

ALTER TABLE train_data ADD COLUMN suggested_label_id BIGINT;

ALTER TABLE train_data ADD COLUMN suggested_confidence DOUBLE;

ALTER TABLE train_data ADD COLUMN suggested_margin DOUBLE;

ALTER TABLE train_data ADD COLUMN suggested_by BIGINT;

ALTER TABLE train_data ADD COLUMN suggested_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE train_data ADD COLUMN teach_rank BIGINT;

ALTER TABLE train_data ADD COLUMN sweep_rank BIGINT;

ALTER TABLE label_history ADD COLUMN action_id VARCHAR(36);

ALTER TABLE label_history ADD COLUMN seconds DOUBLE;

CREATE TABLE label_actions (
    id VARCHAR(36) NOT NULL,
    theme_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    images INTEGER NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE label_votes (
    image_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    theme_id BIGINT NOT NULL,
    label_id BIGINT NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (image_id, user_id)
);

CREATE TABLE assignments (
    image_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    theme_id BIGINT NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    touched_at TIMESTAMP WITH TIME ZONE NOT NULL,
    done_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (image_id, user_id)
);

CREATE SEQUENCE label_checks_id_seq;

CREATE TABLE label_checks (
    id BIGINT DEFAULT nextval('label_checks_id_seq') NOT NULL,
    theme_id BIGINT NOT NULL,
    image_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    label_id BIGINT NOT NULL,
    answer_id BIGINT NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE image_features (
    image_id BIGINT NOT NULL,
    theme_id BIGINT NOT NULL,
    look BLOB NOT NULL,
    embedding BLOB,
    version_id BIGINT,
    PRIMARY KEY (image_id)
);

CREATE SEQUENCE imports_id_seq;

CREATE TABLE imports (
    id BIGINT DEFAULT nextval('imports_id_seq') NOT NULL,
    theme_id BIGINT NOT NULL,
    format VARCHAR(16) NOT NULL,
    source TEXT NOT NULL,
    status VARCHAR(16) NOT NULL,
    options JSON NOT NULL,
    counts JSON NOT NULL,
    error TEXT,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);
