use crate::error::{ErrorCode, Result};
use crate::storage::db::Db;
use crate::storage::seal::{self, KeyringRow, SealConfigRow};
use crate::storage::testing::{ODD, at, both_stores};
use uuid::Uuid;

async fn config(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    assert!(seal::config(&mut tx).await?.is_none());
    let not_yet = seal::replace_shares(&mut tx, b"id", 1, 1, b"key", at(1)).await.unwrap_err();
    assert_eq!(not_yet.code(), ErrorCode::Conflict);
    let row = SealConfigRow {
        set_id: vec![0, 1, 255],
        shares: 5,
        threshold: 3,
        seal_type: "shamir".into(),
        wrapped_root_key: vec![7; 60],
        audit_public_key: vec![8; 32],
        audit_private_key_encrypted: vec![],
        cluster_name: ODD.into(),
        cluster_id: Uuid::new_v4(),
        created_at: at(3),
        rekeyed_at: None,
    };
    seal::insert_config(&mut tx, &row).await?;
    assert!(seal::config(&mut tx).await?.unwrap() == row);
    assert_eq!(seal::insert_config(&mut tx, &row).await.unwrap_err().code(), ErrorCode::Conflict);
    seal::replace_shares(&mut tx, b"new", 7, 4, b"rewrapped", at(9)).await?;
    let rekeyed = SealConfigRow {
        set_id: b"new".to_vec(),
        shares: 7,
        threshold: 4,
        wrapped_root_key: b"rewrapped".to_vec(),
        rekeyed_at: Some(at(9)),
        ..row
    };
    assert!(seal::config(&mut tx).await?.unwrap() == rekeyed);
    let too_many = seal::replace_shares(&mut tx, b"bad", 2, 3, b"x", at(9)).await;
    assert!(too_many.is_err(), "a threshold above the number of shares could never be reached");
    Ok(())
}

async fn keyring(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let key = |version| KeyringRow { version, wrapped_key: vec![9; 44], created_at: at(version) };
    seal::insert_key(&mut tx, &key(10)).await?;
    seal::insert_key(&mut tx, &key(2)).await?;
    assert_eq!(seal::insert_key(&mut tx, &key(2)).await.unwrap_err().code(), ErrorCode::Conflict);
    assert!(seal::keyring(&mut tx).await? == [key(2), key(10)]);
    Ok(())
}

both_stores!(seal_config, config);
both_stores!(seal_keyring, keyring);
