//! Audit partitions, for the task that makes them ahead of time.

use super::App;
use crate::error::Result;

/// Makes the partitions of this month and the next ones that are not there yet (PostgreSQL). Returns their names.
///
/// # Errors
/// `UNAVAILABLE`; appends go on all the same, into the default partition.
pub async fn ensure(app: &App) -> Result<Vec<String>> {
    crate::storage::partitions::ensure_months(&app.db, app.clock.now(), app.partitions_ahead).await
}
