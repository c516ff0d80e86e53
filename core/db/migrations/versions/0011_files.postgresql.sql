ALTER TABLE model_registry ADD COLUMN files JSON;
ALTER TABLE model_registry ADD COLUMN size BIGINT;
