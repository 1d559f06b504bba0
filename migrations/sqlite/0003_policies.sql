CREATE TABLE policies (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE CHECK (name <> ''),
    description TEXT,
    policy_document TEXT NOT NULL CHECK (json_valid(policy_document)),
    -- entities that the policy holds for besides those whose token names it
    entity_bindings TEXT NOT NULL CHECK (json_valid(entity_bindings)),
    max_ttl_seconds INTEGER CHECK (max_ttl_seconds > 0),
    deny_policy INTEGER NOT NULL CHECK (deny_policy IN (0, 1)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
