-- Engines, the dynamic roles that issue from them, and the leases on what was issued.
CREATE TABLE engines (
    id UUID PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL CONSTRAINT engines_name_key UNIQUE CHECK (name <> ''),
    engine_type TEXT NOT NULL,
    description TEXT,
    -- the sealed connection settings
    config_encrypted BYTEA NOT NULL,
    key_version BIGINT NOT NULL CHECK (key_version >= 0),
    enabled BOOLEAN NOT NULL,
    metadata JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX engines_metadata ON engines USING GIN (metadata);

-- Which engine a secret of type dynamic_role issues from. The role's sealed configuration is secrets.encrypted_data.
CREATE TABLE engine_roles (
    id UUID PRIMARY KEY,
    secret_id UUID NOT NULL CONSTRAINT engine_roles_secret_key UNIQUE REFERENCES secrets (id) ON DELETE CASCADE,
    engine_id UUID NOT NULL REFERENCES engines (id),
    ttl_seconds BIGINT NOT NULL CHECK (ttl_seconds > 0),
    max_ttl_seconds BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CHECK (ttl_seconds <= max_ttl_seconds)
);
CREATE INDEX engine_roles_engine ON engine_roles (engine_id);

CREATE TABLE leases (
    lease_id UUID PRIMARY KEY,
    -- no foreign key: a lease must be revoked even after its secret is gone
    secret_id UUID NOT NULL,
    agent_id TEXT,
    app_id TEXT,
    issued_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    ttl_seconds BIGINT NOT NULL CHECK (ttl_seconds > 0),
    renewed_count BIGINT NOT NULL CHECK (renewed_count >= 0),
    last_renewed_at TIMESTAMPTZ,
    -- NULL = no limit
    max_renewals BIGINT CHECK (max_renewals >= 0),
    revoked BOOLEAN NOT NULL,
    revoked_at TIMESTAMPTZ,
    revocation_reason TEXT,
    -- sealed; the plaintext's format is the engine's
    credentials BYTEA,
    engine_type TEXT NOT NULL,
    -- what revoking needs; never a credential
    engine_metadata JSONB NOT NULL,
    source_ip INET,
    correlation_id TEXT,
    CHECK (expires_at >= issued_at),
    CHECK (NOT revoked OR revoked_at IS NOT NULL)
);
CREATE INDEX leases_secret ON leases (secret_id);
CREATE INDEX leases_active_expiry ON leases (expires_at) WHERE NOT revoked;
CREATE INDEX leases_agent_expiry ON leases (agent_id, expires_at);
CREATE INDEX leases_app_expiry ON leases (app_id, expires_at) WHERE app_id IS NOT NULL;
CREATE INDEX leases_correlation ON leases (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX leases_engine_metadata ON leases USING GIN (engine_metadata);
