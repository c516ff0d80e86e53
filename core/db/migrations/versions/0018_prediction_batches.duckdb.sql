CREATE SEQUENCE prediction_batches_id_seq;

CREATE TABLE prediction_batches (
    id BIGINT DEFAULT nextval('prediction_batches_id_seq') NOT NULL,
    theme_id BIGINT NOT NULL,
    version_id BIGINT NOT NULL,
    name VARCHAR(200) NOT NULL,
    state VARCHAR(8) NOT NULL,
    images BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    run_id BIGINT,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);

CREATE TABLE prediction_batch_parts (
    batch_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (batch_id, number)
);
