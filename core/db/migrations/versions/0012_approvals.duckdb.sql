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
