CREATE TABLE certificates (
    id UUID PRIMARY KEY,
    serial_number TEXT COLLATE "C" NOT NULL,
    -- SHA-256 of the certificate, hex
    fingerprint TEXT NOT NULL CONSTRAINT certificates_fingerprint_key UNIQUE,
    certificate_pem TEXT NOT NULL,
    -- sealed; NULL where the subject keeps its own key
    private_key_encrypted BYTEA,
    subject TEXT NOT NULL,
    issuer TEXT NOT NULL,
    common_name TEXT NOT NULL,
    organization TEXT,
    organizational_unit TEXT,
    valid_from TIMESTAMPTZ NOT NULL,
    valid_until TIMESTAMPTZ NOT NULL,
    cert_type TEXT NOT NULL
        CHECK (cert_type IN ('root_ca', 'intermediate_ca', 'agent_client', 'app_client', 'admin_client')),
    key_usage TEXT[] NOT NULL,
    revoked BOOLEAN NOT NULL,
    revoked_at TIMESTAMPTZ,
    revocation_reason TEXT,
    entity_id TEXT,
    entity_type TEXT,
    metadata JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    -- a serial number is unique with its issuer only (RFC 5280)
    CONSTRAINT certificates_serial_key UNIQUE (serial_number, issuer),
    CHECK (valid_until > valid_from),
    CHECK (NOT revoked OR revoked_at IS NOT NULL)
);
CREATE INDEX certificates_expiring ON certificates (valid_until) WHERE NOT revoked;
CREATE INDEX certificates_entity ON certificates (entity_type, entity_id) WHERE entity_id IS NOT NULL;
CREATE INDEX certificates_common_name ON certificates (common_name);
CREATE INDEX certificates_key_usage ON certificates USING GIN (key_usage);
CREATE INDEX certificates_metadata ON certificates USING GIN (metadata);
