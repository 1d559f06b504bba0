//! A new certificate for who has one: the connection proves the possession of the old key, the CSR that of the new.

use super::super::App;
use super::super::context::{Access, OpContext, settle};
use super::super::input;
use super::super::ledger::{Attempt, Change};
use super::super::tokens;
use super::issue::{insert, issued_event, issued_type, make};
use super::issuers::{self, Signer};
use super::profile::profile;
use super::roles::{RoleState, read_role, require_role};
use super::view::CertificateView;
use crate::crypto::x509::request::CertificateRequest;
use crate::error::{Error, Result};
use crate::model::certificates::{AltName, Asked, CertType, Subject};
use crate::model::leases::{Cap, Granted, grant};
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Operation};
use crate::storage::certificates as store;
use crate::storage::certificates::CertificateRow;
use crate::storage::errors::corrupt;
use uuid::Uuid;

/// Issues a certificate with the names and the entity of the one that the connection shows, for the key of the CSR (whose own
/// names do not count). Needs `renew` on the path of the role that it was issued by, which must be renewable and still allow it.
/// The old certificate stays good until its end. With it comes what was granted otherwise than asked for.
///
/// # Errors
/// `FORBIDDEN`, `CONFLICT` if the role does not renew (any more), `BAD_USER_INPUT` naming the field.
pub async fn renew(
    ctx: &OpContext,
    csr_pem: &str,
    ttl_seconds: Option<i64>,
) -> Result<(CertificateView, Vec<String>)> {
    settle!(renew_once(ctx, csr_pem, ttl_seconds))
}

async fn renew_once(
    ctx: &OpContext,
    csr_pem: &str,
    ttl_seconds: Option<i64>,
) -> Result<(CertificateView, Vec<String>), Attempt> {
    let access = ctx.access().await?;
    let csr = CertificateRequest::parse(csr_pem)?;
    let Some(peer) = &ctx.origin().certificate else {
        return Err(Error::forbidden(
            "this connection shows no client certificate: connect with the one that is to be renewed",
        )
        .into());
    };
    let holds = access.caller.certificate.as_ref().is_some_and(|(id, _)| *id == peer.id);
    if !holds {
        return Err(Error::forbidden(
            "this token is not of the certificate that the connection shows: log in with it first",
        )
        .into());
    }
    let (old, path, role, issuer) = found(access.app(), peer.id).await?;
    let signer = issuers::signer(access.app(), issuer).await?;
    let granted = lifetime(&access, ttl_seconds, &path, &role, &signer)?;
    let ttl = granted.seconds;
    let decision = require_role(&access, Operation::Renew, &path, ttl).await?;
    let (subject, names, cert_type) = as_before(&old, &role, &csr)?;
    let wanted = profile(access.now, &signer, cert_type, subject, names, ttl, None)
        .map_err(|error| input::moved(error, "role"))?;
    let by = access.caller.actor_id.clone();
    let mut row = make(&signer, &wanted, &csr.public_key, access.now, by).await?;
    row.entity_id.clone_from(&old.entity_id);
    row.role_path.clone_from(&old.role_path);
    row.replaces = Some(old.id);
    let event = issued_event(access.granted(issued_type(cert_type), &decision), &row);
    let (caller, now) = (access.caller.accessor, access.now);
    let warnings = granted.warning().into_iter().collect();
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                // a revocation of the old certificate has ended this token
                tokens::require_live(tx, caller, now).await?;
                insert(tx, &row, now).await?;
                Ok(Change::new((CertificateView::from_row(row)?, warnings), event, Vec::new()))
            })
        })
        .await
}

/// The certificate, its role with the path, and the authority that signs by it now.
async fn found(app: &App, id: Uuid) -> Result<(CertificateRow, SecretPath, RoleState, Uuid)> {
    let old = store::by_id(&mut app.read().await?, id).await?.ok_or_else(super::absent)?;
    let path = role_path(&old)?;
    let role = read_role(app, &path).await?.filter(|role| role.row.enabled && role.row.renewable);
    let role = role.ok_or_else(|| {
        Error::conflict("the role of this certificate renews nothing any more: ask for a new one")
    })?;
    let issuer = role.issuer()?;
    Ok((old, path, role, issuer))
}

fn role_path(old: &CertificateRow) -> Result<SecretPath> {
    let path = old.role_path.as_deref().ok_or_else(|| {
        Error::conflict(
            "this certificate was issued without a role, so nothing says how to renew it: ask for a new one",
        )
    })?;
    SecretPath::parse(path).map_err(|_| corrupt("certificates", "role_path", &old.id.to_string()))
}

fn lifetime(
    access: &Access,
    asked: Option<i64>,
    path: &SecretPath,
    role: &RoleState,
    signer: &Signer,
) -> Result<Granted> {
    let asked = input::ttl("ttlSeconds", asked, role.row.max_ttl_seconds)?;
    let wanted = asked.unwrap_or(role.row.ttl_seconds);
    // that it has ended is found out when it is to sign
    let left = (signer.valid_until - access.now).num_seconds().max(1);
    let action = Action::Secret { operation: Operation::Renew, path };
    let by_policy = access.lifetime_bound(&action, access.allowed_part(&action, asked));
    Ok(grant(wanted, &[(Cap::Authority, Some(left)), (Cap::Policy, by_policy)]))
}

/// Subject and names of the old certificate, if the role still allows them.
fn as_before(
    old: &CertificateRow,
    role: &RoleState,
    csr: &CertificateRequest,
) -> Result<(Subject, Vec<AltName>, CertType)> {
    let damaged = |column| corrupt("certificates", column, &old.id.to_string());
    let cert_type = CertType::parse(&old.cert_type).ok_or_else(|| damaged("cert_type"))?;
    let names: Vec<AltName> = old
        .names
        .0
        .iter()
        .map(|name| AltName::parse(name))
        .collect::<Result<_, _>>()
        .map_err(|_| damaged("names"))?;
    let subject = Subject {
        common_name: old.common_name.clone(),
        organization: role.rules.organization.clone(),
        organizational_unit: role.rules.organizational_unit.clone(),
    };
    let asked = Asked {
        cert_type,
        key_type: csr.public_key.kind(),
        subject: &subject,
        names: &names,
        entity_id: old.entity_id.as_deref(),
        own_entity_id: old.entity_id.as_deref(),
    };
    role.rules.allows(&asked).map_err(|broken| {
        let field = if broken.field == "keyType" { "csrPem" } else { "role" };
        Error::bad_input(field, broken.message)
    })?;
    Ok((subject, names, cert_type))
}
