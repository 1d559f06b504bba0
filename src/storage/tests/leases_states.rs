use super::leases::{active, ended, lease, put};
use crate::error::Result;
use crate::storage::db::{Db, Tx, exec};
use crate::storage::leases::{self, Activation, LeaseRow, Revoked, Selection};
use crate::storage::testing::{ODD, at, both_stores};
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

const NODE: Uuid = Uuid::from_u128(7);

async fn now_is(tx: &mut Tx, row: &LeaseRow) -> Result<LeaseRow> {
    Ok(leases::by_id(tx, row.lease_id).await?.expect("the lease is there"))
}

async fn mark(tx: &mut Tx, selection: Selection, now: DateTime<Utc>) -> Result<u64> {
    leases::mark_revoking(tx, &selection, "asked", now, 99).await
}

pub(super) fn activation(row: &LeaseRow) -> Activation {
    Activation {
        lease_id: row.lease_id,
        credentials: vec![1, 2],
        handle: json!({ "user": ODD }),
        expires_at: at(1000),
    }
}

async fn activate(tx: &mut Tx, row: &LeaseRow) -> Result<bool> {
    leases::activate(tx, activation(row)).await
}

/// What none of `rows` looks like afterwards is changed by nothing that `change` does.
async fn untouched(tx: &mut Tx, rows: &[&LeaseRow]) -> Result<()> {
    for row in rows {
        assert!(now_is(tx, row).await? == **row, "a lease {} was changed", row.state);
    }
    Ok(())
}

async fn activating(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = put(&mut tx, lease(Uuid::new_v4(), "a")).await?;
    assert!(activate(&mut tx, &row).await?);
    let now = now_is(&mut tx, &row).await?;
    assert_eq!((now.state.as_str(), now.due_at), ("active", Some(at(1000))));
    assert_eq!((now.credentials, now.engine_metadata.0), (Some(vec![1, 2]), json!({ "user": ODD })));
    assert!(!activate(&mut tx, &row).await?, "once");

    let marked = put(&mut tx, lease(Uuid::new_v4(), "a")).await?;
    assert_eq!(mark(&mut tx, Selection::One(marked.lease_id), at(50)).await?, 1);
    assert!(!activate(&mut tx, &marked).await?, "its revocation has begun");
    let now = now_is(&mut tx, &marked).await?;
    assert_eq!((now.state.as_str(), now.credentials), ("revoking", None));
    let gone = put(&mut tx, ended(Uuid::new_v4(), "a", 1)).await?;
    assert!(!activate(&mut tx, &gone).await?);
    untouched(&mut tx, &[&gone]).await
}

async fn renewal(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let row = put(&mut tx, active(engine, "a")).await?;
    assert!(leases::renew(&mut tx, row.lease_id, 0, at(2000), 7, at(500)).await?);
    let now = now_is(&mut tx, &row).await?;
    assert_eq!((now.expires_at, now.due_at, now.ttl_seconds), (at(2000), Some(at(2000)), 7));
    assert_eq!((now.renewed_count, now.last_renewed_at), (1, Some(at(500))));
    assert!(!leases::renew(&mut tx, row.lease_id, 0, at(3000), 7, at(501)).await?, "another was quicker");
    assert!(leases::renew(&mut tx, row.lease_id, 1, at(3000), 7, at(501)).await?);

    let issuing = put(&mut tx, lease(engine, "a")).await?;
    let revoking = put(&mut tx, LeaseRow { state: "revoking".into(), ..active(engine, "a") }).await?;
    let gone = put(&mut tx, ended(engine, "a", 1)).await?;
    for row in [&issuing, &revoking, &gone] {
        assert!(!leases::renew(&mut tx, row.lease_id, 0, at(3000), 7, at(501)).await?, "{}", row.state);
    }
    untouched(&mut tx, &[&issuing, &revoking, &gone]).await
}

async fn marking(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let issuing = put(&mut tx, lease(engine, "a")).await?;
    let live = put(&mut tx, active(engine, "a")).await?;
    let reason = Some("first".to_owned());
    let revoking = LeaseRow {
        state: "revoking".into(),
        revocation_reason: reason,
        due_at: Some(at(900)),
        ..active(engine, "a")
    };
    let revoking = put(&mut tx, revoking).await?;
    let gone = put(&mut tx, ended(engine, "a", 1)).await?;
    assert_eq!(mark(&mut tx, Selection::Engine(engine), at(50)).await?, 2);
    let now = now_is(&mut tx, &live).await?;
    assert_eq!((now.state.as_str(), now.revocation_reason.as_deref()), ("revoking", Some("asked")));
    assert_eq!((now.due_at, now.expires_at), (Some(at(50)), at(50)), "it ends now");
    let now = now_is(&mut tx, &issuing).await?;
    assert_eq!((now.state.as_str(), now.expires_at), ("revoking", at(50)));
    assert_eq!(now.due_at, Some(at(100)), "the call that issues it may still make credentials");
    untouched(&mut tx, &[&revoking, &gone]).await?;

    let late = put(&mut tx, active(engine, "a")).await?;
    assert_eq!(mark(&mut tx, Selection::One(late.lease_id), at(2000)).await?, 1);
    assert_eq!(now_is(&mut tx, &late).await?.expires_at, at(1000), "it had ended before");
    Ok(())
}

async fn selections(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (engine, token, secret) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let rows = [
        LeaseRow { token_accessor: token, ..active(engine, "prod.db") },
        LeaseRow { secret_id: secret, ..active(engine, "prod.db.x") },
        LeaseRow { role_name: Some("billing".into()), ..active(Uuid::new_v4(), "prod.dba") },
        active(Uuid::new_v4(), "prod.db-1"),
    ];
    for row in &rows {
        leases::insert(&mut tx, row).await?;
    }
    // the tokens that were revoked at 7
    for (accessor, micros) in [(token, 7), (rows[3].token_accessor, 8)] {
        let text = "INSERT INTO tokens (accessor, token_hash, display_name, entity_type, policies, bound_cidr_list, renewable, \
             created_at, revoked_at, metadata) VALUES ($1, $2, '', 'app', $3, $3, false, $4, $4, $5)";
        let none = crate::storage::types::TextArray::default();
        exec!(
            &mut tx,
            sqlx::query(text)
                .bind(accessor)
                .bind(accessor.as_bytes().repeat(2))
                .bind(&none)
                .bind(at(micros))
                .bind(sqlx::types::Json(json!({})))
        )?;
    }
    for (selection, expected) in [
        (Selection::One(rows[3].lease_id), vec![3]),
        (Selection::Path("prod.db".into()), vec![0, 1]),
        (Selection::Engine(engine), vec![0, 1]),
        (Selection::Secret(secret), vec![1]),
        (Selection::Token(token), vec![0]),
        (Selection::Role("billing".into()), vec![2]),
        (Selection::TokensRevokedAt(at(7)), vec![0]),
        (Selection::TokensRevokedAt(at(9)), vec![]),
        (Selection::Path("prod.d".into()), vec![]),
    ] {
        let place = format!("{selection:?}");
        let count = mark(&mut tx, selection, at(50)).await?;
        assert_eq!(count, expected.len() as u64, "{place}");
        for (index, row) in rows.iter().enumerate() {
            let state = now_is(&mut tx, row).await?.state;
            assert_eq!(state == "revoking", expected.contains(&index), "{place} and lease {index}");
        }
        exec!(&mut tx, sqlx::query("UPDATE leases SET state = 'active'"))?;
    }
    assert_eq!(leases::mark_revoking(&mut tx, &Selection::Path("prod".into()), "x", at(50), 3).await?, 3);
    assert_eq!(leases::mark_revoking(&mut tx, &Selection::Path("prod".into()), "x", at(50), 3).await?, 1);
    Ok(())
}

async fn abandoning(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let abandoned = async |tx: &mut Tx, row: &LeaseRow| -> Result<LeaseRow> {
        leases::abandon(tx, row.lease_id, "no answer", at(50), at(60)).await?;
        now_is(tx, row).await
    };
    let issuing = put(&mut tx, lease(engine, "a")).await?;
    let now = abandoned(&mut tx, &issuing).await?;
    assert_eq!((now.state.as_str(), now.due_at), ("revoking", Some(at(60))));
    assert_eq!((now.revocation_reason.as_deref(), now.expires_at), (Some("no answer"), at(50)));
    // one that was revoked meanwhile: the call has ended, so it is due sooner, and the reason stays
    let marked = put(&mut tx, lease(engine, "a")).await?;
    mark(&mut tx, Selection::One(marked.lease_id), at(40)).await?;
    let now = abandoned(&mut tx, &marked).await?;
    assert_eq!((now.due_at, now.expires_at), (Some(at(60)), at(40)));
    assert_eq!(now.revocation_reason.as_deref(), Some("asked"));
    let live = put(&mut tx, active(engine, "a")).await?;
    let gone = put(&mut tx, ended(engine, "a", 1)).await?;
    for row in [&live, &gone] {
        abandoned(&mut tx, row).await?;
    }
    untouched(&mut tx, &[&live, &gone]).await
}

async fn claims(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let mut rows = Vec::new();
    for micros in [30, 10, 20, 41] {
        let row = LeaseRow { due_at: Some(at(micros)), ..active(engine, "a") };
        rows.push(put(&mut tx, row).await?);
    }
    put(&mut tx, LeaseRow { due_at: Some(at(1)), ..active(Uuid::new_v4(), "a") }).await?;
    put(&mut tx, ended(engine, "a", 1)).await?;
    let mut claim = async |limit| -> Result<Vec<usize>> {
        let taken = leases::claim_due(&mut tx, engine, NODE, at(40), at(90), limit).await?;
        for row in &taken {
            assert_eq!((row.state.as_str(), row.due_at), ("revoking", Some(at(90))));
            assert_eq!(row.claimed_by, Some(NODE));
            assert_eq!((row.revocation_attempts, row.revocation_reason.as_deref()), (1, Some("expired")));
        }
        let index = |row: &LeaseRow| rows.iter().position(|known| known.lease_id == row.lease_id).unwrap();
        let mut found: Vec<_> = taken.iter().map(index).collect();
        found.sort_unstable();
        Ok(found)
    };
    assert_eq!(claim(2).await?, [1, 2], "what is due longest comes first");
    assert_eq!(claim(9).await?, [0], "what was taken is not taken again");
    assert!(claim(9).await?.is_empty());
    // when the claim has ended it is due again, with one attempt more
    let again = leases::claim_due(&mut tx, engine, NODE, at(90), at(99), 9).await?;
    assert_eq!(again.len(), 4);
    assert_eq!(again.iter().map(|row| row.revocation_attempts).sum::<i64>(), 7);

    let lost = put(&mut tx, lease(engine, "a")).await?;
    let taken = leases::claim_due(&mut tx, engine, NODE, at(100), at(200), 9).await?;
    let taken = taken.iter().find(|row| row.lease_id == lost.lease_id).unwrap();
    assert_eq!(taken.revocation_reason.as_deref(), Some("the issue did not end"));
    Ok(())
}

async fn claim_one(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let (live, gone) = (active(engine, "a"), ended(engine, "a", 1));
    for row in [&live, &gone] {
        leases::insert(&mut tx, row).await?;
        assert!(leases::claim_one(&mut tx, row.lease_id, NODE, at(5000), at(6000)).await?.is_none());
    }
    untouched(&mut tx, &[&live, &gone]).await?;
    mark(&mut tx, Selection::One(live.lease_id), at(50)).await?;
    assert!(leases::claim_one(&mut tx, live.lease_id, NODE, at(49), at(90)).await?.is_none(), "not due yet");
    let taken = leases::claim_one(&mut tx, live.lease_id, NODE, at(50), at(90)).await?.unwrap();
    assert_eq!((taken.due_at, taken.revocation_attempts), (Some(at(90)), 1));
    assert!(
        leases::claim_one(&mut tx, live.lease_id, NODE, at(51), at(90)).await?.is_none(),
        "somebody is at it"
    );
    assert!(leases::claim_due(&mut tx, engine, NODE, at(51), at(90), 9).await?.is_empty());
    assert!(leases::claim_one(&mut tx, Uuid::nil(), NODE, at(51), at(90)).await?.is_none());
    Ok(())
}

async fn ending(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let revoking = LeaseRow { state: "revoking".into(), ..active(engine, "a") };
    let revoking = LeaseRow { revocation_reason: Some("asked".into()), ..revoking };
    for row in [lease(engine, "a"), active(engine, "a"), revoking] {
        let row = put(&mut tx, row).await?;
        let expected = Revoked { lease_id: row.lease_id, engine_id: engine, secret_id: row.secret_id };
        assert_eq!(leases::revoked(&mut tx, row.lease_id, None, at(70)).await?, Some(expected));
        let now = now_is(&mut tx, &row).await?;
        assert_eq!((now.state.as_str(), now.revoked, now.revoked_at), ("revoked", true, Some(at(70))));
        assert_eq!((now.due_at, now.credentials), (None, None), "no credential is kept");
        assert_eq!(now.revocation_reason, row.revocation_reason);
        assert_eq!(leases::revoked(&mut tx, row.lease_id, Some("late"), at(71)).await?, None, "once");
        assert!(now_is(&mut tx, &row).await?.revoked_at == Some(at(70)));
    }
    let forced = put(&mut tx, active(engine, "a")).await?;
    leases::revoked(&mut tx, forced.lease_id, Some("forced"), at(70)).await?;
    assert_eq!(now_is(&mut tx, &forced).await?.revocation_reason.as_deref(), Some("forced"));
    Ok(())
}

async fn failures(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let live = put(&mut tx, active(engine, "a")).await?;
    let gone = put(&mut tx, ended(engine, "a", 1)).await?;
    for row in [&live, &gone] {
        leases::note_failure(&mut tx, row.lease_id, ODD, at(60)).await?;
    }
    untouched(&mut tx, &[&live, &gone]).await?;
    mark(&mut tx, Selection::One(live.lease_id), at(50)).await?;
    leases::note_failure(&mut tx, live.lease_id, ODD, at(60)).await?;
    let now = now_is(&mut tx, &live).await?;
    assert_eq!((now.due_at, now.last_revocation_error.as_deref()), (Some(at(60)), Some(ODD)));
    Ok(())
}

/// What a node was at is due at once; what another is at, and what rests for long, stays.
async fn expediting(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let target = super::engines::put(&mut tx, super::engines::engine("e")).await?.id;
    let before = |row: LeaseRow| LeaseRow { claimed_by: Some(NODE), ..row };
    let revoking = |due| LeaseRow { state: "revoking".into(), due_at: Some(at(due)), ..active(target, "a") };
    let lost = [before(lease(target, "a")), before(revoking(90))];
    let kept = [
        lease(target, "a"),
        LeaseRow { claimed_by: Some(Uuid::new_v4()), ..revoking(90) },
        before(revoking(101)),
        before(LeaseRow { due_at: Some(at(90)), ..active(target, "a") }),
        before(ended(target, "a", 1)),
    ];
    for row in lost.iter().chain(&kept) {
        leases::insert(&mut tx, row).await?;
    }
    assert_eq!(leases::expedite(&mut tx, NODE, at(6), at(100)).await?, 2);
    for row in &lost {
        assert_eq!(now_is(&mut tx, row).await?.due_at, Some(at(6)));
    }
    untouched(&mut tx, &kept.each_ref()).await
}

both_stores!(lease_activation, activating);
both_stores!(lease_renewal, renewal);
both_stores!(lease_marking, marking);
both_stores!(lease_selections, selections);
both_stores!(lease_abandoning, abandoning);
both_stores!(lease_claims, claims);
both_stores!(lease_claim_one, claim_one);
both_stores!(lease_ending, ending);
both_stores!(lease_failures, failures);
both_stores!(lease_expediting, expediting);
