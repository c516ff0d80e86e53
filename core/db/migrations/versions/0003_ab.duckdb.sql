CREATE SEQUENCE ab_experiments_id_seq;

CREATE TABLE ab_experiments (
    id BIGINT DEFAULT nextval('ab_experiments_id_seq') NOT NULL,
    theme_id BIGINT NOT NULL,
    name VARCHAR(100) NOT NULL,
    status VARCHAR(16) NOT NULL,
    plan JSON NOT NULL,
    seal VARCHAR(64),
    phase INTEGER NOT NULL,
    outcome JSON,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);

CREATE TABLE ab_phases (
    test_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    salt VARCHAR(64) NOT NULL,
    weights JSON NOT NULL,
    coverage DOUBLE PRECISION NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (test_id, number)
);

CREATE TABLE ab_assignments (
    test_id BIGINT NOT NULL,
    phase INTEGER NOT NULL,
    unit VARCHAR(200) NOT NULL,
    arm INTEGER NOT NULL,
    forced BOOLEAN NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (test_id, phase, unit)
);

CREATE TABLE ab_exposures (
    test_id BIGINT NOT NULL,
    key VARCHAR(64) NOT NULL,
    phase INTEGER NOT NULL,
    unit VARCHAR(200) NOT NULL,
    arm INTEGER NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (test_id, key)
);

CREATE TABLE ab_test_logs (
    test_id BIGINT NOT NULL,
    key VARCHAR(64) NOT NULL,
    phase INTEGER NOT NULL,
    unit VARCHAR(200) NOT NULL,
    arm INTEGER NOT NULL,
    forced BOOLEAN NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    logged_at TIMESTAMP WITH TIME ZONE NOT NULL,
    status VARCHAR(8) NOT NULL,
    response_time_ms DOUBLE PRECISION,
    cost DOUBLE PRECISION,
    rating SMALLINT,
    feedback TEXT,
    query TEXT,
    response TEXT,
    segments JSON,
    PRIMARY KEY (test_id, key)
);

CREATE SEQUENCE ab_test_results_id_seq;

CREATE TABLE ab_test_results (
    id BIGINT DEFAULT nextval('ab_test_results_id_seq') NOT NULL,
    test_id BIGINT NOT NULL,
    phase INTEGER NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    users BIGINT NOT NULL,
    p DOUBLE PRECISION NOT NULL,
    mismatch_p DOUBLE PRECISION NOT NULL,
    verdict VARCHAR(16) NOT NULL,
    PRIMARY KEY (id)
);
