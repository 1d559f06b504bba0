-- How many leases are on their way, which is counted whenever metrics are asked for.
CREATE INDEX leases_issuing ON leases (due_at) WHERE state = 'issuing';
CREATE INDEX leases_revoking ON leases (due_at) WHERE state = 'revoking';
