CREATE TABLE certificates (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    serial_number TEXT NOT NULL,
    -- SHA-256 of the certificate, hex
    fingerprint TEXT NOT NULL UNIQUE,
    certificate_pem TEXT NOT NULL,
    -- sealed; NULL where the subject keeps its own key
    private_key_encrypted BLOB,
    subject TEXT NOT NULL,
    issuer TEXT NOT NULL,
    common_name TEXT NOT NULL,
    organization TEXT,
    organizational_unit TEXT,
    valid_from TEXT NOT NULL,
    valid_until TEXT NOT NULL,
    cert_type TEXT NOT NULL
        CHECK (cert_type IN ('root_ca', 'intermediate_ca', 'agent_client', 'app_client', 'admin_client')),
    key_usage TEXT NOT NULL CHECK (json_valid(key_usage)),
    revoked INTEGER NOT NULL CHECK (revoked IN (0, 1)),
    revoked_at TEXT,
    revocation_reason TEXT,
    entity_id TEXT,
    entity_type TEXT,
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_at TEXT NOT NULL,
    -- a serial number is unique with its issuer only (RFC 5280)
    UNIQUE (serial_number, issuer),
    CHECK (valid_until > valid_from),
    CHECK (NOT revoked OR revoked_at IS NOT NULL)
) STRICT;
CREATE INDEX certificates_expiring ON certificates (valid_until) WHERE NOT revoked;
CREATE INDEX certificates_entity ON certificates (entity_type, entity_id) WHERE entity_id IS NOT NULL;
CREATE INDEX certificates_common_name ON certificates (common_name);
