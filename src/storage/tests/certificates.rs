use crate::error::{ErrorCode, Result};
use crate::storage::certificates::{self, CertificateRow, ListCertificates, MAX_CHAIN};
use crate::storage::db::{Db, Tx};
use crate::storage::page::Page;
use crate::storage::testing::{ODD, at, both_stores};
use crate::storage::types::TextArray;
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

/// An application's certificate from outside, that ends at 1000.
pub(super) fn certificate(serial: &str) -> CertificateRow {
    let id = Uuid::now_v7();
    CertificateRow {
        id,
        serial_number: serial.into(),
        fingerprint: id.simple().to_string().repeat(2),
        certificate_pem: "-----BEGIN CERTIFICATE-----\n".into(),
        private_key_encrypted: None,
        key_version: None,
        subject: "CN=a".into(),
        issuer: "CN=root".into(),
        issuer_id: None,
        common_name: "a".into(),
        organization: None,
        organizational_unit: None,
        names: TextArray::default(),
        valid_from: at(0),
        valid_until: at(1000),
        cert_type: "app_client".into(),
        key_type: "ec_p256".into(),
        key_usage: TextArray::default(),
        revoked: false,
        revoked_at: None,
        revocation_reason: None,
        revocation_number: None,
        entity_id: None,
        entity_type: None,
        role_path: None,
        replaces: None,
        requested_by: "role:billing".into(),
        expiry_noticed: false,
        metadata: Json(json!({})),
        created_at: at(0),
    }
}

/// One that this authority has issued.
pub(super) fn issued(issuer_id: Uuid, serial: &str) -> CertificateRow {
    CertificateRow { issuer_id: Some(issuer_id), issuer: format!("CN={issuer_id}"), ..certificate(serial) }
}

pub(super) async fn put(tx: &mut Tx, row: CertificateRow) -> Result<CertificateRow> {
    certificates::insert(tx, &row).await?;
    Ok(row)
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let root = CertificateRow {
        private_key_encrypted: Some(vec![0, 255, 7]),
        key_version: Some(3),
        cert_type: "root_ca".into(),
        ..certificate("0a")
    };
    let root = put(&mut tx, root).await?;
    let full = CertificateRow {
        subject: ODD.into(),
        issuer: ODD.into(),
        common_name: ODD.into(),
        organization: Some("O".into()),
        organizational_unit: Some("OU".into()),
        names: TextArray(vec!["DNS:a.example".into(), ODD.into()]),
        valid_from: at(-5),
        cert_type: "server".into(),
        key_usage: TextArray(vec!["digital_signature".into()]),
        revoked: true,
        revoked_at: Some(at(9)),
        revocation_reason: Some("superseded".into()),
        revocation_number: Some(1),
        entity_id: Some("billing".into()),
        entity_type: Some("app".into()),
        role_path: Some("pki.web".into()),
        replaces: Some(Uuid::now_v7()),
        expiry_noticed: true,
        metadata: Json(json!({ "k": [ODD] })),
        ..issued(root.id, "0a")
    };
    let full = put(&mut tx, full).await?;
    for row in [&root, &full] {
        assert!(certificates::by_id(&mut tx, row.id).await?.as_ref() == Some(row));
        assert!(certificates::by_fingerprint(&mut tx, &row.fingerprint).await?.as_ref() == Some(row));
    }
    assert!(certificates::by_serial(&mut tx, "0a").await? == [root.clone(), full.clone()]);
    assert!(certificates::by_serial(&mut tx, "0b").await?.is_empty());
    assert!(certificates::by_issuer_and_serial(&mut tx, root.id, "0a").await? == Some(full.clone()));
    assert!(certificates::by_issuer_and_serial(&mut tx, full.id, "0a").await?.is_none());
    assert!(certificates::by_fingerprint(&mut tx, ODD).await?.is_none());

    let same = CertificateRow { fingerprint: root.fingerprint.clone(), ..certificate("0b") };
    for taken in [certificate("0a"), same] {
        assert_eq!(certificates::insert(&mut tx, &taken).await.unwrap_err().code(), ErrorCode::Conflict);
    }
    put(&mut tx, CertificateRow { issuer: "CN=another".into(), ..certificate("0a") }).await?;
    Ok(())
}

/// Rows that say what cannot be. Each in a transaction of its own: PostgreSQL takes nothing after a failure.
async fn impossible(db: Db) -> Result<()> {
    let own = certificate("01");
    for row in [
        CertificateRow { key_version: Some(1), ..certificate("01") },
        CertificateRow { private_key_encrypted: Some(vec![1]), ..certificate("01") },
        CertificateRow { revoked: true, ..certificate("01") },
        CertificateRow { revoked_at: Some(at(1)), ..certificate("01") },
        CertificateRow { revocation_number: Some(1), ..certificate("01") },
        CertificateRow { valid_until: at(0), ..certificate("01") },
        CertificateRow { cert_type: "toaster".into(), ..certificate("01") },
        CertificateRow { issuer_id: Some(own.id), ..own },
        issued(Uuid::now_v7(), "01"),
    ] {
        let mut tx = db.begin().await?;
        // what the transaction's end would find is found here too
        let outcome = certificates::insert(&mut tx, &row).await;
        assert!(outcome.is_err(), "{} {:?}", row.cert_type, row.revoked_at);
    }
    Ok(())
}

/// The numbers of the certificates that a list names, by their serial numbers.
async fn listed(tx: &mut Tx, filter: ListCertificates) -> Result<String> {
    let rows = certificates::list(tx, &filter, &Page { limit: 99, ..Page::default() }).await?;
    Ok(rows.into_iter().map(|row| row.serial_number).collect::<Vec<_>>().join(" "))
}

async fn lists(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let root = put(&mut tx, CertificateRow { cert_type: "root_ca".into(), ..certificate("01") }).await?;
    put(&mut tx, CertificateRow { entity_id: Some("shop".into()), ..issued(root.id, "02") }).await?;
    put(&mut tx, CertificateRow { valid_until: at(500), ..issued(root.id, "03") }).await?;
    put(&mut tx, CertificateRow { requested_by: "role:shop".into(), ..issued(root.id, "04") }).await?;
    let gone = put(&mut tx, issued(root.id, "05")).await?;
    certificates::revoke(&mut tx, gone.id, at(5), "superseded", None).await?;

    let any = ListCertificates::default;
    for (filter, expected) in [
        (any(), "01 02 03 04 05"),
        (ListCertificates { cert_type: Some("root_ca".into()), ..any() }, "01"),
        (ListCertificates { entity_id: Some("shop".into()), ..any() }, "02"),
        (ListCertificates { issuer_id: Some(root.id), ..any() }, "02 03 04 05"),
        (ListCertificates { revoked: Some(true), ..any() }, "05"),
        (ListCertificates { revoked: Some(false), issuer_id: Some(root.id), ..any() }, "02 03 04"),
        (ListCertificates { expires_before: Some(at(501)), ..any() }, "03"),
        (ListCertificates { expires_before: Some(at(500)), ..any() }, ""),
        (ListCertificates { unexpired_at: Some(at(500)), ..any() }, "01 02 04 05"),
        (ListCertificates { requested_by: Some("role:shop".into()), ..any() }, "04"),
    ] {
        assert_eq!(listed(&mut tx, filter.clone()).await?, expected, "{filter:?}");
    }
    let rows = certificates::list(&mut tx, &any(), &Page { limit: 9, ..Page::default() }).await?;
    let mut page = async |after: Option<usize>, before: Option<usize>, backward| -> Result<String> {
        let key = |index: Option<usize>| index.map(|index| rows[index].id.to_string());
        let page = Page { limit: 2, after: key(after), before: key(before), backward };
        let found = certificates::list(&mut tx, &any(), &page).await?;
        Ok(found.into_iter().map(|row| row.serial_number).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(page(None, None, false).await?, "01 02");
    assert_eq!(page(Some(1), None, false).await?, "03 04");
    assert_eq!(page(None, Some(4), true).await?, "03 04");
    for (field, page) in [
        ("after", Page { limit: 1, after: Some("x".into()), ..Page::default() }),
        ("before", Page { limit: 1, before: Some(ODD.into()), ..Page::default() }),
    ] {
        let refused = certificates::list(&mut tx, &any(), &page).await.err().unwrap();
        assert_eq!((refused.code(), refused.field()), (ErrorCode::BadUserInput, Some(field)));
    }
    Ok(())
}

async fn chains(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut made = vec![put(&mut tx, certificate("00")).await?.id];
    for n in 1..12 {
        made.push(put(&mut tx, issued(made[n - 1], &format!("{n:02}"))).await?.id);
    }
    certificates::revoke(&mut tx, made[1], at(7), "ca_compromise", Some(1)).await?;
    let of = async |tx: &mut Tx, id| -> Result<Vec<Uuid>> {
        Ok(certificates::chain(tx, id).await?.into_iter().map(|row| row.id).collect())
    };
    assert_eq!(of(&mut tx, made[0]).await?, [made[0]]);
    assert_eq!(of(&mut tx, made[2]).await?, [made[2], made[1], made[0]]);
    let rows = certificates::chain(&mut tx, made[2]).await?;
    assert_eq!(rows.iter().map(|row| row.revoked).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(rows[2].issuer_id, None);
    assert_eq!((rows[0].valid_from, rows[0].valid_until), (at(0), at(1000)));
    let cut = certificates::chain(&mut tx, made[11]).await?;
    assert_eq!(cut.len() as i64, MAX_CHAIN);
    assert_eq!(cut[9].issuer_id, Some(made[1]), "it was cut, and says so");
    assert!(certificates::chain(&mut tx, Uuid::nil()).await?.is_empty());
    // what is no authority does not sign
    let signing = certificates::signing(&mut tx, made[2]).await?.unwrap();
    assert!(!signing.enabled);
    assert_eq!(signing.chain, rows);
    assert_eq!(certificates::signing(&mut tx, Uuid::nil()).await?, None);
    Ok(())
}

both_stores!(certificate_round_trip, round_trip);
both_stores!(certificate_impossible, impossible);
both_stores!(certificate_lists, lists);
both_stores!(certificate_chains, chains);
