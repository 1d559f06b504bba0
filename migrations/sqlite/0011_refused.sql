-- What the health of an engine looks at: the leases that could not be revoked yet.
CREATE INDEX leases_refused ON leases (engine_id, expires_at) WHERE state = 'revoking' AND last_revocation_error IS NOT NULL;
