CREATE TABLE secrets (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    secret_path TEXT NOT NULL UNIQUE CHECK (length(secret_path) BETWEEN 1 AND 500),
    secret_type TEXT NOT NULL CHECK (secret_type IN ('static', 'dynamic_role')),
    -- the sealed configuration of a dynamic role; NULL for a static secret, whose ciphertext is kept per version in secret_versions
    encrypted_data BLOB,
    -- the current version; 0 before the first
    version INTEGER NOT NULL CHECK (version >= 0),
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    description TEXT,
    -- 0 = no limit
    max_versions INTEGER NOT NULL CHECK (max_versions >= 0),
    rotation_enabled INTEGER NOT NULL CHECK (rotation_enabled IN (0, 1)),
    rotation_schedule TEXT,
    last_rotated_at TEXT,
    next_rotation_at TEXT,
    created_by TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK (encrypted_data IS NULL OR secret_type <> 'static')
) STRICT;
CREATE INDEX secrets_type_path ON secrets (secret_type, secret_path);
CREATE INDEX secrets_rotation_due ON secrets (next_rotation_at) WHERE rotation_enabled;

CREATE TABLE secret_versions (
    secret_id BLOB NOT NULL REFERENCES secrets (id) ON DELETE CASCADE,
    version INTEGER NOT NULL CHECK (version >= 1),
    -- NULL once destroyed
    encrypted_data BLOB,
    -- the data key that encrypted_data is sealed under
    key_version INTEGER NOT NULL CHECK (key_version >= 0),
    created_at TEXT NOT NULL,
    created_by TEXT,
    deleted_at TEXT,
    destroyed INTEGER NOT NULL CHECK (destroyed IN (0, 1)),
    PRIMARY KEY (secret_id, version),
    CHECK (NOT destroyed OR encrypted_data IS NULL)
) STRICT;
-- what is left to rewrap after a rotation of the data key
CREATE INDEX secret_versions_key ON secret_versions (key_version, secret_id, version) WHERE encrypted_data IS NOT NULL;
-- the versions that still have data: pruning looks at these alone, however many tombstones there are
CREATE INDEX secret_versions_data ON secret_versions (secret_id, version) WHERE encrypted_data IS NOT NULL;
