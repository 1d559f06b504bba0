//! Making tokens.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::{book, input};
use super::{PREFIX, require_live, store};
use crate::crypto::primitives::sha256;
use crate::crypto::random;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::cidr::CidrList;
use crate::model::policies::Area;
use crate::storage::tokens::TokenRow;
use crate::storage::types::TextArray;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A token that was just made. The text is shown once.
pub struct Login {
    pub token: Zeroizing<String>,
    pub accessor: Uuid,
    pub expires_at: Option<DateTime<Utc>>,
    pub policies: Vec<String>,
    pub ttl_seconds: Option<i64>,
    pub renewable: bool,
    /// What was cut or added against what was asked for.
    pub warnings: Vec<String>,
}

/// A token about to be made.
pub struct NewToken {
    pub display_name: String,
    pub entity: Option<String>,
    pub entity_type: String,
    pub role_id: Option<Uuid>,
    pub role_name: Option<String>,
    pub policies: Vec<String>,
    pub bound_cidr_list: Vec<String>,
    pub parent: Option<Uuid>,
    pub now: DateTime<Utc>,
    /// `None`: it does not expire (the root token).
    pub ttl_seconds: Option<i64>,
    pub max_ttl_seconds: Option<i64>,
    pub period_seconds: Option<i64>,
    /// An end that no renewal passes: the parent's.
    pub not_after: Option<DateTime<Utc>>,
    pub num_uses: Option<i64>,
    pub renewable: bool,
    pub metadata: Value,
    /// The client certificate that it is got with, and its fingerprint.
    pub certificate: Option<(Uuid, String)>,
}

impl NewToken {
    /// The first token of a store: all rights, no end.
    pub fn root(now: DateTime<Utc>) -> Self {
        Self {
            display_name: "root".to_owned(),
            entity: None,
            entity_type: "admin".to_owned(),
            role_id: None,
            role_name: None,
            policies: vec![book::ROOT.to_owned()],
            bound_cidr_list: Vec::new(),
            parent: None,
            now,
            ttl_seconds: None,
            max_ttl_seconds: None,
            period_seconds: None,
            not_after: None,
            num_uses: None,
            renewable: false,
            metadata: json!({}),
            certificate: None,
        }
    }

    /// The token's text and its row; `fixed` is a text chosen by the operator of a development server.
    pub fn make(self, fixed: Option<&str>) -> Result<(Zeroizing<String>, TokenRow)> {
        let text = match fixed {
            Some(text) => Zeroizing::new(text.to_owned()),
            None => random::token_text(PREFIX),
        };
        let at = |seconds: i64| {
            self.now
                .checked_add_signed(Duration::seconds(seconds))
                .ok_or_else(|| Error::bad_input("ttlSeconds", "the lifetime is too long"))
        };
        let earliest = |end: DateTime<Utc>| self.not_after.map_or(end, |limit| end.min(limit));
        let expires_at = self.ttl_seconds.map(at).transpose()?.map(earliest);
        let max_expires_at = match self.period_seconds {
            Some(_) => self.not_after,
            None => self.max_ttl_seconds.map(at).transpose()?.map(earliest),
        };
        let (certificate_id, certificate_fingerprint) = self.certificate.unzip();
        let row = TokenRow {
            // in order of time: new rows go to the end of the index
            accessor: Uuid::now_v7(),
            token_hash: sha256(text.as_bytes()).to_vec(),
            parent_accessor: self.parent,
            display_name: self.display_name,
            entity: self.entity,
            entity_type: self.entity_type,
            role_id: self.role_id,
            role_name: self.role_name,
            policies: TextArray(self.policies),
            bound_cidr_list: TextArray(self.bound_cidr_list),
            ttl_seconds: self.ttl_seconds,
            period_seconds: self.period_seconds,
            uses_left: self.num_uses.filter(|uses| *uses > 0),
            renewable: self.renewable,
            created_at: self.now,
            expires_at,
            max_expires_at,
            revoked_at: None,
            revocation_reason: None,
            metadata: Json(self.metadata),
            certificate_id,
            certificate_fingerprint,
        };
        Ok((text, row))
    }
}

impl Login {
    pub fn new(token: Zeroizing<String>, row: &TokenRow, warnings: Vec<String>) -> Self {
        Self {
            token,
            accessor: row.accessor,
            expires_at: row.expires_at,
            policies: row.policies.0.clone(),
            ttl_seconds: row.expires_at.map(|end| (end - row.created_at).num_seconds()),
            renewable: row.renewable,
            warnings,
        }
    }
}

/// What a token is asked to be.
#[derive(Debug, Clone, Default)]
pub struct CreateToken {
    pub policies: Vec<String>,
    pub ttl_seconds: Option<i64>,
    pub max_ttl_seconds: Option<i64>,
    pub period_seconds: Option<i64>,
    pub num_uses: Option<i64>,
    pub bound_cidr_list: Vec<String>,
    pub display_name: Option<String>,
    pub metadata: Option<Value>,
    pub renewable: Option<bool>,
    /// Without a parent: it lives on when its maker's token ends. Only with the policy `root`.
    pub no_parent: bool,
}

/// Makes a token. Needs the area `tokens`; one without the policy `root` can pass on only what it holds itself: policies,
/// addresses, its entity, and every deny policy that binds it.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` naming the field.
pub async fn create(ctx: &OpContext, input: CreateToken) -> Result<Login> {
    settle!(async { issue(&ctx.access().await?, &input).await })
}

pub(in super::super) async fn issue(access: &Access, input: &CreateToken) -> Result<Login, Attempt> {
    let decision = access.administer(Area::Tokens, "create_token").await?;
    let mut event = access.granted(EventType::TokenIssued, &decision);
    let (new, warnings) = access.unless_refused(&event, plan(access, input)).await?;
    let (text, row) = new.make(None)?;
    let login = Login::new(text, &row, warnings);
    let (caller, now) = (access.caller.accessor, access.now);
    event.event_data = json!({
        "accessor": row.accessor.to_string(),
        "display_name": row.display_name,
        "policies": row.policies.0,
        "ttl_seconds": login.ttl_seconds,
    });
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                // a revocation that went before would not find the new token under its parent
                require_live(tx, caller, now).await?;
                store::insert(tx, &row).await?;
                Ok(Change::new((), event, Vec::new()))
            })
        })
        .await?;
    Ok(login)
}

fn plan(access: &Access, input: &CreateToken) -> Result<(NewToken, Vec<String>)> {
    let root = access.is_root();
    if access.caller.limited {
        return Err(Error::forbidden(
            "a token with a limited number of uses cannot make others: use another token",
        ));
    }
    if input.no_parent && !root {
        return Err(Error::forbidden(
            "only the policy 'root' may make tokens without a parent: leave 'orphan' out",
        ));
    }
    let mut warnings = Vec::new();
    let policies = policies(access, input, root, &mut warnings)?;
    let bound_cidr_list = addresses(access, input, root)?;
    let limits = access.app().limits();
    let max = input::ttl("maxTtlSeconds", input.max_ttl_seconds, limits.max_token_ttl)?
        .unwrap_or(limits.max_token_ttl);
    let period = input::ttl("periodSeconds", input.period_seconds, limits.max_token_ttl)?;
    let ttl = input::ttl("ttlSeconds", input.ttl_seconds, max)?;
    let ttl = period.or(ttl).unwrap_or(limits.default_token_ttl.min(max));
    let num_uses = input::count("numUses", input.num_uses)?;
    let not_after = if input.no_parent { None } else { access.caller.expires_at };
    if not_after.is_some_and(|end| access.now + Duration::seconds(ttl) > end) {
        warnings.push("the lifetime was cut to that of the token that made it".to_owned());
    }
    let of_parent = |value: &Option<String>| if input.no_parent { None } else { value.clone() };
    let new = NewToken {
        display_name: input::name("displayName", input.display_name.as_deref())?
            .unwrap_or_else(|| "token".to_owned()),
        entity: of_parent(&access.caller.entity),
        entity_type: access.caller.entity_type.clone(),
        role_id: access.caller.role_id.filter(|_| !input.no_parent),
        role_name: of_parent(&access.caller.role_name),
        policies,
        bound_cidr_list,
        parent: (!input.no_parent).then_some(access.caller.accessor),
        now: access.now,
        ttl_seconds: Some(ttl),
        max_ttl_seconds: Some(max),
        period_seconds: period,
        not_after,
        num_uses,
        renewable: input.renewable.unwrap_or(true),
        metadata: input::metadata(input.metadata.as_ref())?.unwrap_or_else(|| json!({})),
        certificate: access.caller.certificate.clone().filter(|_| !input.no_parent),
    };
    Ok((new, warnings))
}

fn policies(
    access: &Access,
    input: &CreateToken,
    root: bool,
    warnings: &mut Vec<String>,
) -> Result<Vec<String>> {
    book::check_names("policies", &input.policies)?;
    let mut policies = input.policies.clone();
    if root {
        return Ok(policies);
    }
    // a policy that is bound to the entity stays with the entity: named, it would outlive the binding
    let held = |name: &String| {
        access.caller.policy_names.contains(name)
            && access.policies.iter().any(|policy| **policy.name() == **name)
    };
    if let Some(name) = policies.iter().find(|name| !held(name)) {
        return Err(Error::forbidden(format!(
            "this token does not name the policy '{name}' itself and cannot pass it on: leave it out"
        )));
    }
    for policy in access.policies.iter().filter(|policy| policy.is_deny()) {
        if !policies.iter().any(|name| **name == **policy.name()) {
            policies.push(policy.name().to_string());
            warnings.push(format!("the deny policy '{}' of the token that made it was added", policy.name()));
        }
    }
    Ok(policies)
}

fn addresses(access: &Access, input: &CreateToken, root: bool) -> Result<Vec<String>> {
    let wanted = input::cidrs("boundCidrList", &input.bound_cidr_list)?;
    let own: &CidrList = &access.caller.cidrs;
    if root || own.is_empty() {
        return Ok(wanted.to_strings());
    }
    if wanted.is_empty() {
        return Ok(own.to_strings());
    }
    if wanted.is_subset_of(own) {
        return Ok(wanted.to_strings());
    }
    Err(Error::bad_input(
        "boundCidrList",
        "the addresses go beyond those of the token that makes it: name a part of them",
    ))
}
