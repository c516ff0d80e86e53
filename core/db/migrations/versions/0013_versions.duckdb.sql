ALTER TABLE model_registry ADD COLUMN major INTEGER DEFAULT 1;
ALTER TABLE model_registry ADD COLUMN minor INTEGER DEFAULT 0;
ALTER TABLE model_registry ADD COLUMN patch INTEGER DEFAULT 0;
ALTER TABLE model_registry ADD COLUMN kind VARCHAR(16) DEFAULT 'vision';
ALTER TABLE model_registry ADD COLUMN architecture VARCHAR(64) DEFAULT '';
ALTER TABLE model_registry ADD COLUMN weights VARCHAR(200) DEFAULT '';
ALTER TABLE model_registry ADD COLUMN labels JSON DEFAULT '[]';
ALTER TABLE model_registry ADD COLUMN description TEXT DEFAULT '';
ALTER TABLE model_registry ADD COLUMN deleted_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE model_registry ALTER COLUMN major SET NOT NULL;
ALTER TABLE model_registry ALTER COLUMN minor SET NOT NULL;
ALTER TABLE model_registry ALTER COLUMN patch SET NOT NULL;
ALTER TABLE model_registry ALTER COLUMN kind SET NOT NULL;
ALTER TABLE model_registry ALTER COLUMN architecture SET NOT NULL;
ALTER TABLE model_registry ALTER COLUMN weights SET NOT NULL;
ALTER TABLE model_registry ALTER COLUMN labels SET NOT NULL;
ALTER TABLE model_registry ALTER COLUMN description SET NOT NULL;

ALTER TABLE model_registry ALTER COLUMN major DROP DEFAULT;
ALTER TABLE model_registry ALTER COLUMN minor DROP DEFAULT;
ALTER TABLE model_registry ALTER COLUMN patch DROP DEFAULT;
ALTER TABLE model_registry ALTER COLUMN kind DROP DEFAULT;
ALTER TABLE model_registry ALTER COLUMN architecture DROP DEFAULT;
ALTER TABLE model_registry ALTER COLUMN weights DROP DEFAULT;
ALTER TABLE model_registry ALTER COLUMN labels DROP DEFAULT;
ALTER TABLE model_registry ALTER COLUMN description DROP DEFAULT;

UPDATE model_registry SET
    minor = earlier.n,
    architecture = coalesce((run.spec -> 'params' -> 'model') ->> 'architecture', ''),
    weights = coalesce((run.spec -> 'params' -> 'model') ->> 'weights', ''),
    labels = run.spec -> 'labels'
FROM finetuning_jobs AS run, (
    SELECT id, row_number() OVER (PARTITION BY model_id ORDER BY id) - 1 AS n FROM model_registry
) AS earlier
WHERE run.id = model_registry.run_id AND earlier.id = model_registry.id;

CREATE TABLE model_tags (
    version_id BIGINT NOT NULL,
    tag VARCHAR(40) NOT NULL,
    PRIMARY KEY (version_id, tag)
);

CREATE SEQUENCE model_benchmarks_id_seq;

CREATE TABLE model_benchmarks (
    id BIGINT DEFAULT nextval('model_benchmarks_id_seq') NOT NULL,
    version_id BIGINT NOT NULL,
    name VARCHAR(100) NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    detail JSON NOT NULL,
    created_by BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);
