CREATE SEQUENCE serving_minutes_id_seq;

CREATE TABLE serving_minutes (
    id BIGINT DEFAULT nextval('serving_minutes_id_seq') NOT NULL,
    deployment_id BIGINT NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    span INTEGER NOT NULL,
    counts JSON NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX ix_serving_minutes_deployment_id_at ON serving_minutes (deployment_id, "at");
