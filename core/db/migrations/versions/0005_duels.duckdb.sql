CREATE SEQUENCE ab_duels_id_seq;

CREATE TABLE ab_duels (
    id BIGINT DEFAULT nextval('ab_duels_id_seq') NOT NULL,
    theme_id BIGINT NOT NULL,
    test_id BIGINT,
    variant VARCHAR(1) NOT NULL,
    version_a BIGINT NOT NULL,
    version_b BIGINT NOT NULL,
    salt VARCHAR(64) NOT NULL,
    sample JSON,
    status VARCHAR(16) NOT NULL,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);

CREATE TABLE ab_duel_items (
    duel_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    key VARCHAR(64) NOT NULL,
    image_id BIGINT,
    query TEXT,
    answer_a TEXT NOT NULL,
    answer_b TEXT NOT NULL,
    confidence_a DOUBLE PRECISION,
    confidence_b DOUBLE PRECISION,
    same BOOLEAN NOT NULL,
    PRIMARY KEY (duel_id, number)
);

CREATE TABLE ab_duel_judgements (
    duel_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    user_id BIGINT NOT NULL,
    choice VARCHAR(3) NOT NULL,
    seconds DOUBLE PRECISION,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (duel_id, number, user_id)
);

CREATE TABLE ab_duel_looks (
    duel_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (duel_id, user_id)
);
