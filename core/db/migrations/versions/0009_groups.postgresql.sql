ALTER TABLE themes ADD COLUMN frozen_test JSON;

ALTER TABLE train_data ADD COLUMN group_by_name BOOLEAN;

ALTER TABLE image_findings ADD COLUMN turn INTEGER;

CREATE TABLE frozen_tests (
    image_id BIGINT NOT NULL,
    theme_id BIGINT NOT NULL,
    label_id BIGINT NOT NULL,
    PRIMARY KEY (image_id),
    FOREIGN KEY (theme_id) REFERENCES themes (id)
);

CREATE TABLE image_picks (
    hash VARCHAR(32) NOT NULL,
    image_id BIGINT NOT NULL,
    PRIMARY KEY (hash, image_id)
);

CREATE INDEX ix_frozen_tests_theme_id ON frozen_tests (theme_id);
