-- Version 6: requests whose contributors are paid by shares.

-- The id of the index that the adapter was published with.
ALTER TABLE requests ADD COLUMN datanet BLOB CHECK (datanet IS NULL OR length(datanet) = 32);
