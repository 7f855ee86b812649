-- Version 3: what models share, what was read again when, and the trust of an edge.

ALTER TABLE edge ADD COLUMN trust REAL;          -- how far a robust merge trusted this contributor, 0 to 1

-- A blob that several models name is divided among them by what each reads from it, at most in one file.
ALTER TABLE model_blob ADD COLUMN named INTEGER NOT NULL DEFAULT 0 CHECK (named >= 0);
ALTER TABLE blob ADD COLUMN named INTEGER NOT NULL DEFAULT 0 CHECK (named >= 0); -- the sum of that, kept by triggers
UPDATE model_blob SET named = (SELECT ifnull(max(n), 0) FROM (
    SELECT sum(s.bytes) AS n FROM span s WHERE s.blob = model_blob.blob AND EXISTS (
        SELECT 1 FROM file f JOIN version v ON v.id = f.version WHERE f.layout = s.layout AND v.model = model_blob.model)
    GROUP BY s.layout));
UPDATE blob SET named = (SELECT ifnull(sum(k.named), 0) FROM model_blob k WHERE k.blob = blob.sha256);
CREATE TRIGGER model_blob_insert AFTER INSERT ON model_blob BEGIN
    UPDATE blob SET named = named + NEW.named WHERE sha256 = NEW.blob;
END;
CREATE TRIGGER model_blob_update AFTER UPDATE OF named ON model_blob BEGIN
    UPDATE blob SET named = named + NEW.named - OLD.named WHERE sha256 = NEW.blob;
END;
CREATE TRIGGER model_blob_delete AFTER DELETE ON model_blob BEGIN
    UPDATE blob SET named = named - OLD.named WHERE sha256 = OLD.blob;
END;
ALTER TABLE model DROP COLUMN physical_bytes;    -- it is a sum over model_blob now, and changes with other models

-- The scrub reads first what was not read for longest.
ALTER TABLE blob ADD COLUMN verified_at INTEGER; -- when a verify or scrub last read it; NULL: not since it came
CREATE INDEX blob_read ON blob (ifnull(verified_at, created_at));
