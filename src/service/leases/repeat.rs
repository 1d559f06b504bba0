//! The same once more: who asks again with the idempotency key of a lease gets that lease and its credentials.

use super::super::App;
use super::super::context::{OpContext, settle};
use super::super::ledger::Attempt;
use super::super::seal::open_record;
use super::super::secrets::require_for;
use super::issue::{IssueCredentials, IssuedLease};
use super::{LeaseView, about, credentials_record};
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::EventType;
use crate::model::leases::LeaseState;
use crate::model::paths::SecretPath;
use crate::model::policies::Operation;
use crate::storage::errors::corrupt;
use crate::storage::leases::LeaseRow;
use serde_json::{Value, json};
use uuid::Uuid;

/// How a key is stored. It belongs to the token, not to all tokens of its actor: another one has an end and networks of its own,
/// and a lease ends with the token that it was issued to.
pub(super) fn key_of(token: Uuid, key: &str) -> String {
    format!("{}:{key}", token.simple())
}

/// The same token asks with a key that it has used.
pub(super) fn repeated(row: LeaseRow, input: &IssueCredentials) -> Result<LeaseRow> {
    if row.secret_path != input.path.as_str() {
        return Err(Error::conflict("the idempotency key was used for another path: choose a new one"));
    }
    match LeaseState::parse(&row.state) {
        Some(LeaseState::Active) => Ok(row),
        Some(LeaseState::Issuing) => Err(Error::new(
            ErrorCode::Conflict,
            "credentials for this idempotency key are just being issued: ask again shortly",
        )
        .with_retry_after(1)),
        _ => Err(Error::conflict("the lease of this idempotency key has ended: choose a new one")),
    }
}

/// The sealed credentials of a live lease, in the clear.
pub async fn open_credentials(app: &App, row: &LeaseRow) -> Result<Value> {
    let id = row.lease_id.to_string();
    let sealed = row.credentials.as_deref().ok_or_else(|| corrupt("leases", "credentials", &id))?;
    let plain = open_record(app, &credentials_record(&id), sealed).await?;
    serde_json::from_slice(&plain).map_err(|_| corrupt("leases", "credentials", &id))
}

/// The credentials of a lease once more.
pub(super) async fn known(ctx: &OpContext, row: LeaseRow) -> Result<IssuedLease> {
    let app = ctx.app();
    let credentials = open_credentials(app, &row).await?;
    settle!(record_repeat(ctx, &row))?;
    let lease = LeaseView::from_row(row, app.clock.now())?;
    Ok(IssuedLease { lease, credentials, warnings: Vec::new() })
}

/// Credentials leave once more: once more on the record, and only to who still has the right.
async fn record_repeat(ctx: &OpContext, row: &LeaseRow) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let path = SecretPath::parse(&row.secret_path)
        .map_err(|_| corrupt("leases", "secret_path", &row.lease_id.to_string()))?;
    let decision = require_for(&access, Operation::Issue, &path, Some(row.ttl_seconds)).await?;
    let mut event = about(access.granted(EventType::SecretDynamicIssued, &decision), row);
    event.event_data = json!({ "repeated": true });
    access.record(vec![event]).await
}
