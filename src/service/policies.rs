//! Policies: stored, validated, explained.

use super::book::{self, PolicyBook};
use super::cache::Effect;
use super::context::{Access, OpContext, settle};
use super::input;
use super::ledger::{Attempt, Change};
use super::paging::{Connection, Cursor, PageRequest};
use super::{roles, tokens};
use crate::error::{Error, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::paths::SecretPath;
use crate::model::policies::{
    Action, Area, Binding, Circumstances, CompiledPolicy, Document, Operation, validate_policy_name,
};
use crate::storage::db::Tx;
use crate::storage::policies as store;
use crate::storage::policies::PolicyRow;
use crate::storage::tokens as token_store;
use crate::storage::types::TextArray;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::types::Json;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Most policies in one store: all are held in memory, compiled.
const MAX_POLICIES: i64 = 10_000;
/// Most entities that a policy is bound to.
const MAX_BINDINGS: usize = 1000;

/// A stored policy.
#[derive(Debug, Clone)]
pub struct PolicyView {
    pub id: Uuid,
    pub name: String,
    pub description: Option<String>,
    pub document: Value,
    pub entity_bindings: Vec<String>,
    pub max_ttl_seconds: Option<i64>,
    pub deny_policy: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl From<PolicyRow> for PolicyView {
    fn from(row: PolicyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            document: row.policy_document.0,
            entity_bindings: row.entity_bindings.0,
            max_ttl_seconds: row.max_ttl_seconds,
            deny_policy: row.deny_policy,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A policy to store. An update replaces all of it.
#[derive(Debug, Clone, Default)]
pub struct PolicyInput {
    pub name: String,
    pub description: Option<String>,
    pub document: Value,
    pub entity_bindings: Vec<String>,
    pub max_ttl_seconds: Option<i64>,
    pub deny_policy: bool,
}

/// A policy by name. Needs the area `policies`. The built-in policy `root` has no document and is not listed.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn find(ctx: &OpContext, name: &str) -> Result<Option<PolicyView>> {
    settle!(find_once(ctx, name))
}

async fn find_once(ctx: &OpContext, name: &str) -> Result<Option<PolicyView>, Attempt> {
    let access = ctx.access().await?;
    access.administer_read(Area::Policies, "policy", Some(&input::shown(name))).await?;
    let mut tx = access.app().read().await?;
    Ok(find_row(&mut tx, name).await?.map(PolicyView::from))
}

/// A text that cannot be a name is not looked for: not every store takes every text.
async fn find_row(tx: &mut Tx, name: &str) -> Result<Option<PolicyRow>> {
    if validate_policy_name(name).is_err() {
        return Ok(None);
    }
    store::find(tx, name).await
}

/// A policy by id. Needs the area `policies`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn by_id(ctx: &OpContext, id: Uuid) -> Result<Option<PolicyView>> {
    settle!(by_id_once(ctx, id))
}

async fn by_id_once(ctx: &OpContext, id: Uuid) -> Result<Option<PolicyView>, Attempt> {
    let access = ctx.access().await?;
    access.administer_read(Area::Policies, "policy", Some(&id.to_string())).await?;
    let mut tx = access.app().read().await?;
    Ok(store::by_id(&mut tx, id).await?.map(PolicyView::from))
}

/// Policies by name. Needs the area `policies`.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` at the paging arguments.
pub async fn list(ctx: &OpContext, page: PageRequest) -> Result<Connection<PolicyView>> {
    settle!(list_once(ctx, &page))
}

async fn list_once(ctx: &OpContext, page: &PageRequest) -> Result<Connection<PolicyView>, Attempt> {
    let access = ctx.access().await?;
    let window = page.window()?;
    access.administer_read(Area::Policies, "policies", None).await?;
    let mut tx = access.app().read().await?;
    let rows = store::list(&mut tx, &window.page()?).await?;
    Ok(window.connection(rows, |row| Cursor::text(&row.name), PolicyView::from))
}

/// The row of a valid policy.
fn check(input: &PolicyInput, now: DateTime<Utc>) -> Result<PolicyRow> {
    validate_policy_name(&input.name).map_err(|problem| Error::bad_input("name", problem))?;
    // the parsed document's own text is stored: one canonical form of what is enforced
    let document = Document::parse(&input.document)?.to_value();
    if input.entity_bindings.len() > MAX_BINDINGS {
        return Err(Error::bad_input("entityBindings", "a policy is bound to at most 1000 entities"));
    }
    let mut bindings = Vec::with_capacity(input.entity_bindings.len());
    for (index, text) in input.entity_bindings.iter().enumerate() {
        let field = format!("entityBindings[{index}]");
        let binding =
            Binding::parse(text).map_err(|problem| Error::bad_input(field.clone(), problem))?.to_string();
        if bindings.contains(&binding) {
            return Err(Error::bad_input(field, "an entity is named twice: name it once"));
        }
        bindings.push(binding);
    }
    Ok(PolicyRow {
        id: Uuid::new_v4(),
        name: input.name.clone(),
        description: input::description(input.description.as_deref())?.filter(|text| !text.is_empty()),
        policy_document: Json(document),
        entity_bindings: TextArray(bindings),
        max_ttl_seconds: input::ttl(
            "maxTtlSeconds",
            input.max_ttl_seconds,
            crate::model::duration::MAX_SECONDS,
        )?,
        deny_policy: input.deny_policy,
        created_at: now,
        updated_at: now,
    })
}

/// Stores a new policy. Needs the area `policies`.
///
/// # Errors
/// `CONFLICT` if the name is taken, `BAD_USER_INPUT` naming the place in the document.
pub async fn create(ctx: &OpContext, input: PolicyInput) -> Result<PolicyView> {
    settle!(create_once(ctx, &input))
}

async fn create_once(ctx: &OpContext, input: &PolicyInput) -> Result<PolicyView, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Policies, "create_policy").await?;
    let row = check(input, access.now)?;
    let mut event = access.granted(EventType::PolicyCreated, &decision);
    event.event_data =
        json!({ "policy": row.name, "deny_policy": row.deny_policy, "document": as_text(&row) });
    let bound = access.event(EventType::PolicyBound);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                if store::count(tx).await? >= MAX_POLICIES {
                    return Err(Error::conflict(
                        "there are 10000 policies, the most there can be: delete one first",
                    ));
                }
                store::insert(tx, &row).await?;
                Ok(stored(row, &[], event, bound))
            })
        })
        .await
}

/// The document as an event keeps it: as text, since the databases reorder what is inside JSON.
fn as_text(row: &PolicyRow) -> String {
    row.policy_document.0.to_string()
}

/// The change that stored `row`; `bound` is recorded beside `event` if the bindings are not what they were.
fn stored(
    row: PolicyRow,
    bindings_before: &[String],
    event: AuditEvent,
    mut bound: AuditEvent,
) -> Change<PolicyView> {
    let mut events = vec![event];
    if row.entity_bindings.0 != bindings_before {
        bound.event_data = json!({ "policy": row.name, "entities": row.entity_bindings.0 });
        events.push(bound);
    }
    Change { value: PolicyView::from(row), events, effects: vec![Effect::Policies] }
}

/// Replaces a policy. Needs the area `policies`.
///
/// # Errors
/// `NOT_FOUND`, `BAD_USER_INPUT` naming the place in the document.
pub async fn update(ctx: &OpContext, input: PolicyInput) -> Result<PolicyView> {
    settle!(update_once(ctx, &input))
}

async fn update_once(ctx: &OpContext, input: &PolicyInput) -> Result<PolicyView, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Policies, "update_policy").await?;
    let mut row = check(input, access.now)?;
    let mut event = access.granted(EventType::PolicyUpdated, &decision);
    event.event_data =
        json!({ "policy": row.name, "deny_policy": row.deny_policy, "document": as_text(&row) });
    let bound = access.event(EventType::PolicyBound);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let before = store::find(tx, &row.name).await?.ok_or_else(no_such_policy)?;
                row.id = before.id;
                row.created_at = before.created_at;
                store::update(tx, &row).await?;
                Ok(stored(row, &before.entity_bindings.0, event, bound))
            })
        })
        .await
}

fn no_such_policy() -> Error {
    Error::not_found("there is no policy of this name: check it against the list of policies")
}

/// Removes a policy. Tokens and roles that name it are left with a name that gives nothing. Needs the area `policies`.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`.
pub async fn delete(ctx: &OpContext, name: &str) -> Result<()> {
    settle!(delete_once(ctx, name))
}

async fn delete_once(ctx: &OpContext, name: &str) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Policies, "delete_policy").await?;
    let mut event = access.granted(EventType::PolicyDeleted, &decision);
    event.event_data = json!({ "policy": input::shown(name) });
    let name = name.to_owned();
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                if find_row(tx, &name).await?.is_none() || !store::remove(tx, &name).await? {
                    return Err(no_such_policy());
                }
                Ok(Change::new((), event, vec![Effect::Policies]))
            })
        })
        .await
}

/// Whose access is explained.
#[derive(Debug, Clone)]
pub enum Subject {
    Myself,
    TokenAccessor(Uuid),
    /// A role: what a token made by its login could do.
    Role(String),
    Policies(Vec<String>),
}

impl Subject {
    /// For the audit log.
    fn shown(&self) -> String {
        match self {
            Self::Myself => "caller".to_owned(),
            Self::TokenAccessor(accessor) => format!("token:{accessor}"),
            Self::Role(name) => format!("role:{}", input::shown(name)),
            Self::Policies(names) => format!("policies:{}", input::shown(&names.join(","))),
        }
    }
}

/// A question about access.
#[derive(Debug, Clone)]
pub struct Explain {
    pub path: Option<SecretPath>,
    pub operation: Option<Operation>,
    pub area: Option<Area>,
    pub subject: Subject,
    pub source_ip: Option<IpAddr>,
    pub at: Option<DateTime<Utc>>,
    pub ttl_seconds: Option<i64>,
}

/// The answer, by the evaluator that enforces.
#[derive(Debug, Clone)]
pub struct Explanation {
    pub allowed: bool,
    pub decided_by: Option<String>,
    pub reason: String,
    pub missing: Vec<String>,
}

/// Why something is or is not allowed. About oneself for any token; about others with the area `policies`.
///
/// # Errors
/// `FORBIDDEN`, `NOT_FOUND` for an unknown token or role, `BAD_USER_INPUT`.
pub async fn explain(ctx: &OpContext, question: Explain) -> Result<Explanation> {
    settle!(explain_once(ctx, &question))
}

async fn explain_once(ctx: &OpContext, question: &Explain) -> Result<Explanation, Attempt> {
    let access = ctx.access().await?;
    let action = match (&question.path, question.operation, question.area) {
        (Some(path), Some(operation), None) => Action::Secret { operation, path },
        (None, None, Some(area)) => Action::Administer(area),
        _ => return Err(Error::bad_input("path", "give either 'path' and 'operation', or 'area'").into()),
    };
    let myself = matches!(question.subject, Subject::Myself);
    let mut event = access.event(EventType::AdminAccessed);
    event.secret_path = question.path.as_ref().map(ToString::to_string);
    let of = question.subject.shown();
    event.event_data = json!({ "operation": "explain_access", "of": of });
    let policies = if myself {
        Arc::clone(&access.policies)
    } else {
        access.administer(Area::Policies, "explain_access").await?;
        let book = access.app().policies(access.generation).await?;
        let found = policies_of(&access, &book, &question.subject).await;
        access.unless_refused(&event, found).await?
    };
    let circumstances = Circumstances {
        now: question.at.unwrap_or(access.now),
        source_ip: question.source_ip.or_else(|| access.ctx.origin().source_ip.filter(|_| myself)),
        ttl_seconds: question.ttl_seconds,
    };
    let mut decision = crate::model::policies::explain(&policies, &action, &circumstances);
    if let Some(name) = decision.decided_by.as_ref().filter(|_| myself && !decision.allowed)
        && !access.decide(&Action::Administer(Area::Policies)).allowed
    {
        // whom a policy holds back may know which one, but not where it ends
        decision.reason = format!("the deny policy '{name}' forbids this").into();
    }
    event.event_data = json!({ "operation": "explain_access", "of": of, "allowed": decision.allowed });
    access.record(vec![event]).await?;
    Ok(Explanation {
        allowed: decision.allowed,
        decided_by: decision.decided_by.map(|name| name.to_string()),
        reason: decision.reason.into_owned(),
        missing: decision.missing,
    })
}

async fn policies_of(
    access: &Access,
    book: &PolicyBook,
    subject: &Subject,
) -> Result<Arc<[Arc<CompiledPolicy>]>> {
    let (names, entities) = match subject {
        Subject::Myself => return Ok(Arc::clone(&access.policies)),
        Subject::Policies(names) => {
            book::check_names("as.policies", names)?;
            (names.clone(), Vec::new())
        }
        Subject::Role(name) => {
            let mut tx = access.app().read().await?;
            let role = roles::find_row(&mut tx, name).await?;
            let role =
                role.ok_or_else(|| Error::not_found("there is no role of this name: check 'as.role'"))?;
            let entities = roles::entities(&role.role_name, &role.entity_type);
            (roles::token_policies(&role), entities)
        }
        Subject::TokenAccessor(accessor) => {
            let mut tx = access.app().read().await?;
            let row =
                token_store::by_accessor(&mut tx, *accessor).await?.filter(|row| row.revoked_at.is_none());
            let row =
                row.ok_or_else(|| Error::not_found("there is no live token with this accessor: check 'as'"))?;
            let mut entities =
                tokens::entities(row.entity.as_deref(), &row.entity_type, row.role_name.as_deref());
            entities.extend(row.certificate_fingerprint.map(|fingerprint| format!("cert:{fingerprint}")));
            (row.policies.0, entities)
        }
    };
    Ok(book.of(&names, &entities))
}
