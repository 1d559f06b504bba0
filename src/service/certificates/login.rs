//! Logging in with the client certificate of the TLS connection: the handshake has proven the possession of its key.

use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::rate;
use super::super::tokens::{Login, NewToken};
use super::trust;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::{ActorType, AuditEvent, EventType};
use crate::storage::certificates as store;
use crate::storage::certificates::CertificateRow;
use crate::storage::db::Tx;
use crate::storage::tokens as token_store;
use chrono::{DateTime, Utc};
use serde_json::json;

/// Makes a token that is good on connections with this certificate only, and ends with it. Its policies are those bound to the
/// certificate's fingerprint and to its entity. Needs no token.
///
/// # Errors
/// `UNAUTHENTICATED` without a certificate, or with one that does not stand any more; `RATE_LIMITED` after too many failures; `SEALED`, `UNAVAILABLE`.
pub async fn login(ctx: &OpContext) -> Result<Login> {
    rate::login(ctx, async { settle!(login_once(ctx))? }).await
}

/// A refusal is a committed change, since it is recorded; its error is inside.
async fn login_once(ctx: &OpContext) -> Result<Result<Login>, Attempt> {
    let app = ctx.app();
    app.keys.get()?;
    let mut failure = ctx.event(EventType::AuthFailed, None);
    failure.access_granted = Some(false);
    let Some(peer) = ctx.origin().certificate.clone() else {
        failure.denial_reason = Some("no client certificate".to_owned());
        app.ledger.record(app.undecided(), vec![failure]).await?;
        return Ok(Err(Error::new(
            ErrorCode::Unauthenticated,
            "this connection shows no client certificate: connect by TLS with one that was issued here",
        )));
    };
    let success = ctx.event(EventType::AuthAppLogin, None);
    let (now, ttl) = (app.clock().now(), app.limits().default_token_ttl);
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let row = store::by_id(tx, peer.id).await?;
                let problem = trust::problem(&store::chain(tx, peer.id).await?, now);
                match (row, problem) {
                    (Some(row), None) => admit(tx, &row, now, ttl, success).await,
                    (_, problem) => Ok(refused(problem, failure)),
                }
            })
        })
        .await
}

fn refused(problem: Option<&'static str>, mut failure: AuditEvent) -> Change<Result<Login>> {
    failure.denial_reason = Some(problem.unwrap_or("the certificate is not known").to_owned());
    let error = Error::new(
        ErrorCode::Unauthenticated,
        "the client certificate of this connection is not good any more: connect with a new one",
    );
    Change::new(Err(error), failure, Vec::new())
}

async fn admit(
    tx: &mut Tx,
    row: &CertificateRow,
    now: DateTime<Utc>,
    ttl: i64,
    mut event: AuditEvent,
) -> Result<Change<Result<Login>>> {
    let kind = row.entity_type.as_deref().unwrap_or("app");
    let entity = match &row.entity_id {
        Some(id) => format!("{kind}:{id}"),
        None => format!("cert:{}", row.fingerprint),
    };
    let new = NewToken {
        display_name: row.entity_id.clone().unwrap_or_else(|| row.common_name.clone()),
        entity: Some(entity.clone()),
        entity_type: kind.to_owned(),
        role_id: None,
        role_name: None,
        policies: Vec::new(),
        bound_cidr_list: Vec::new(),
        parent: None,
        now,
        ttl_seconds: Some(ttl),
        max_ttl_seconds: None,
        period_seconds: None,
        not_after: Some(row.valid_until),
        num_uses: None,
        renewable: false,
        metadata: json!({}),
        certificate: Some((row.id, row.fingerprint.clone())),
    };
    let (text, token) = new.make(None)?;
    token_store::insert(tx, &token).await?;
    let actor = ActorType::parse(kind).unwrap_or(ActorType::App);
    event.event_type = login_type(actor).as_str().to_owned();
    event.actor_type = Some(actor.as_str().to_owned());
    match actor {
        ActorType::Agent => event.agent_id = Some(entity.clone()),
        ActorType::Admin => event.admin_id = Some(entity.clone()),
        _ => event.app_id = Some(entity.clone()),
    }
    event.actor_id = Some(entity);
    event.token_accessor = Some(token.accessor.to_string());
    event.event_data = json!({ "serial_number": row.serial_number, "fingerprint": row.fingerprint });
    Ok(Change::new(Ok(Login::new(text, &token, Vec::new())), event, Vec::new()))
}

fn login_type(actor: ActorType) -> EventType {
    match actor {
        ActorType::Agent => EventType::AuthAgentLogin,
        ActorType::Admin => EventType::AuthAdminLogin,
        ActorType::App | ActorType::System | ActorType::Anonymous => EventType::AuthAppLogin,
    }
}
