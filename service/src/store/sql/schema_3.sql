-- Version 3: what a reorganisation of the chain takes back.

-- The block by which it was believed: if another block is in its place, the belief is taken back.
ALTER TABLE intents ADD COLUMN seen_block INTEGER;
ALTER TABLE intents ADD COLUMN seen_hash BLOB CHECK (seen_hash IS NULL OR length(seen_hash) = 32);
ALTER TABLE requests ADD COLUMN seen_block INTEGER;
ALTER TABLE requests ADD COLUMN seen_hash BLOB CHECK (seen_hash IS NULL OR length(seen_hash) = 32);
ALTER TABLE ledger ADD COLUMN seen_block INTEGER;
ALTER TABLE ledger ADD COLUMN seen_hash BLOB CHECK (seen_hash IS NULL OR length(seen_hash) = 32);
CREATE INDEX intents_seen ON intents (chain, seen_block) WHERE seen_hash IS NOT NULL;
CREATE INDEX requests_seen ON requests (chain, seen_block) WHERE seen_hash IS NOT NULL;
CREATE INDEX ledger_seen ON ledger (chain, seen_block) WHERE seen_hash IS NOT NULL;

-- Two of a kind and subject can be in flight when an older one is taken back. Whoever writes a new one looks for others.
DROP INDEX intents_in_flight;
CREATE INDEX intents_in_flight ON intents (chain, account, kind, subject) WHERE state IN ('OPEN', 'SENT');
