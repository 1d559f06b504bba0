//! The audit log, verified by the node that keeps it.

use super::super::audit;
use super::Node;
use crate::model::audit::EventType;
use crate::storage::db::exec;
use crate::storage::testing::shown;

/// A hole longer than what is read at a time, in a part that ends within it.
#[tokio::test]
async fn a_long_hole_is_found_where_it_begins() {
    let node = Node::start().await;
    let before = shown(audit::checkpoint(&node.root).await).sequence_number;
    let many = (0..2500).map(|_| node.root.event(EventType::SecretListed, None)).collect();
    node.app.ledger.record(node.app.undecided(), many).await.unwrap();
    assert!(shown(audit::verify(&node.root, None, Some(before + 600)).await).valid);

    let mut tx = shown(node.app.db.begin().await);
    let text = "DELETE FROM audit_logs WHERE sequence_number > $1 AND sequence_number <= $2";
    shown(exec!(&mut tx, sqlx::query(text).bind(before).bind(before + 2400)));
    shown(tx.commit().await);
    for to in [None, Some(before + 600)] {
        let found = shown(audit::verify(&node.root, None, to).await);
        assert_eq!((found.valid, found.first_bad_sequence), (false, Some(before + 1)), "{found:?}");
    }
}
