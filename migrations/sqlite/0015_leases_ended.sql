-- Pages of leases by a prefix of their paths: those that have ended, beside leases_path, which has those that have not.
CREATE INDEX leases_path_ended ON leases (secret_path, lease_id) WHERE revoked;
