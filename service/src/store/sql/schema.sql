-- The truth of one service, version 1. Times are milliseconds since 1970; ids are 16 bytes, digests 32.

CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    weight INTEGER NOT NULL DEFAULT 1 CHECK (weight > 0),
    -- Work that was done for the tenant, divided by its weight: the smallest is served next.
    vtime INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE api_keys (
    id BLOB PRIMARY KEY CHECK (length(id) = 8),
    tenant TEXT NOT NULL REFERENCES tenants (id),
    secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
    scopes INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER
) STRICT;

-- Narrow: what is queried often. Inputs and answers lie elsewhere.
CREATE TABLE jobs (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    tenant TEXT NOT NULL REFERENCES tenants (id),
    request_id BLOB NOT NULL CHECK (length(request_id) = 16),
    body BLOB NOT NULL CHECK (length(body) = 32),
    state TEXT NOT NULL CHECK (state IN ('QUEUED', 'PROVING', 'PROVEN', 'FAILED', 'CANCELLED', 'EXPIRED')),
    base BLOB NOT NULL CHECK (length(base) = 32),
    adapter BLOB CHECK (adapter IS NULL OR length(adapter) = 32),
    kind INTEGER NOT NULL,
    tokens INTEGER NOT NULL CHECK (tokens > 0),
    context BLOB NOT NULL CHECK (length(context) = 32),
    -- Jobs with the same key may share a batch. It contains the tenant: an inference proof shows every text of its batch.
    batch_key BLOB NOT NULL CHECK (length(batch_key) = 32),
    deadline INTEGER,
    ready_at INTEGER NOT NULL,
    -- Failures of the work, and losses of who did it.
    attempt INTEGER NOT NULL DEFAULT 0,
    infra_attempt INTEGER NOT NULL DEFAULT 0,
    -- The largest batch that the job may be in: halved when a batch with it fails.
    max_batch INTEGER NOT NULL DEFAULT 16 CHECK (max_batch > 0),
    batch BLOB,
    place INTEGER,
    failure TEXT,
    seq INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    UNIQUE (tenant, request_id),
    CHECK (state NOT IN ('PROVING', 'PROVEN') OR (batch IS NOT NULL AND place IS NOT NULL)),
    CHECK (state <> 'QUEUED' OR batch IS NULL),
    CHECK ((state = 'FAILED') = (failure IS NOT NULL))
) STRICT;
CREATE INDEX jobs_ready ON jobs (tenant, ready_at) WHERE state = 'QUEUED';
CREATE INDEX jobs_open ON jobs (tenant) WHERE state IN ('QUEUED', 'PROVING');
CREATE INDEX jobs_due ON jobs (deadline) WHERE state IN ('QUEUED', 'PROVING') AND deadline IS NOT NULL;
CREATE INDEX jobs_ended ON jobs (updated) WHERE state NOT IN ('QUEUED', 'PROVING');
CREATE INDEX jobs_of_batch ON jobs (batch) WHERE batch IS NOT NULL;
CREATE INDEX jobs_of_tenant ON jobs (tenant, id);

-- Wiped when the job has ended and its retention is over.
CREATE TABLE job_inputs (
    job BLOB PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    token_ids BLOB NOT NULL,
    salt BLOB NOT NULL CHECK (length(salt) = 31)
) STRICT;

CREATE TABLE job_answers (
    job BLOB PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    answer BLOB NOT NULL
) STRICT;

-- One row per transition, written with it.
CREATE TABLE job_events (
    job BLOB NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    at INTEGER NOT NULL,
    cause TEXT NOT NULL,
    batch BLOB,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

-- Content by its SHA-256: small here, larger in a file of that name.
CREATE TABLE blobs (
    sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    bytes INTEGER NOT NULL,
    content BLOB
) STRICT;

-- A batch exists from its lease on; a job that is leased again is in another batch.
CREATE TABLE batches (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    tenant TEXT NOT NULL REFERENCES tenants (id),
    state TEXT NOT NULL CHECK (state IN ('LEASED', 'DONE', 'FAILED', 'LOST', 'CANCELLED')),
    owner TEXT NOT NULL,
    -- The fence: whoever writes names the epoch that it was given.
    epoch INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    created INTEGER NOT NULL,
    proof_sha256 BLOB REFERENCES blobs (sha256),
    requests INTEGER,
    tokens INTEGER,
    log_tile INTEGER,
    spent_ms INTEGER,
    CHECK ((state = 'DONE') = (proof_sha256 IS NOT NULL))
) STRICT;
CREATE INDEX batches_leased ON batches (lease_until) WHERE state = 'LEASED';
CREATE INDEX batches_of_proof ON batches (proof_sha256) WHERE proof_sha256 IS NOT NULL;

-- Epochs of leases come from here.
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO counters VALUES ('epoch', 0);
