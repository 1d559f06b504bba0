//! Batches: what is read ahead is true, and what is put off is as good as written.

use super::certificates::certificate;
use super::roles::{role, secret_id};
use super::secrets::secret;
use super::tokens::token;
use crate::error::{ErrorCode, Result};
use crate::storage::batch::Want;
use crate::storage::db::{Connected, Db, Tx, exec};
use crate::storage::roles::LoginFailures;
use crate::storage::secrets::{SecretRow, VersionRow};
use crate::storage::testing::{at, both_stores};
use crate::storage::{certificates, roles, secrets, tokens};
use sqlx::types::chrono::{DateTime, Utc};
use uuid::Uuid;

fn failures(subject: &str, failures: i64) -> LoginFailures {
    LoginFailures { subject: subject.into(), failures, last_failed_at: at(1), locked_until: None }
}

fn version(secret: &SecretRow, version: i64) -> VersionRow {
    VersionRow {
        secret_id: secret.id,
        version,
        encrypted_data: Some(vec![7]),
        key_version: 1,
        created_at: at(1),
        created_by: None,
        deleted_at: None,
        destroyed: false,
    }
}

/// What is in the table, without a look that would settle.
async fn count(tx: &mut Tx, table: &'static str) -> i64 {
    let text = match table {
        "tokens" => "SELECT count(*) FROM tokens",
        "certificates" => "SELECT count(*) FROM certificates",
        _ => "SELECT count(*) FROM secret_versions",
    };
    match &mut tx.connection {
        Connected::Sqlite(tx) => sqlx::query_scalar(text).fetch_one(&mut **tx).await.unwrap(),
        Connected::Postgres(tx) => sqlx::query_scalar(text).fetch_one(&mut **tx).await.unwrap(),
    }
}

/// 100 logins with 100 secrets, more than one statement takes, of which every other is there.
async fn ahead(db: Db) -> Result<()> {
    const ALL: usize = 100;
    let mut tx = db.begin().await?;
    let row = role("a");
    roles::insert(&mut tx, &row).await?;
    let mut wants = Vec::new();
    let mut ids = Vec::new();
    for number in 0..ALL {
        let (subject, path) = (format!("s{number}"), format!("p{number}"));
        let (id, new) = (secret_id(row.role_id, Some(2), None), token(None));
        if number % 2 == 0 {
            roles::put_failures(&mut tx, &failures(&subject, 1)).await?;
            roles::insert_secret_id(&mut tx, &id).await?;
            secrets::insert(&mut tx, &secret(&path)).await?;
            tokens::insert(&mut tx, &new).await?;
        }
        let hash: [u8; 32] = id.secret_id_hash.as_slice().try_into().unwrap();
        wants.push(Want::Login { subject, presented: (row.role_id, Some(hash)) });
        wants.push(Want::Secret(path));
        wants.push(Want::Token(new.accessor));
        ids.push((id, new));
    }
    wants.push(Want::Login { subject: "s0".into(), presented: (Uuid::nil(), None) });
    tx.commit().await?;

    let mut tx = db.begin().await?;
    tx.gather(wants).await?;
    let known = tx.ahead().unwrap();
    assert_eq!((known.failures.len(), known.presented.len()), (ALL, ALL + 1));
    assert_eq!((known.secrets.len(), known.tokens.len()), (ALL, ALL));
    for (number, (id, new)) in ids.iter().enumerate() {
        let (is_there, hash) = (number % 2 == 0, id.secret_id_hash.as_slice().try_into().unwrap());
        assert_eq!(roles::failures(&mut tx, &format!("s{number}")).await?.is_some(), is_there);
        let (its_role, found) = roles::presented(&mut tx, (row.role_id, Some(hash))).await?.unwrap();
        assert!(its_role == row && found == is_there.then(|| id.clone()));
        let found = secrets::find_for_update(&mut tx, &format!("p{number}")).await?;
        assert_eq!(found.map(|row| row.secret_path), is_there.then(|| format!("p{number}")));
        assert_eq!(
            tokens::life(&mut tx, new.accessor).await?.map(|life| life.accessor),
            is_there.then_some(new.accessor)
        );
    }
    assert!(roles::presented(&mut tx, (Uuid::nil(), None)).await?.is_none());
    Ok(())
}

/// Whatever is changed is seen changed, whoever looks and however.
async fn no_longer_so(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (row, plain) = (role("a"), secret("p"));
    let (used, other) = (secret_id(row.role_id, Some(2), None), secret_id(row.role_id, None, None));
    roles::insert(&mut tx, &row).await?;
    roles::insert_secret_id(&mut tx, &used).await?;
    roles::insert_secret_id(&mut tx, &other).await?;
    secrets::insert(&mut tx, &plain).await?;
    tx.commit().await?;

    let hash =
        |id: &roles::SecretIdRow| (row.role_id, Some(id.secret_id_hash.as_slice().try_into().unwrap()));
    let wants = || {
        let login = |id| Want::Login { subject: "s".into(), presented: hash(id) };
        vec![login(&used), login(&other), Want::Secret("p".into())]
    };
    let mut tx = db.begin().await?;
    tx.gather(wants()).await?;
    assert!(roles::use_secret_id(&mut tx, used.accessor, false, at(9)).await?);
    assert_eq!(tx.ahead().unwrap().presented.len(), 1, "the other is as it was");
    let left = |found: Option<(_, Option<roles::SecretIdRow>)>| found.unwrap().1.unwrap().uses_left;
    assert_eq!(left(roles::presented(&mut tx, hash(&used)).await?), Some(1));

    tx.gather(wants()).await?;
    secrets::update(&mut tx, &SecretRow { description: Some("new".into()), ..plain.clone() }).await?;
    let found = secrets::find_for_update(&mut tx, "p").await?.unwrap();
    assert_eq!(found.description.as_deref(), Some("new"));

    tx.gather(wants()).await?;
    roles::put_failures(&mut tx, &failures("s", 3)).await?;
    assert_eq!(roles::failures(&mut tx, "s").await?, Some(failures("s", 3)));

    tx.gather(wants()).await?;
    roles::remove(&mut tx, row.role_id).await?;
    assert!(roles::presented(&mut tx, hash(&other)).await?.is_none());
    Ok(())
}

async fn put_off(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let plain = SecretRow { max_versions: 3, ..secret("p") };
    tx.gather(vec![Want::Secret("p".into())]).await?;
    let made: Vec<_> = (0..100).map(|_| token(None)).collect();
    for row in &made {
        tokens::insert(&mut tx, row).await?;
    }
    for number in 1..=100 {
        let before = secrets::find_for_update(&mut tx, "p").await?;
        assert_eq!(before.map_or(0, |row| row.version), number - 1, "it is known as it was put off");
        secrets::write(&mut tx, SecretRow { version: number, ..plain.clone() }, version(&plain, number))
            .await?;
    }
    assert_eq!((count(&mut tx, "tokens").await, count(&mut tx, "secret_versions").await), (0, 0));
    // any look sees it all
    assert!(tokens::by_accessor(&mut tx, made[99].accessor).await?.unwrap() == made[99]);
    assert_eq!((count(&mut tx, "tokens").await, count(&mut tx, "secret_versions").await), (100, 100));
    for row in &made {
        assert!(tokens::by_hash(&mut tx, &row.token_hash).await?.unwrap() == *row);
    }
    for number in 1..=100 {
        let found = secrets::version(&mut tx, plain.id, number).await?.unwrap();
        assert_eq!(
            (found.destroyed, found.encrypted_data.is_some()),
            (number <= 97, number > 97),
            "{number}"
        );
    }
    assert_eq!(secrets::find(&mut tx, "p").await?.unwrap().version, 100);
    // and so does a change, and the commit
    let (child, last) = (token(Some(made[0].accessor)), token(None));
    tokens::insert(&mut tx, &child).await?;
    let now: DateTime<Utc> = at(5);
    let revoked = tokens::revoke_tree(&mut tx, made[0].accessor, now, "gone").await?;
    assert_eq!(revoked.len(), 2);
    tokens::insert(&mut tx, &last).await?;
    tx.commit().await?;
    let mut tx = db.read().await?;
    assert!(tokens::by_accessor(&mut tx, last.accessor).await?.is_some());
    Ok(())
}

/// A change that refuses takes with it what it has put off, and nothing else.
async fn dropped(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (plain, kept, lost) = (secret("p"), token(None), token(None));
    tx.gather(vec![Want::Secret("p".into())]).await?;
    tokens::insert(&mut tx, &kept).await?;
    tx.next_change();
    tokens::insert(&mut tx, &lost).await?;
    secrets::write(&mut tx, SecretRow { version: 1, ..plain.clone() }, version(&plain, 1)).await?;
    assert!(!tx.was_touched(), "nothing of it is in the store");
    tx.drop_put_off();
    assert!(secrets::find_for_update(&mut tx, "p").await?.is_none());
    assert!(!tx.was_touched(), "what was written now is of the change before");
    assert!(tokens::by_accessor(&mut tx, lost.accessor).await?.is_none());
    assert!(tokens::by_accessor(&mut tx, kept.accessor).await?.is_some());
    // once a look has made it write, it has to be undone
    tx.next_change();
    tokens::insert(&mut tx, &lost).await?;
    assert!(tokens::by_accessor(&mut tx, lost.accessor).await?.is_some());
    assert!(tx.was_touched());
    Ok(())
}

/// What cannot be written is found when it is written.
async fn impossible(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.gather(Vec::new()).await?;
    let row = certificate("01");
    certificates::insert_new(&mut tx, row.clone()).await?;
    certificates::insert_new(&mut tx, row).await?;
    assert_eq!(count(&mut tx, "certificates").await, 0);
    assert_eq!(tx.settle().await.unwrap_err().code(), ErrorCode::Conflict);
    assert!(tx.was_touched());
    tx.rollback().await?;

    // outside of a batch, at once
    let mut tx = db.begin().await?;
    certificates::insert_new(&mut tx, certificate("01")).await?;
    assert_eq!(count(&mut tx, "certificates").await, 1);
    exec!(&mut tx, sqlx::query("DELETE FROM certificates")).map(drop)
}

both_stores!(batch_ahead, ahead);
both_stores!(batch_no_longer_so, no_longer_so);
both_stores!(batch_put_off, put_off);
both_stores!(batch_dropped, dropped);
both_stores!(batch_impossible, impossible);
