-- A caller's own leases in the order in which they end; all of them are in leases_active_expiry.
CREATE INDEX leases_actor_ending ON leases (actor_id, expires_at, lease_id) WHERE NOT revoked;
