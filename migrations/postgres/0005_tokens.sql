CREATE TABLE tokens (
    accessor UUID PRIMARY KEY,
    -- never the token itself
    token_hash BYTEA NOT NULL CONSTRAINT tokens_hash_key UNIQUE,
    -- purging takes leaves first, so a tree is never cut
    parent_accessor UUID REFERENCES tokens (accessor),
    display_name TEXT NOT NULL,
    entity TEXT,
    entity_type TEXT NOT NULL CHECK (entity_type IN ('app', 'agent', 'admin')),
    -- no foreign key: the record of a token outlives its role
    role_id UUID,
    role_name TEXT,
    policies TEXT[] NOT NULL,
    bound_cidr_list TEXT[] NOT NULL,
    ttl_seconds BIGINT CHECK (ttl_seconds >= 0),
    period_seconds BIGINT CHECK (period_seconds > 0),
    -- NULL = no limit
    uses_left BIGINT CHECK (uses_left >= 0),
    renewable BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    -- NULL = never
    expires_at TIMESTAMPTZ,
    max_expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    revocation_reason TEXT,
    metadata JSONB NOT NULL
);
CREATE INDEX tokens_parent ON tokens (parent_accessor) WHERE parent_accessor IS NOT NULL;
CREATE INDEX tokens_role ON tokens (role_id) WHERE role_id IS NOT NULL;
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX tokens_revoked ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX tokens_policies ON tokens USING GIN (policies);
