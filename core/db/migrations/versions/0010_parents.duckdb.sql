ALTER TABLE finetuning_jobs ADD COLUMN parent_id BIGINT;
