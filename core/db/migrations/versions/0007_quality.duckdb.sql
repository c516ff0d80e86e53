ALTER TABLE themes ADD COLUMN quality JSON;

ALTER TABLE themes ADD COLUMN compared_until BIGINT;

ALTER TABLE image_features ADD COLUMN shade DOUBLE;

ALTER TABLE image_features ADD COLUMN light DOUBLE;

ALTER TABLE image_features ADD COLUMN contrast DOUBLE;

ALTER TABLE image_features ADD COLUMN entropy DOUBLE;

ALTER TABLE image_features ADD COLUMN sharpness DOUBLE;

ALTER TABLE image_features ADD COLUMN colour DOUBLE;

CREATE TABLE image_clusters (
    image_id BIGINT NOT NULL,
    theme_id BIGINT NOT NULL,
    cluster_id BIGINT NOT NULL,
    PRIMARY KEY (image_id)
);

CREATE TABLE image_findings (
    image_id BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    theme_id BIGINT NOT NULL,
    score DOUBLE,
    label_id BIGINT,
    guess_id BIGINT,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    kept_by BIGINT,
    kept_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (image_id, kind)
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
    PRIMARY KEY (id)
);
