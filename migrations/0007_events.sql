-- Events: one line of what happened, to jobs, models and all else. It takes in the events of jobs under their numbers.

CREATE TABLE event (                             -- replay of event streams; the oldest go after events.keep_days
    seq INTEGER PRIMARY KEY AUTOINCREMENT,       -- no gap but before the oldest
    at INTEGER NOT NULL,
    topic TEXT NOT NULL CHECK (topic IN ('jobs', 'models', 'reports', 'datasets', 'queue', 'tasks')),
    type TEXT NOT NULL,
    job INTEGER REFERENCES job (id),             -- whose list it is in as well; NULL: no job's
    job_seq INTEGER,                             -- its number there
    subject TEXT,                                -- what changed; NULL: the job
    model TEXT,                                  -- by name, also of models that are gone
    revision INTEGER,                            -- of the subject, after the change
    data TEXT NOT NULL CHECK (json_valid(data)),
    CHECK (subject IS NOT NULL OR job IS NOT NULL),
    CHECK ((job IS NULL) = (job_seq IS NULL))
) STRICT;
INSERT INTO event (seq, at, topic, type, job, job_seq, subject, model, data)
    SELECT e.seq, e.at,
        CASE WHEN e.type LIKE 'model.%' THEN 'models' WHEN j.type = 'task' THEN 'tasks' ELSE 'jobs' END,
        CASE WHEN j.type <> 'task' OR e.type LIKE 'model.%' THEN e.type
             WHEN e.type = 'job.running' THEN 'task.started'
             WHEN e.type IN ('job.succeeded', 'job.failed', 'job.cancelled') THEN 'task.finished'
             ELSE 'task.' || substr(e.type, 5) END,
        e.job, row_number() OVER (PARTITION BY e.job ORDER BY e.seq),
        iif(e.type LIKE 'model.%', json_extract(e.data, '$.model') || ifnull('@' || json_extract(e.data, '$.commit'), ''), NULL),
        ifnull(json_extract(e.data, '$.model'), j.publish_model),
        iif(j.type = 'task' AND e.type IN ('job.succeeded', 'job.failed', 'job.cancelled'),
            json_set(e.data, '$.status', substr(e.type, 5)), e.data)
    FROM job_event e JOIN job j ON j.id = e.job ORDER BY e.seq;
DROP TABLE job_event;
CREATE INDEX event_job ON event (job, job_seq) WHERE job IS NOT NULL;
CREATE INDEX event_topic ON event (topic, seq);
CREATE INDEX event_model ON event (model, seq) WHERE model IS NOT NULL;
