-- AppRoles. secret_id_hash and secret_id_accessor are columns of role_secret_ids: a role has any number of them.
CREATE TABLE roles (
    role_id UUID PRIMARY KEY,
    role_name TEXT COLLATE "C" NOT NULL CONSTRAINT roles_role_name_key UNIQUE CHECK (role_name <> ''),
    policies TEXT[] NOT NULL,
    token_policies TEXT[] NOT NULL,
    ttl_seconds BIGINT NOT NULL CHECK (ttl_seconds >= 0),
    max_ttl_seconds BIGINT NOT NULL CHECK (max_ttl_seconds >= 0),
    bind_secret_id BOOLEAN NOT NULL,
    -- 0 = no limit
    secret_id_num_uses BIGINT NOT NULL CHECK (secret_id_num_uses >= 0),
    secret_id_ttl_seconds BIGINT CHECK (secret_id_ttl_seconds > 0),
    bound_cidr_list TEXT[] NOT NULL,
    token_bound_cidr_list TEXT[] NOT NULL,
    -- 0 = no limit
    token_num_uses BIGINT NOT NULL CHECK (token_num_uses >= 0),
    token_period_seconds BIGINT CHECK (token_period_seconds > 0),
    entity_type TEXT NOT NULL CHECK (entity_type IN ('app', 'agent', 'admin')),
    enabled BOOLEAN NOT NULL,
    description TEXT,
    metadata JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CHECK (ttl_seconds <= max_ttl_seconds)
);
CREATE INDEX roles_policies ON roles USING GIN (policies);
CREATE INDEX roles_token_policies ON roles USING GIN (token_policies);
CREATE INDEX roles_bound_cidr_list ON roles USING GIN (bound_cidr_list);
CREATE INDEX roles_metadata ON roles USING GIN (metadata);

CREATE TABLE role_secret_ids (
    -- the seed's secret_id_accessor
    accessor UUID PRIMARY KEY,
    role_id UUID NOT NULL REFERENCES roles (role_id) ON DELETE CASCADE,
    -- never the SecretID itself
    secret_id_hash BYTEA NOT NULL,
    -- NULL = no limit; the row goes with its last use
    uses_left BIGINT CHECK (uses_left >= 0),
    expires_at TIMESTAMPTZ,
    bound_cidr_list TEXT[] NOT NULL,
    metadata JSONB NOT NULL,
    created_by TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ,
    CONSTRAINT role_secret_ids_hash_key UNIQUE (role_id, secret_id_hash)
);
CREATE INDEX role_secret_ids_role ON role_secret_ids (role_id, accessor);
CREATE INDEX role_secret_ids_expiry ON role_secret_ids (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX role_secret_ids_bound_cidr_list ON role_secret_ids USING GIN (bound_cidr_list);
CREATE INDEX role_secret_ids_metadata ON role_secret_ids USING GIN (metadata);

-- Failed logins by subject (a role id or an address), for the lockout.
CREATE TABLE login_failures (
    subject TEXT COLLATE "C" PRIMARY KEY,
    failures BIGINT NOT NULL CHECK (failures >= 0),
    last_failed_at TIMESTAMPTZ NOT NULL,
    locked_until TIMESTAMPTZ
);
CREATE INDEX login_failures_last ON login_failures (last_failed_at);
