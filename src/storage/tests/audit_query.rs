use super::audit::{append, bare, event};
use crate::error::Result;
use crate::model::audit::AuditEvent;
use crate::storage::audit::{self, Filter};
use crate::storage::db::{Db, Tx};
use crate::storage::testing::{at, both_stores};

async fn numbers(tx: &mut Tx, filter: Filter) -> Result<Vec<i64>> {
    let found = audit::list(tx, &filter, None, None, 100, false).await?;
    // an event in memory is judged as its row is
    let mut all = audit::list(tx, &Filter::default(), None, None, 100, false).await?;
    all.retain(|event| filter.matches(event));
    assert_eq!(all, found, "{filter:?}");
    Ok(found.into_iter().map(|event| event.sequence_number).collect())
}

async fn filters(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut events: Vec<AuditEvent> = (1..=6).map(event).collect();
    events.push(bare(7));
    for (index, path) in
        ["prod.db", "prod.dba", "prod.db.x", "prod.db-1", "prod", "z"].into_iter().enumerate()
    {
        events[index].secret_path = Some(path.into());
    }
    events[1].event_type = "auth.failed".into();
    events[2].event_type = "policy.created".into();
    events[4].source_ip = Some("10.0.0.9".parse().unwrap());
    append(&mut tx, &events).await?;

    let all = Filter::default();
    assert_eq!(numbers(&mut tx, all.clone()).await?, [7, 6, 5, 4, 3, 2, 1]);
    let one = Filter { event_types: vec!["auth.failed".into()], ..all.clone() };
    assert_eq!(numbers(&mut tx, one).await?, [2]);
    let two = Filter { event_types: vec!["auth.failed".into(), "policy.created".into()], ..all.clone() };
    assert_eq!(numbers(&mut tx, two).await?, [3, 2]);
    let actor = Filter { actor_id: Some("actor-4".into()), ..all.clone() };
    assert_eq!(numbers(&mut tx, actor).await?, [4]);
    let below = Filter { secret_path_prefix: Some(("prod.db.".into(), "prod.db/".into())), ..all.clone() };
    assert_eq!(numbers(&mut tx, below).await?, [3], "prod.dba does not lie below prod.db");
    let exact = Filter { secret_path_prefix: Some(("prod.db".into(), "prod.db\u{1}".into())), ..all.clone() };
    assert_eq!(numbers(&mut tx, exact).await?, [1]);
    let within = Filter { secret_path_prefix: Some(("prod.db".into(), "prod.db/".into())), ..all.clone() };
    assert_eq!(numbers(&mut tx, within).await?, [3, 1], "neither prod.dba nor prod.db-1");
    let lease = Filter { lease_id: events[5].lease_id, ..all.clone() };
    assert_eq!(numbers(&mut tx, lease).await?, [6]);
    let denied = Filter { access_granted: Some(false), ..all.clone() };
    assert_eq!(numbers(&mut tx, denied).await?, [5, 3, 1]);
    let granted = Filter { access_granted: Some(true), ..all.clone() };
    assert_eq!(numbers(&mut tx, granted).await?, [6, 4, 2]);
    let source = Filter { source_ip: Some("10.0.0.9".parse().unwrap()), ..all.clone() };
    assert_eq!(numbers(&mut tx, source).await?, [5]);
    let source = Filter { source_ip: Some("2001:0db8:0::00ff".parse().unwrap()), ..all.clone() };
    assert_eq!(numbers(&mut tx, source).await?, [6, 4, 3, 2, 1]);
    let request = Filter { correlation_id: Some("correlation-2".into()), ..all.clone() };
    assert_eq!(numbers(&mut tx, request).await?, [2]);
    let span = Filter { from: Some(at(20)), to: Some(at(50)), ..all.clone() };
    assert_eq!(numbers(&mut tx, span).await?, [4, 3, 2], "from is included, to is not");
    let several = Filter {
        access_granted: Some(false),
        from: Some(at(20)),
        source_ip: events[2].source_ip,
        event_types: vec!["policy.created".into(), "secret.accessed".into()],
        secret_path_prefix: Some(("prod".into(), "prod/".into())),
        actor_id: events[2].actor_id.clone(),
        correlation_id: events[2].correlation_id.clone(),
        lease_id: events[2].lease_id,
        to: Some(at(31)),
    };
    assert_eq!(numbers(&mut tx, several).await?, [3]);
    Ok(())
}

/// Times compare as times where their texts have fractions of different length.
async fn fractions(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let micros = [0, 1, 10, 999, 1_000, 1_001, 500_000, 500_001, 999_999, 1_000_000];
    let events: Vec<_> =
        (1..).zip(micros).map(|(n, micros)| AuditEvent { timestamp: at(micros), ..bare(n) }).collect();
    append(&mut tx, &events).await?;
    for (index, micros) in micros.into_iter().enumerate() {
        let from = Filter { from: Some(at(micros)), ..Filter::default() };
        assert_eq!(numbers(&mut tx, from).await?.len(), events.len() - index, "from {micros}");
        let to = Filter { to: Some(at(micros)), ..Filter::default() };
        assert_eq!(numbers(&mut tx, to).await?.len(), index, "to {micros}");
    }
    Ok(())
}

async fn paging(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let events: Vec<_> = (1..=20).map(event).collect();
    append(&mut tx, &events).await?;
    let denied = Filter { access_granted: Some(false), ..Filter::default() };
    let mut found = async |before, after, limit, oldest_first| -> Result<Vec<i64>> {
        let found = audit::list(&mut tx, &denied, before, after, limit, oldest_first).await?;
        Ok(found.into_iter().map(|event| event.sequence_number).collect())
    };
    assert_eq!(found(None, None, 3, false).await?, [19, 17, 15]);
    assert_eq!(found(Some(15), None, 3, false).await?, [13, 11, 9]);
    assert_eq!(found(None, Some(15), 3, false).await?, [19, 17]);
    assert_eq!(found(None, None, 3, true).await?, [1, 3, 5]);
    assert_eq!(found(None, Some(5), 3, true).await?, [7, 9, 11]);
    assert_eq!(found(Some(9), Some(5), 3, true).await?, [7]);
    assert_eq!(found(None, None, 0, true).await?, [0; 0]);
    Ok(())
}

both_stores!(audit_filters, filters);
both_stores!(audit_times_with_fractions, fractions);
both_stores!(audit_paging, paging);
