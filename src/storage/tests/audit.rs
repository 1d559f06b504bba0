use crate::error::{ErrorCode, Result};
use crate::model::audit::AuditEvent;
use crate::storage::audit::{self, CheckpointRow, Head, Step};
use crate::storage::db::{Db, Tx};
use crate::storage::effects;
use crate::storage::testing::{ODD, at, both_stores};
use serde_json::json;
use uuid::Uuid;

/// An event with every field set that `sequence` does not leave out.
pub(super) fn event(sequence: i64) -> AuditEvent {
    let some = |text: &str| Some(format!("{text}-{sequence}"));
    let byte = sequence.to_le_bytes()[0];
    AuditEvent {
        event_id: Uuid::new_v4(),
        sequence_number: sequence,
        timestamp: at(sequence * 10),
        event_type: "secret.accessed".into(),
        actor_type: some("app"),
        actor_id: some("actor"),
        token_accessor: some("accessor"),
        role_name: Some(ODD.into()),
        agent_id: some("agent"),
        app_id: some("app"),
        admin_id: some("admin"),
        agent_cert_fingerprint: some("agent-cert"),
        app_cert_fingerprint: some("app-cert"),
        admin_cert_fingerprint: some("admin-cert"),
        secret_id: Some(Uuid::new_v4()),
        secret_path: Some("prod.db.password".into()),
        secret_version: Some(i64::MAX),
        secret_type: Some("static".into()),
        lease_id: Some(Uuid::new_v4()),
        access_granted: Some(sequence % 2 == 0),
        policy_matched: some("policy"),
        denial_reason: some("reason"),
        source_ip: Some("2001:db8::ff".parse().unwrap()),
        hostname: some("host"),
        k8s_namespace: some("namespace"),
        k8s_pod: some("pod"),
        event_data: json!({
            "z": [1, {"y": {"x": [[], {}, null, true, "", ODD]}}],
            "a": -9_223_372_036_854_775_808_i64, "big": u64::MAX, "": 0
        }),
        response_time_ms: Some(0),
        correlation_id: some("correlation"),
        batch_end: sequence % 3 == 0,
        previous_hash: [byte; 32],
        current_hash: [byte.wrapping_add(1); 32],
        signature: Some(vec![byte; 64]),
    }
}

/// An event with nothing that may be missing.
pub(super) fn bare(sequence: i64) -> AuditEvent {
    AuditEvent {
        actor_type: None,
        actor_id: None,
        token_accessor: None,
        role_name: None,
        agent_id: None,
        app_id: None,
        admin_id: None,
        agent_cert_fingerprint: None,
        app_cert_fingerprint: None,
        admin_cert_fingerprint: None,
        secret_id: None,
        secret_path: None,
        secret_version: None,
        secret_type: None,
        lease_id: None,
        access_granted: None,
        policy_matched: None,
        denial_reason: None,
        source_ip: None,
        hostname: None,
        k8s_namespace: None,
        k8s_pod: None,
        event_data: json!({}),
        response_time_ms: None,
        correlation_id: None,
        signature: None,
        ..event(sequence)
    }
}

/// Appends events as they are, and moves the head to the number of the last.
pub(super) async fn append(tx: &mut Tx, events: &[AuditEvent]) -> Result<()> {
    let from = audit::lock_head(tx).await?;
    let number = events.last().map_or(from.sequence_number, |event| event.sequence_number);
    let to = Head { sequence_number: number, ..from.clone() };
    audit::advance(tx, Step { from: &from, to: &to, events, told: &[] }).await
}

async fn appends(tx: &mut Tx, from: i64, count: i64) -> Result<Vec<AuditEvent>> {
    let events: Vec<_> = (from..from + count)
        .map(|n| match n % 4 {
            0 => bare(n),
            1 => AuditEvent { source_ip: Some("192.0.2.7".parse().unwrap()), ..event(n) },
            _ => event(n),
        })
        .collect();
    append(tx, &events).await?;
    Ok(events)
}

async fn append_and_read(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut all = Vec::new();
    for count in [1, 3, 300, 700] {
        let next = i64::try_from(all.len()).unwrap() + 1;
        all.extend(appends(&mut tx, next, count).await?);
    }
    append(&mut tx, &[]).await?;
    tx.commit().await?;
    let mut tx = db.read().await?;
    assert!(audit::range(&mut tx, 1, i64::MAX, 10_000).await? == all);
    assert_eq!(audit::range(&mut tx, 4, 7, 3).await?, &all[3..6]);
    assert_eq!(audit::range(&mut tx, 1003, 1009, 100).await?, &all[1002..]);
    assert_eq!(audit::by_sequence(&mut tx, 304).await?.as_ref(), Some(&all[303]));
    assert_eq!(audit::by_sequence(&mut tx, 1005).await?, None);
    assert_eq!(audit::by_event_id(&mut tx, all[9].event_id).await?.as_ref(), Some(&all[9]));
    assert_eq!(audit::by_event_id(&mut tx, Uuid::nil()).await?, None);
    Ok(())
}

async fn twice(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let first = event(1);
    append(&mut tx, std::slice::from_ref(&first)).await?;
    tx.savepoint(true).await?;
    let again = AuditEvent { event_id: Uuid::new_v4(), ..first.clone() };
    assert!(append(&mut tx, &[again]).await.is_err(), "the number is taken");
    tx.rollback_to_savepoint().await?;
    assert_eq!(audit::range(&mut tx, 0, 9, 9).await?, [first]);
    Ok(())
}

async fn head(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let start = Head {
        sequence_number: 0,
        current_hash: vec![0; 32],
        signature: None,
        generation: 0,
        updated_at: None,
    };
    assert_eq!(audit::head(&mut tx).await?, start);
    let moved = Head {
        sequence_number: 7,
        current_hash: vec![9; 32],
        signature: Some(vec![1; 64]),
        generation: 3,
        updated_at: Some(at(5)),
    };
    let step = Step { from: &start, to: &moved, events: &[], told: &[] };
    audit::advance(&mut tx, step).await?;
    assert_eq!(audit::lock_head(&mut tx).await?, moved);
    tx.commit().await?;

    // a counter moved by read and write under the lock loses no step
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = db.begin().await?;
                let from = audit::lock_head(&mut tx).await?;
                tokio::task::yield_now().await;
                let to = Head { generation: from.generation + 1, ..from.clone() };
                audit::advance(&mut tx, Step { from: &from, to: &to, events: &[], told: &[] }).await?;
                tx.commit().await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap()?;
    }
    assert_eq!(audit::head(&mut db.read().await?).await?.generation, 11);
    Ok(())
}

/// Alone in its transaction, and only from where the chain ends.
async fn alone(db: Db) -> Result<()> {
    let start = audit::head(&mut db.read().await?).await?;
    let to = Head { sequence_number: 1, generation: 1, updated_at: Some(at(5)), ..start.clone() };
    let events = [event(1)];
    let told = [("secret", "a.b".to_owned()), ("secret", "a.b".to_owned()), ("policies", String::new())];
    let step = Step { from: &start, to: &to, events: &events, told: &told };
    if !audit::advances_alone(&db) {
        assert!(!audit::advance_alone(&db, step).await?);
        assert_eq!(audit::head(&mut db.read().await?).await?, start);
        return Ok(());
    }
    assert!(audit::advance_alone(&db, step).await?);
    let mut tx = db.read().await?;
    assert_eq!(audit::head(&mut tx).await?, to);
    assert!(audit::range(&mut tx, 0, 9, 9).await? == events);
    let effects = effects::since(&mut tx, 0, 1, 9).await?;
    let mut effects: Vec<_> = effects.iter().map(|row| (row.kind.as_str(), row.key.as_str())).collect();
    effects.sort_unstable();
    assert_eq!(effects, [("policies", ""), ("secret", "a.b")]);
    drop(tx);

    // from a number or a generation that is not the chain's end any more, nothing is done
    let later = Head { sequence_number: 2, ..to.clone() };
    let events = [event(2)];
    for from in [&start, &Head { generation: 0, ..to.clone() }, &Head { sequence_number: 0, ..to.clone() }] {
        let step = Step { from, to: &later, events: &events, told: &told };
        assert!(!audit::advance_alone(&db, step).await?);
        let mut tx = db.begin().await?;
        assert_eq!(audit::advance(&mut tx, step).await.unwrap_err().code(), ErrorCode::Conflict);
    }
    let mut tx = db.read().await?;
    assert_eq!(audit::head(&mut tx).await?, to);
    assert_eq!(audit::range(&mut tx, 0, 9, 9).await?.len(), 1);
    assert_eq!(effects::since(&mut tx, 0, 1, 9).await?.len(), 2);
    Ok(())
}

async fn checkpoints(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    assert_eq!(audit::latest_checkpoint(&mut tx).await?, None);
    let checkpoint = |n| CheckpointRow {
        sequence_number: n,
        hash: vec![1; 32],
        signature: vec![2; 64],
        created_at: at(n),
    };
    for n in [100, 20, 3] {
        audit::insert_checkpoint(&mut tx, &checkpoint(n)).await?;
    }
    let late = CheckpointRow { created_at: at(999), ..checkpoint(3) };
    audit::insert_checkpoint(&mut tx, &late).await?;
    assert_eq!(audit::latest_checkpoint(&mut tx).await?, Some(checkpoint(100)));
    assert_eq!(audit::checkpoints(&mut tx, 2).await?, [checkpoint(100), checkpoint(20)]);
    assert_eq!(audit::checkpoints(&mut tx, 9).await?.last(), Some(&checkpoint(3)));
    Ok(())
}

both_stores!(audit_alone, alone);
both_stores!(audit_append, append_and_read);
both_stores!(audit_number_twice, twice);
both_stores!(audit_head, head);
both_stores!(audit_checkpoints, checkpoints);
