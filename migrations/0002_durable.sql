-- Version 2: what the durable service needs: places in the queue, idempotency, marks on blobs.

-- The queue: a job's place in the line is one number, so that priority and waiting time are one ordered index. One
-- point of priority is worth the time of jobs.ageing_seconds, so a job that waits overtakes better ones that come later.
ALTER TABLE job ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;             -- since when it waits + priority * ageing, ms
ALTER TABLE job ADD COLUMN short INTEGER NOT NULL DEFAULT 0 CHECK (short IN (0, 1)); -- may use the slot kept for such
ALTER TABLE job ADD COLUMN time_limit INTEGER NOT NULL DEFAULT 0 CHECK (time_limit >= 0); -- seconds of one attempt; 0: none
UPDATE job SET rank = created_at + priority * 60000 WHERE state IN ('queued', 'running');
DROP INDEX job_queued;
-- Those that may run, and those that wait for their time: a claim looks at the head of the one and at what is due in the
-- other, never at the whole.
CREATE INDEX job_ready ON job (task, short, rank, id) WHERE state = 'queued' AND not_before = 0;
CREATE INDEX job_delayed ON job (task, not_before) WHERE state = 'queued' AND not_before > 0;

-- What the store holds, kept by triggers: known without adding up a million blobs.
CREATE TABLE blob_count (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    n INTEGER NOT NULL CHECK (n >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT;
INSERT INTO blob_count (id, n, bytes) SELECT 1, count(*), ifnull(sum(bytes), 0) FROM blob;
CREATE TRIGGER blob_count_insert AFTER INSERT ON blob BEGIN
    UPDATE blob_count SET n = n + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER blob_count_delete AFTER DELETE ON blob BEGIN
    UPDATE blob_count SET n = n - 1, bytes = bytes - OLD.bytes;
END;

-- Damage: what the last verify found of a blob, or of a file put together from spans whose blobs are whole. NULL: none.
ALTER TABLE blob ADD COLUMN damage TEXT CHECK (damage IN ('missing', 'size', 'sha256', 'unreadable'));
ALTER TABLE blob ADD COLUMN damaged_at INTEGER;
ALTER TABLE layout ADD COLUMN damage TEXT CHECK (damage IN ('sha256'));
CREATE INDEX blob_damaged ON blob (sha256) WHERE damage IS NOT NULL;
CREATE INDEX layout_damaged ON layout (id) WHERE damage IS NOT NULL;
-- The collector deletes rows of blob; without it each deletion would read all of model_blob.
CREATE INDEX model_blob_blob ON model_blob (blob);
