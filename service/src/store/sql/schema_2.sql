-- Version 2: requests that an escrow pays, transactions about them, and what they moved. Addresses are 20 bytes, amounts words of 32.

-- A job that is settled: what its proof and its settlement are bound to, as JSON. Its result is the settlement.
ALTER TABLE jobs ADD COLUMN binding BLOB;

CREATE TABLE requests (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    -- The id on the chain: it says chain, escrow and all terms, so that one request is here once.
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    chain INTEGER NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    state TEXT NOT NULL CHECK (state IN ('WAITING', 'DECLINED', 'ACCEPTING', 'ACCEPTED', 'PROVING', 'SETTLING', 'PAID',
        'LOST', 'REFUSING', 'REFUSED', 'CANCELLED', 'EXPIRED')),
    -- Why it is in this state.
    reason TEXT NOT NULL,
    -- The signed terms, encoded; not the text.
    terms BLOB NOT NULL,
    base BLOB NOT NULL CHECK (length(base) = 32),
    adapter BLOB CHECK (adapter IS NULL OR length(adapter) = 32),
    kind INTEGER NOT NULL,
    -- Seconds, by the chain's clock.
    deadline INTEGER NOT NULL,
    answer BLOB NOT NULL,
    -- The numbers of the decision, as JSON.
    decision TEXT,
    -- The latest block when it was decided on: what pays it is not before.
    from_block INTEGER,
    job BLOB,
    accept_tx BLOB CHECK (accept_tx IS NULL OR length(accept_tx) = 32),
    settle_tx BLOB CHECK (settle_tx IS NULL OR length(settle_tx) = 32),
    seq INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    CHECK (state <> 'PAID' OR settle_tx IS NOT NULL),
    CHECK (state NOT IN ('PROVING', 'SETTLING') OR job IS NOT NULL)
) STRICT;
CREATE INDEX requests_open ON requests (deadline)
    WHERE state IN ('WAITING', 'ACCEPTING', 'ACCEPTED', 'PROVING', 'SETTLING', 'REFUSING');
CREATE INDEX requests_of_tenant ON requests (tenant, id);

-- Wiped when the request has ended and its retention is over.
CREATE TABLE request_inputs (
    request BLOB PRIMARY KEY REFERENCES requests (id) ON DELETE CASCADE,
    token_ids BLOB NOT NULL,
    salt BLOB NOT NULL CHECK (length(salt) = 31)
) STRICT;

-- One row per transition, written with it.
CREATE TABLE request_events (
    request BLOB NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (request, seq)
) STRICT, WITHOUT ROWID;

-- What is to be sent: written before it is signed. A nonce is one intent's for good.
CREATE TABLE intents (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    chain INTEGER NOT NULL,
    account BLOB NOT NULL CHECK (length(account) = 20),
    kind TEXT NOT NULL CHECK (kind IN ('ACCEPT', 'SETTLE', 'REFUSE', 'WITHDRAW')),
    -- The request, or the token.
    subject BLOB NOT NULL CHECK (length(subject) = 32),
    request BLOB,
    target BLOB NOT NULL CHECK (length(target) = 20),
    data BLOB NOT NULL,
    -- Gas beyond the estimate.
    more_gas INTEGER NOT NULL,
    -- OPEN: not signed. SENT: signed, perhaps broadcast. DONE, FAILED: in a block. DEAD: given up, nothing of it will be in a block.
    state TEXT NOT NULL CHECK (state IN ('OPEN', 'SENT', 'DONE', 'FAILED', 'DEAD')),
    nonce INTEGER,
    reason TEXT,
    tx BLOB,
    block INTEGER,
    gas INTEGER,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    UNIQUE (chain, account, nonce),
    CHECK (state <> 'OPEN' OR nonce IS NULL),
    CHECK (state NOT IN ('SENT', 'DONE', 'FAILED') OR nonce IS NOT NULL),
    CHECK ((state IN ('DONE', 'FAILED')) = (tx IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX intents_in_flight ON intents (chain, account, kind, subject) WHERE state IN ('OPEN', 'SENT');
CREATE INDEX intents_of_request ON intents (request) WHERE request IS NOT NULL;

-- Signed transactions of an intent, all of one nonce: written before they are broadcast.
CREATE TABLE versions (
    intent BLOB NOT NULL REFERENCES intents (id),
    n INTEGER NOT NULL,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    raw BLOB NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (intent, n)
) STRICT, WITHOUT ROWID;

-- What the escrow moved for an account: each log of a transaction once.
CREATE TABLE ledger (
    chain INTEGER NOT NULL,
    tx BLOB NOT NULL CHECK (length(tx) = 32),
    log INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('EARNED', 'WITHDRAWN')),
    request BLOB CHECK (request IS NULL OR length(request) = 32),
    account BLOB NOT NULL CHECK (length(account) = 20),
    token BLOB NOT NULL CHECK (length(token) = 20),
    amount BLOB NOT NULL CHECK (length(amount) = 32),
    at INTEGER NOT NULL,
    PRIMARY KEY (chain, tx, log)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX ledger_of_request ON ledger (request) WHERE request IS NOT NULL;

-- Why nothing is accepted at present.
CREATE TABLE breaker (name TEXT PRIMARY KEY, reason TEXT NOT NULL, since INTEGER NOT NULL) STRICT;

-- Whoever takes the market's work over draws a larger one: writes of the one before change nothing from then on.
INSERT INTO counters VALUES ('broker', 0);
