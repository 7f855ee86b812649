-- A database of version 2: that of version 1 and a model of which a file is put together from blobs of the other. Never edited.
BEGIN TRANSACTION;
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
INSERT INTO model VALUES(1,'demo/base','demo/base','stored by version 1',0,'{"team":"vision"}','ci',1764100000000,4,2,284,142);
INSERT INTO model VALUES(2,'demo/part','demo/part','stored by version 2',0,'{}','ci',1764200000000,2,1,82,142);
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
INSERT INTO version VALUES(1,1,X'64f0f9221c966085c94bcfc528b9c5b9393d08ba',0,NULL,1764100000000,'ci','initial commit',NULL,NULL,NULL,X'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',NULL,'[]',NULL,replace('am-commit/1\nmodel demo/base\ntime 2025-11-25T19:46:40.000Z\nauthor ci\njob -\nmessage 2135c38eb77d9d97c77fa9b545d106506bb58199b9de397bc3bbfb396015d7dc\n','\n',char(10)),0,0,0);
INSERT INTO version VALUES(2,1,X'4e812d90cd20815febc417a4010a177ebddcb05c',1,1,1764100001000,'ci','import',NULL,'task','import',X'b2134ff1c51a507e2bb26ee5e410b770b3f9123bfe1e951718b3a84ffb7d9b42',NULL,'[]',NULL,replace('am-commit/1\nmodel demo/base\nparent 64f0f9221c966085c94bcfc528b9c5b9393d08ba\ntime 2025-11-25T19:46:41.000Z\nauthor ci\njob -\nmessage d942f64886578d8747312e368ed92d9f6b2a8d45556f0f924e2444fe911d15af\nfile 0972e95c1405cc1507c19dcbe784f7a36c930907 22 config.json\nfile c1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00 120 model.safetensors\n','\n',char(10)),2,142,142);
INSERT INTO version VALUES(3,1,X'1e9bcf13d1253088b2c3c272cda4fd435d7ff3cb',2,2,1764100004000,'ci','merge','job_0199b0c0d0e07f008000000000000001','merge','linear',X'b2134ff1c51a507e2bb26ee5e410b770b3f9123bfe1e951718b3a84ffb7d9b42','{}','[]','MLP',replace('am-commit/1\nmodel demo/base\nparent 4e812d90cd20815febc417a4010a177ebddcb05c\ntime 2025-11-25T19:46:44.000Z\nauthor ci\njob job_0199b0c0d0e07f008000000000000001\nmessage 283128acef14943c127f7327ca8f57e7cd7c31ec6c5546de5d62ab16a2f9758a\nfile 0972e95c1405cc1507c19dcbe784f7a36c930907 22 config.json\nfile c1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00 120 model.safetensors\n','\n',char(10)),2,142,0);
INSERT INTO version VALUES(4,2,X'2121212121212121212121212121212121212121',0,NULL,1764200000000,'ci','initial commit',NULL,NULL,NULL,X'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',NULL,'[]',NULL,replace('am-commit/1\nmodel demo/base\ntime 2025-11-25T19:46:40.000Z\nauthor ci\njob -\nmessage 2135c38eb77d9d97c77fa9b545d106506bb58199b9de397bc3bbfb396015d7dc\n','\n',char(10)),0,0,0);
INSERT INTO version VALUES(5,2,X'2222222222222222222222222222222222222222',1,4,1764200001000,'ci','import',NULL,'task','import',X'b2134ff1c51a507e2bb26ee5e410b770b3f9123bfe1e951718b3a84ffb7d9b42',NULL,'[]',NULL,replace('am-commit/1\nmodel demo/base\nparent 64f0f9221c966085c94bcfc528b9c5b9393d08ba\ntime 2025-11-25T19:46:41.000Z\nauthor ci\njob -\nmessage d942f64886578d8747312e368ed92d9f6b2a8d45556f0f924e2444fe911d15af\nfile 0972e95c1405cc1507c19dcbe784f7a36c930907 22 config.json\nfile c1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00 120 model.safetensors\n','\n',char(10)),1,82,0);
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
INSERT INTO ref VALUES(1,'main','branch',3,3,1764100004000,'ci','commit');
INSERT INTO ref VALUES(1,'prod','alias',3,1,1764100005000,'ops','first');
INSERT INTO ref VALUES(2,'main','branch',5,2,1764200001000,'ci','commit');
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
INSERT INTO ref_move VALUES(1,1,'main','create',NULL,1,1764100000000,'ci','created with the model',NULL,NULL);
INSERT INTO ref_move VALUES(2,1,'main','move',1,2,1764100001000,'ci','commit',NULL,NULL);
INSERT INTO ref_move VALUES(3,1,'main','move',2,3,1764100004000,'ci','commit','job_0199b0c0d0e07f008000000000000001',NULL);
INSERT INTO ref_move VALUES(4,1,'prod','create',NULL,3,1764100005000,'ops','first','job_0199b0c0d0e07f008000000000000001',NULL);
INSERT INTO ref_move VALUES(5,2,'main','create',NULL,4,1764200000000,'ci','created with the model',NULL,NULL);
INSERT INTO ref_move VALUES(6,2,'main','move',4,5,1764200001000,'ci','commit',NULL,NULL);
CREATE TABLE blob (                              -- one row for each file in blobs/
    sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    created_at INTEGER NOT NULL
, damage TEXT CHECK (damage IN ('missing', 'size', 'sha256', 'unreadable')), damaged_at INTEGER) STRICT, WITHOUT ROWID;
INSERT INTO blob VALUES(X'c1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00',120,1764100001000,NULL,NULL);
INSERT INTO blob VALUES(X'd1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00',22,1764100001000,'size',1764200002000);
CREATE TABLE model_blob (                        -- which blobs a model names: behind model.physical_bytes
    model INTEGER NOT NULL REFERENCES model (id),
    blob BLOB NOT NULL REFERENCES blob (sha256),
    PRIMARY KEY (model, blob)
) STRICT, WITHOUT ROWID;
INSERT INTO model_blob VALUES(1,X'c1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00');
INSERT INTO model_blob VALUES(2,X'c1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00');
INSERT INTO model_blob VALUES(1,X'd1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00');
INSERT INTO model_blob VALUES(2,X'd1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00');
CREATE TABLE layout (                            -- what a file's bytes are made of: no span when empty, one when whole
    id INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    tensors INTEGER CHECK (tensors >= 0),        -- rows in tensor; NULL: not looked at
    parameters TEXT CHECK (parameters IS NULL OR json_valid(parameters))
, damage TEXT CHECK (damage IN ('sha256'))) STRICT;
INSERT INTO layout VALUES(1,22,X'd1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00',NULL,NULL,NULL);
INSERT INTO layout VALUES(2,120,X'c1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00',2,'{"F32":12}',NULL);
INSERT INTO layout VALUES(3,82,X'e1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00',NULL,NULL,NULL);
CREATE TABLE span (                              -- ordered, gapless: at(n+1) = at(n) + bytes(n)
    layout INTEGER NOT NULL REFERENCES layout (id),
    seq INTEGER NOT NULL CHECK (seq >= 0),
    at INTEGER NOT NULL CHECK (at >= 0),
    blob BLOB NOT NULL REFERENCES blob (sha256),
    offset INTEGER NOT NULL CHECK (offset >= 0),
    bytes INTEGER NOT NULL CHECK (bytes > 0),
    PRIMARY KEY (layout, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO span VALUES(1,0,0,X'd1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00',0,22);
INSERT INTO span VALUES(2,0,0,X'c1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00',0,120);
INSERT INTO span VALUES(3,0,0,X'c1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00',0,60);
INSERT INTO span VALUES(3,1,60,X'd1b2c3d4e5f60718293a4b5c6d7e8f90112233445566778899aabbccddeeff00',0,22);
CREATE TABLE tensor (                            -- the tensor table of a safetensors file
    layout INTEGER NOT NULL REFERENCES layout (id),
    name TEXT NOT NULL,
    dtype TEXT NOT NULL,
    shape TEXT NOT NULL CHECK (json_valid(shape)),
    begin INTEGER NOT NULL CHECK (begin >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (layout, name)
) STRICT, WITHOUT ROWID;
INSERT INTO tensor VALUES(2,'fc.bias','F32','[4]',104,16);
INSERT INTO tensor VALUES(2,'fc.weight','F32','[4,2]',72,32);
CREATE TABLE file (                              -- the manifest of a version
    version INTEGER NOT NULL REFERENCES version (id),
    path TEXT NOT NULL,
    layout INTEGER NOT NULL REFERENCES layout (id),
    git_sha1 BLOB CHECK (length(git_sha1) = 20), -- NULL: class lfs
    weights INTEGER NOT NULL CHECK (weights IN (0, 1)),
    PRIMARY KEY (version, path)
) STRICT, WITHOUT ROWID;
INSERT INTO file VALUES(2,'config.json',1,X'0972e95c1405cc1507c19dcbe784f7a36c930907',0);
INSERT INTO file VALUES(2,'model.safetensors',2,NULL,1);
INSERT INTO file VALUES(3,'config.json',1,X'0972e95c1405cc1507c19dcbe784f7a36c930907',0);
INSERT INTO file VALUES(3,'model.safetensors',2,NULL,1);
INSERT INTO file VALUES(5,'part.bin',3,NULL,0);
CREATE TABLE edge (                              -- lineage; a cycle cannot be written
    child INTEGER NOT NULL REFERENCES version (id),
    parent INTEGER NOT NULL REFERENCES version (id),
    role TEXT NOT NULL,
    weight REAL,
    PRIMARY KEY (child, parent, role),
    CHECK (parent < child)
) STRICT, WITHOUT ROWID;
INSERT INTO edge VALUES(3,2,'commit',NULL);
INSERT INTO edge VALUES(3,2,'model',0.5);
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
, rank INTEGER NOT NULL DEFAULT 0, short INTEGER NOT NULL DEFAULT 0 CHECK (short IN (0, 1)), time_limit INTEGER NOT NULL DEFAULT 0 CHECK (time_limit >= 0)) STRICT;
INSERT INTO job VALUES(1,'job_0199b0c0d0e07f008000000000000001','merge','linear','succeeded',50,1,0,3,0,NULL,0,'ci','{"type":"merge","method":"linear"}',X'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{}','{}','{}','{"model":"demo/base"}','{"published":true}',NULL,'[]',NULL,3,1764100002000,1764100003000,1764100004000,0,0,0);
CREATE TABLE job_count (                         -- kept by triggers: a full queue is known without counting it
    task INTEGER NOT NULL CHECK (task IN (0, 1)),
    state TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (task, state)
) STRICT, WITHOUT ROWID;
INSERT INTO job_count VALUES(0,'cancelled',0);
INSERT INTO job_count VALUES(0,'cancelling',0);
INSERT INTO job_count VALUES(0,'failed',0);
INSERT INTO job_count VALUES(0,'queued',0);
INSERT INTO job_count VALUES(0,'running',0);
INSERT INTO job_count VALUES(0,'succeeded',1);
INSERT INTO job_count VALUES(1,'cancelled',0);
INSERT INTO job_count VALUES(1,'cancelling',0);
INSERT INTO job_count VALUES(1,'failed',0);
INSERT INTO job_count VALUES(1,'queued',0);
INSERT INTO job_count VALUES(1,'running',0);
INSERT INTO job_count VALUES(1,'succeeded',0);
CREATE TABLE job_event (                         -- audit, and replay of event streams
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL REFERENCES job (id),
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
INSERT INTO job_event VALUES(1,1,1764100002000,'job.queued','{}');
INSERT INTO job_event VALUES(2,1,1764100003000,'job.running','{"attempt":1}');
INSERT INTO job_event VALUES(3,1,1764100004000,'job.succeeded','{"attempt":1}');
CREATE TABLE idempotency (                       -- written in the job's own transaction
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE blob_count (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    n INTEGER NOT NULL CHECK (n >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT;
INSERT INTO blob_count VALUES(1,2,142);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('job_event',3);
CREATE INDEX version_model ON version (model, id);
CREATE INDEX version_job ON version (job) WHERE job IS NOT NULL;
CREATE INDEX ref_version ON ref (version, name);
CREATE INDEX ref_move_ref ON ref_move (model, name, id);
CREATE INDEX span_blob ON span (blob);
CREATE INDEX file_layout ON file (layout);
CREATE INDEX edge_parent ON edge (parent, child);
CREATE INDEX job_open ON job (state) WHERE state IN ('running', 'cancelling');
CREATE INDEX job_state ON job (state, id);
CREATE INDEX job_type ON job (type, id);
CREATE INDEX job_method ON job (method, id);
CREATE INDEX job_created_by ON job (created_by, id);
CREATE INDEX job_publish_model ON job (publish_model, id);
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
CREATE INDEX job_event_job ON job_event (job, seq);
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE INDEX job_ready ON job (task, short, rank, id) WHERE state = 'queued' AND not_before = 0;
CREATE INDEX job_delayed ON job (task, not_before) WHERE state = 'queued' AND not_before > 0;
CREATE TRIGGER blob_count_insert AFTER INSERT ON blob BEGIN
    UPDATE blob_count SET n = n + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER blob_count_delete AFTER DELETE ON blob BEGIN
    UPDATE blob_count SET n = n - 1, bytes = bytes - OLD.bytes;
END;
CREATE INDEX blob_damaged ON blob (sha256) WHERE damage IS NOT NULL;
CREATE INDEX layout_damaged ON layout (id) WHERE damage IS NOT NULL;
CREATE INDEX model_blob_blob ON model_blob (blob);
COMMIT;
PRAGMA application_id=1634561636;
PRAGMA user_version=2;
