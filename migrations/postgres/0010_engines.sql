-- Engines, their roles and leases as the program uses them. No version before this one wrote a row into these tables.
DROP TABLE leases;
DROP TABLE engine_roles;
DROP TABLE engines;

CREATE TABLE engines (
    id UUID PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL CONSTRAINT engines_name_key UNIQUE CHECK (name <> ''),
    engine_type TEXT NOT NULL,
    description TEXT,
    -- the sealed connection settings; config_version is part of what the ciphertext is bound to
    config_encrypted BYTEA NOT NULL,
    config_version BIGINT NOT NULL CHECK (config_version >= 1),
    -- the data key that both ciphertexts are sealed under
    key_version BIGINT NOT NULL CHECK (key_version >= 0),
    -- sealed settings with a new secret for the engine's own account, until that is in force; bound to config_version + 1
    pending_encrypted BYTEA,
    -- the settings without their secrets
    config_shown JSONB NOT NULL,
    enabled BOOLEAN NOT NULL,
    max_ttl_seconds BIGINT CHECK (max_ttl_seconds > 0),
    -- NULL = no limit
    max_leases BIGINT CHECK (max_leases > 0),
    -- leases that are not revoked
    live_leases BIGINT NOT NULL CHECK (live_leases >= 0),
    root_rotated_at TIMESTAMPTZ,
    -- what the last comparison with the target found
    drift JSONB,
    metadata JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX engines_metadata ON engines USING GIN (metadata);
CREATE INDEX engines_pending ON engines (id) WHERE pending_encrypted IS NOT NULL;

-- Which engine a secret of type dynamic_role issues from. The role's sealed configuration is secrets.encrypted_data.
CREATE TABLE engine_roles (
    id UUID PRIMARY KEY,
    secret_id UUID NOT NULL CONSTRAINT engine_roles_secret_key UNIQUE REFERENCES secrets (id) ON DELETE CASCADE,
    engine_id UUID NOT NULL REFERENCES engines (id),
    -- the data key that secrets.encrypted_data is sealed under
    key_version BIGINT NOT NULL CHECK (key_version >= 0),
    default_ttl_seconds BIGINT NOT NULL CHECK (default_ttl_seconds > 0),
    max_ttl_seconds BIGINT NOT NULL,
    -- NULL = no limit
    max_leases BIGINT CHECK (max_leases > 0),
    max_renewals BIGINT CHECK (max_renewals >= 0),
    live_leases BIGINT NOT NULL CHECK (live_leases >= 0),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CHECK (default_ttl_seconds <= max_ttl_seconds)
);
CREATE INDEX engine_roles_engine ON engine_roles (engine_id);

CREATE TABLE leases (
    -- made in order of time (UUID version 7)
    lease_id UUID PRIMARY KEY,
    -- no foreign keys: a lease must be revoked even after its secret is gone
    secret_id UUID NOT NULL,
    secret_path TEXT COLLATE "C" NOT NULL,
    engine_id UUID NOT NULL,
    engine_type TEXT NOT NULL,
    agent_id TEXT,
    app_id TEXT,
    -- who asked: entity, or the accessor of a token without one
    actor_id TEXT COLLATE "C" NOT NULL,
    token_accessor UUID NOT NULL,
    role_name TEXT COLLATE "C",
    state TEXT NOT NULL CHECK (state IN ('issuing', 'active', 'revoking', 'revoked')),
    issued_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    -- no renewal passes it
    max_expires_at TIMESTAMPTZ NOT NULL,
    ttl_seconds BIGINT NOT NULL CHECK (ttl_seconds > 0),
    renewed_count BIGINT NOT NULL CHECK (renewed_count >= 0),
    last_renewed_at TIMESTAMPTZ,
    -- NULL = no limit
    max_renewals BIGINT CHECK (max_renewals >= 0),
    -- when it is to be seen to next: the end of an issue that went missing, the expiry, the next attempt to revoke; NULL once revoked
    due_at TIMESTAMPTZ,
    revoked BOOLEAN NOT NULL,
    revoked_at TIMESTAMPTZ,
    revocation_reason TEXT,
    revocation_attempts BIGINT NOT NULL CHECK (revocation_attempts >= 0),
    last_revocation_error TEXT,
    -- sealed; the plaintext's format is the engine's. NULL while issuing and once revoked
    credentials BYTEA,
    -- what revoking is helped by; never a credential
    engine_metadata JSONB NOT NULL,
    -- with the same key, the same caller gets the same lease
    idempotency_key TEXT COLLATE "C",
    source_ip INET,
    correlation_id TEXT,
    CHECK (expires_at >= issued_at),
    CHECK (revoked = (state = 'revoked')),
    CHECK (NOT revoked OR (revoked_at IS NOT NULL AND due_at IS NULL AND credentials IS NULL)),
    CHECK (revoked OR due_at IS NOT NULL)
);
CREATE INDEX leases_secret ON leases (secret_id);
CREATE INDEX leases_active_expiry ON leases (expires_at) WHERE NOT revoked;
CREATE INDEX leases_due ON leases (engine_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX leases_engine ON leases (engine_id, lease_id) WHERE NOT revoked;
CREATE INDEX leases_path ON leases (secret_path, lease_id) WHERE NOT revoked;
CREATE INDEX leases_token ON leases (token_accessor) WHERE NOT revoked;
CREATE INDEX leases_role ON leases (role_name) WHERE NOT revoked;
CREATE INDEX leases_actor ON leases (actor_id, lease_id);
CREATE INDEX leases_agent_expiry ON leases (agent_id, expires_at);
CREATE INDEX leases_app_expiry ON leases (app_id, expires_at) WHERE app_id IS NOT NULL;
CREATE UNIQUE INDEX leases_idempotency ON leases (actor_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX leases_revoked ON leases (revoked_at) WHERE revoked;
CREATE INDEX leases_correlation ON leases (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX leases_engine_metadata ON leases USING GIN (engine_metadata);

-- Long-lived accounts of a target whose password a static secret holds, and the password that is on its way.
CREATE TABLE account_rotations (
    secret_id UUID PRIMARY KEY REFERENCES secrets (id) ON DELETE CASCADE,
    engine_id UUID NOT NULL REFERENCES engines (id),
    account TEXT COLLATE "C" NOT NULL CHECK (account <> ''),
    -- the key of the secret's JSON object that holds the password, and of the account's name
    password_key TEXT NOT NULL,
    username_key TEXT NOT NULL,
    -- the sealed new password, stored before the target has it; bound to the secret's next version
    pending_encrypted BYTEA,
    pending_version BIGINT,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    -- when to try next; NULL: nothing is on its way
    due_at TIMESTAMPTZ,
    last_error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT account_rotations_account_key UNIQUE (engine_id, account),
    CHECK ((pending_encrypted IS NULL) = (pending_version IS NULL))
);
CREATE INDEX account_rotations_due ON account_rotations (due_at) WHERE due_at IS NOT NULL;
