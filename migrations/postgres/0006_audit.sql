-- The audit chain. Few indexes, and those cheap to append to: they bound the rate of appends. No checks on the texts: a verifier must
-- be able to read a row that someone edited.
--
-- A unique constraint must hold the partition key, so that of sequence_number is not enough by itself: the lock of the row in
-- audit_head keeps the numbers distinct and without gaps.
CREATE TABLE audit_logs (
    event_id UUID NOT NULL,
    sequence_number BIGINT NOT NULL CHECK (sequence_number >= 1),
    timestamp TIMESTAMPTZ NOT NULL,
    event_type TEXT NOT NULL,
    actor_type TEXT,
    actor_id TEXT,
    token_accessor TEXT,
    role_name TEXT,
    agent_id TEXT,
    app_id TEXT,
    admin_id TEXT,
    agent_cert_fingerprint TEXT,
    app_cert_fingerprint TEXT,
    admin_cert_fingerprint TEXT,
    secret_id UUID,
    secret_path TEXT COLLATE "C",
    secret_version BIGINT,
    secret_type TEXT,
    lease_id UUID,
    access_granted BOOLEAN,
    policy_matched TEXT,
    denial_reason TEXT,
    source_ip INET,
    hostname TEXT,
    k8s_namespace TEXT,
    k8s_pod TEXT,
    event_data JSONB NOT NULL,
    response_time_ms BIGINT,
    correlation_id TEXT,
    batch_end BOOLEAN NOT NULL,
    previous_hash BYTEA NOT NULL,
    current_hash BYTEA NOT NULL,
    signature BYTEA,
    PRIMARY KEY (event_id, timestamp),
    CONSTRAINT audit_logs_sequence_key UNIQUE (sequence_number, timestamp)
) PARTITION BY RANGE (timestamp);

-- Months are made ahead of time (storage/partitions.rs); what has no month yet lands here, so an append never fails for want of one.
CREATE TABLE audit_logs_default PARTITION OF audit_logs DEFAULT;

CREATE INDEX audit_logs_actor ON audit_logs (actor_id, sequence_number);
CREATE INDEX audit_logs_secret_path ON audit_logs (secret_path, sequence_number);
CREATE INDEX audit_logs_event_type ON audit_logs (event_type, sequence_number);
CREATE INDEX audit_logs_denied ON audit_logs (sequence_number) WHERE access_granted = false;
CREATE INDEX audit_logs_lease ON audit_logs (lease_id, sequence_number) WHERE lease_id IS NOT NULL;
CREATE INDEX audit_logs_correlation ON audit_logs (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX audit_logs_event_data ON audit_logs USING GIN (event_data) WITH (fastupdate = on);

-- The end of the chain: one row, locked by whoever appends.
CREATE TABLE audit_head (
    id BIGINT PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    sequence_number BIGINT NOT NULL CHECK (sequence_number >= 0),
    current_hash BYTEA NOT NULL CHECK (length(current_hash) = 32),
    signature BYTEA,
    generation BIGINT NOT NULL CHECK (generation >= 0),
    updated_at TIMESTAMPTZ
);
INSERT INTO audit_head (id, sequence_number, current_hash, signature, generation, updated_at)
VALUES (1, 0, decode(repeat('00', 32), 'hex'), NULL, 0, NULL);

CREATE TABLE audit_checkpoints (
    sequence_number BIGINT PRIMARY KEY CHECK (sequence_number >= 0),
    hash BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
