-- Version 1 of amend's database. Times are milliseconds since 1970 UTC; hashes are raw bytes; JSON is text.
-- Rows are only added: what a version is never changes after its transaction.

CREATE TABLE model (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    name_folded TEXT NOT NULL UNIQUE,            -- names that differ only in case are refused
    description TEXT NOT NULL DEFAULT '',
    private INTEGER NOT NULL DEFAULT 0 CHECK (private IN (0, 1)),
    labels TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(labels)),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    rev INTEGER NOT NULL DEFAULT 1,              -- grows with every change
    versions INTEGER NOT NULL DEFAULT 0,         -- without the empty v0
    logical_bytes INTEGER NOT NULL DEFAULT 0,    -- file sizes of all versions
    physical_bytes INTEGER NOT NULL DEFAULT 0    -- distinct blobs (model_blob)
) STRICT;

CREATE TABLE version (
    id INTEGER PRIMARY KEY,
    model INTEGER NOT NULL REFERENCES model (id),
    oid BLOB NOT NULL CHECK (length(oid) = 20),
    number INTEGER CHECK (number >= 0),          -- v<number>: commits on main
    parent INTEGER REFERENCES version (id) CHECK (parent < id),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    message TEXT NOT NULL,
    job TEXT,
    type TEXT,
    method TEXT,
    manifest_sha256 BLOB NOT NULL CHECK (length(manifest_sha256) = 32),
    recipe TEXT CHECK (recipe IS NULL OR json_valid(recipe)),
    warnings TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(warnings)),
    architecture TEXT,
    record TEXT NOT NULL,                        -- what oid is the hash of
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    new_bytes INTEGER NOT NULL,
    UNIQUE (model, oid),
    UNIQUE (model, number)
) STRICT;
CREATE INDEX version_model ON version (model, id);
CREATE INDEX version_job ON version (job) WHERE job IS NOT NULL;

CREATE TABLE ref (
    model INTEGER NOT NULL REFERENCES model (id),
    name TEXT NOT NULL,                          -- one name space: a name is a branch, a tag or an alias
    kind TEXT NOT NULL CHECK (kind IN ('branch', 'tag', 'alias')),
    version INTEGER NOT NULL REFERENCES version (id),
    rev INTEGER NOT NULL DEFAULT 1,
    moved_at INTEGER NOT NULL,
    moved_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (model, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX ref_version ON ref (version, name);

CREATE TABLE ref_move (                          -- every move, for ever
    id INTEGER PRIMARY KEY,
    model INTEGER NOT NULL REFERENCES model (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('create', 'move', 'rollback', 'delete', 'restore')),
    from_version INTEGER REFERENCES version (id),
    to_version INTEGER REFERENCES version (id),
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    job TEXT,
    gate INTEGER
) STRICT;
CREATE INDEX ref_move_ref ON ref_move (model, name, id);

CREATE TABLE blob (                              -- one row for each file in blobs/
    sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE model_blob (                        -- which blobs a model names: behind model.physical_bytes
    model INTEGER NOT NULL REFERENCES model (id),
    blob BLOB NOT NULL REFERENCES blob (sha256),
    PRIMARY KEY (model, blob)
) STRICT, WITHOUT ROWID;

CREATE TABLE layout (                            -- what a file's bytes are made of: no span when empty, one when whole
    id INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    tensors INTEGER CHECK (tensors >= 0),        -- rows in tensor; NULL: not looked at
    parameters TEXT CHECK (parameters IS NULL OR json_valid(parameters))
) STRICT;

CREATE TABLE span (                              -- ordered, gapless: at(n+1) = at(n) + bytes(n)
    layout INTEGER NOT NULL REFERENCES layout (id),
    seq INTEGER NOT NULL CHECK (seq >= 0),
    at INTEGER NOT NULL CHECK (at >= 0),
    blob BLOB NOT NULL REFERENCES blob (sha256),
    offset INTEGER NOT NULL CHECK (offset >= 0),
    bytes INTEGER NOT NULL CHECK (bytes > 0),
    PRIMARY KEY (layout, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX span_blob ON span (blob);

CREATE TABLE tensor (                            -- the tensor table of a safetensors file
    layout INTEGER NOT NULL REFERENCES layout (id),
    name TEXT NOT NULL,
    dtype TEXT NOT NULL,
    shape TEXT NOT NULL CHECK (json_valid(shape)),
    begin INTEGER NOT NULL CHECK (begin >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (layout, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE file (                              -- the manifest of a version
    version INTEGER NOT NULL REFERENCES version (id),
    path TEXT NOT NULL,
    layout INTEGER NOT NULL REFERENCES layout (id),
    git_sha1 BLOB CHECK (length(git_sha1) = 20), -- NULL: class lfs
    weights INTEGER NOT NULL CHECK (weights IN (0, 1)),
    PRIMARY KEY (version, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX file_layout ON file (layout);

CREATE TABLE edge (                              -- lineage; a cycle cannot be written
    child INTEGER NOT NULL REFERENCES version (id),
    parent INTEGER NOT NULL REFERENCES version (id),
    role TEXT NOT NULL,
    weight REAL,
    PRIMARY KEY (child, parent, role),
    CHECK (parent < child)
) STRICT, WITHOUT ROWID;
CREATE INDEX edge_parent ON edge (parent, child);

CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    method TEXT NOT NULL,
    task INTEGER NOT NULL GENERATED ALWAYS AS (type = 'task') VIRTUAL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')),
    priority INTEGER NOT NULL DEFAULT 50 CHECK (priority BETWEEN 0 AND 100), -- lower runs first
    attempt INTEGER NOT NULL DEFAULT 0,          -- every start; names staging
    failures INTEGER NOT NULL DEFAULT 0,         -- the worker's own
    max_attempts INTEGER NOT NULL DEFAULT 3,
    restarts INTEGER NOT NULL DEFAULT 0,         -- of daemon or machine
    planned_seconds REAL,
    not_before INTEGER NOT NULL DEFAULT 0,
    created_by TEXT NOT NULL,
    spec TEXT NOT NULL CHECK (json_valid(spec)),
    spec_sha256 BLOB NOT NULL CHECK (length(spec_sha256) = 32),
    resolved TEXT NOT NULL CHECK (json_valid(resolved)),
    plan TEXT NOT NULL CHECK (json_valid(plan)),
    metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
    publish TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(publish)),
    publish_model TEXT GENERATED ALWAYS AS (CAST(json_extract(publish, '$.model') AS TEXT)) VIRTUAL,
    result TEXT CHECK (result IS NULL OR json_valid(result)),
    error TEXT CHECK (error IS NULL OR json_valid(error)),
    warnings TEXT CHECK (warnings IS NULL OR json_valid(warnings)),
    lease_owner TEXT,
    rev INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER
) STRICT;
CREATE INDEX job_queued ON job (task, priority, id) WHERE state = 'queued';
CREATE INDEX job_open ON job (state) WHERE state IN ('running', 'cancelling');
CREATE INDEX job_state ON job (state, id);
CREATE INDEX job_type ON job (type, id);
CREATE INDEX job_method ON job (method, id);
CREATE INDEX job_created_by ON job (created_by, id);
CREATE INDEX job_publish_model ON job (publish_model, id);

CREATE TABLE job_count (                         -- kept by triggers: a full queue is known without counting it
    task INTEGER NOT NULL CHECK (task IN (0, 1)),
    state TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (task, state)
) STRICT, WITHOUT ROWID;
INSERT INTO job_count (task, state, n)
SELECT t.column1, s.column1, 0
  FROM (VALUES (0), (1)) AS t,
       (VALUES ('queued'), ('running'), ('cancelling'), ('succeeded'), ('failed'), ('cancelled')) AS s;
CREATE TRIGGER job_count_insert AFTER INSERT ON job BEGIN
    UPDATE job_count SET n = n + 1 WHERE task = (NEW.type = 'task') AND state = NEW.state;
END;
CREATE TRIGGER job_count_update AFTER UPDATE OF state ON job WHEN OLD.state <> NEW.state BEGIN
    UPDATE job_count SET n = n - 1 WHERE task = (OLD.type = 'task') AND state = OLD.state;
    UPDATE job_count SET n = n + 1 WHERE task = (NEW.type = 'task') AND state = NEW.state;
END;
CREATE TRIGGER job_count_delete AFTER DELETE ON job BEGIN
    UPDATE job_count SET n = n - 1 WHERE task = (OLD.type = 'task') AND state = OLD.state;
END;

CREATE TABLE job_event (                         -- audit, and replay of event streams
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL REFERENCES job (id),
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
CREATE INDEX job_event_job ON job_event (job, seq);

CREATE TABLE idempotency (                       -- written in the job's own transaction
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at);
