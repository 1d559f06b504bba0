//! Leases that begin, alone and in a batch: with the same outcome.

use super::engines::{engine, put, role};
use super::leases::{active, lease};
use super::leases_states::activation;
use crate::error::{ErrorCode, Result};
use crate::storage::batch::Want;
use crate::storage::db::{Db, Tx};
use crate::storage::engine_roles::{self, EngineRoleRow};
use crate::storage::engines::{self, EngineRow};
use crate::storage::leases::{self, LeaseRow, NoRoom, Selection, begin};
use crate::storage::testing::{ODD, at, both_stores};
use crate::storage::types::Inet;
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

/// An engine for four leases with a role for two and one for any number.
struct Place {
    engine: EngineRow,
    limited: EngineRoleRow,
    free: EngineRoleRow,
}

impl Place {
    async fn new(tx: &mut Tx, name: &str) -> Result<Self> {
        let engine = put(tx, EngineRow { max_leases: Some(4), ..engine(name) }).await?;
        let limited = role(tx, &format!("{name}.limited"), engine.id).await?;
        engine_roles::update(tx, &EngineRoleRow { max_leases: Some(2), ..limited.clone() }).await?;
        let free = role(tx, &format!("{name}.free"), engine.id).await?;
        Ok(Self { engine, limited, free })
    }

    fn lease(&self, role: &EngineRoleRow) -> LeaseRow {
        LeaseRow { secret_id: role.secret_id, ..lease(self.engine.id, "p") }
    }

    async fn counted(&self, tx: &mut Tx) -> Result<(i64, i64, i64)> {
        let engine = engines::by_id(tx, self.engine.id).await?.unwrap().live_leases;
        let limited = engine_roles::by_secret(tx, self.limited.secret_id).await?.unwrap().live_leases;
        let free = engine_roles::by_secret(tx, self.free.secret_id).await?.unwrap().live_leases;
        Ok((engine, limited, free))
    }

    fn wants(&self) -> Vec<Want> {
        vec![Want::Room(self.limited.secret_id), Want::Room(self.free.secret_id)]
    }
}

/// What is the same whether it is looked up, read ahead, or forgotten again.
async fn limits(tx: &mut Tx, place: &Place) -> Result<()> {
    let Place { engine, limited, free } = place;
    let begun = [place.lease(limited), place.lease(free), place.lease(limited), place.lease(free)];
    assert_eq!(begin(tx, begun[0].clone(), 1).await?, None);
    assert_eq!(begin(tx, begun[1].clone(), 1).await?, None);
    assert_eq!(begin(tx, begun[2].clone(), 1).await?, None);
    assert_eq!(begin(tx, place.lease(limited), 1).await?, Some(NoRoom::Role));
    assert_eq!(begin(tx, place.lease(free), 2).await?, Some(NoRoom::Changed));
    assert_eq!(begin(tx, begun[3].clone(), 1).await?, None);
    assert_eq!(begin(tx, place.lease(free), 1).await?, Some(NoRoom::Engine(4)));
    let elsewhere = LeaseRow { engine_id: Uuid::new_v4(), ..place.lease(free) };
    assert_eq!(begin(tx, elsewhere, 1).await?, Some(NoRoom::Changed));
    assert_eq!(begin(tx, lease(engine.id, "p"), 1).await?, Some(NoRoom::NoRole));
    for row in &begun {
        assert!(leases::by_id(tx, row.lease_id).await?.unwrap() == *row);
    }
    assert_eq!(place.counted(tx).await?, (4, 2, 2));
    // some end: there is room again
    engines::discount_leases(tx, engine.id, 2).await?;
    engine_roles::discount_leases(tx, limited.secret_id, 2).await?;
    assert_eq!(begin(tx, place.lease(limited), 1).await?, None);
    engines::update(tx, &EngineRow { enabled: false, max_leases: Some(4), ..engine.clone() }, 1).await?;
    assert_eq!(begin(tx, place.lease(free), 1).await?, Some(NoRoom::Disabled));
    assert_eq!(place.counted(tx).await?, (3, 1, 2));
    Ok(())
}

async fn one_by_one(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let place = Place::new(&mut tx, "e").await?;
    limits(&mut tx, &place).await
}

async fn batch(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    for (name, ahead) in [("known", true), ("unknown", false)] {
        let place = Place::new(&mut tx, name).await?;
        tx.gather(if ahead { place.wants() } else { Vec::new() }).await?;
        limits(&mut tx, &place).await?;
    }
    tx.commit().await
}

/// A change that refuses takes the room back that it took.
async fn dropped(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let place = Place::new(&mut tx, "e").await?;
    tx.gather(place.wants()).await?;
    assert_eq!(begin(&mut tx, place.lease(&place.limited), 1).await?, None);
    tx.next_change();
    assert_eq!(begin(&mut tx, place.lease(&place.limited), 1).await?, None);
    assert!(!tx.was_touched());
    tx.drop_put_off();
    tx.next_change();
    assert_eq!(begin(&mut tx, place.lease(&place.limited), 1).await?, None);
    assert_eq!(begin(&mut tx, place.lease(&place.limited), 1).await?, Some(NoRoom::Role));
    assert_eq!(place.counted(&mut tx).await?, (2, 2, 0));
    Ok(())
}

/// Each column comes back as it was written, and a key that is in use is found when the row is written.
async fn every_column(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let place = Place::new(&mut tx, "e").await?;
    tx.gather(place.wants()).await?;
    let full = LeaseRow {
        secret_id: place.free.secret_id,
        agent_id: Some("agent".into()),
        app_id: Some("app".into()),
        actor_id: ODD.into(),
        role_name: Some("billing".into()),
        renewed_count: 3,
        last_renewed_at: Some(at(3)),
        max_renewals: Some(5),
        revocation_reason: Some(ODD.into()),
        revocation_attempts: 2,
        last_revocation_error: Some(ODD.into()),
        engine_metadata: Json(json!({ "user": ODD, "deep": [{ "n": -7 }] })),
        idempotency_key: Some("key-1".into()),
        source_ip: Some(Inet("2001:db8::1".parse().unwrap())),
        correlation_id: Some(ODD.into()),
        claimed_by: Some(Uuid::from_u128(9)),
        ..active(place.engine.id, "prod.b")
    };
    let bare = place.lease(&place.limited);
    for row in [&full, &bare] {
        assert_eq!(begin(&mut tx, row.clone(), 1).await?, None);
    }
    for row in [&full, &bare] {
        assert!(leases::by_id(&mut tx, row.lease_id).await?.unwrap() == *row);
    }
    begin(&mut tx, LeaseRow { lease_id: Uuid::now_v7(), ..full }, 1).await?;
    assert_eq!(tx.settle().await.unwrap_err().code(), ErrorCode::Conflict);
    assert!(tx.was_touched());
    Ok(())
}

/// More than one statement takes become active; what is not being issued does not.
async fn activation_in_a_batch(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let mut rows = Vec::new();
    for _ in 0..100 {
        let row = lease(engine, "a");
        leases::insert(&mut tx, &row).await?;
        rows.push(row);
    }
    let live = active(engine, "a");
    leases::insert(&mut tx, &live).await?;
    let wanted = rows.iter().chain([&live]).map(|row| Want::Issuing(row.lease_id));
    tx.gather(wanted.chain([Want::Issuing(Uuid::nil())]).collect()).await?;
    for row in &rows[..98] {
        tx.next_change();
        assert!(leases::activate(&mut tx, activation(row)).await?);
        assert!(!tx.was_touched(), "it is put off");
        assert!(!leases::activate(&mut tx, activation(row)).await?, "once");
    }
    assert!(!leases::activate(&mut tx, activation(&live)).await?);
    assert!(
        !leases::activate(&mut tx, activation(&lease(engine, "a"))).await?,
        "nobody has asked for it ahead"
    );
    for row in &rows[..98] {
        let now = leases::by_id(&mut tx, row.lease_id).await?.unwrap();
        assert_eq!((now.state.as_str(), now.due_at), ("active", Some(at(1000))));
        assert_eq!((now.credentials, now.engine_metadata.0), (Some(vec![1, 2]), json!({ "user": ODD })));
    }
    assert!(leases::by_id(&mut tx, live.lease_id).await?.unwrap() == live);
    // what was read ahead is no longer so
    let marked = Selection::One(rows[98].lease_id);
    leases::mark_revoking(&mut tx, &marked, "asked", at(50), 1).await?;
    assert!(!leases::activate(&mut tx, activation(&rows[98])).await?);
    assert!(leases::activate(&mut tx, activation(&rows[99])).await?);
    assert!(!leases::activate(&mut tx, activation(&rows[99])).await?);
    tx.commit().await
}

both_stores!(leases_begun_one_by_one, one_by_one);
both_stores!(leases_begun_in_a_batch, batch);
both_stores!(leases_begun_dropped, dropped);
both_stores!(leases_begun_every_column, every_column);
both_stores!(leases_activation_in_a_batch, activation_in_a_batch);
