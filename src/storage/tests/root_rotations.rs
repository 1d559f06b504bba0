use super::engines::{engine, put};
use crate::error::Result;
use crate::storage::db::Db;
use crate::storage::engines::{self, EngineRow};
use crate::storage::root_rotations::{Hold, expedite, release, take};
use crate::storage::testing::{at, both_stores};
use uuid::Uuid;

async fn one_at_a_time(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = put(&mut tx, EngineRow { pending_encrypted: Some(vec![1]), ..engine("e") }).await?;
    let other = put(&mut tx, EngineRow { pending_encrypted: Some(vec![2]), ..engine("other") }).await?;
    let hold = |node, until| Hold { engine_id: row.id, node, until: at(until) };
    let (here, there) = (Uuid::new_v4(), Uuid::new_v4());
    let first = hold(here, 90);
    assert!(take(&mut tx, &first, at(0)).await?);
    assert!(engines::by_id(&mut tx, row.id).await?.unwrap() == row, "nothing else is changed");
    assert!(!take(&mut tx, &hold(here, 95), at(5)).await?, "the same process has it");
    assert!(!take(&mut tx, &hold(there, 179), at(89)).await?, "it has not ended");
    let due: Vec<Uuid> =
        engines::with_work(&mut tx, at(89), 9).await?.into_iter().map(|row| row.id).collect();
    assert_eq!(due, [other.id], "somebody is at the other one");
    assert_eq!(engines::with_work(&mut tx, at(90), 9).await?.len(), 2, "it has ended");
    assert!(take(&mut tx, &hold(there, 180), at(90)).await?);
    assert!(!release(&mut tx, &first).await?, "it is another's");
    assert!(!release(&mut tx, &hold(there, 181)).await?, "nor is one of the same process");
    assert!(!take(&mut tx, &hold(here, 190), at(100)).await?);
    assert!(release(&mut tx, &hold(there, 180)).await?);
    assert!(!release(&mut tx, &hold(there, 180)).await?);
    assert!(take(&mut tx, &hold(here, 190), at(100)).await?);
    let gone = Hold { engine_id: Uuid::nil(), ..first };
    assert!(!take(&mut tx, &gone, at(0)).await?, "no such engine");
    Ok(())
}

async fn of_an_ended_process(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (ended, living) = (Uuid::new_v4(), Uuid::new_v4());
    for (name, node) in [("a", ended), ("b", living), ("c", ended)] {
        let row = put(&mut tx, EngineRow { pending_encrypted: Some(vec![1]), ..engine(name) }).await?;
        assert!(take(&mut tx, &Hold { engine_id: row.id, node, until: at(90) }, at(0)).await?);
    }
    assert!(engines::with_work(&mut tx, at(1), 9).await?.is_empty());
    assert_eq!(expedite(&mut tx, ended).await?, 2);
    assert_eq!(expedite(&mut tx, ended).await?, 0);
    let mut due: Vec<_> =
        engines::with_work(&mut tx, at(1), 9).await?.into_iter().map(|row| row.name).collect();
    due.sort_unstable();
    assert_eq!(due, ["a", "c"]);
    Ok(())
}

both_stores!(root_rotation_one_at_a_time, one_at_a_time);
both_stores!(root_rotation_of_an_ended_process, of_an_ended_process);
