ALTER TABLE model_registry ALTER COLUMN run_id DROP NOT NULL;
ALTER TABLE model_registry ALTER COLUMN snapshot_hash DROP NOT NULL;
ALTER TABLE model_registry ADD COLUMN inputs JSON;
