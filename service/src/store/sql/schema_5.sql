-- Version 5: jobs whose answers are attributed.

-- The id of the index.
ALTER TABLE jobs ADD COLUMN datanet BLOB CHECK (datanet IS NULL OR length(datanet) = 32);
