//! New versions of secrets, any number of them by few statements: on PostgreSQL by one.

use crate::error::Result;
use crate::storage::batch::Later;
use crate::storage::db::{Connected, Tx};
use crate::storage::secrets::{REMEMBERED, SecretRow, VersionRow, columns, renewed, upsert_all};
use crate::storage::secrets_versions::{FORGET, columns as version_columns, insert_all};
use crate::storage::texts::{Texts, column, exec_rows};
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::HashMap;
use std::sync::LazyLock;
use uuid::Uuid;

/// How often a write looks at all older versions for something to prune; otherwise at those that have just become too many. A secret
/// is written again and again, and PostgreSQL keeps what was pruned in its indexes until it vacuums.
const SWEEP_EVERY: i64 = 64;

/// A secret as it is from now on, whether it is there already or not, with its new version; what is then one over is pruned. In a
/// batch it is put off.
///
/// # Errors
/// As any statement.
pub async fn write(tx: &mut Tx, secret: SecretRow, version: VersionRow) -> Result<()> {
    if let Some(ahead) = tx.ahead() {
        ahead.secrets.insert(secret.secret_path.clone(), Some(secret.clone()));
    }
    tx.put_off(Later::Version(Box::new(secret), Box::new(version))).await
}

/// The same for several, those of one secret in their order.
pub(super) async fn write_all(connection: &mut Connected, rows: Vec<(SecretRow, VersionRow)>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let plan = Plan::of(rows);
    match connection {
        Connected::Postgres(tx) => postgres(tx, &plan).await,
        Connected::Sqlite(_) => sqlite(connection, &plan).await,
    }
}

/// Versions of a secret above one number and up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    secret: Uuid,
    above: i64,
    upto: i64,
}

/// What several writes come to.
struct Plan {
    /// Each once, as the last write leaves it.
    secrets: Vec<SecretRow>,
    versions: Vec<VersionRow>,
    /// What loses its data, and what leaves no row behind.
    pruned: Vec<Span>,
    forgotten: Vec<Span>,
}

impl Plan {
    fn of(rows: Vec<(SecretRow, VersionRow)>) -> Self {
        let mut secrets: Vec<SecretRow> = Vec::with_capacity(rows.len());
        let mut versions = Vec::with_capacity(rows.len());
        // of each secret: where it stands in the list, and its first version here
        let mut places: HashMap<Uuid, (usize, i64)> = HashMap::with_capacity(rows.len());
        for (secret, version) in rows {
            let (place, _) = *places.entry(secret.id).or_insert((secrets.len(), version.version));
            if place == secrets.len() {
                secrets.push(secret)
            } else {
                secrets[place] = secret
            }
            versions.push(version);
        }
        let (mut pruned, mut forgotten) = (Vec::new(), Vec::new());
        for secret in &secrets {
            let first = places.get(&secret.id).map_or(secret.version, |(_, first)| *first);
            if secret.max_versions > 0 {
                pruned.extend(over(secret, first, secret.max_versions));
            }
            forgotten.extend(over(secret, first, REMEMBERED));
        }
        let ends: HashMap<Uuid, i64> = pruned.iter().map(|span| (span.secret, span.upto)).collect();
        for version in &mut versions {
            // written and pruned in one go
            if ends.get(&version.secret_id).is_some_and(|end| version.version <= *end) {
                version.encrypted_data = None;
                version.destroyed = true;
            }
        }
        Self { secrets, versions, pruned, forgotten }
    }
}

/// What is too many when this number is kept and `first` and those after it were added.
fn over(secret: &SecretRow, first: i64, kept: i64) -> Option<Span> {
    let current = secret.version;
    let upto = current - kept;
    let sweeps = (first - 1) / SWEEP_EVERY != current / SWEEP_EVERY;
    let above = if sweeps { 0 } else { (upto - (current - first + 1)).max(0) };
    (upto > 0).then_some(Span { secret: secret.id, above, upto })
}

async fn sqlite(connection: &mut Connected, plan: &Plan) -> Result<()> {
    upsert_all(connection, &plan.secrets).await?;
    insert_all(connection, &plan.versions).await?;
    exec_rows!(connection, &PRUNE_ALL, &plan.pruned, bind_span);
    let Connected::Sqlite(tx) = connection else { return Ok(()) };
    for span in &plan.forgotten {
        let query = sqlx::query(FORGET).bind(span.secret).bind(span.upto).bind(span.above);
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

macro_rules! bind_span {
    ($query:expr, $span:expr) => {
        $query.bind($span.secret).bind($span.above).bind($span.upto)
    };
}
use bind_span;

/// As [`PRUNE`](super::secrets_versions::PRUNE) of each span.
static PRUNE_ALL: LazyLock<Texts> = LazyLock::new(|| {
    let tail = ") UPDATE secret_versions SET encrypted_data = NULL, destroyed = true FROM p \
         WHERE secret_id = p.secret AND version > p.above AND version <= p.upto AND encrypted_data IS NOT NULL";
    Texts::new("WITH p (secret, above, upto) AS (VALUES ", 3, tail, 6)
});

/// All in one statement, whose parts see none of what the others do: what is pruned here is forgotten by a later one.
async fn postgres(connection: &mut PgConnection, plan: &Plan) -> Result<()> {
    let Plan { secrets, versions, pruned, forgotten } = plan;
    sqlx::query(POSTGRES)
        .bind(column!(secrets, row => row.id))
        .bind(column!(secrets, row => row.secret_path.as_str()))
        .bind(column!(secrets, row => row.secret_type.as_str()))
        .bind(column!(secrets, row => row.version))
        .bind(column!(secrets, row => Json(&row.metadata.0)))
        .bind(column!(secrets, row => row.description.as_deref()))
        .bind(column!(secrets, row => row.max_versions))
        .bind(column!(secrets, row => row.rotation_enabled))
        .bind(column!(secrets, row => row.rotation_schedule.as_deref()))
        .bind(column!(secrets, row => row.last_rotated_at))
        .bind(column!(secrets, row => row.next_rotation_at))
        .bind(column!(secrets, row => row.created_by.as_deref()))
        .bind(column!(secrets, row => row.created_at))
        .bind(column!(secrets, row => row.updated_at))
        .bind(column!(versions, row => row.secret_id))
        .bind(column!(versions, row => row.version))
        .bind(column!(versions, row => row.encrypted_data.as_deref()))
        .bind(column!(versions, row => row.key_version))
        .bind(column!(versions, row => row.created_at))
        .bind(column!(versions, row => row.created_by.as_deref()))
        .bind(column!(versions, row => row.deleted_at))
        .bind(column!(versions, row => row.destroyed))
        .bind(column!(pruned, span => span.secret))
        .bind(column!(pruned, span => span.above))
        .bind(column!(pruned, span => span.upto))
        .bind(column!(forgotten, span => span.secret))
        .bind(column!(forgotten, span => span.above))
        .bind(column!(forgotten, span => span.upto))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) const POSTGRES: &str = concat!(
    "WITH written AS (INSERT INTO secrets (",
    columns!(),
    ") SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::jsonb[], $6::text[], $7::bigint[], \
     $8::boolean[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::text[], $13::timestamptz[], $14::timestamptz[])",
    renewed!(),
    "), added AS (INSERT INTO secret_versions (",
    version_columns!(),
    ") SELECT * FROM UNNEST($15::uuid[], $16::bigint[], $17::bytea[], $18::bigint[], $19::timestamptz[], $20::text[], \
     $21::timestamptz[], $22::boolean[])), \
     pruned AS (UPDATE secret_versions SET encrypted_data = NULL, destroyed = true \
     FROM UNNEST($23::uuid[], $24::bigint[], $25::bigint[]) AS p (secret, above, upto) \
     WHERE secret_id = p.secret AND version > p.above AND version <= p.upto AND encrypted_data IS NOT NULL) \
     DELETE FROM secret_versions USING UNNEST($26::uuid[], $27::bigint[], $28::bigint[]) AS f (secret, above, upto) \
     WHERE secret_id = f.secret AND version > f.above AND version <= f.upto AND encrypted_data IS NULL"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::testing::at;

    fn written(id: Uuid, kept: i64, version: i64) -> (SecretRow, VersionRow) {
        let now = at(1);
        let secret = SecretRow::fresh(id, &format!("p{id}"), "static", "me", now);
        let new = VersionRow {
            secret_id: id,
            version,
            encrypted_data: Some(vec![1]),
            key_version: 1,
            created_at: now,
            created_by: None,
            deleted_at: None,
            destroyed: false,
        };
        (SecretRow { version, max_versions: kept, ..secret }, new)
    }

    #[test]
    fn many_writes_of_one_secret_come_to_one_row_and_prune_what_they_push_out() {
        let (often, once) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut rows: Vec<_> = (11..=15).map(|version| written(often, 3, version)).collect();
        rows.insert(2, written(once, 0, 700));
        let plan = Plan::of(rows);
        let secrets: Vec<_> = plan.secrets.iter().map(|row| (row.id, row.version)).collect();
        assert_eq!(secrets, [(often, 15), (once, 700)]);
        let destroyed: Vec<_> =
            plan.versions.iter().filter(|row| row.destroyed).map(|row| row.version).collect();
        assert_eq!(destroyed, [11, 12], "of five only three are kept");
        assert_eq!(
            plan.pruned,
            [Span { secret: often, above: 7, upto: 12 }],
            "without a number all are kept"
        );
        assert!(plan.forgotten.is_empty());
    }

    #[test]
    fn every_now_and_then_all_older_ones_are_looked_at() {
        let id = Uuid::from_u128(1);
        let span = |versions: std::ops::RangeInclusive<i64>| {
            Plan::of(versions.map(|version| written(id, 3, version)).collect()).pruned[0]
        };
        assert_eq!(span(63..=63), Span { secret: id, above: 59, upto: 60 });
        assert_eq!(span(64..=64).above, 0);
        assert_eq!(span(65..=70).above, 61);
        assert_eq!(span(60..=70).above, 0, "64 is among them");
        let plan = Plan::of(vec![written(id, 3, REMEMBERED + 5)]);
        assert_eq!(plan.forgotten, [Span { secret: id, above: 4, upto: 5 }]);
    }
}
