CREATE TABLE secrets (
    id UUID PRIMARY KEY,
    -- "C": compared byte by byte, since lists and prefixes are ranges over it
    secret_path TEXT COLLATE "C" NOT NULL CONSTRAINT secrets_secret_path_key UNIQUE
        CHECK (length(secret_path) BETWEEN 1 AND 500),
    secret_type TEXT NOT NULL CHECK (secret_type IN ('static', 'dynamic_role')),
    -- the sealed configuration of a dynamic role; NULL for a static secret, whose ciphertext is kept per version in secret_versions
    encrypted_data BYTEA,
    -- the current version; 0 before the first
    version BIGINT NOT NULL CHECK (version >= 0),
    metadata JSONB NOT NULL,
    description TEXT,
    -- 0 = no limit
    max_versions BIGINT NOT NULL CHECK (max_versions >= 0),
    rotation_enabled BOOLEAN NOT NULL,
    rotation_schedule TEXT,
    last_rotated_at TIMESTAMPTZ,
    next_rotation_at TIMESTAMPTZ,
    created_by TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CHECK (encrypted_data IS NULL OR secret_type <> 'static')
);
CREATE INDEX secrets_type_path ON secrets (secret_type, secret_path);
CREATE INDEX secrets_metadata ON secrets USING GIN (metadata);
CREATE INDEX secrets_rotation_due ON secrets (next_rotation_at) WHERE rotation_enabled;

CREATE TABLE secret_versions (
    secret_id UUID NOT NULL REFERENCES secrets (id) ON DELETE CASCADE,
    version BIGINT NOT NULL CHECK (version >= 1),
    -- NULL once destroyed
    encrypted_data BYTEA,
    -- the data key that encrypted_data is sealed under
    key_version BIGINT NOT NULL CHECK (key_version >= 0),
    created_at TIMESTAMPTZ NOT NULL,
    created_by TEXT,
    deleted_at TIMESTAMPTZ,
    destroyed BOOLEAN NOT NULL,
    PRIMARY KEY (secret_id, version),
    CHECK (NOT destroyed OR encrypted_data IS NULL)
);
-- what is left to rewrap after a rotation of the data key
CREATE INDEX secret_versions_key ON secret_versions (key_version, secret_id, version) WHERE encrypted_data IS NOT NULL;
-- the versions that still have data: pruning looks at these alone, however many tombstones there are
CREATE INDEX secret_versions_data ON secret_versions (secret_id, version) WHERE encrypted_data IS NOT NULL;
