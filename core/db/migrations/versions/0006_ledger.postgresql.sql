CREATE SEQUENCE registry_ledger_id_seq;

CREATE TABLE registry_ledger (
    id BIGINT DEFAULT nextval('registry_ledger_id_seq') NOT NULL,
    model_id BIGINT NOT NULL,
    version_id BIGINT NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    actor_id BIGINT NOT NULL,
    actor VARCHAR(64) NOT NULL,
    from_stage VARCHAR(16) NOT NULL,
    to_stage VARCHAR(16) NOT NULL,
    reason TEXT NOT NULL,
    evidence JSON NOT NULL,
    evidence_hash VARCHAR(64) NOT NULL,
    previous_hash VARCHAR(64) NOT NULL,
    hash VARCHAR(64) NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (model_id) REFERENCES models (id),
    FOREIGN KEY (version_id) REFERENCES model_registry (id)
);

CREATE INDEX ix_registry_ledger_model_id_id ON registry_ledger (model_id, id);
