//! Certificates coming in, any number by one statement on PostgreSQL and by few on SQLite.

use crate::error::{Error, Result};
use crate::storage::batch::Later;
use crate::storage::certificates::{CertificateRow, columns};
use crate::storage::db::{Connected, Tx};
use crate::storage::texts::{Texts, column, exec_rows};
use sqlx::types::Json;
use sqlx::{PgConnection, SqliteConnection};
use std::sync::LazyLock;

/// # Errors
/// `CONFLICT` if the very certificate, or one of this issuer with the same serial number, is there already.
pub async fn insert(tx: &mut Tx, row: &CertificateRow) -> Result<()> {
    tx.settle().await?;
    tx.touch();
    insert_all(&mut tx.connection, std::slice::from_ref(row)).await
}

/// The same for a certificate that was just made, with a serial number by chance: in a batch it is put off, since nobody in it
/// knows of it yet.
///
/// # Errors
/// As [`insert`].
pub async fn insert_new(tx: &mut Tx, row: CertificateRow) -> Result<()> {
    tx.put_off(Later::Certificate(Box::new(row))).await
}

/// Binds the columns of a certificate in their order.
macro_rules! bind_certificate {
    ($query:expr, $row:expr) => {
        $query
            .bind($row.id)
            .bind(&$row.serial_number)
            .bind(&$row.fingerprint)
            .bind(&$row.certificate_pem)
            .bind(&$row.private_key_encrypted)
            .bind($row.key_version)
            .bind(&$row.subject)
            .bind(&$row.issuer)
            .bind($row.issuer_id)
            .bind(&$row.common_name)
            .bind(&$row.organization)
            .bind(&$row.organizational_unit)
            .bind(&$row.names)
            .bind($row.valid_from)
            .bind($row.valid_until)
            .bind(&$row.cert_type)
            .bind(&$row.key_type)
            .bind(&$row.key_usage)
            .bind($row.revoked)
            .bind($row.revoked_at)
            .bind(&$row.revocation_reason)
            .bind($row.revocation_number)
            .bind(&$row.entity_id)
            .bind(&$row.entity_type)
            .bind(&$row.role_path)
            .bind($row.replaces)
            .bind(&$row.requested_by)
            .bind($row.expiry_noticed)
            .bind(&$row.metadata)
            .bind($row.created_at)
    };
}

pub(in crate::storage) async fn insert_all(
    connection: &mut Connected,
    rows: &[CertificateRow],
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let inserted = match connection {
        Connected::Postgres(tx) => postgres(tx, rows).await?,
        Connected::Sqlite(tx) => sqlite(tx, rows).await?,
    };
    if inserted == rows.len() as u64 {
        return Ok(());
    }
    Err(Error::conflict(
        "this certificate, or another one of its issuer with the same serial number, is recorded already: use that one",
    ))
}

async fn sqlite(connection: &mut SqliteConnection, rows: &[CertificateRow]) -> Result<u64> {
    static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
        let head = concat!("INSERT INTO certificates (", columns!(), ") VALUES ");
        Texts::new(head, 30, " ON CONFLICT DO NOTHING", 6)
    });
    Ok(exec_rows!(@on &mut *connection, false, &TEXTS, rows, bind_certificate))
}

/// An array of arrays would have to have as many elements in each: those go as JSON.
const POSTGRES: &str = concat!(
    "INSERT INTO certificates (",
    columns!(),
    ") SELECT id, serial_number, fingerprint, certificate_pem, private_key_encrypted, key_version, subject, issuer, issuer_id, \
     common_name, organization, organizational_unit, ARRAY(SELECT jsonb_array_elements_text(names)), valid_from, valid_until, \
     cert_type, key_type, ARRAY(SELECT jsonb_array_elements_text(key_usage)), revoked, revoked_at, revocation_reason, \
     revocation_number, entity_id, entity_type, role_path, replaces, requested_by, expiry_noticed, metadata, created_at \
     FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::text[], $8::text[], $9::uuid[], \
     $10::text[], $11::text[], $12::text[], $13::jsonb[], $14::timestamptz[], $15::timestamptz[], $16::text[], $17::text[], \
     $18::jsonb[], $19::boolean[], $20::timestamptz[], $21::text[], $22::bigint[], $23::text[], $24::text[], $25::text[], \
     $26::uuid[], $27::text[], $28::boolean[], $29::jsonb[], $30::timestamptz[]) AS c (",
    columns!(),
    ") ON CONFLICT DO NOTHING"
);

async fn postgres(connection: &mut PgConnection, rows: &[CertificateRow]) -> Result<u64> {
    let query = sqlx::query(POSTGRES)
        .bind(column!(rows, row => row.id))
        .bind(column!(rows, row => row.serial_number.as_str()))
        .bind(column!(rows, row => row.fingerprint.as_str()))
        .bind(column!(rows, row => row.certificate_pem.as_str()))
        .bind(column!(rows, row => row.private_key_encrypted.as_deref()))
        .bind(column!(rows, row => row.key_version))
        .bind(column!(rows, row => row.subject.as_str()))
        .bind(column!(rows, row => row.issuer.as_str()))
        .bind(column!(rows, row => row.issuer_id))
        .bind(column!(rows, row => row.common_name.as_str()))
        .bind(column!(rows, row => row.organization.as_deref()))
        .bind(column!(rows, row => row.organizational_unit.as_deref()))
        .bind(column!(rows, row => Json(&row.names.0)))
        .bind(column!(rows, row => row.valid_from))
        .bind(column!(rows, row => row.valid_until))
        .bind(column!(rows, row => row.cert_type.as_str()))
        .bind(column!(rows, row => row.key_type.as_str()))
        .bind(column!(rows, row => Json(&row.key_usage.0)))
        .bind(column!(rows, row => row.revoked))
        .bind(column!(rows, row => row.revoked_at))
        .bind(column!(rows, row => row.revocation_reason.as_deref()))
        .bind(column!(rows, row => row.revocation_number))
        .bind(column!(rows, row => row.entity_id.as_deref()))
        .bind(column!(rows, row => row.entity_type.as_deref()))
        .bind(column!(rows, row => row.role_path.as_deref()))
        .bind(column!(rows, row => row.replaces))
        .bind(column!(rows, row => row.requested_by.as_str()))
        .bind(column!(rows, row => row.expiry_noticed))
        .bind(column!(rows, row => Json(&row.metadata.0)))
        .bind(column!(rows, row => row.created_at));
    Ok(query.execute(connection).await?.rows_affected())
}
