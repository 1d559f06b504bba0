use super::engines::{engine, put};
use crate::error::Result;
use crate::storage::db::{Db, Tx};
use crate::storage::engines::{self, EngineRow};
use crate::storage::root_rotations::Purpose::{Again, Instead};
use crate::storage::root_rotations::{Hold, expedite, is_taken, release, take};
use crate::storage::testing::{at, both_stores};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// The clock has microseconds.
fn moment(seconds: i64) -> DateTime<Utc> {
    at(seconds) + TimeDelta::microseconds(123_456)
}

async fn rotating(tx: &mut Tx, name: &str) -> Result<EngineRow> {
    put(tx, EngineRow { pending_encrypted: Some(vec![1]), ..engine(name) }).await
}

async fn due(tx: &mut Tx, node: Uuid, now: i64) -> Result<Vec<String>> {
    let rows = engines::with_work(tx, node, moment(now), 9).await?;
    let mut names: Vec<_> = rows.into_iter().map(|row| row.name).collect();
    names.sort_unstable();
    Ok(names)
}

async fn one_at_a_time(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = rotating(&mut tx, "e").await?;
    rotating(&mut tx, "other").await?;
    let hold = |node, until| Hold { engine_id: row.id, node, until: moment(until) };
    let (here, there) = (Uuid::new_v4(), Uuid::new_v4());
    assert!(!is_taken(&mut tx, row.id, moment(0)).await?);
    assert!(take(&mut tx, &hold(here, 90), Instead, moment(0)).await?);
    assert!(engines::by_id(&mut tx, row.id).await?.unwrap() == row, "nothing else is changed");
    assert!(is_taken(&mut tx, row.id, moment(89)).await?);
    assert!(!is_taken(&mut tx, row.id, moment(90)).await?);
    for purpose in [Again, Instead] {
        assert!(
            !take(&mut tx, &hold(there, 179), purpose, moment(89)).await?,
            "{purpose:?}: it has not ended"
        );
    }
    assert!(!take(&mut tx, &hold(here, 179), Instead, moment(89)).await?, "nor for the same process");
    assert_eq!(due(&mut tx, there, 89).await?, ["other"], "somebody is at it");
    assert_eq!(due(&mut tx, here, 89).await?, ["e", "other"], "it knows whether it still is at it");
    assert_eq!(due(&mut tx, there, 90).await?, ["e", "other"], "it has ended");
    assert!(take(&mut tx, &hold(there, 180), Again, moment(90)).await?);
    assert!(!release(&mut tx, &hold(here, 90), None).await?, "it is another's");
    assert!(!release(&mut tx, &hold(there, 181), None).await?, "nor is one of the same process");
    assert!(release(&mut tx, &hold(there, 180), None).await?);
    assert!(!release(&mut tx, &hold(there, 180), None).await?);
    // what was left by its holder is known to be over: its end has passed
    assert!(take(&mut tx, &hold(here, 190), Instead, moment(91)).await?);
    let gone = Hold { engine_id: Uuid::nil(), ..hold(here, 1) };
    assert!(!take(&mut tx, &gone, Again, moment(0)).await?, "no such engine");
    Ok(())
}

/// What may still take effect on the target is in the way of nothing but another secret.
async fn settles(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = rotating(&mut tx, "e").await?;
    let node = Uuid::new_v4();
    let hold = |until| Hold { engine_id: row.id, node, until: moment(until) };
    assert!(take(&mut tx, &hold(90), Instead, moment(0)).await?);
    assert!(release(&mut tx, &hold(90), Some(moment(30))).await?);
    assert!(!take(&mut tx, &hold(91), Instead, moment(29)).await?);
    assert!(take(&mut tx, &hold(91), Again, moment(1)).await?);
    assert!(release(&mut tx, &hold(91), Some(moment(20))).await?);
    assert!(!take(&mut tx, &hold(92), Instead, moment(29)).await?, "the later of two counts");
    // one that is certain of itself says nothing of those before
    assert!(take(&mut tx, &hold(92), Again, moment(2)).await?);
    assert!(release(&mut tx, &hold(92), None).await?);
    assert!(!take(&mut tx, &hold(93), Instead, moment(29)).await?);
    assert!(take(&mut tx, &hold(93), Instead, moment(30)).await?);
    // a claim that its holder could not give back is taken over by the same process, and counts for as long as it would have
    assert!(take(&mut tx, &hold(94), Again, moment(31)).await?);
    assert!(release(&mut tx, &hold(94), None).await?);
    assert!(!take(&mut tx, &hold(200), Instead, moment(92)).await?);
    assert!(take(&mut tx, &hold(200), Instead, moment(93)).await?);
    Ok(())
}

async fn of_an_ended_process(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (ended, living, other) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let mut ids = Vec::new();
    for (name, node) in [("a", ended), ("b", living), ("c", ended)] {
        let row = rotating(&mut tx, name).await?;
        assert!(
            take(&mut tx, &Hold { engine_id: row.id, node, until: moment(90) }, Instead, moment(0)).await?
        );
        ids.push(row.id);
    }
    assert!(due(&mut tx, other, 1).await?.is_empty());
    assert_eq!(expedite(&mut tx, ended, moment(31)).await?, 2);
    assert_eq!(expedite(&mut tx, ended, moment(31)).await?, 0);
    assert_eq!(due(&mut tx, other, 1).await?, ["a", "c"]);
    // the target may still be at it
    let hold = Hold { engine_id: ids[0], node: other, until: moment(120) };
    assert!(!take(&mut tx, &hold, Instead, moment(30)).await?);
    assert!(take(&mut tx, &hold, Again, moment(1)).await?);
    assert!(release(&mut tx, &hold, None).await?);
    assert!(take(&mut tx, &hold, Instead, moment(31)).await?);
    Ok(())
}

both_stores!(root_rotation_one_at_a_time, one_at_a_time);
both_stores!(root_rotation_settles, settles);
both_stores!(root_rotation_of_an_ended_process, of_an_ended_process);
