//! The seal, followed. For anyone, and the only subscription that goes on when the node is sealed.

use super::super::seal::{SealStatus, status, watch};
use crate::service::App;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::sync::Arc;

/// The state of this node's seal: as it is now, and then whenever it changes. Changes that follow each other at once are one.
pub async fn seal(app: &Arc<App>) -> BoxStream<'static, SealStatus> {
    // looks at the store, as the query does, if nothing is known to be initialised
    status(app).await;
    let mut states = watch(app);
    states.mark_changed();
    // the node lives as long as whoever follows it
    let app = Arc::clone(app);
    stream::unfold((states, app), |(mut states, app)| async move {
        states.changed().await.ok()?;
        let state = states.borrow_and_update().clone();
        Some((state, (states, app)))
    })
    .boxed()
}
