//! SecretIDs: stored as a keyed hash, shown once; the accessor lists, looks up and destroys, and cannot log in.

use super::super::context::{Access, OpContext, settle};
use super::super::input;
use super::super::ledger::{Attempt, Change};
use super::super::paging::{Connection, Cursor, PageRequest};
use super::super::tokens;
use super::{Granting, named, store};
use crate::crypto::memory::Key32;
use crate::crypto::primitives::hmac_sha256;
use crate::crypto::random;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::cidr::CidrList;
use crate::model::policies::Area;
use crate::storage::roles::{RoleRow, SecretIdRow};
use crate::storage::types::TextArray;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;
use zeroize::Zeroizing;

/// What every SecretID that the server makes begins with.
const PREFIX: &str = "shubsid_";

/// A SecretID to make. Uses and lifetime never go above the role's.
#[derive(Clone, Default)]
pub struct GenerateSecretId {
    pub role_name: String,
    pub ttl_seconds: Option<i64>,
    pub num_uses: Option<i64>,
    pub bound_cidr_list: Vec<String>,
    pub metadata: Option<Value>,
    /// A text of one's own, at least 20 characters.
    pub secret_id: Option<String>,
}

/// A SecretID that was just made, to be shown once.
pub struct GeneratedSecretId {
    pub secret_id: Zeroizing<String>,
    pub accessor: Uuid,
    pub expires_at: Option<DateTime<Utc>>,
    /// 0: without limit.
    pub num_uses: i64,
}

/// What the store keeps instead of a SecretID.
pub(super) fn hash(key: &Key32, role_id: Uuid, secret_id: &str) -> [u8; 32] {
    let mut message = role_id.as_bytes().to_vec();
    message.extend_from_slice(secret_id.as_bytes());
    let hash = hmac_sha256(key, &message);
    zeroize::Zeroize::zeroize(&mut message);
    hash
}

/// Makes a SecretID. Needs the area `roles`.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`, `BAD_USER_INPUT` naming the field.
pub async fn generate_secret_id(ctx: &OpContext, input: GenerateSecretId) -> Result<GeneratedSecretId> {
    if let Some(own) = &input.secret_id
        && !(20..=512).contains(&own.len())
    {
        return Err(Error::bad_input(
            "secretId",
            "a SecretID of one's own has 20 to 512 characters, chosen at random",
        ));
    }
    settle!(async { generate(&ctx.access().await?, &input).await })
}

pub(in super::super) async fn generate(
    access: &Access,
    input: &GenerateSecretId,
) -> Result<GeneratedSecretId, Attempt> {
    let decision = access.administer(Area::Roles, "generate_secret_id").await?;
    let granting = Granting::of(access).await?;
    let text = input.secret_id.clone().map_or_else(|| random::token_text(PREFIX), Zeroizing::new);
    let mut event = access.granted(EventType::RoleSecretIdIssued, &decision);
    let (input, now, keys) = (input.clone(), access.now, access.keys.clone());
    let (author, caller) = (access.caller.actor_id.clone(), access.caller.accessor);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                tokens::require_live(tx, caller, now).await?;
                let role = named(tx, &input.role_name).await?;
                granting.check(&role)?;
                let hash = hash(keys.barrier.keyring().secret_id_hmac(), role.role_id, &text);
                let row = plan(&role, &input, now, author, hash)?;
                let presented = store::presented(tx, (role.role_id, Some(hash))).await?;
                if presented.is_some_and(|(_, known)| known.is_some()) {
                    return Err(Error::conflict("the role has this SecretID already: choose another"));
                }
                store::insert_secret_id(tx, &row).await?;
                event.role_name = Some(role.role_name.clone());
                event.event_data = json!({
                    "role": role.role_name,
                    "secret_id_accessor": row.accessor.to_string(),
                    "uses": row.uses_left,
                });
                let made = GeneratedSecretId {
                    secret_id: text,
                    accessor: row.accessor,
                    expires_at: row.expires_at,
                    num_uses: row.uses_left.unwrap_or(0),
                };
                Ok(Change::new(made, event, Vec::new()))
            })
        })
        .await
}

fn plan(
    role: &RoleRow,
    input: &GenerateSecretId,
    now: DateTime<Utc>,
    author: String,
    secret_id_hash: [u8; 32],
) -> Result<SecretIdRow> {
    if !role.bind_secret_id {
        return Err(Error::conflict("this role is used without a SecretID: nothing to generate"));
    }
    let max = role.secret_id_ttl_seconds.unwrap_or(crate::model::duration::MAX_SECONDS);
    let ttl = input::ttl("ttlSeconds", input.ttl_seconds, max)?.or(role.secret_id_ttl_seconds);
    let uses = match (input::count("numUses", input.num_uses)?, role.secret_id_num_uses) {
        (None, of_role) => of_role,
        (Some(asked), 0) => asked,
        (Some(0), _) => {
            return Err(Error::bad_input("numUses", "the role limits the uses: ask for a number"));
        }
        (Some(asked), of_role) if asked > of_role => {
            return Err(Error::bad_input(
                "numUses",
                format!("the role allows at most {of_role} uses: ask for fewer"),
            ));
        }
        (Some(asked), _) => asked,
    };
    let cidrs = input::cidrs("boundCidrList", &input.bound_cidr_list)?;
    let of_role =
        CidrList::parse(&role.bound_cidr_list.0).map_err(|(_, problem)| Error::internal(problem))?;
    if !of_role.is_empty() && !cidrs.is_empty() && !cidrs.is_subset_of(&of_role) {
        return Err(Error::bad_input(
            "boundCidrList",
            "the addresses go beyond the role's: name a part of them",
        ));
    }
    Ok(SecretIdRow {
        accessor: Uuid::new_v4(),
        role_id: role.role_id,
        secret_id_hash: secret_id_hash.to_vec(),
        uses_left: (uses > 0).then_some(uses),
        expires_at: ttl.map(|ttl| now + Duration::seconds(ttl)),
        bound_cidr_list: TextArray(cidrs.to_strings()),
        metadata: Json(input::metadata(input.metadata.as_ref())?.unwrap_or_else(|| json!({}))),
        created_by: Some(author),
        created_at: now,
        last_used_at: None,
    })
}

/// Destroys a SecretID by its accessor. Needs the area `roles`.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`.
pub async fn destroy_secret_id(ctx: &OpContext, role_name: &str, accessor: Uuid) -> Result<()> {
    settle!(destroy_once(ctx, role_name, accessor))
}

async fn destroy_once(ctx: &OpContext, role_name: &str, accessor: Uuid) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Roles, "destroy_secret_id").await?;
    let mut event = access.granted(EventType::RoleSecretIdDestroyed, &decision);
    let role_name = role_name.to_owned();
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let role = named(tx, &role_name).await?;
                let row = store::secret_id_by_accessor(tx, accessor).await?;
                if row.is_none_or(|row| row.role_id != role.role_id) {
                    return Err(Error::not_found("the role has no SecretID with this accessor: list them"));
                }
                store::remove_secret_id(tx, accessor).await?;
                event.event_data =
                    json!({ "role": role.role_name, "secret_id_accessor": accessor.to_string() });
                Ok(Change::new((), event, Vec::new()))
            })
        })
        .await
}

/// A SecretID without what logs in.
#[derive(Debug, Clone)]
pub struct SecretIdView {
    pub accessor: Uuid,
    pub created_at: DateTime<Utc>,
    pub created_by: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub uses_left: Option<i64>,
    pub bound_cidr_list: Vec<String>,
    pub metadata: Value,
    pub last_used_at: Option<DateTime<Utc>>,
}

impl From<SecretIdRow> for SecretIdView {
    fn from(row: SecretIdRow) -> Self {
        Self {
            accessor: row.accessor,
            created_at: row.created_at,
            created_by: row.created_by,
            expires_at: row.expires_at,
            uses_left: row.uses_left,
            bound_cidr_list: row.bound_cidr_list.0,
            metadata: row.metadata.0,
            last_used_at: row.last_used_at,
        }
    }
}

/// The SecretIDs of a role, by accessor. Needs the area `roles`.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`, `BAD_USER_INPUT` at the paging arguments.
pub async fn secret_ids(
    ctx: &OpContext,
    role_name: &str,
    page: PageRequest,
) -> Result<Connection<SecretIdView>> {
    settle!(secret_ids_once(ctx, role_name, &page))
}

async fn secret_ids_once(
    ctx: &OpContext,
    role_name: &str,
    page: &PageRequest,
) -> Result<Connection<SecretIdView>, Attempt> {
    let access = ctx.access().await?;
    let window = page.window()?;
    access.administer_read(Area::Roles, "secret_ids", Some(&input::shown(role_name))).await?;
    let mut tx = access.app().read().await?;
    let role = named(&mut tx, role_name).await?;
    let rows = store::secret_ids(&mut tx, role.role_id, &window.page()?).await?;
    Ok(window.connection(rows, |row| Cursor::text(row.accessor.to_string()), SecretIdView::from))
}
