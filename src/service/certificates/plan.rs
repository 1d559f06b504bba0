//! What a certificate is going to be: decided from the request, its role, its authority and the caller's policies.

use super::super::context::Access;
use super::super::input;
use super::super::ledger::Attempt;
use super::super::roles::may_bind;
use super::issuers::{self, Signer};
use super::naming::naming;
use super::profile::{ca_profile, profile};
use super::roles::{RoleState, load_role, require_role};
use crate::crypto::x509::certificate::Profile;
use crate::crypto::x509::request::CertificateRequest;
use crate::error::{Error, Result};
use crate::model::certificates::{AltName, Asked, CertType, KeyType, Subject};
use crate::model::leases::{Cap, Granted, grant};
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area, Decision, Operation};
use std::sync::Arc;
use uuid::Uuid;

/// The longest life of any certificate, in seconds: 3650 days.
pub const MAX_TTL: i64 = 3650 * 86400;
/// What is issued without a role lives this long if no other time is asked for: 90 days, an authority 1825.
const DEFAULT_TTL: i64 = 90 * 86400;
const DEFAULT_CA_TTL: i64 = 1825 * 86400;

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
    pub role: Option<Arc<RoleState>>,
    pub decision: Decision,
    /// What is granted otherwise than asked for.
    pub warnings: Vec<String>,
}

/// What suits the request, its role and its authority.
struct Fit {
    signer: Arc<Signer>,
    role: Option<Arc<RoleState>>,
    entity_id: Option<String>,
    subject: Subject,
    names: Vec<AltName>,
    granted: Granted,
}

/// What a certificate is asked for with.
#[derive(Clone, Copy)]
struct Asking<'a> {
    wish: &'a CertificateWish,
    csr: Option<&'a CertificateRequest>,
    key_type: KeyType,
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
    let asking = Asking { wish, csr, key_type };
    let fit = match remembered(access, asking).await {
        Some(fit) => fit,
        None => {
            let (role, issuer) = found(access, wish).await?;
            fit(access, asking, role, issuer).await?
        }
    };
    let Fit { signer, role, entity_id, subject, names, granted } = fit;
    let ttl = granted.seconds;
    if let Some(path) = &wish.role {
        decision = require_role(access, Operation::Issue, path, ttl).await?;
    }
    let ca = ca_profile(wish, &signer)?;
    let profile = profile(access.now, &signer, wish.cert_type, subject, names, ttl, ca)?;
    let warnings = granted.warning().into_iter().collect();
    Ok(Planned { signer, profile, entity_id, role, decision, warnings })
}

/// By the role as this node remembers it. What is signed by that is put on the record, and so not if another node has changed the role
/// meanwhile; a refusal is not recorded, so it takes another look.
async fn remembered(access: &Access, asking: Asking<'_>) -> Option<Fit> {
    let role = access.app().caches.certificate_role(asking.wish.role.as_ref()?)?;
    let issuer = role.issuer().ok()?;
    fit(access, asking, Some(role), issuer).await.ok()
}

async fn fit(access: &Access, asking: Asking<'_>, role: Option<Arc<RoleState>>, issuer: Uuid) -> Result<Fit> {
    let Asking { wish, csr, key_type } = asking;
    if let Some(role) = &role {
        usable(role, csr.is_some())?;
    }
    let signer = issuers::signer(access.app(), issuer).await?;
    let own = access.caller.own_entity_id();
    let of_role = role.as_deref();
    let entity_id = entity(access, wish, of_role, own).await?;
    let (subject, names) = naming(wish, csr, of_role, entity_id.as_deref())?;
    if let Some(role) = of_role {
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
    let granted = lifetime(access, wish, of_role, &signer)?;
    Ok(Fit { signer, role, entity_id, subject, names, granted })
}

fn usable(role: &RoleState, has_csr: bool) -> Result<()> {
    if !role.row.enabled {
        return Err(Error::conflict("this certificate role is disabled and issues nothing at the moment"));
    }
    if role.row.requires_approval && !has_csr {
        return Err(Error::conflict(
            "this role asks for an operator's approval, and no key waits here: send a CSR to signCertificate",
        ));
    }
    Ok(())
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
async fn found(access: &Access, wish: &CertificateWish) -> Result<(Option<Arc<RoleState>>, Uuid)> {
    let Some(path) = &wish.role else {
        let mut tx = access.app().read().await?;
        return Ok((None, issuers::choose(&mut tx, wish.issuer_serial.as_deref()).await?));
    };
    let role = load_role(access, path).await?.ok_or_else(|| {
        Error::not_found("there is no certificate role at this path: check it against the list of roles")
    })?;
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
