ALTER TABLE finetuning_jobs ADD COLUMN parent_id BIGINT;

CREATE INDEX ix_finetuning_jobs_parent_id ON finetuning_jobs (parent_id);
