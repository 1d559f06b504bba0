use super::engines::{engine, put};
use super::secrets::secret;
use crate::error::{ErrorCode, Result};
use crate::storage::account_rotations::{self, AccountRow};
use crate::storage::db::{Db, Tx};
use crate::storage::secrets::{self, SecretRow};
use crate::storage::testing::{ODD, at, both_stores};
use uuid::Uuid;

const NODE: Uuid = Uuid::from_u128(7);

/// A static secret at this path, bound to an account of the same name.
async fn account(tx: &mut Tx, engine_id: Uuid, secret: SecretRow) -> Result<AccountRow> {
    secrets::insert(tx, &secret).await?;
    let row = AccountRow {
        secret_id: secret.id,
        engine_id,
        account: secret.secret_path,
        password_key: "password".into(),
        username_key: "username".into(),
        pending_encrypted: None,
        pending_version: None,
        attempts: 0,
        due_at: None,
        last_error: None,
        created_at: at(0),
        updated_at: at(0),
        claimed_by: None,
    };
    account_rotations::insert(tx, &row).await?;
    Ok(row)
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let target = put(&mut tx, engine("e")).await?;
    let other = put(&mut tx, engine("other")).await?;
    let row = account(&mut tx, target.id, secret("prod.a")).await?;
    assert!(account_rotations::by_secret(&mut tx, row.secret_id).await?.unwrap() == row);
    assert!(account_rotations::by_secret(&mut tx, Uuid::nil()).await?.is_none());

    let second = secret("prod.b");
    secrets::insert(&mut tx, &second).await?;
    let same_account = AccountRow { secret_id: second.id, ..row.clone() };
    let same_secret = AccountRow { account: "another".into(), ..row.clone() };
    for taken in [&same_account, &same_secret] {
        let refused = account_rotations::insert(&mut tx, taken).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Conflict);
    }
    // on another target it is another account
    account_rotations::insert(&mut tx, &AccountRow { engine_id: other.id, ..same_account }).await?;
    assert_eq!(account_rotations::count_of(&mut tx, target.id).await?, 1);
    assert_eq!(account_rotations::count_of(&mut tx, Uuid::nil()).await?, 0);

    let changed = AccountRow {
        pending_encrypted: Some(vec![0, 1]),
        pending_version: Some(4),
        attempts: 2,
        due_at: Some(at(7)),
        last_error: Some(ODD.into()),
        updated_at: at(9),
        ..row.clone()
    };
    account_rotations::update(&mut tx, &changed).await?;
    assert!(account_rotations::by_secret(&mut tx, row.secret_id).await?.unwrap() == changed);
    account_rotations::remove(&mut tx, row.secret_id).await?;
    account_rotations::remove(&mut tx, row.secret_id).await?;
    let gone = account_rotations::update(&mut tx, &changed).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::Conflict);
    assert!(secrets::find(&mut tx, "prod.a").await?.is_some(), "the secret stays");
    Ok(())
}

async fn due(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let target = put(&mut tx, engine("e")).await?.id;
    let scheduled = |path: &str, micros| SecretRow {
        rotation_enabled: true,
        rotation_schedule: Some("0 3 * * *".into()),
        next_rotation_at: Some(at(micros)),
        ..secret(path)
    };
    account(&mut tx, target, scheduled("schedule.due", 5)).await?;
    account(&mut tx, target, scheduled("schedule.later", 6)).await?;
    account(&mut tx, target, SecretRow { rotation_enabled: false, ..scheduled("schedule.off", 1) }).await?;
    account(&mut tx, target, secret("on-demand")).await?;
    // one whose schedule has come and that is on its way is not taken by the schedule
    for (path, micros) in [("pending.due-second", 5), ("pending.due-first", 4), ("pending.later", 6)] {
        let row = account(&mut tx, target, scheduled(path, 1)).await?;
        let row = AccountRow {
            pending_encrypted: Some(vec![1]),
            pending_version: Some(1),
            due_at: Some(at(micros)),
            claimed_by: (path == "pending.later").then_some(NODE),
            ..row
        };
        account_rotations::update(&mut tx, &row).await?;
    }
    let mut found = async |limit| -> Result<Vec<String>> {
        let rows = account_rotations::due(&mut tx, at(5), limit).await?;
        Ok(rows.into_iter().map(|row| row.account).collect())
    };
    assert_eq!(found(9).await?, ["pending.due-first", "pending.due-second", "schedule.due"]);
    assert_eq!(found(1).await?, ["pending.due-first", "schedule.due"], "neither keeps the other waiting");
    // what a node was at whose process has ended
    assert_eq!(account_rotations::expedite(&mut tx, Uuid::new_v4(), at(5)).await?, 0, "another's");
    assert_eq!(account_rotations::expedite(&mut tx, NODE, at(5)).await?, 1);
    assert_eq!(account_rotations::due(&mut tx, at(5), 9).await?.len(), 4);
    Ok(())
}

/// A binding goes with its secret, and holds its engine.
async fn holds_and_goes(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let target = put(&mut tx, engine("e")).await?.id;
    let row = account(&mut tx, target, secret("prod.a")).await?;
    secrets::remove(&mut tx, row.secret_id).await?;
    assert!(account_rotations::by_secret(&mut tx, row.secret_id).await?.is_none());
    account(&mut tx, target, secret("prod.a")).await?;
    assert!(crate::storage::engines::remove(&mut tx, target).await.is_err());
    Ok(())
}

both_stores!(account_round_trip, round_trip);
both_stores!(account_due, due);
both_stores!(account_holds_and_goes, holds_and_goes);
