use crate::error::Result;
use crate::storage::db::Db;
use crate::storage::nodes::{self, NodeRow};
use crate::storage::testing::{ODD, at, both_stores};
use uuid::Uuid;

async fn come_and_go(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let node = |id, micros| NodeRow {
        id: Uuid::from_u128(id),
        place: ODD.into(),
        pid: i64::from(i32::MAX),
        began_ticks: i64::MAX,
        seen_at: at(micros),
    };
    let all = [node(1, 10), node(2, 20), node(3, 30)];
    for row in &all {
        nodes::put(&mut tx, row).await?;
    }
    assert_eq!(nodes::others(&mut tx, all[0].id, 9).await?, all[1..]);
    assert_eq!(nodes::others(&mut tx, all[2].id, 1).await?, all[..1]);
    // it says that it is still there
    nodes::put(&mut tx, &node(1, 40)).await?;
    assert_eq!(nodes::others(&mut tx, all[2].id, 1).await?, [node(1, 40)]);
    assert_eq!(nodes::forget(&mut tx, at(30)).await?, 1, "the second is not seen any more");
    nodes::remove(&mut tx, all[2].id).await?;
    nodes::remove(&mut tx, all[2].id).await?;
    assert_eq!(nodes::others(&mut tx, Uuid::nil(), 9).await?, [node(1, 40)]);
    Ok(())
}

both_stores!(nodes_come_and_go, come_and_go);
