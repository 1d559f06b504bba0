-- What each generation of audit_head changed, for the caches of other nodes (src/service/cache.rs). Rows are removed after
-- 10,000 generations. Only PostgreSQL, the store of several nodes, fills it.
CREATE TABLE cache_effects (
    generation BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (generation, kind, key)
);
