-- Version 10: lists of jobs find what is asked for without reading the rows of all others, which are kilobytes each.

-- All that a list can be narrowed down by, newest first by walking it backwards.
CREATE INDEX job_listed ON job (id, task, archived, created_at, state, type, method, created_by, publish_model);

CREATE TABLE job_metadata (                      -- kept by triggers: the pairs of job.metadata that are text
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    PRIMARY KEY (key, value, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_metadata_job ON job_metadata (job);
INSERT INTO job_metadata SELECT m.key, m.value, j.id FROM job j, json_each(j.metadata) m WHERE m.type = 'text';
CREATE TRIGGER job_metadata_insert AFTER INSERT ON job WHEN NEW.metadata <> '{}' BEGIN
    INSERT INTO job_metadata SELECT key, value, NEW.id FROM json_each(NEW.metadata) WHERE type = 'text';
END;
CREATE TRIGGER job_metadata_update AFTER UPDATE OF metadata ON job WHEN OLD.metadata <> NEW.metadata BEGIN
    DELETE FROM job_metadata WHERE job = NEW.id;
    INSERT INTO job_metadata SELECT key, value, NEW.id FROM json_each(NEW.metadata) WHERE type = 'text';
END;
