-- Jobs that wait for the results of others, jobs made again from others, and jobs put away.

ALTER TABLE job ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0); -- for so many jobs of job_input
ALTER TABLE job ADD COLUMN retry_of TEXT;        -- uid
ALTER TABLE job ADD COLUMN rerun_of TEXT;        -- uid of the job whose bytes it is to make again
ALTER TABLE job ADD COLUMN archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1)); -- out of lists

CREATE TABLE job_input (                         -- whose result a job takes; only jobs that were there before it
    job INTEGER NOT NULL REFERENCES job (id),
    input INTEGER NOT NULL REFERENCES job (id),
    PRIMARY KEY (job, input),
    CHECK (input < job)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_input_input ON job_input (input, job);

-- A job that waits for another stands in no line.
DROP INDEX job_ready;
DROP INDEX job_delayed;
CREATE INDEX job_ready ON job (task, short, rank, id) WHERE state = 'queued' AND not_before = 0 AND waiting = 0;
CREATE INDEX job_delayed ON job (task, not_before) WHERE state = 'queued' AND not_before > 0 AND waiting = 0;
CREATE INDEX job_waiting ON job (id) WHERE state = 'queued' AND waiting > 0;

-- The same work done before.
CREATE INDEX job_spec ON job (spec_sha256, publish_model, id) WHERE state = 'succeeded';
