-- Engines, the dynamic roles that issue from them, and the leases on what was issued.
CREATE TABLE engines (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE CHECK (name <> ''),
    engine_type TEXT NOT NULL,
    description TEXT,
    -- the sealed connection settings
    config_encrypted BLOB NOT NULL,
    key_version INTEGER NOT NULL CHECK (key_version >= 0),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

-- Which engine a secret of type dynamic_role issues from. The role's sealed configuration is secrets.encrypted_data.
CREATE TABLE engine_roles (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    secret_id BLOB NOT NULL UNIQUE REFERENCES secrets (id) ON DELETE CASCADE,
    engine_id BLOB NOT NULL REFERENCES engines (id),
    ttl_seconds INTEGER NOT NULL CHECK (ttl_seconds > 0),
    max_ttl_seconds INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK (ttl_seconds <= max_ttl_seconds)
) STRICT;
CREATE INDEX engine_roles_engine ON engine_roles (engine_id);

CREATE TABLE leases (
    lease_id BLOB NOT NULL PRIMARY KEY CHECK (length(lease_id) = 16),
    -- no foreign key: a lease must be revoked even after its secret is gone
    secret_id BLOB NOT NULL,
    agent_id TEXT,
    app_id TEXT,
    issued_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    ttl_seconds INTEGER NOT NULL CHECK (ttl_seconds > 0),
    renewed_count INTEGER NOT NULL CHECK (renewed_count >= 0),
    last_renewed_at TEXT,
    -- NULL = no limit
    max_renewals INTEGER CHECK (max_renewals >= 0),
    revoked INTEGER NOT NULL CHECK (revoked IN (0, 1)),
    revoked_at TEXT,
    revocation_reason TEXT,
    -- sealed; the plaintext's format is the engine's
    credentials BLOB,
    engine_type TEXT NOT NULL,
    -- what revoking needs; never a credential
    engine_metadata TEXT NOT NULL CHECK (json_valid(engine_metadata)),
    source_ip TEXT,
    correlation_id TEXT,
    CHECK (expires_at >= issued_at),
    CHECK (NOT revoked OR revoked_at IS NOT NULL)
) STRICT;
CREATE INDEX leases_secret ON leases (secret_id);
CREATE INDEX leases_active_expiry ON leases (expires_at) WHERE NOT revoked;
CREATE INDEX leases_agent_expiry ON leases (agent_id, expires_at);
CREATE INDEX leases_app_expiry ON leases (app_id, expires_at) WHERE app_id IS NOT NULL;
CREATE INDEX leases_correlation ON leases (correlation_id) WHERE correlation_id IS NOT NULL;
