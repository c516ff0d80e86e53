CREATE TABLE ab_user_sums (
    test_id BIGINT NOT NULL,
    phase INTEGER NOT NULL,
    unit VARCHAR(200) NOT NULL,
    arm INTEGER NOT NULL,
    last_arm INTEGER NOT NULL,
    n BIGINT NOT NULL,
    bad BIGINT NOT NULL,
    rating_n BIGINT NOT NULL,
    rating_sum DOUBLE PRECISION NOT NULL,
    time_n BIGINT NOT NULL,
    time_sum DOUBLE PRECISION NOT NULL,
    cost_n BIGINT NOT NULL,
    cost_sum DOUBLE PRECISION NOT NULL,
    first_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    logged_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE TABLE ab_user_segments (
    test_id BIGINT NOT NULL,
    phase INTEGER NOT NULL,
    unit VARCHAR(200) NOT NULL,
    field VARCHAR(64) NOT NULL,
    value VARCHAR(100) NOT NULL,
    "at" TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX ix_ab_assignments_unit ON ab_assignments (unit);

INSERT INTO ab_user_sums
SELECT test_id, phase, unit, min(arm), max(arm), count(*), count(*) FILTER (WHERE status <> 'ok'),
  count(rating), CAST(coalesce(sum(rating), 0) AS DOUBLE PRECISION),
  count(response_time_ms), coalesce(sum(response_time_ms), 0),
  count(cost), coalesce(sum(cost), 0), min("at"), max("at"), max(logged_at)
FROM ab_test_logs WHERE NOT forced GROUP BY test_id, phase, unit;

INSERT INTO ab_user_segments
SELECT DISTINCT ON (test_id, phase, unit, field) test_id, phase, unit, field, value, "at"
FROM (
  SELECT test_id, phase, unit, field, json_extract_string(segments, '$."' || field || '"') AS value, "at"
  FROM (SELECT *, unnest(json_keys(segments)) AS field FROM ab_test_logs WHERE NOT forced) AS told
) AS each
ORDER BY test_id, phase, unit, field, "at", value;
