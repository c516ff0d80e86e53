ALTER TABLE themes ADD COLUMN quality JSON;

ALTER TABLE themes ADD COLUMN compared_until BIGINT;

ALTER TABLE image_features ADD COLUMN shade DOUBLE PRECISION;

ALTER TABLE image_features ADD COLUMN light DOUBLE PRECISION;

ALTER TABLE image_features ADD COLUMN contrast DOUBLE PRECISION;

ALTER TABLE image_features ADD COLUMN entropy DOUBLE PRECISION;

ALTER TABLE image_features ADD COLUMN sharpness DOUBLE PRECISION;

ALTER TABLE image_features ADD COLUMN colour DOUBLE PRECISION;

CREATE TABLE image_clusters (
    image_id BIGINT NOT NULL,
    theme_id BIGINT NOT NULL,
    cluster_id BIGINT NOT NULL,
    PRIMARY KEY (image_id),
    FOREIGN KEY (theme_id) REFERENCES themes (id)
);

CREATE TABLE image_findings (
    image_id BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    theme_id BIGINT NOT NULL,
    score DOUBLE PRECISION,
    label_id BIGINT,
    guess_id BIGINT,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    kept_by BIGINT,
    kept_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (image_id, kind),
    FOREIGN KEY (theme_id) REFERENCES themes (id)
);

CREATE SEQUENCE dataset_quality_logs_id_seq;

CREATE TABLE dataset_quality_logs (
    id BIGINT DEFAULT nextval('dataset_quality_logs_id_seq') NOT NULL,
    theme_id BIGINT,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    user_id BIGINT,
    action VARCHAR(16) NOT NULL,
    score INTEGER,
    passed BOOLEAN,
    detail JSON NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (theme_id) REFERENCES themes (id)
);

CREATE INDEX ix_image_clusters_theme_id_cluster_id ON image_clusters (theme_id, cluster_id);

CREATE INDEX ix_image_findings_theme_id_kind ON image_findings (theme_id, kind);

CREATE INDEX ix_dataset_quality_logs_theme_id_id ON dataset_quality_logs (theme_id, id);
