-- Blobs that may still hold bytes of versions which have no files any more: a purge had to leave them (a job read them,
-- they were damaged, ...), or a gc removed the files and other versions read from the blob. The next purge of the model
-- or of one of its versions looks at them again. A row goes with the blob, or when a purge finds nothing more to remove.
CREATE TABLE purge_held (
    blob BLOB NOT NULL CHECK (length(blob) = 32),
    model INTEGER NOT NULL REFERENCES model (id),
    PRIMARY KEY (blob, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX purge_held_model ON purge_held (model);
