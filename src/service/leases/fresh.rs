//! The row of a lease before its engine is asked.

use super::super::context::Access;
use crate::error::{Error, Result};
use crate::model::audit::ActorType;
use crate::model::leases::LeaseState;
use crate::model::paths::SecretPath;
use crate::storage::db::Tx;
use crate::storage::engines::{self, EngineRow};
use crate::storage::leases::LeaseRow;
use crate::storage::types::Inet;
use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

/// After this an issue that has not ended is taken for lost. Longer than a call may take, with what the target may still be at.
const LOST_AFTER: Duration = Duration::seconds(35);

/// What is particular to a lease that is about to be issued to whoever asks.
pub(super) struct FreshLease<'a> {
    /// The role's; that of no secret for a rehearsal, which does not count against the role's limit.
    pub secret_id: Uuid,
    pub path: &'a SecretPath,
    pub ttl_seconds: i64,
    pub max_expires_at: DateTime<Utc>,
    pub max_renewals: Option<i64>,
    pub idempotency_key: Option<String>,
}

impl FreshLease<'_> {
    pub fn row(self, access: &Access, engine: &EngineRow) -> LeaseRow {
        let caller = &access.caller;
        let origin = access.ctx.origin();
        let of = |wanted: ActorType| (caller.actor == wanted).then(|| caller.actor_id.clone());
        LeaseRow {
            lease_id: Uuid::now_v7(),
            secret_id: self.secret_id,
            secret_path: self.path.as_str().to_owned(),
            engine_id: engine.id,
            engine_type: engine.engine_type.clone(),
            agent_id: of(ActorType::Agent),
            app_id: of(ActorType::App),
            actor_id: caller.actor_id.clone(),
            token_accessor: caller.accessor,
            role_name: caller.role_name.clone(),
            state: LeaseState::Issuing.as_str().to_owned(),
            issued_at: access.now,
            expires_at: access.now + Duration::seconds(self.ttl_seconds),
            max_expires_at: self.max_expires_at,
            ttl_seconds: self.ttl_seconds,
            renewed_count: 0,
            last_renewed_at: None,
            max_renewals: self.max_renewals,
            due_at: Some(access.now + LOST_AFTER),
            revoked: false,
            revoked_at: None,
            revocation_reason: None,
            revocation_attempts: 0,
            last_revocation_error: None,
            credentials: None,
            engine_metadata: Json(json!({})),
            idempotency_key: self.idempotency_key,
            source_ip: origin.source_ip.map(Inet),
            correlation_id: Some(origin.correlation_id.clone().unwrap_or_else(|| origin.request_id.clone())),
            claimed_by: Some(access.app().node.id),
        }
    }
}

/// A lease begins on the target that the engine has: one whose configuration was replaced since it was read could be on a former one,
/// where nobody would look for it.
///
/// # Errors
/// `CONFLICT`.
pub(super) async fn require_unchanged(tx: &mut Tx, engine_id: Uuid, config_version: i64) -> Result<()> {
    match engines::by_id(tx, engine_id).await? {
        Some(engine) if engine.config_version == config_version => Ok(()),
        _ => Err(changed()),
    }
}

pub(super) fn changed() -> Error {
    Error::conflict("the engine was changed at this moment: try again").with_retry_after(1)
}
