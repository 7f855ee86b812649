-- Gate policies, and the decisions that were made by them.

CREATE TABLE gate (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL CHECK (revision > 0),           -- the newest; a gate that is made anew goes on counting
    deleted_at INTEGER
) STRICT;
CREATE TABLE gate_revision (                     -- never changed, so that "default@3" says the same for ever
    gate INTEGER NOT NULL REFERENCES gate (id),
    revision INTEGER NOT NULL,
    policy TEXT NOT NULL CHECK (json_valid(policy)),          -- the long form
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (gate, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE decision (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    gate TEXT,                                   -- NULL: a policy without a name, which the body holds
    revision INTEGER,
    old_version INTEGER REFERENCES version (id), -- NULL: of a model that is not here
    new_version INTEGER REFERENCES version (id),
    old TEXT NOT NULL,                           -- commit, or the name of a model elsewhere
    new TEXT NOT NULL,
    report TEXT,                                 -- uid
    job TEXT,                                    -- uid
    verdict TEXT NOT NULL CHECK (verdict IN ('promote', 'inconclusive', 'hold')),
    body TEXT NOT NULL CHECK (json_valid(body)),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK ((gate IS NULL) = (revision IS NULL))
) STRICT;
CREATE INDEX decision_new ON decision (new_version, id) WHERE new_version IS NOT NULL;
CREATE INDEX decision_report ON decision (report, id) WHERE report IS NOT NULL;
CREATE INDEX decision_verdict ON decision (verdict, id);
CREATE TRIGGER decision_update BEFORE UPDATE ON decision BEGIN
    SELECT raise(ABORT, 'a decision is never changed');
END;
CREATE TRIGGER decision_delete BEFORE DELETE ON decision BEGIN
    SELECT raise(ABORT, 'a decision is never removed');
END;

-- The gate that a protected ref asks, by its name; and in the history what let a move pass.
ALTER TABLE ref ADD COLUMN gate TEXT REFERENCES gate (name);
CREATE INDEX ref_gate ON ref (gate) WHERE gate IS NOT NULL;
ALTER TABLE ref_move DROP COLUMN gate; -- never written
ALTER TABLE ref_move ADD COLUMN decision INTEGER REFERENCES decision (id);
CREATE INDEX ref_move_decision ON ref_move (model, name, id) WHERE decision IS NOT NULL;
ALTER TABLE ref_move ADD COLUMN forced INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1));
