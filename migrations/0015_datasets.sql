-- Datasets: named lines of immutable sets of samples, and what is known of each without reading it.

CREATE TABLE dataset (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,                   -- namespace/name
    name_folded TEXT NOT NULL UNIQUE,            -- names that differ only in case are refused
    description TEXT NOT NULL DEFAULT '',
    labels TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(labels)),
    numbers INTEGER NOT NULL DEFAULT 0,          -- given so far: a number is never given twice
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    rev INTEGER NOT NULL DEFAULT 1               -- grows with every change
) STRICT;

CREATE TABLE dataset_version (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,                    -- who holds its files
    dataset INTEGER NOT NULL REFERENCES dataset (id),
    number INTEGER NOT NULL CHECK (number > 0),
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),         -- of the content, unpacked
    format TEXT NOT NULL CHECK (format IN ('safetensors', 'jsonl')),
    ids TEXT NOT NULL CHECK (ids IN ('own', 'row')),          -- where the ids are from: the file, or the row numbers
    ids_sha256 BLOB NOT NULL CHECK (length(ids_sha256) = 32), -- of the dictionary of the ids
    rows INTEGER NOT NULL CHECK (rows > 0),
    classes INTEGER CHECK (classes > 0),         -- NULL: its labels are no classes, or there are none
    bytes INTEGER NOT NULL CHECK (bytes > 0),
    fields TEXT NOT NULL CHECK (json_valid(fields)),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    job TEXT,                                    -- uid of what indexed it
    about TEXT NOT NULL CHECK (json_valid(about)),            -- where the columns of its files lie (worker/contract.md)
    UNIQUE (dataset, number),
    UNIQUE (dataset, sha256)
) STRICT;

CREATE TABLE dataset_label (                     -- names of versions
    dataset INTEGER NOT NULL REFERENCES dataset (id),
    name TEXT NOT NULL,
    version INTEGER NOT NULL REFERENCES dataset_version (id),
    PRIMARY KEY (dataset, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX dataset_label_version ON dataset_label (version);

-- The stored files of a version, by its uid: an upload is held from the moment that its task is in the queue.
CREATE TABLE dataset_file (
    owner TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('upload', 'content', 'ids', 'rows')),
    layout INTEGER NOT NULL REFERENCES layout (id),
    PRIMARY KEY (owner, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX dataset_file_layout ON dataset_file (layout);

ALTER TABLE prediction_set ADD COLUMN dataset_version INTEGER REFERENCES dataset_version (id); -- NULL: kept elsewhere
CREATE INDEX prediction_set_dataset_version ON prediction_set (dataset_version, id) WHERE dataset_version IS NOT NULL;

-- Who holds a file lets go of it: with the version, and an upload with the end of its task. The blob is the collector's.
CREATE TRIGGER dataset_version_delete AFTER DELETE ON dataset_version BEGIN
    DELETE FROM dataset_file WHERE owner = OLD.uid;
END;
CREATE TRIGGER dataset_job_end AFTER UPDATE OF state ON job
    WHEN NEW.type = 'task' AND NEW.method = 'index' AND NEW.state IN ('succeeded', 'failed', 'cancelled') BEGIN
    DELETE FROM dataset_file WHERE owner = json_extract(NEW.resolved, '$.dataset_version') AND kind = 'upload';
END;

-- Every table that holds contents, for the triggers that drop a content when the last one lets go.
CREATE VIEW layout_held AS
    SELECT layout FROM file UNION ALL SELECT layout FROM prediction_file UNION ALL SELECT layout FROM report_file
    UNION ALL SELECT layout FROM dataset_file;
CREATE TRIGGER dataset_file_delete AFTER DELETE ON dataset_file
    WHEN NOT EXISTS (SELECT 1 FROM layout_held WHERE layout = OLD.layout) BEGIN
    DELETE FROM tensor WHERE layout = OLD.layout;
    DELETE FROM span WHERE layout = OLD.layout;
    DELETE FROM layout WHERE id = OLD.layout;
END;
DROP TRIGGER prediction_file_delete;
CREATE TRIGGER prediction_file_delete AFTER DELETE ON prediction_file
    WHEN NOT EXISTS (SELECT 1 FROM layout_held WHERE layout = OLD.layout) BEGIN
    DELETE FROM tensor WHERE layout = OLD.layout;
    DELETE FROM span WHERE layout = OLD.layout;
    DELETE FROM layout WHERE id = OLD.layout;
END;
DROP TRIGGER report_file_delete;
CREATE TRIGGER report_file_delete AFTER DELETE ON report_file
    WHEN NOT EXISTS (SELECT 1 FROM layout_held WHERE layout = OLD.layout) BEGIN
    DELETE FROM tensor WHERE layout = OLD.layout;
    DELETE FROM span WHERE layout = OLD.layout;
    DELETE FROM layout WHERE id = OLD.layout;
END;
