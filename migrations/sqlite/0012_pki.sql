-- Certificates as the program uses them, authorities, roles and enrolments. No version before this one wrote a row into certificates.
DROP TABLE certificates;

CREATE TABLE certificates (
    -- made in order of time (UUID version 7)
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    serial_number TEXT NOT NULL,
    -- SHA-256 of the certificate, hex
    fingerprint TEXT NOT NULL UNIQUE,
    certificate_pem TEXT NOT NULL,
    -- sealed; NULL where the subject keeps its own key
    private_key_encrypted BLOB,
    -- the data key that private_key_encrypted is sealed under
    key_version INTEGER CHECK (key_version >= 0),
    subject TEXT NOT NULL,
    issuer TEXT NOT NULL,
    -- NULL: signed by itself or by an authority outside
    issuer_id BLOB REFERENCES certificates (id),
    common_name TEXT NOT NULL,
    organization TEXT,
    organizational_unit TEXT,
    -- subject alternative names, each as KIND:NAME
    names TEXT NOT NULL CHECK (json_valid(names)),
    valid_from TEXT NOT NULL,
    valid_until TEXT NOT NULL,
    cert_type TEXT NOT NULL
        CHECK (cert_type IN ('root_ca', 'intermediate_ca', 'agent_client', 'app_client', 'admin_client', 'server')),
    key_type TEXT NOT NULL,
    key_usage TEXT NOT NULL CHECK (json_valid(key_usage)),
    revoked INTEGER NOT NULL CHECK (revoked IN (0, 1)),
    revoked_at TEXT,
    revocation_reason TEXT,
    -- numbers the revocations of its issuer, from 1; NULL if no list of ours tells of it
    revocation_number INTEGER CHECK (revocation_number >= 1),
    entity_id TEXT,
    entity_type TEXT,
    -- no foreign keys: the record of a certificate outlives its role and the one it took the place of
    role_path TEXT,
    replaces BLOB,
    -- who asked: entity, or the accessor of a token without one
    requested_by TEXT NOT NULL,
    expiry_noticed INTEGER NOT NULL DEFAULT 0 CHECK (expiry_noticed IN (0, 1)),
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_at TEXT NOT NULL,
    -- a serial number is unique with its issuer only (RFC 5280)
    UNIQUE (serial_number, issuer),
    CHECK (valid_until > valid_from),
    CHECK (issuer_id <> id),
    CHECK ((private_key_encrypted IS NULL) = (key_version IS NULL)),
    CHECK (revoked = (revoked_at IS NOT NULL)),
    CHECK (revoked OR revocation_number IS NULL)
) STRICT;
CREATE INDEX certificates_issuer ON certificates (issuer_id, id) WHERE issuer_id IS NOT NULL;
CREATE UNIQUE INDEX certificates_issued ON certificates (issuer_id, serial_number) WHERE issuer_id IS NOT NULL;
CREATE UNIQUE INDEX certificates_revocations ON certificates (issuer_id, revocation_number) WHERE revocation_number IS NOT NULL;
CREATE INDEX certificates_expiring ON certificates (valid_until) WHERE NOT revoked;
CREATE INDEX certificates_revoked_expiry ON certificates (valid_until) WHERE revoked;
CREATE INDEX certificates_unnoticed ON certificates (valid_until) WHERE NOT revoked AND NOT expiry_noticed;
CREATE INDEX certificates_entity ON certificates (entity_id, id) WHERE entity_id IS NOT NULL;
CREATE INDEX certificates_requested_by ON certificates (requested_by, id);
CREATE INDEX certificates_type ON certificates (cert_type, id);
CREATE INDEX certificates_sealed ON certificates (key_version, id) WHERE key_version IS NOT NULL;
CREATE INDEX certificates_common_name ON certificates (common_name);

-- The certificates that sign others, with their keys here.
CREATE TABLE certificate_authorities (
    id BLOB NOT NULL PRIMARY KEY REFERENCES certificates (id),
    is_default INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    -- whether it signs new certificates; it answers for those it has signed in any case
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    -- the certificates above it, nearest first; '' for a root
    chain_pem TEXT NOT NULL,
    -- how many of its certificates were revoked, and how many of those its list holds
    revocations INTEGER NOT NULL CHECK (revocations >= 0),
    crl_covers INTEGER NOT NULL CHECK (crl_covers >= 0),
    -- of the latest list; an authority from elsewhere goes on from its own last number
    crl_number INTEGER NOT NULL CHECK (crl_number >= 0),
    -- NULL: there is no list yet
    crl_this_update TEXT,
    crl_next_update TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK (crl_covers <= revocations),
    CHECK ((crl_this_update IS NULL) = (crl_next_update IS NULL))
) STRICT;
CREATE UNIQUE INDEX certificate_authorities_default ON certificate_authorities (is_default) WHERE is_default;

-- The lists themselves: apart from the counters, since a list can have megabytes and each revocation changes its authority's row.
CREATE TABLE certificate_crls (
    id BLOB NOT NULL PRIMARY KEY REFERENCES certificate_authorities (id) ON DELETE CASCADE,
    crl_der BLOB NOT NULL
) STRICT;

-- Intermediate authorities whose certificate an authority outside is yet to sign.
CREATE TABLE pending_authorities (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    common_name TEXT NOT NULL,
    organization TEXT,
    organizational_unit TEXT,
    key_type TEXT NOT NULL,
    csr_pem TEXT NOT NULL,
    -- sealed
    private_key_encrypted BLOB NOT NULL,
    key_version INTEGER NOT NULL CHECK (key_version >= 0),
    requested_by TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE certificate_roles (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    path TEXT NOT NULL UNIQUE CHECK (path <> ''),
    -- NULL: the default authority
    issuer_id BLOB REFERENCES certificates (id),
    rules TEXT NOT NULL CHECK (json_valid(rules)),
    ttl_seconds INTEGER NOT NULL CHECK (ttl_seconds > 0),
    max_ttl_seconds INTEGER NOT NULL,
    renewable INTEGER NOT NULL CHECK (renewable IN (0, 1)),
    requires_approval INTEGER NOT NULL CHECK (requires_approval IN (0, 1)),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    description TEXT,
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CHECK (ttl_seconds <= max_ttl_seconds)
) STRICT;
CREATE INDEX certificate_roles_issuer ON certificate_roles (issuer_id) WHERE issuer_id IS NOT NULL;

-- Requests for certificates that an operator decides on.
CREATE TABLE enrollments (
    -- made in order of time (UUID version 7)
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    -- no foreign keys: what was decided stays known
    role_path TEXT NOT NULL,
    csr_pem TEXT NOT NULL,
    -- what was asked for beside the CSR
    request TEXT NOT NULL CHECK (json_valid(request)),
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired')),
    -- who asked: entity, or the accessor of a token without one
    requested_by TEXT NOT NULL,
    token_accessor BLOB NOT NULL,
    source_ip TEXT,
    certificate_id BLOB,
    decided_by TEXT,
    reason TEXT,
    created_at TEXT NOT NULL,
    decided_at TEXT,
    expires_at TEXT NOT NULL,
    CHECK ((state = 'pending') = (decided_at IS NULL)),
    CHECK ((state = 'approved') = (certificate_id IS NOT NULL)),
    CHECK (expires_at >= created_at)
) STRICT;
CREATE INDEX enrollments_state ON enrollments (state, id);
CREATE INDEX enrollments_requested_by ON enrollments (requested_by, id);
CREATE INDEX enrollments_role ON enrollments (role_path, id);
CREATE INDEX enrollments_pending ON enrollments (state, expires_at) WHERE state = 'pending';
CREATE INDEX enrollments_waiting ON enrollments (requested_by) WHERE state = 'pending';
CREATE INDEX enrollments_decided ON enrollments (decided_at) WHERE decided_at IS NOT NULL;

-- The client certificate that a token was got with. No foreign key: the record of a token outlives it.
ALTER TABLE tokens ADD COLUMN certificate_id BLOB;
ALTER TABLE tokens ADD COLUMN certificate_fingerprint TEXT CHECK ((certificate_fingerprint IS NULL) = (certificate_id IS NULL));
CREATE INDEX tokens_certificate ON tokens (certificate_id) WHERE certificate_id IS NOT NULL;
