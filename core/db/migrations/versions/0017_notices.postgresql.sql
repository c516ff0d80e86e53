CREATE SEQUENCE webhooks_id_seq;

CREATE TABLE webhooks (
    id BIGINT DEFAULT nextval('webhooks_id_seq') NOT NULL,
    url TEXT NOT NULL,
    events JSON NOT NULL,
    secret VARCHAR(64) NOT NULL,
    active BOOLEAN NOT NULL,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);

CREATE SEQUENCE notices_id_seq;

CREATE TABLE notices (
    id BIGINT DEFAULT nextval('notices_id_seq') NOT NULL,
    message_id VARCHAR(40) NOT NULL,
    webhook_id BIGINT,
    address TEXT NOT NULL,
    event VARCHAR(32) NOT NULL,
    body TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    status VARCHAR(16) NOT NULL,
    tries INTEGER NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE,
    answer TEXT,
    done_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);

CREATE SEQUENCE alert_rules_id_seq;

CREATE TABLE alert_rules (
    id BIGINT DEFAULT nextval('alert_rules_id_seq') NOT NULL,
    model_id BIGINT NOT NULL,
    deployment_id BIGINT,
    rule JSON NOT NULL,
    active BOOLEAN NOT NULL,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state VARCHAR(8) NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    turning TIMESTAMP WITH TIME ZONE,
    value DOUBLE PRECISION,
    looked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY (model_id) REFERENCES models (id)
);
