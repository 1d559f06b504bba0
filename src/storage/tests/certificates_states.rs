use super::certificate_authorities::authority;
use super::certificate_roles::role;
use super::certificates::{certificate, issued, put};
use crate::error::Result;
use crate::storage::certificates::{self, CertificateRow, RevokedRow, StatusRow};
use crate::storage::db::{Db, on};
use crate::storage::testing::{ODD, at, both_stores};
use crate::storage::{certificate_authorities, certificate_roles};
use uuid::Uuid;

async fn revocations(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let root = authority(&mut tx, "00").await?;
    let mut made = Vec::new();
    for serial in ["01", "02", "03", "04"] {
        made.push(put(&mut tx, issued(root, serial)).await?);
    }
    for (row, reason) in made.iter().zip(["key_compromise", ODD, "unspecified"]) {
        let number = certificate_authorities::next_revocation(&mut tx, root).await?;
        assert!(certificates::revoke(&mut tx, row.id, at(number), reason, Some(number)).await?);
    }
    assert!(!certificates::revoke(&mut tx, made[0].id, at(99), "again", Some(99)).await?);
    assert!(!certificates::revoke(&mut tx, Uuid::nil(), at(99), "nobody", None).await?);
    assert!(certificates::revoke(&mut tx, root, at(99), "superseded", None).await?, "of no list");

    let found = certificates::revoked_since(&mut tx, root, 0, 9).await?;
    assert_eq!(found.iter().map(|row| row.serial_number.as_str()).collect::<Vec<_>>(), ["01", "02", "03"]);
    let second = RevokedRow {
        serial_number: "02".into(),
        revoked_at: at(2),
        revocation_reason: Some(ODD.into()),
        revocation_number: 2,
        valid_until: at(1000),
    };
    assert_eq!(certificates::revoked_since(&mut tx, root, 1, 1).await?, [second]);
    assert!(certificates::revoked_since(&mut tx, root, 3, 9).await?.is_empty());
    assert!(certificates::revoked_since(&mut tx, made[0].id, 0, 9).await?.is_empty());

    let stands = StatusRow { revoked: false, revoked_at: None, revocation_reason: None };
    let revoked = StatusRow {
        revoked: true,
        revoked_at: Some(at(1)),
        revocation_reason: Some("key_compromise".into()),
    };
    assert_eq!(certificates::status(&mut tx, root, "01").await?, Some(revoked));
    assert_eq!(certificates::status(&mut tx, root, "04").await?, Some(stands));
    assert_eq!(certificates::status(&mut tx, root, "05").await?, None);
    assert_eq!(certificates::status(&mut tx, made[0].id, "04").await?, None, "of another issuer");
    Ok(())
}

/// Of several who revoke the same certificates at the same time one does each, and the numbers are 1, 2, 3...
async fn revocations_at_once(db: Db) -> Result<()> {
    const COUNT: i64 = 20;
    let mut tx = db.begin().await?;
    let root = authority(&mut tx, "00").await?;
    let mut ids = Vec::new();
    for n in 1..=COUNT {
        ids.push(put(&mut tx, issued(root, &format!("{n:02}"))).await?.id);
    }
    tx.commit().await?;
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let (db, mut ids) = (db.clone(), ids.clone());
            ids.rotate_left(worker * 5);
            tokio::spawn(async move {
                let mut done = 0;
                for id in ids {
                    let mut tx = db.begin().await?;
                    let number = certificate_authorities::next_revocation(&mut tx, root).await?;
                    if certificates::revoke(&mut tx, id, at(number), "superseded", Some(number)).await? {
                        tx.commit().await?;
                        done += 1;
                    }
                    // else the transaction is undone, and its number with it
                }
                Ok::<_, crate::error::Error>(done)
            })
        })
        .collect();
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap()?;
    }
    assert_eq!(done, COUNT);
    let mut tx = db.read().await?;
    let found = certificates::revoked_since(&mut tx, root, 0, 99).await?;
    let numbers: Vec<_> = found.iter().map(|row| row.revocation_number).collect();
    assert_eq!(numbers, (1..=COUNT).collect::<Vec<_>>());
    let state = certificate_authorities::crl_state(&mut tx, root).await?.unwrap();
    assert_eq!(state.revocations, COUNT);
    Ok(())
}

async fn no_number_twice(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let root = authority(&mut tx, "00").await?;
    for serial in ["01", "02"] {
        let row = put(&mut tx, issued(root, serial)).await?;
        let outcome = certificates::revoke(&mut tx, row.id, at(1), "superseded", Some(1)).await;
        assert_eq!(outcome.is_err(), serial == "02");
    }
    Ok(())
}

async fn expiry(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut ids = Vec::new();
    for (serial, ends) in [("01", 100), ("02", 200), ("03", 150), ("04", 201), ("05", 160)] {
        let row = CertificateRow { valid_until: at(ends), ..certificate(serial) };
        ids.push(put(&mut tx, row).await?.id);
    }
    let server = CertificateRow { cert_type: "server".into(), valid_until: at(170), ..certificate("06") };
    put(&mut tx, server).await?;
    certificates::revoke(&mut tx, ids[4], at(1), "superseded", None).await?;

    let found = certificates::expiring(&mut tx, at(100), at(200), 9).await?;
    let serials: Vec<_> = found.iter().map(|row| row.serial_number.as_str()).collect();
    assert_eq!(serials, ["03", "06", "02"], "neither ended, revoked nor later; the next to end first");
    assert_eq!(certificates::expiring(&mut tx, at(100), at(200), 1).await?.len(), 1);
    let counts = [("app_client".to_owned(), 2), ("server".to_owned(), 1)];
    assert_eq!(certificates::count_expiring(&mut tx, at(100), at(200)).await?, counts);

    assert_eq!(certificates::notice_expiry(&mut tx, &[ids[2], Uuid::nil()]).await?, [ids[2]]);
    let mut noticed = certificates::notice_expiry(&mut tx, &[ids[1], ids[2]]).await?;
    assert_eq!(noticed.pop(), Some(ids[1]), "each once");
    assert!(noticed.is_empty());
    assert!(certificates::notice_expiry(&mut tx, &[]).await?.is_empty());
    let found = certificates::expiring(&mut tx, at(100), at(200), 9).await?;
    assert_eq!(found.iter().map(|row| row.serial_number.as_str()).collect::<Vec<_>>(), ["06"]);
    assert_eq!(
        certificates::count_expiring(&mut tx, at(100), at(200)).await?,
        counts,
        "they end all the same"
    );
    Ok(())
}

/// Leaves first, then the authority, and nothing that is still needed.
async fn tidying(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let root = authority(&mut tx, "00").await?;
    let leaf = put(&mut tx, CertificateRow { valid_until: at(500), ..issued(root, "01") }).await?.id;
    let revoked = put(&mut tx, CertificateRow { valid_until: at(500), ..issued(root, "02") }).await?.id;
    certificates::revoke(&mut tx, revoked, at(1), "superseded", Some(1)).await?;
    let live = put(&mut tx, CertificateRow { valid_until: at(2000), ..issued(root, "03") }).await?.id;
    let used = authority(&mut tx, "04").await?;
    let role_row = role("pki.web", Some(used));
    certificate_roles::insert(&mut tx, &role_row).await?;

    assert!(certificates::expired_before(&mut tx, at(500), 9).await?.is_empty());
    let mut found = certificates::expired_before(&mut tx, at(1001), 9).await?;
    found.sort_unstable();
    assert_eq!(found, [leaf, revoked], "the authorities have a certificate and a role that stand");
    assert_eq!(certificates::expired_before(&mut tx, at(1001), 1).await?.len(), 1);
    assert_eq!(certificates::remove(&mut tx, &[leaf, revoked, root, used]).await?, 2, "what is needed stays");
    assert!(certificate_authorities::by_id(&mut tx, root).await?.is_some());
    assert!(certificate_authorities::by_id(&mut tx, used).await?.is_some());
    assert_eq!(certificates::remove(&mut tx, &[live]).await?, 1);
    certificate_roles::delete(&mut tx, role_row.id).await?;
    let mut found = certificates::expired_before(&mut tx, at(1001), 9).await?;
    found.sort_unstable();
    assert_eq!(found, [root, used]);
    let list = super::certificate_authorities::list(1, 0, 9);
    assert!(certificate_authorities::store_crl(&mut tx, root, 0, &list).await?);
    assert_eq!(certificates::remove(&mut tx, &found).await?, 2);
    assert!(certificate_authorities::all(&mut tx).await?.is_empty());
    assert_eq!(certificates::remove(&mut tx, &[]).await?, 0);
    let lists: i64 =
        on!(&mut tx, c => sqlx::query_scalar("SELECT count(*) FROM certificate_crls").fetch_one(c))?;
    assert_eq!(lists, 0);
    Ok(())
}

async fn sealed(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    put(&mut tx, certificate("01")).await?;
    let keyed = |serial: &str, version| CertificateRow {
        private_key_encrypted: Some(vec![7]),
        key_version: Some(version),
        ..certificate(serial)
    };
    let new = put(&mut tx, keyed("02", 3)).await?;
    let old = put(&mut tx, keyed("03", 2)).await?;
    put(&mut tx, keyed("04", 1)).await?;
    let serials = async |tx: &mut crate::storage::db::Tx, active, limit| -> Result<String> {
        let rows = certificates::sealed_under_older_key(tx, active, limit).await?;
        Ok(rows.into_iter().map(|row| row.serial_number).collect())
    };
    assert_eq!(serials(&mut tx, 3, 9).await?, "0403");
    assert_eq!(serials(&mut tx, 3, 1).await?, "04");
    assert!(
        !certificates::replace_sealed(&mut tx, old.id, &[8], &[9], 3).await?,
        "that is not what is there"
    );
    assert!(certificates::replace_sealed(&mut tx, old.id, &[7], &[9], 3).await?);
    assert_eq!(serials(&mut tx, 3, 9).await?, "04");
    let found = certificates::by_id(&mut tx, old.id).await?.unwrap();
    assert!((found.private_key_encrypted, found.key_version) == (Some(vec![9]), Some(3)));
    assert!(certificates::by_id(&mut tx, new.id).await?.unwrap() == new);
    Ok(())
}

both_stores!(certificate_revocations, revocations);
both_stores!(certificate_revocations_at_once, revocations_at_once);
both_stores!(certificate_no_number_twice, no_number_twice);
both_stores!(certificate_expiry, expiry);
both_stores!(certificate_tidying, tidying);
both_stores!(certificate_sealed, sealed);
