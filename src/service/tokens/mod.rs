//! Tokens: opaque, 256 bits, stored as a SHA-256 hash (which is enough for a random text of that length).

mod issue;
mod renew;

pub(super) use issue::NewToken;
pub use issue::{CreateToken, Login, create};
pub use renew::{Renewed, renew, revoke};
pub(super) use renew::{effects, end_leases};
#[cfg(test)]
pub(super) use {issue::issue, renew::renew_with};

use super::App;
use super::book::PolicyBook;
use super::cache::Effect;
use super::context::{OpContext, Origin, settle};
use super::ledger::{Attempt, Change, Decided};
use super::paging::{Connection, Cursor, PageRequest};
use crate::error::{Error, Result};
use crate::model::audit::ActorType;
use crate::model::cidr::CidrList;
use crate::model::policies::{Area, CompiledPolicy};
use crate::storage::db::Tx;
use crate::storage::errors::corrupt;
use crate::storage::tokens as store;
use crate::storage::tokens::TokenRow;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// What every token begins with, so that scanners for leaked secrets can find it.
pub const PREFIX: &str = "shub_";

type Resolved = (Arc<PolicyBook>, Arc<[Arc<CompiledPolicy>]>);

/// A token as a node remembers it. Holds the hash, not the token.
pub struct TokenState {
    pub accessor: Uuid,
    pub hash: [u8; 32],
    pub display_name: String,
    pub actor: ActorType,
    /// The entity, or the accessor of a token without one.
    pub actor_id: String,
    pub entity: Option<String>,
    pub entity_type: String,
    pub role_id: Option<Uuid>,
    pub role_name: Option<String>,
    pub policy_names: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether its uses are counted.
    pub limited: bool,
    pub cidrs: CidrList,
    /// The client certificate that it, or the token that made it, was got with, and its fingerprint.
    pub certificate: Option<(Uuid, String)>,
    /// The policies in force, as of the book they were looked up in.
    resolved: Mutex<Option<Resolved>>,
}

impl TokenState {
    fn from_row(row: TokenRow) -> Result<Self> {
        let damaged = |column| corrupt("tokens", column, &row.accessor.to_string());
        let hash = row.token_hash.as_slice().try_into().map_err(|_| damaged("token_hash"))?;
        let actor = ActorType::parse(&row.entity_type).ok_or_else(|| damaged("entity_type"))?;
        let cidrs = CidrList::parse(&row.bound_cidr_list.0).map_err(|_| damaged("bound_cidr_list"))?;
        Ok(Self {
            accessor: row.accessor,
            hash,
            actor,
            actor_id: row.entity.clone().unwrap_or_else(|| row.accessor.to_string()),
            display_name: row.display_name,
            entity: row.entity,
            entity_type: row.entity_type,
            role_id: row.role_id,
            role_name: row.role_name,
            policy_names: row.policies.0,
            expires_at: row.expires_at,
            limited: row.uses_left.is_some(),
            cidrs,
            certificate: row.certificate_id.zip(row.certificate_fingerprint),
            resolved: Mutex::new(None),
        })
    }

    /// Why the token cannot be used now and from there, if it cannot.
    #[must_use]
    pub fn problem(&self, now: DateTime<Utc>, origin: &Origin) -> Option<&'static str> {
        let source_ip = origin.source_ip;
        if self.expires_at.is_some_and(|end| now >= end) {
            return Some("the token is expired");
        }
        if !self.cidrs.is_empty() && !source_ip.is_some_and(|address| self.cidrs.contains(address)) {
            return Some("the token is not valid from this address");
        }
        if let Some((id, _)) = &self.certificate
            && origin.certificate.as_ref().is_none_or(|peer| peer.id != *id)
        {
            return Some("the token is bound to a client certificate that this connection does not show");
        }
        None
    }

    /// What policies can be bound to: those of the entity and the role, and the certificate.
    fn entities(&self) -> Vec<String> {
        let mut entities = entities(self.entity.as_deref(), &self.entity_type, self.role_name.as_deref());
        if let Some((_, fingerprint)) = &self.certificate {
            entities.push(format!("cert:{fingerprint}"));
        }
        entities
    }

    /// The name by which certificates are bound to the caller: of its role, or of the entity of its certificate.
    pub fn own_entity_id(&self) -> Option<&str> {
        let of_certificate = || {
            self.certificate.as_ref()?;
            self.entity.as_deref()?.strip_prefix(self.entity_type.as_str())?.strip_prefix(':')
        };
        self.role_name.as_deref().or_else(of_certificate)
    }

    /// The policies in force.
    pub fn policies(&self, book: &Arc<PolicyBook>) -> Arc<[Arc<CompiledPolicy>]> {
        let mut resolved = self.resolved.lock();
        if let Some((of, policies)) = resolved.as_ref()
            && Arc::ptr_eq(of, book)
        {
            return Arc::clone(policies);
        }
        let policies = book.of(&self.policy_names, &self.entities());
        *resolved = Some((Arc::clone(book), Arc::clone(&policies)));
        policies
    }
}

/// What policies can be bound to: the token's entity, and the application or agent of its role's name.
pub(super) fn entities(entity: Option<&str>, entity_type: &str, role_name: Option<&str>) -> Vec<String> {
    let of_role = role_name.map(|role| format!("{entity_type}:{role}"));
    entity.map(str::to_owned).into_iter().chain(of_role).collect()
}

/// That the token is neither revoked nor expired: for a change that leaves behind what a revocation of the token that made
/// it has to reach, or that must not come about after one. The caches forget a revoked token only after its batch. Where
/// [`Want::Token`] was said, it costs no look.
///
/// [`Want::Token`]: crate::storage::batch::Want::Token
///
/// # Errors
/// `UNAUTHENTICATED`.
pub(super) async fn require_live(tx: &mut Tx, accessor: Uuid, now: DateTime<Utc>) -> Result<()> {
    let life = store::life(tx, accessor).await?.filter(|life| life.is_live(now));
    life.map(drop).ok_or_else(Error::unauthenticated)
}

fn is_live(row: &TokenRow, now: DateTime<Utc>) -> bool {
    row.life().is_live(now)
}

/// The token of this hash, if it exists and is not revoked.
pub(super) async fn lookup(
    app: &App,
    hash: Option<[u8; 32]>,
    generation: i64,
) -> Result<Option<Arc<TokenState>>> {
    let Some(hash) = hash else { return Ok(None) };
    if let Some(state) = app.caches.token(&hash) {
        return Ok(Some(state));
    }
    let row = {
        let mut tx = app.read().await?;
        store::by_hash(&mut tx, &hash).await?
    };
    let Some(row) = row.filter(|row| row.revoked_at.is_none()) else { return Ok(None) };
    let state = Arc::new(TokenState::from_row(row)?);
    app.caches.put_token(generation, hash, &state);
    Ok(Some(state))
}

/// Counts one use of a token whose uses are limited; the store decides who gets the last one.
pub(super) async fn count_use(ctx: &OpContext, generation: i64, caller: &TokenState) -> Result<(), Attempt> {
    let (accessor, hash) = (caller.accessor, caller.hash);
    ctx.app()
        .ledger
        .change(Decided { generation, token: Some(hash) }, None, move |tx| {
            Box::pin(async move {
                if !store::use_once(tx, accessor).await? {
                    return Err(Error::unauthenticated());
                }
                Ok(Change { value: (), events: Vec::new(), effects: vec![Effect::Token(hash)] })
            })
        })
        .await
}

/// What a caller may know of itself.
#[derive(Debug, Clone)]
pub struct CallerInfo {
    pub accessor: Option<Uuid>,
    pub display_name: String,
    /// Those the token names and those bound to its entity.
    pub policies: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub entity: Option<String>,
    pub uses_left: Option<i64>,
    pub renewable: bool,
}

/// Who is asking. Reads the store, so that a revocation on another node shows at once.
///
/// # Errors
/// `UNAUTHENTICATED`, `SEALED`, `UNAVAILABLE`.
pub async fn me(ctx: &OpContext) -> Result<CallerInfo> {
    let access = settle!(ctx.access())?;
    let mut tx = access.app().read().await?;
    let row =
        store::by_accessor(&mut tx, access.caller.accessor).await?.filter(|row| is_live(row, access.now));
    let row = row.ok_or_else(Error::unauthenticated)?;
    Ok(CallerInfo {
        accessor: Some(row.accessor),
        display_name: row.display_name,
        policies: access.policies.iter().map(|policy| policy.name().to_string()).collect(),
        expires_at: row.expires_at,
        entity: row.entity,
        uses_left: row.uses_left,
        renewable: row.renewable,
    })
}

/// A token as its administrators see it: everything but what it could be used with.
#[derive(Debug, Clone)]
pub struct TokenInfo {
    pub accessor: Uuid,
    pub display_name: String,
    pub entity: Option<String>,
    pub entity_type: String,
    pub role_name: Option<String>,
    pub policies: Vec<String>,
    pub bound_cidr_list: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub uses_left: Option<i64>,
    pub renewable: bool,
    pub metadata: Value,
}

impl From<TokenRow> for TokenInfo {
    fn from(row: TokenRow) -> Self {
        Self {
            accessor: row.accessor,
            display_name: row.display_name,
            entity: row.entity,
            entity_type: row.entity_type,
            role_name: row.role_name,
            policies: row.policies.0,
            bound_cidr_list: row.bound_cidr_list.0,
            created_at: row.created_at,
            expires_at: row.expires_at,
            uses_left: row.uses_left,
            renewable: row.renewable,
            metadata: row.metadata.0,
        }
    }
}

/// Live tokens, by accessor. Needs the area `tokens`.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` at the paging arguments.
pub async fn list(ctx: &OpContext, page: PageRequest) -> Result<Connection<TokenInfo>> {
    settle!(list_once(ctx, &page))
}

async fn list_once(ctx: &OpContext, page: &PageRequest) -> Result<Connection<TokenInfo>, Attempt> {
    let access = ctx.access().await?;
    let window = page.window()?;
    access.administer_read(Area::Tokens, "tokens", None).await?;
    let mut tx = access.app().read().await?;
    let rows = store::list(&mut tx, access.now, &window.page()?).await?;
    Ok(window.connection(rows, |row| Cursor::text(row.accessor.to_string()), TokenInfo::from))
}

/// A live token by its accessor. Needs the area `tokens`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn by_accessor(ctx: &OpContext, accessor: Uuid) -> Result<Option<TokenInfo>> {
    settle!(by_accessor_once(ctx, accessor))
}

async fn by_accessor_once(ctx: &OpContext, accessor: Uuid) -> Result<Option<TokenInfo>, Attempt> {
    let access = ctx.access().await?;
    access.administer_read(Area::Tokens, "token", Some(&accessor.to_string())).await?;
    let mut tx = access.app().read().await?;
    let row = store::by_accessor(&mut tx, accessor).await?;
    Ok(row.filter(|row| is_live(row, access.now)).map(TokenInfo::from))
}
