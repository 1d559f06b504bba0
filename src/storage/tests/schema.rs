use super::schema_certificates::CERTIFICATE_PLANS;
use crate::error::Result;
use crate::storage::db::{Db, StoreUrl, exec, on};
use crate::storage::migrations::migrate;
use crate::storage::testing::{PostgresDatabase, on_postgres, on_sqlite, shown};
use std::collections::BTreeSet;

/// The columns of every table, as the databases themselves describe them.
async fn columns(db: &Db) -> Result<BTreeSet<(String, String)>> {
    let mut tx = db.read().await?;
    let text = if db.is_postgres() {
        "SELECT table_name::text, column_name::text FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name <> 'audit_logs_default' AND table_name NOT LIKE '\\_%'"
    } else {
        "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND t.name NOT LIKE '\\_%' ESCAPE '\\'"
    };
    let rows: Vec<(String, String)> = on!(&mut tx, c => sqlx::query_as(text).fetch_all(c))?;
    Ok(rows.into_iter().collect())
}

#[tokio::test]
async fn tables_and_columns_are_the_same_on_both() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = shown(Db::connect(&StoreUrl::Sqlite(folder.path().join("t.db")), 2).await);
    shown(migrate(&sqlite).await);
    let database = PostgresDatabase::create().await;
    let postgres = shown(Db::connect(&database.url, 2).await);
    shown(migrate(&postgres).await);
    let found = (shown(columns(&sqlite).await), shown(columns(&postgres).await));
    postgres.close().await;
    database.drop().await;
    assert!(found.0.len() > 150);
    assert_eq!(found.0, found.1);
}

/// PostgreSQL names a partition's indexes after their columns: `audit_logs_default_sequence_number_idx` is that of refusals.
/// Statements in the form that the storage sends or will send, and the index that each must use without sorting.
const PLANS: [(&str, &str, &str); 26] = [
    (
        "SELECT id FROM secrets WHERE secret_path >= 'a' AND secret_path < 'b' ORDER BY secret_path LIMIT 9",
        "secrets_secret_path_key",
        "(secret_path>",
    ),
    (
        "SELECT id FROM secrets WHERE rotation_enabled AND next_rotation_at < '2026-01-01'",
        "secrets_rotation_due",
        "secrets_rotation_due",
    ),
    (
        "SELECT version FROM secret_versions WHERE encrypted_data IS NOT NULL AND key_version < 3 AND (key_version, secret_id, version) > (1, $1, 7) ORDER BY key_version, secret_id, version LIMIT 9",
        "secret_versions_key",
        "secret_versions_key",
    ),
    ("SELECT policies FROM tokens WHERE parent_accessor = $1", "tokens_parent", "tokens_parent"),
    ("SELECT policies FROM tokens WHERE role_id = $1", "tokens_role", "tokens_role"),
    (
        "SELECT role_id FROM role_secret_ids WHERE expires_at <= '2026-01-01' LIMIT 9",
        "role_secret_ids_expiry",
        "role_secret_ids_expiry",
    ),
    (
        "SELECT lease_id FROM leases WHERE engine_id = $1 AND due_at <= '2026-01-01' ORDER BY due_at LIMIT 9",
        "leases_due",
        "leases_due",
    ),
    (
        "SELECT last_revocation_error, expires_at FROM leases WHERE engine_id = $1 AND state = 'revoking' AND last_revocation_error IS NOT NULL ORDER BY expires_at LIMIT 1",
        "leases_refused",
        "leases_refused",
    ),
    ("SELECT 1 FROM leases WHERE state = 'issuing' LIMIT 9", "leases_issuing", "leases_issuing"),
    ("SELECT 1 FROM leases WHERE state = 'revoking' LIMIT 9", "leases_revoking", "leases_revoking"),
    ("SELECT name FROM engines WHERE pending_encrypted IS NOT NULL", "engines_pending", "engines_pending"),
    (
        "SELECT lease_id FROM leases WHERE secret_path >= 'a' AND secret_path < 'a/' AND (secret_path = 'a' OR secret_path > 'a.') AND NOT revoked",
        "leases_path",
        "leases_path",
    ),
    (
        "SELECT secret_id FROM leases WHERE token_accessor = $1 AND NOT revoked",
        "leases_token",
        "leases_token",
    ),
    ("SELECT secret_id FROM leases WHERE role_name = 'a' AND NOT revoked", "leases_role", "leases_role"),
    (
        "SELECT secret_id FROM leases WHERE actor_id = 'a' AND lease_id > $1 ORDER BY lease_id LIMIT 9",
        "leases_actor",
        "leases_actor",
    ),
    (
        "SELECT secret_id FROM leases WHERE actor_id = 'a' AND idempotency_key = 'k'",
        "leases_idempotency",
        "leases_idempotency",
    ),
    (
        "SELECT lease_id FROM leases WHERE revoked AND revoked_at < '2026-01-01' LIMIT 9",
        "leases_revoked",
        "leases_revoked",
    ),
    ("SELECT lease_id FROM leases WHERE secret_id = $1", "leases_secret", "leases_secret"),
    ("SELECT id FROM engine_roles WHERE engine_id = $1", "engine_roles_engine", "engine_roles_engine"),
    (
        "SELECT secret_id FROM account_rotations WHERE due_at <= '2026-01-01' ORDER BY due_at LIMIT 9",
        "account_rotations_due",
        "account_rotations_due",
    ),
    (
        "SELECT secret_id FROM leases WHERE NOT revoked AND expires_at < '2026-01-01' ORDER BY expires_at LIMIT 9",
        "leases_active_expiry",
        "leases_active_expiry",
    ),
    (
        "SELECT secret_id FROM leases WHERE agent_id = 'a' AND expires_at > '2026-01-01' ORDER BY expires_at",
        "leases_agent_expiry",
        "leases_agent_expiry",
    ),
    (
        "SELECT subject FROM certificates WHERE NOT revoked AND valid_until < '2026-01-01' ORDER BY valid_until",
        "certificates_expiring",
        "certificates_expiring",
    ),
    (
        "SELECT event_type FROM audit_logs WHERE access_granted = false ORDER BY sequence_number DESC LIMIT 3",
        "audit_logs_default_sequence_number_idx",
        "audit_logs_denied",
    ),
    (
        "SELECT event_type FROM audit_logs WHERE lease_id = $1 ORDER BY sequence_number DESC LIMIT 3",
        "audit_logs_default_lease_id_sequence_number_idx",
        "audit_logs_lease",
    ),
    (
        "SELECT event_type FROM audit_logs WHERE actor_id = 'x' AND sequence_number < 9 ORDER BY sequence_number DESC LIMIT 3",
        "audit_logs_default_actor_id_sequence_number_idx",
        "audit_logs_actor",
    ),
];

async fn plans(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    for (text, on_postgres, on_sqlite) in PLANS.into_iter().chain(CERTIFICATE_PLANS) {
        let plan = if db.is_postgres() {
            // small tables would be scanned whatever their indexes
            exec!(&mut tx, sqlx::query("SET LOCAL enable_seqscan = off"))?;
            exec!(&mut tx, sqlx::query("SET LOCAL enable_bitmapscan = off"))?;
            let text = text.replace("$1", "'00000000-0000-0000-0000-000000000000'");
            let steps: Vec<String> = on!(&mut tx, c => sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN {text}"))).fetch_all(c))?;
            steps
        } else {
            let steps: Vec<(i64, i64, i64, String)> = on!(&mut tx, c => sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"))).fetch_all(c))?;
            steps.into_iter().map(|step| step.3).collect()
        };
        let expected = if db.is_postgres() { on_postgres } else { on_sqlite };
        assert!(plan.iter().any(|step| step.contains(expected)), "{text}: {plan:#?}");
        assert!(
            !plan.iter().any(|step| step.contains("TEMP B-TREE") || step.contains("Sort")),
            "{text}: {plan:#?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn indexes_serve_on_sqlite() {
    on_sqlite(plans).await;
}

#[tokio::test]
async fn indexes_serve_on_postgres() {
    on_postgres(plans).await;
}

async fn postgres_types(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    for (table, column, expected) in [
        ("secrets", "id", "uuid"),
        ("secrets", "encrypted_data", "bytea"),
        ("secrets", "metadata", "jsonb"),
        ("secrets", "version", "bigint"),
        ("policies", "policy_document", "jsonb"),
        ("policies", "entity_bindings", "text[]"),
        ("roles", "role_id", "uuid"),
        ("roles", "bound_cidr_list", "text[]"),
        ("certificates", "key_usage", "text[]"),
        ("certificates", "names", "text[]"),
        ("certificate_crls", "crl_der", "bytea"),
        ("certificate_roles", "rules", "jsonb"),
        ("enrollments", "source_ip", "inet"),
        ("leases", "source_ip", "inet"),
        ("leases", "expires_at", "timestamp with time zone"),
        ("audit_logs", "source_ip", "inet"),
        ("audit_logs", "event_data", "jsonb"),
        ("audit_logs", "timestamp", "timestamp with time zone"),
    ] {
        let found: String = on!(&mut tx, c => sqlx::query_scalar(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = CAST($1 AS regclass) AND attname = CAST($2 AS name)"
        ).bind(table).bind(column).fetch_one(c))?;
        assert_eq!(found, expected, "{table}.{column}");
    }
    let key: String = on!(&mut tx, c => sqlx::query_scalar("SELECT pg_get_partkeydef('audit_logs'::regclass)").fetch_one(c))?;
    assert!(key.starts_with("RANGE"), "{key}");
    let indexes: Vec<String> = on!(&mut tx, c => sqlx::query_scalar("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'").fetch_all(c))?;
    for part in [
        "roles USING gin (policies)",
        "roles USING gin (token_policies)",
        "roles USING gin (bound_cidr_list)",
        "policies USING gin (policy_document)",
        "policies USING gin (entity_bindings)",
        "secrets USING gin (metadata)",
        "certificates USING gin (key_usage)",
        "certificates USING gin (names)",
        "certificates USING gin (metadata)",
        "certificate_roles USING gin (rules)",
        "enrollments USING gin (request)",
        "audit_logs USING gin (event_data) WITH (fastupdate='on')",
        "WHERE (access_granted = false)",
    ] {
        assert!(indexes.iter().any(|index| index.contains(part)), "{part}: {indexes:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn types_and_indexes_of_postgres() {
    on_postgres(postgres_types).await;
}

/// A change that refuses is undone if it wrote anything: what writes must say so, also if it returns rows.
#[test]
fn statements_that_change_something_say_so() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() || path.ends_with("db.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split("on!(").skip(1) {
            let statement = part.split("fetch_").next().unwrap();
            seen += 1;
            for verb in ["UPDATE ", "INSERT ", "DELETE "] {
                let writes = statement.replace("FOR UPDATE", "").contains(verb);
                assert!(!writes, "{}: change! instead of on!: {statement}", path.display());
            }
        }
    }
    assert!(seen > 50, "the statements were not found");
}
