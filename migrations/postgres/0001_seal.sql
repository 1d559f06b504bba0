-- The seal's configuration: one row, or none before initialisation.
CREATE TABLE seal_config (
    id BIGINT PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    set_id BYTEA NOT NULL,
    shares BIGINT NOT NULL CHECK (shares BETWEEN 1 AND 255),
    threshold BIGINT NOT NULL CHECK (threshold >= 1 AND threshold <= shares),
    seal_type TEXT NOT NULL CHECK (seal_type IN ('shamir', 'static')),
    wrapped_root_key BYTEA NOT NULL,
    audit_public_key BYTEA NOT NULL,
    audit_private_key_encrypted BYTEA NOT NULL,
    cluster_name TEXT NOT NULL,
    cluster_id UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    rekeyed_at TIMESTAMPTZ
);

-- The data keys, each wrapped by the root key; the highest version is the active one.
CREATE TABLE keyring (
    version BIGINT PRIMARY KEY CHECK (version >= 1),
    wrapped_key BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
