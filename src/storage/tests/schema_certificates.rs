//! What the tables of certificates are asked.

/// Statements as `schema.rs` explains them: with the index that each must use, on PostgreSQL and on SQLite.
pub(super) const CERTIFICATE_PLANS: [(&str, &str, &str); 22] = [
    (
        "SELECT revoked FROM certificates WHERE serial_number = 'a' AND issuer_id = $1",
        "certificates_issued",
        "certificates_issued (issuer_id=? AND serial_number=?)",
    ),
    (
        "SELECT subject FROM certificates WHERE serial_number = 'a'",
        "certificates_serial_key",
        "(serial_number=",
    ),
    (
        "SELECT c.subject FROM certificate_authorities a CROSS JOIN certificates c WHERE c.id = a.id AND NOT c.revoked AND c.valid_until > '2026-01-01' ORDER BY a.id LIMIT 9",
        "certificates_pkey",
        "SEARCH c USING INDEX sqlite_autoindex_certificates_1 (id=?)",
    ),
    (
        "SELECT subject FROM certificates WHERE fingerprint = 'a'",
        "certificates_fingerprint_key",
        "(fingerprint=",
    ),
    (
        "SELECT serial_number FROM certificates WHERE issuer_id = $1 AND revocation_number > 7 ORDER BY revocation_number LIMIT 9",
        "certificates_revocations",
        "certificates_revocations",
    ),
    (
        "SELECT subject FROM certificates WHERE NOT revoked AND NOT expiry_noticed AND valid_until > '2025-01-01' AND valid_until <= '2026-01-01' ORDER BY valid_until LIMIT 9",
        "certificates_unnoticed",
        "certificates_unnoticed",
    ),
    (
        "SELECT id FROM certificates WHERE revoked AND valid_until < '2026-01-01'",
        "certificates_revoked_expiry",
        "certificates_revoked_expiry",
    ),
    (
        "SELECT subject FROM certificates WHERE key_version < 3 ORDER BY key_version, id LIMIT 9",
        "certificates_sealed",
        "certificates_sealed",
    ),
    (
        "SELECT subject FROM certificates WHERE issuer_id = $1 AND id > $1 ORDER BY id LIMIT 9",
        "certificates_issuer",
        "certificates_issuer",
    ),
    (
        "SELECT subject FROM certificates WHERE cert_type = 'a' AND id > $1 ORDER BY id LIMIT 9",
        "certificates_type",
        "certificates_type",
    ),
    (
        "SELECT subject FROM certificates WHERE entity_id = 'a' AND id > $1 ORDER BY id LIMIT 9",
        "certificates_entity",
        "certificates_entity",
    ),
    (
        "SELECT subject FROM certificates WHERE requested_by = 'a' AND id > $1 ORDER BY id LIMIT 9",
        "certificates_requested_by",
        "certificates_requested_by",
    ),
    (
        "SELECT enabled FROM certificate_authorities WHERE is_default",
        "certificate_authorities_default",
        "certificate_authorities_default",
    ),
    (
        "SELECT 1 FROM certificate_roles WHERE issuer_id = $1",
        "certificate_roles_issuer",
        "certificate_roles_issuer",
    ),
    (
        "SELECT id FROM certificate_roles WHERE path >= 'a' AND path < 'a/' AND (path = 'a' OR path > 'a.') ORDER BY path LIMIT 9",
        "certificate_roles_path_key",
        "(path>",
    ),
    (
        "SELECT reason FROM enrollments WHERE state = 'pending' AND id > $1 ORDER BY id LIMIT 9",
        "enrollments_state",
        "enrollments_state",
    ),
    (
        "SELECT reason FROM enrollments WHERE requested_by = 'a' AND id > $1 ORDER BY id LIMIT 9",
        "enrollments_requested_by",
        "enrollments_requested_by",
    ),
    (
        "SELECT reason FROM enrollments WHERE role_path = 'a' AND id > $1 ORDER BY id LIMIT 9",
        "enrollments_role",
        "enrollments_role",
    ),
    (
        "SELECT count(*) FROM enrollments WHERE requested_by = 'a' AND state = 'pending'",
        "enrollments_waiting",
        "enrollments_waiting",
    ),
    (
        "SELECT id FROM enrollments WHERE state = 'pending' AND expires_at <= '2026-01-01' ORDER BY expires_at LIMIT 9",
        "enrollments_pending",
        "enrollments_pending",
    ),
    (
        "SELECT id FROM enrollments WHERE decided_at < '2026-01-01' LIMIT 9",
        "enrollments_decided",
        "enrollments_decided",
    ),
    ("SELECT policies FROM tokens WHERE certificate_id = $1", "tokens_certificate", "tokens_certificate"),
];
