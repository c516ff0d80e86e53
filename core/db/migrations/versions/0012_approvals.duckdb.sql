CREATE SEQUENCE registry_approvals_id_seq;

CREATE TABLE registry_approvals (
    id BIGINT DEFAULT nextval('registry_approvals_id_seq') NOT NULL,
    version_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    user_name VARCHAR(64) NOT NULL,
    note TEXT NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);

CREATE SEQUENCE model_benchmarks_id_seq;

CREATE TABLE model_benchmarks (
    id BIGINT DEFAULT nextval('model_benchmarks_id_seq') NOT NULL,
    version_id BIGINT NOT NULL,
    name VARCHAR(100) NOT NULL,
    score DOUBLE NOT NULL,
    detail JSON NOT NULL,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);
