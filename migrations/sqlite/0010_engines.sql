-- Engines, their roles and leases as the program uses them. No version before this one wrote a row into these tables.
DROP TABLE leases;
DROP TABLE engine_roles;
DROP TABLE engines;

CREATE TABLE engines (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE CHECK (name <> ''),
    engine_type TEXT NOT NULL,
    description TEXT,
    -- the sealed connection settings; config_version is part of what the ciphertext is bound to
    config_encrypted BLOB NOT NULL,
    config_version INTEGER NOT NULL CHECK (config_version >= 1),
    -- the data key that both ciphertexts are sealed under
    key_version INTEGER NOT NULL CHECK (key_version >= 0),
    -- sealed settings with a new secret for the engine's own account, until that is in force; bound to config_version + 1
    pending_encrypted BLOB,
    -- the settings without their secrets
    config_shown TEXT NOT NULL CHECK (json_valid(config_shown)),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    max_ttl_seconds INTEGER CHECK (max_ttl_seconds > 0),
    -- NULL = no limit
    max_leases INTEGER CHECK (max_leases > 0),
    -- leases that are not revoked
    live_leases INTEGER NOT NULL CHECK (live_leases >= 0),
    root_rotated_at TEXT,
    -- what the last comparison with the target found
    drift TEXT CHECK (json_valid(drift)),
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX engines_pending ON engines (id) WHERE pending_encrypted IS NOT NULL;

-- Which engine a secret of type dynamic_role issues from. The role's sealed configuration is secrets.encrypted_data.
CREATE TABLE engine_roles (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    secret_id BLOB NOT NULL UNIQUE REFERENCES secrets (id) ON DELETE CASCADE,
    engine_id BLOB NOT NULL REFERENCES engines (id),
    -- the data key that secrets.encrypted_data is sealed under
    key_version INTEGER NOT NULL CHECK (key_version >= 0),
    default_ttl_seconds INTEGER NOT NULL CHECK (default_ttl_seconds > 0),
    max_ttl_seconds INTEGER NOT NULL,
    -- NULL = no limit
    max_leases INTEGER CHECK (max_leases > 0),
    max_renewals INTEGER CHECK (max_renewals >= 0),
    live_leases INTEGER NOT NULL CHECK (live_leases >= 0),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK (default_ttl_seconds <= max_ttl_seconds)
) STRICT;
CREATE INDEX engine_roles_engine ON engine_roles (engine_id);

CREATE TABLE leases (
    -- made in order of time (UUID version 7)
    lease_id BLOB NOT NULL PRIMARY KEY CHECK (length(lease_id) = 16),
    -- no foreign keys: a lease must be revoked even after its secret is gone
    secret_id BLOB NOT NULL,
    secret_path TEXT NOT NULL,
    engine_id BLOB NOT NULL,
    engine_type TEXT NOT NULL,
    agent_id TEXT,
    app_id TEXT,
    -- who asked: entity, or the accessor of a token without one
    actor_id TEXT NOT NULL,
    token_accessor BLOB NOT NULL,
    role_name TEXT,
    state TEXT NOT NULL CHECK (state IN ('issuing', 'active', 'revoking', 'revoked')),
    issued_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    -- no renewal passes it
    max_expires_at TEXT NOT NULL,
    ttl_seconds INTEGER NOT NULL CHECK (ttl_seconds > 0),
    renewed_count INTEGER NOT NULL CHECK (renewed_count >= 0),
    last_renewed_at TEXT,
    -- NULL = no limit
    max_renewals INTEGER CHECK (max_renewals >= 0),
    -- when it is to be seen to next: the end of an issue that went missing, the expiry, the next attempt to revoke; NULL once revoked
    due_at TEXT,
    revoked INTEGER NOT NULL CHECK (revoked IN (0, 1)),
    revoked_at TEXT,
    revocation_reason TEXT,
    revocation_attempts INTEGER NOT NULL CHECK (revocation_attempts >= 0),
    last_revocation_error TEXT,
    -- sealed; the plaintext's format is the engine's. NULL while issuing and once revoked
    credentials BLOB,
    -- what revoking is helped by; never a credential
    engine_metadata TEXT NOT NULL CHECK (json_valid(engine_metadata)),
    -- with the same key, the same caller gets the same lease
    idempotency_key TEXT,
    source_ip TEXT,
    correlation_id TEXT,
    CHECK (expires_at >= issued_at),
    CHECK (revoked = (state = 'revoked')),
    CHECK (NOT revoked OR (revoked_at IS NOT NULL AND due_at IS NULL AND credentials IS NULL)),
    CHECK (revoked OR due_at IS NOT NULL)
) STRICT;
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

-- Long-lived accounts of a target whose password a static secret holds, and the password that is on its way.
CREATE TABLE account_rotations (
    secret_id BLOB NOT NULL PRIMARY KEY REFERENCES secrets (id) ON DELETE CASCADE,
    engine_id BLOB NOT NULL REFERENCES engines (id),
    account TEXT NOT NULL CHECK (account <> ''),
    -- the key of the secret's JSON object that holds the password, and of the account's name
    password_key TEXT NOT NULL,
    username_key TEXT NOT NULL,
    -- the sealed new password, stored before the target has it; bound to the secret's next version
    pending_encrypted BLOB,
    pending_version INTEGER,
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    -- when to try next; NULL: nothing is on its way
    due_at TEXT,
    last_error TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (engine_id, account),
    CHECK ((pending_encrypted IS NULL) = (pending_version IS NULL))
) STRICT;
CREATE INDEX account_rotations_due ON account_rotations (due_at) WHERE due_at IS NOT NULL;
