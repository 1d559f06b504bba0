-- A caller's own leases in the order in which they end; all of them are in leases_active_expiry.
CREATE INDEX leases_actor_ending ON leases (actor_id, expires_at, lease_id) WHERE NOT revoked;

-- Most leases are of no agent, and what is in no index need not be written to it, when a lease begins and again when it is active.
DROP INDEX leases_agent_expiry;
CREATE INDEX leases_agent_expiry ON leases (agent_id, expires_at) WHERE agent_id IS NOT NULL;
