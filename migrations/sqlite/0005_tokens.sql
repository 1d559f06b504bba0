CREATE TABLE tokens (
    accessor BLOB NOT NULL PRIMARY KEY CHECK (length(accessor) = 16),
    -- never the token itself
    token_hash BLOB NOT NULL UNIQUE,
    -- purging takes leaves first, so a tree is never cut
    parent_accessor BLOB REFERENCES tokens (accessor),
    display_name TEXT NOT NULL,
    entity TEXT,
    entity_type TEXT NOT NULL CHECK (entity_type IN ('app', 'agent', 'admin')),
    -- no foreign key: the record of a token outlives its role
    role_id BLOB,
    role_name TEXT,
    policies TEXT NOT NULL CHECK (json_valid(policies)),
    bound_cidr_list TEXT NOT NULL CHECK (json_valid(bound_cidr_list)),
    ttl_seconds INTEGER CHECK (ttl_seconds >= 0),
    period_seconds INTEGER CHECK (period_seconds > 0),
    -- NULL = no limit
    uses_left INTEGER CHECK (uses_left >= 0),
    renewable INTEGER NOT NULL CHECK (renewable IN (0, 1)),
    created_at TEXT NOT NULL,
    -- NULL = never
    expires_at TEXT,
    max_expires_at TEXT,
    revoked_at TEXT,
    revocation_reason TEXT,
    metadata TEXT NOT NULL CHECK (json_valid(metadata))
) STRICT;
CREATE INDEX tokens_parent ON tokens (parent_accessor) WHERE parent_accessor IS NOT NULL;
CREATE INDEX tokens_role ON tokens (role_id) WHERE role_id IS NOT NULL;
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX tokens_revoked ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;
