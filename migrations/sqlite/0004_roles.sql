-- AppRoles. secret_id_hash and secret_id_accessor are columns of role_secret_ids: a role has any number of them.
CREATE TABLE roles (
    role_id BLOB NOT NULL PRIMARY KEY CHECK (length(role_id) = 16),
    role_name TEXT NOT NULL UNIQUE CHECK (role_name <> ''),
    policies TEXT NOT NULL CHECK (json_valid(policies)),
    token_policies TEXT NOT NULL CHECK (json_valid(token_policies)),
    ttl_seconds INTEGER NOT NULL CHECK (ttl_seconds >= 0),
    max_ttl_seconds INTEGER NOT NULL CHECK (max_ttl_seconds >= 0),
    bind_secret_id INTEGER NOT NULL CHECK (bind_secret_id IN (0, 1)),
    -- 0 = no limit
    secret_id_num_uses INTEGER NOT NULL CHECK (secret_id_num_uses >= 0),
    secret_id_ttl_seconds INTEGER CHECK (secret_id_ttl_seconds > 0),
    bound_cidr_list TEXT NOT NULL CHECK (json_valid(bound_cidr_list)),
    token_bound_cidr_list TEXT NOT NULL CHECK (json_valid(token_bound_cidr_list)),
    -- 0 = no limit
    token_num_uses INTEGER NOT NULL CHECK (token_num_uses >= 0),
    token_period_seconds INTEGER CHECK (token_period_seconds > 0),
    entity_type TEXT NOT NULL CHECK (entity_type IN ('app', 'agent', 'admin')),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    description TEXT,
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK (ttl_seconds <= max_ttl_seconds)
) STRICT;

CREATE TABLE role_secret_ids (
    -- the seed's secret_id_accessor
    accessor BLOB NOT NULL PRIMARY KEY CHECK (length(accessor) = 16),
    role_id BLOB NOT NULL REFERENCES roles (role_id) ON DELETE CASCADE,
    -- never the SecretID itself
    secret_id_hash BLOB NOT NULL,
    -- NULL = no limit; the row goes with its last use
    uses_left INTEGER CHECK (uses_left >= 0),
    expires_at TEXT,
    bound_cidr_list TEXT NOT NULL CHECK (json_valid(bound_cidr_list)),
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_by TEXT,
    created_at TEXT NOT NULL,
    last_used_at TEXT,
    UNIQUE (role_id, secret_id_hash)
) STRICT;
CREATE INDEX role_secret_ids_role ON role_secret_ids (role_id, accessor);
CREATE INDEX role_secret_ids_expiry ON role_secret_ids (expires_at) WHERE expires_at IS NOT NULL;

-- Failed logins by subject (a role id or an address), for the lockout.
CREATE TABLE login_failures (
    subject TEXT NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL CHECK (failures >= 0),
    last_failed_at TEXT NOT NULL,
    locked_until TEXT
) STRICT;
CREATE INDEX login_failures_last ON login_failures (last_failed_at);
