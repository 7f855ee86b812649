-- What comparisons of two versions found: the body as the worker wrote it, and beside it the numbers that lists show.

CREATE TABLE report (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    method TEXT NOT NULL,
    job TEXT NOT NULL,                           -- uid
    old_version INTEGER REFERENCES version (id), -- NULL: of a model that is not here
    new_version INTEGER REFERENCES version (id),
    old TEXT NOT NULL,                           -- commit, or the name of a model elsewhere
    new TEXT NOT NULL,
    dataset TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    body TEXT NOT NULL CHECK (json_valid(body)), -- canonical JSON
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32), -- of it
    nfr REAL,                                    -- NULL: undefined, the body says why
    nfr_lower REAL,                              -- two-sided 95 %
    nfr_upper REAL,
    pfr REAL,
    relative_nfr REAL,
    accuracy_old REAL,
    accuracy_new REAL,
    accuracy_delta REAL,
    b INTEGER,
    c INTEGER,
    p_mid REAL,                                  -- of the paired test, two-sided
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX report_pair ON report (old_version, new_version, id);
CREATE INDEX report_new ON report (new_version, id);
CREATE INDEX report_dataset ON report (dataset, id);
CREATE INDEX report_job ON report (job);

CREATE TABLE report_file (
    owner TEXT NOT NULL,                         -- uid of the report
    kind TEXT NOT NULL CHECK (kind IN ('slices', 'samples')),
    layout INTEGER NOT NULL REFERENCES layout (id),
    PRIMARY KEY (owner, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_file_layout ON report_file (layout);

CREATE TRIGGER report_delete AFTER DELETE ON report BEGIN
    DELETE FROM report_file WHERE owner = OLD.uid;
END;
CREATE TRIGGER report_file_delete AFTER DELETE ON report_file
    WHEN NOT EXISTS (SELECT 1 FROM file WHERE layout = OLD.layout)
    AND NOT EXISTS (SELECT 1 FROM prediction_file WHERE layout = OLD.layout)
    AND NOT EXISTS (SELECT 1 FROM report_file WHERE layout = OLD.layout) BEGIN
    DELETE FROM tensor WHERE layout = OLD.layout;
    DELETE FROM span WHERE layout = OLD.layout;
    DELETE FROM layout WHERE id = OLD.layout;
END;
DROP TRIGGER prediction_file_delete;
CREATE TRIGGER prediction_file_delete AFTER DELETE ON prediction_file
    WHEN NOT EXISTS (SELECT 1 FROM file WHERE layout = OLD.layout)
    AND NOT EXISTS (SELECT 1 FROM prediction_file WHERE layout = OLD.layout)
    AND NOT EXISTS (SELECT 1 FROM report_file WHERE layout = OLD.layout) BEGIN
    DELETE FROM tensor WHERE layout = OLD.layout;
    DELETE FROM span WHERE layout = OLD.layout;
    DELETE FROM layout WHERE id = OLD.layout;
END;
