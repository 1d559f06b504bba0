-- The audit chain, in the order of its key: an append goes to the end of the table. Few indexes: they bound the rate of appends.
-- No checks on the texts: a verifier must be able to read a row that someone edited.
CREATE TABLE audit_logs (
    sequence_number INTEGER PRIMARY KEY CHECK (sequence_number >= 1),
    event_id BLOB NOT NULL UNIQUE CHECK (length(event_id) = 16),
    timestamp TEXT NOT NULL,
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
    secret_id BLOB,
    secret_path TEXT,
    secret_version INTEGER,
    secret_type TEXT,
    lease_id BLOB,
    access_granted INTEGER,
    policy_matched TEXT,
    denial_reason TEXT,
    source_ip TEXT,
    hostname TEXT,
    k8s_namespace TEXT,
    k8s_pod TEXT,
    event_data TEXT NOT NULL CHECK (json_valid(event_data)),
    response_time_ms INTEGER,
    correlation_id TEXT,
    batch_end INTEGER NOT NULL CHECK (batch_end IN (0, 1)),
    previous_hash BLOB NOT NULL,
    current_hash BLOB NOT NULL,
    signature BLOB
) STRICT;

CREATE INDEX audit_logs_actor ON audit_logs (actor_id, sequence_number);
CREATE INDEX audit_logs_secret_path ON audit_logs (secret_path, sequence_number);
CREATE INDEX audit_logs_event_type ON audit_logs (event_type, sequence_number);
CREATE INDEX audit_logs_denied ON audit_logs (sequence_number) WHERE access_granted = false;
CREATE INDEX audit_logs_lease ON audit_logs (lease_id, sequence_number) WHERE lease_id IS NOT NULL;
CREATE INDEX audit_logs_correlation ON audit_logs (correlation_id) WHERE correlation_id IS NOT NULL;

-- The end of the chain: one row.
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    sequence_number INTEGER NOT NULL CHECK (sequence_number >= 0),
    current_hash BLOB NOT NULL CHECK (length(current_hash) = 32),
    signature BLOB,
    generation INTEGER NOT NULL CHECK (generation >= 0),
    updated_at TEXT
) STRICT;
INSERT INTO audit_head (id, sequence_number, current_hash, signature, generation, updated_at)
VALUES (1, 0, zeroblob(32), NULL, 0, NULL);

CREATE TABLE audit_checkpoints (
    sequence_number INTEGER PRIMARY KEY CHECK (sequence_number >= 0),
    hash BLOB NOT NULL,
    signature BLOB NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
