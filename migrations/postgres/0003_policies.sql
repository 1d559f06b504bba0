CREATE TABLE policies (
    id UUID PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL CONSTRAINT policies_name_key UNIQUE CHECK (name <> ''),
    description TEXT,
    policy_document JSONB NOT NULL,
    -- entities that the policy holds for besides those whose token names it
    entity_bindings TEXT[] NOT NULL,
    max_ttl_seconds BIGINT CHECK (max_ttl_seconds > 0),
    deny_policy BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX policies_document ON policies USING GIN (policy_document);
CREATE INDEX policies_entity_bindings ON policies USING GIN (entity_bindings);
