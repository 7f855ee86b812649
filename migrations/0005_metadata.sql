-- Version 5: a version keeps the metadata of the request that made it.

-- What the request that made a version said of it stays with the version, whatever becomes of its job's row.
ALTER TABLE version ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata));
UPDATE version SET metadata = ifnull((SELECT j.metadata FROM job j WHERE j.uid = version.job), '{}')
 WHERE job IS NOT NULL;
