//! What a certificate is going to be: decided from the request, its role, its authority and the caller's policies.

use super::super::App;
use super::super::context::Access;
use super::super::input;
use super::super::ledger::Attempt;
use super::super::roles::may_bind;
use super::issuers::{self, Signer};
use super::naming::naming;
use super::roles::{RoleState, read_role, require_role};
use crate::crypto::x509::certificate::{CaProfile, Profile, new_serial};
use crate::crypto::x509::facts::MAX_CHAIN;
use crate::crypto::x509::request::CertificateRequest;
use crate::error::{Error, Result};
use crate::model::certificates::{AltName, Asked, CertType, KeyType, Subject};
use crate::model::leases::{Cap, Granted, grant};
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area, Decision, Operation};
use chrono::{DateTime, Duration, DurationRound, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// The longest life of any certificate, in seconds: 3650 days.
pub const MAX_TTL: i64 = 3650 * 86400;
/// What is issued without a role lives this long if no other time is asked for: 90 days, an authority 1825.
const DEFAULT_TTL: i64 = 90 * 86400;
const DEFAULT_CA_TTL: i64 = 1825 * 86400;
/// Clocks differ: a certificate is valid from a moment ago.
const BACKDATED: i64 = 30;

/// What a caller asks for, beside the key.
#[derive(Debug, Clone)]
pub struct CertificateWish {
    pub role: Option<SecretPath>,
    pub issuer_serial: Option<String>,
    pub cert_type: CertType,
    pub common_name: Option<String>,
    /// As [`AltName::parse`] reads them.
    pub names: Option<Vec<String>>,
    pub entity_id: Option<String>,
    pub ttl_seconds: Option<i64>,
    /// Of an intermediate authority.
    pub max_path_length: Option<i64>,
}

/// A certificate that may be issued, all but its key.
pub struct Planned {
    pub signer: Arc<Signer>,
    pub profile: Profile,
    pub entity_id: Option<String>,
    pub role: Option<RoleState>,
    pub decision: Decision,
    /// What is granted otherwise than asked for.
    pub warnings: Vec<String>,
}

/// Decides whether and how.
///
/// # Errors
/// `FORBIDDEN`, `NOT_FOUND`, `BAD_USER_INPUT` naming the field, `CONFLICT`.
pub async fn plan(
    access: &Access,
    wish: &CertificateWish,
    csr: Option<&CertificateRequest>,
    key_type: KeyType,
) -> Result<Planned, Attempt> {
    check_wish(wish, csr)?;
    let mut decision = authorise(access, wish).await?;
    let (role, issuer) = found(access.app(), wish).await?;
    let signer = issuers::signer(access.app(), issuer).await?;
    let own = access.caller.own_entity_id();
    let entity_id = entity(access, wish, role.as_ref(), own).await?;
    let (subject, names) = naming(wish, csr, role.as_ref(), entity_id.as_deref())?;
    if let Some(role) = &role {
        let asked = Asked {
            cert_type: wish.cert_type,
            key_type,
            subject: &subject,
            names: &names,
            entity_id: entity_id.as_deref(),
            own_entity_id: own,
        };
        role.rules.allows(&asked).map_err(|broken| {
            // the kind of a CSR's key is asked for by the CSR
            let field = if csr.is_some() && broken.field == "keyType" { "csrPem" } else { broken.field };
            Error::bad_input(field, broken.message)
        })?;
    }
    let granted = lifetime(access, wish, role.as_ref(), &signer)?;
    let ttl = granted.seconds;
    if let Some(path) = &wish.role {
        decision = require_role(access, Operation::Issue, path, ttl).await?;
    }
    let ca = ca_profile(wish, &signer)?;
    let profile = profile(access.now, &signer, wish.cert_type, subject, names, ttl, ca)?;
    let warnings = granted.warning().into_iter().collect();
    Ok(Planned { signer, profile, entity_id, role, decision, warnings })
}

fn check_wish(wish: &CertificateWish, csr: Option<&CertificateRequest>) -> Result<()> {
    if wish.cert_type == CertType::RootCa {
        return Err(Error::bad_input("certType", "nobody signs a root: use createRootCa"));
    }
    if csr.is_some_and(|csr| csr.asks_for_ca) && !wish.cert_type.is_ca() {
        return Err(Error::bad_input(
            "csrPem",
            "the CSR asks for the certificate of an authority: make it without CA:TRUE and keyCertSign",
        ));
    }
    if wish.role.is_some() && wish.issuer_serial.is_some() {
        return Err(Error::bad_input("issuerSerialNumber", "the role names the authority: leave it out"));
    }
    if wish.entity_id.is_some() && wish.cert_type.entity_type().is_none() {
        return Err(Error::bad_input(
            "entityId",
            "nobody logs in with such a certificate: leave the entity out",
        ));
    }
    input::name("entityId", wish.entity_id.as_deref())?;
    input::ttl("ttlSeconds", wish.ttl_seconds, MAX_TTL).map(drop)
}

/// What allows it: `issue` on the role's path, or without a role the area `certificates`.
async fn authorise(access: &Access, wish: &CertificateWish) -> Result<Decision, Attempt> {
    let Some(path) = &wish.role else {
        return access.administer(Area::Certificates, "issue_certificate").await;
    };
    let action = Action::Secret { operation: Operation::Issue, path };
    let asked = access.allowed_part(&action, wish.ttl_seconds);
    require_role(access, Operation::Issue, path, asked).await
}

/// The role, and the authority that signs.
async fn found(app: &App, wish: &CertificateWish) -> Result<(Option<RoleState>, Uuid)> {
    let Some(path) = &wish.role else {
        let issuer = issuers::choose(&mut app.read().await?, wish.issuer_serial.as_deref()).await?;
        return Ok((None, issuer));
    };
    let role = read_role(app, path).await?.ok_or_else(|| {
        Error::not_found("there is no certificate role at this path: check it against the list of roles")
    })?;
    if !role.row.enabled {
        return Err(Error::conflict("this certificate role is disabled and issues nothing at the moment"));
    }
    let issuer = role.issuer()?;
    Ok((Some(role), issuer))
}

/// Whom the certificate is bound to. By a role without a list of entities, the caller itself. With another entity the policies that are
/// bound to it are given away: areas of administration must be the caller's to give, what it may do with secrets need not be, since
/// whoever administers `certificates` or made the role has allowed it.
async fn entity(
    access: &Access,
    wish: &CertificateWish,
    role: Option<&RoleState>,
    own: Option<&str>,
) -> Result<Option<String>> {
    let Some(kind) = wish.cert_type.entity_type() else { return Ok(None) };
    let of_caller = || role.and(own).filter(|id| input::is_name(id)).map(str::to_owned);
    let Some(id) = wish.entity_id.clone().or_else(of_caller) else { return Ok(None) };
    let is_own = own == Some(id.as_str()) && access.caller.entity_type == kind;
    let own_only = role.is_some_and(|role| role.rules.allowed_entity_ids.is_empty());
    if own_only && !is_own {
        return Err(Error::bad_input(
            "entityId",
            format!("the role issues to the caller's own entity only, and that is no {kind} of this name"),
        ));
    }
    if !is_own {
        may_bind(access, &[format!("{kind}:{id}")]).await?;
    }
    Ok(Some(id))
}

/// How long. What is asked for is refused if the role or the authority leave less; the caller's policies cut it.
fn lifetime(
    access: &Access,
    wish: &CertificateWish,
    role: Option<&RoleState>,
    signer: &Signer,
) -> Result<Granted> {
    let left = (signer.valid_until - access.now).num_seconds();
    if left < 1 {
        return Err(Error::conflict("the authority has expired: name another one"));
    }
    let most_by_role = role.map_or(MAX_TTL, |role| role.row.max_ttl_seconds);
    if let Some(asked) = wish.ttl_seconds {
        if asked > most_by_role {
            return Err(Error::bad_input(
                "ttlSeconds",
                format!("the role issues for at most {most_by_role} seconds: ask for less"),
            ));
        }
        if asked > left {
            return Err(Error::bad_input(
                "ttlSeconds",
                format!("the authority itself ends in {left} seconds: ask for less"),
            ));
        }
    }
    let default = match role {
        Some(role) => role.row.ttl_seconds,
        None if wish.cert_type.is_ca() => DEFAULT_CA_TTL,
        None => DEFAULT_TTL,
    };
    let path = wish.role.as_ref();
    let by_policy = path.and_then(|path| {
        let action = Action::Secret { operation: Operation::Issue, path };
        access.lifetime_bound(&action, access.allowed_part(&action, wish.ttl_seconds))
    });
    let caps = [(Cap::Authority, Some(left)), (Cap::Policy, by_policy)];
    Ok(grant(wish.ttl_seconds.unwrap_or(default), &caps))
}

fn ca_profile(wish: &CertificateWish, signer: &Signer) -> Result<Option<CaProfile>> {
    if !wish.cert_type.is_ca() {
        return Ok(None);
    }
    Ok(Some(CaProfile {
        max_path_length: path_length(wish.max_path_length, signer)?,
        ..CaProfile::default()
    }))
}

/// How many authorities may follow below: fewer than below the one that signs.
pub fn path_length(asked: Option<i64>, signer: &Signer) -> Result<Option<u8>> {
    const FIELD: &str = "maxPathLength";
    let asked = asked
        .map(|length| {
            u8::try_from(length).map_err(|_| Error::bad_input(FIELD, "write a whole number from 0 to 255"))
        })
        .transpose()?;
    let left = signer.chain.path_length();
    match (left, asked) {
        (Some(..=0), _) => Err(Error::conflict("no authority may be below this one: its path length is 0")),
        (Some(left), Some(asked)) if i64::from(asked) >= left => {
            Err(Error::bad_input(FIELD, format!("at most {} below this authority", left - 1)))
        }
        (Some(left), None) => u8::try_from(left - 1).map(Some).map_err(Error::internal),
        (_, asked) => Ok(asked),
    }
}

/// What is signed. Everything that an authority signs comes by here: names that it or one above it may not certify are refused,
/// since nobody would take them.
///
/// # Errors
/// `BAD_USER_INPUT` at `names`, `commonName`, or a list of an authority's own constraints; `CONFLICT` for an authority too far down.
pub fn profile(
    now: DateTime<Utc>,
    signer: &Signer,
    cert_type: CertType,
    subject: Subject,
    names: Vec<AltName>,
    ttl: i64,
    ca: Option<CaProfile>,
) -> Result<Profile> {
    signer.chain.allow(&subject, &names, cert_type.is_ca())?;
    if let Some(ca) = &ca {
        signer.chain.allow_below(&ca.constraints().permitted)?;
        // with it, and one that it signs
        if signer.chain.height() + 2 > MAX_CHAIN {
            return Err(Error::conflict("too many authorities are above: make it below another one"));
        }
    }
    let now = whole_second(now)?;
    Ok(Profile {
        cert_type,
        subject,
        names,
        serial: new_serial(),
        not_before: (now - Duration::seconds(BACKDATED)).max(signer.valid_from),
        not_after: (now + Duration::seconds(ttl)).min(signer.valid_until),
        ca,
        urls: signer.urls.clone(),
    })
}

/// Certificates count whole seconds.
pub fn whole_second(time: DateTime<Utc>) -> Result<DateTime<Utc>> {
    time.duration_trunc(Duration::seconds(1)).map_err(Error::internal)
}
