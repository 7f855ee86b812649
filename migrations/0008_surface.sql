-- Version 8: where a job came from, and what /metrics counts.

ALTER TABLE job ADD COLUMN request_id TEXT CHECK (length(request_id) = 32);     -- of the request that made it
ALTER TABLE job ADD COLUMN traceparent TEXT CHECK (length(traceparent) = 55);   -- as that request sent it (W3C)

-- job_tally tells all that job_count did.
DROP TRIGGER job_count_insert;
DROP TRIGGER job_count_update;
DROP TRIGGER job_count_delete;
DROP TABLE job_count;

CREATE TABLE job_tally (                         -- kept by triggers: a full queue is known without counting it
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    band INTEGER NOT NULL,                       -- priority / 25: 0 to 4
    n INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (type, state, band)
) STRICT, WITHOUT ROWID;
INSERT INTO job_tally SELECT type, state, priority / 25, count(*) FROM job GROUP BY 1, 2, 3;
CREATE TRIGGER job_tally_insert AFTER INSERT ON job BEGIN
    INSERT INTO job_tally VALUES (NEW.type, NEW.state, NEW.priority / 25, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER job_tally_delete AFTER DELETE ON job BEGIN
    UPDATE job_tally SET n = n - 1 WHERE type = OLD.type AND state = OLD.state AND band = OLD.priority / 25;
END;
CREATE TRIGGER job_tally_update AFTER UPDATE OF state, priority ON job
WHEN OLD.state <> NEW.state OR OLD.priority / 25 <> NEW.priority / 25 BEGIN
    UPDATE job_tally SET n = n - 1 WHERE type = OLD.type AND state = OLD.state AND band = OLD.priority / 25;
    INSERT INTO job_tally VALUES (NEW.type, NEW.state, NEW.priority / 25, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
