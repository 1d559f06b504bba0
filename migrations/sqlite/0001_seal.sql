-- Types on SQLite, in every file here: uuid = BLOB of 16 bytes; time = TEXT, RFC 3339 in UTC with as many fraction digits as
-- needed ('+' sorts before '.' and before digits, so text order is time order); bool = INTEGER 0/1; list = JSON array.

-- The seal's configuration: one row, or none before initialisation.
CREATE TABLE seal_config (
    id INTEGER PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    set_id BLOB NOT NULL,
    shares INTEGER NOT NULL CHECK (shares BETWEEN 1 AND 255),
    threshold INTEGER NOT NULL CHECK (threshold >= 1 AND threshold <= shares),
    seal_type TEXT NOT NULL CHECK (seal_type IN ('shamir', 'static')),
    wrapped_root_key BLOB NOT NULL,
    audit_public_key BLOB NOT NULL,
    audit_private_key_encrypted BLOB NOT NULL,
    cluster_name TEXT NOT NULL,
    cluster_id BLOB NOT NULL,
    created_at TEXT NOT NULL,
    rekeyed_at TEXT
) STRICT;

-- The data keys, each wrapped by the root key; the highest version is the active one.
CREATE TABLE keyring (
    version INTEGER PRIMARY KEY CHECK (version >= 1),
    wrapped_key BLOB NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
