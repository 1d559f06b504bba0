-- Which process has taken what, so that another one need not wait for the end of a claim whose process is proven to be over.
CREATE TABLE nodes (
    -- made anew by each start
    id UUID PRIMARY KEY,
    -- the running kernel and the PID namespace: a PID means the same to whoever has the same; empty: not known
    place TEXT NOT NULL,
    pid BIGINT NOT NULL,
    -- when the process began, in clock ticks since the kernel did
    began_ticks BIGINT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL
);
-- who issues it, or took it last to revoke it
ALTER TABLE leases ADD COLUMN claimed_by UUID;
-- who took it last to rotate it
ALTER TABLE account_rotations ADD COLUMN claimed_by UUID;
