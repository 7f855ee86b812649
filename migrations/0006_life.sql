-- Deleting in two phases, retention, and what people note about a version.

ALTER TABLE model ADD COLUMN deleted_at INTEGER; -- first phase; restore takes it back
ALTER TABLE model ADD COLUMN deleted_by TEXT;
ALTER TABLE model ADD COLUMN deleted_reason TEXT;
ALTER TABLE model ADD COLUMN gone_at INTEGER;    -- second phase: its files are removed and its name is free
ALTER TABLE model ADD COLUMN keep_days INTEGER CHECK (keep_days BETWEEN 0 AND 36500); -- NULL: the setting's

ALTER TABLE version ADD COLUMN labels TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(labels));
ALTER TABLE version ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1));
ALTER TABLE version ADD COLUMN note TEXT;
ALTER TABLE version ADD COLUMN rev INTEGER NOT NULL DEFAULT 1;     -- grows with every change of the row
ALTER TABLE version ADD COLUMN held_at INTEGER NOT NULL DEFAULT 0; -- the time of retention begins no sooner
ALTER TABLE version ADD COLUMN deleted_at INTEGER;
ALTER TABLE version ADD COLUMN deleted_by TEXT;
ALTER TABLE version ADD COLUMN deleted_reason TEXT;
ALTER TABLE version ADD COLUMN gone_at INTEGER;  -- its rows in file are removed; the row stays for the lineage
UPDATE version SET held_at = CAST(round(1000 * (julianday('now') - 2440587.5) * 86400) AS INTEGER);

CREATE INDEX model_deleted ON model (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX version_deleted ON version (deleted_at) WHERE deleted_at IS NOT NULL AND gone_at IS NULL;
CREATE INDEX version_commit ON version (lower(hex(oid)), model);
CREATE INDEX ref_move_from ON ref_move (from_version, at) WHERE from_version IS NOT NULL;
CREATE INDEX ref_move_to ON ref_move (to_version, id) WHERE to_version IS NOT NULL;

-- Blobs that a purge is to remove, from before their last names go until their files are removed: one that was killed
-- between goes on with them.
CREATE TABLE doomed (blob BLOB PRIMARY KEY CHECK (length(blob) = 32)) STRICT, WITHOUT ROWID;

-- The versions that a job which has not ended names. Kept by triggers, so that nothing can make a job without it.
CREATE TABLE job_version (
    version INTEGER NOT NULL REFERENCES version (id),
    job INTEGER NOT NULL REFERENCES job (id),
    PRIMARY KEY (version, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_version_job ON job_version (job);
CREATE VIEW job_reads AS SELECT j.id AS job, v.id AS version
    FROM job j, json_each(j.resolved, '$.inputs') i
    JOIN model m ON m.name = iif(i.type = 'object', i.value, '{}') ->> '$.model'
    JOIN version v INDEXED BY version_commit ON lower(hex(v.oid)) = iif(i.type = 'object', i.value, '{}') ->> '$.commit' AND v.model = m.id
    WHERE j.type <> 'task';
INSERT OR IGNORE INTO job_version (version, job) SELECT version, job FROM job_reads
    WHERE job IN (SELECT id FROM job WHERE state IN ('queued', 'running', 'cancelling'));
CREATE TRIGGER job_version_insert AFTER INSERT ON job WHEN NEW.state IN ('queued', 'running', 'cancelling') BEGIN
    SELECT RAISE(ABORT, 'the model of the result is deleted') FROM model
        WHERE name = json_extract(NEW.publish, '$.model') AND deleted_at IS NOT NULL AND gone_at IS NULL;
    INSERT OR IGNORE INTO job_version (version, job) SELECT version, job FROM job_reads WHERE job = NEW.id;
    SELECT RAISE(ABORT, 'an input is deleted') FROM job_version h JOIN version v ON v.id = h.version
        JOIN model m ON m.id = v.model WHERE h.job = NEW.id AND (v.deleted_at IS NOT NULL OR m.deleted_at IS NOT NULL);
END;
CREATE TRIGGER job_version_update AFTER UPDATE OF resolved ON job
    WHEN NEW.state IN ('queued', 'running', 'cancelling') BEGIN
    DELETE FROM job_version WHERE job = NEW.id;
    INSERT OR IGNORE INTO job_version (version, job) SELECT version, job FROM job_reads WHERE job = NEW.id;
    SELECT RAISE(ABORT, 'an input is deleted') FROM job_version h JOIN version v ON v.id = h.version
        JOIN model m ON m.id = v.model WHERE h.job = NEW.id AND (v.deleted_at IS NOT NULL OR m.deleted_at IS NOT NULL);
END;
CREATE TRIGGER job_version_end AFTER UPDATE OF state ON job WHEN NEW.state IN ('succeeded', 'failed', 'cancelled') BEGIN
    DELETE FROM job_version WHERE job = NEW.id;
END;
