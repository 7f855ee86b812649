-- What versions said about the samples of a dataset.

CREATE TABLE prediction_set (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    version INTEGER REFERENCES version (id),     -- NULL: of a model that is not here
    model TEXT NOT NULL,                         -- as submitted: "ns/name@rev", or the name of a model elsewhere
    model_sha256 BLOB CHECK (length(model_sha256) = 32),
    dataset TEXT NOT NULL,                       -- by its name elsewhere
    dataset_sha256 BLOB CHECK (length(dataset_sha256) = 32),
    split TEXT,
    task TEXT NOT NULL,
    metric TEXT,
    n INTEGER NOT NULL CHECK (n > 0),
    ids INTEGER NOT NULL CHECK (ids BETWEEN 1 AND n),         -- distinct: fewer than n with replicates
    correct INTEGER CHECK (correct BETWEEN 0 AND n),          -- NULL: rows have a score and no verdict
    header TEXT NOT NULL CHECK (json_valid(header)),          -- the first line, with its defaults
    source TEXT NOT NULL CHECK (source IN ('upload', 'job')),
    job TEXT,                                    -- uid of what packed it
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK (version IS NULL OR model_sha256 IS NULL)
) STRICT;
CREATE INDEX prediction_set_version ON prediction_set (version, id) WHERE version IS NOT NULL;
CREATE INDEX prediction_set_model ON prediction_set (model, id) WHERE version IS NULL;
CREATE INDEX prediction_set_dataset ON prediction_set (dataset, id);

-- The stored files of a set, by its uid: an upload is held from the moment that its task is in the queue.
CREATE TABLE prediction_file (
    owner TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('upload', 'packed', 'ids')),
    layout INTEGER NOT NULL REFERENCES layout (id),
    gzip INTEGER NOT NULL DEFAULT 0 CHECK (gzip IN (0, 1)),
    PRIMARY KEY (owner, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX prediction_file_layout ON prediction_file (layout);

-- Who holds a file lets go of it: with the set, or with the task that could not pack it. The blob is the collector's.
CREATE TRIGGER prediction_set_delete AFTER DELETE ON prediction_set BEGIN
    DELETE FROM prediction_file WHERE owner = OLD.uid;
END;
CREATE TRIGGER prediction_job_end AFTER UPDATE OF state ON job
    WHEN NEW.type = 'task' AND NEW.method = 'pack' AND NEW.state IN ('failed', 'cancelled') BEGIN
    DELETE FROM prediction_file WHERE owner = json_extract(NEW.resolved, '$.prediction_set');
END;
CREATE TRIGGER prediction_file_delete AFTER DELETE ON prediction_file
    WHEN NOT EXISTS (SELECT 1 FROM file WHERE layout = OLD.layout)
    AND NOT EXISTS (SELECT 1 FROM prediction_file WHERE layout = OLD.layout) BEGIN
    DELETE FROM tensor WHERE layout = OLD.layout;
    DELETE FROM span WHERE layout = OLD.layout;
    DELETE FROM layout WHERE id = OLD.layout;
END;
