-- Version 4: settlements of several requests.

-- Jobs that are bound together: a batch has all of them or none.
ALTER TABLE jobs ADD COLUMN group_id BLOB CHECK (group_id IS NULL OR length(group_id) = 16);
ALTER TABLE jobs ADD COLUMN group_size INTEGER NOT NULL DEFAULT 1 CHECK (group_size > 0);
CREATE INDEX jobs_of_group ON jobs (group_id) WHERE group_id IS NOT NULL;

-- The requests that a transaction is about.
CREATE TABLE intent_requests (
    intent BLOB NOT NULL REFERENCES intents (id),
    request BLOB NOT NULL CHECK (length(request) = 16),
    PRIMARY KEY (intent, request)
) STRICT, WITHOUT ROWID;
INSERT INTO intent_requests (intent, request) SELECT id, request FROM intents WHERE request IS NOT NULL;
CREATE INDEX intent_requests_of ON intent_requests (request);
DROP INDEX intents_of_request;
ALTER TABLE intents DROP COLUMN request;
