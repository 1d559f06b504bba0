//! The server's own certificate, from its own authority.

use super::super::App;
use super::super::context::{OpContext, settle};
use super::super::input;
use super::super::ledger::{Attempt, Change};
use super::issue::{insert, issued_event, make};
use super::profile::profile;
use super::{issuers, trust};
use crate::crypto::x509::facts;
use crate::crypto::x509::keys::SigningKey;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::EventType;
use crate::model::certificates::{AltName, CertType, KeyType, Subject};
use crate::storage::certificate_authorities as authority_store;
use crate::storage::certificates as store;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use zeroize::Zeroizing;

/// How long a server's own certificate lives, in seconds: 30 days; it is renewed long before.
const TTL: i64 = 30 * 86400;

/// A certificate with its key.
pub struct OwnCertificate {
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    pub key_pkcs8: Zeroizing<Vec<u8>>,
    pub not_before: DateTime<Utc>,
    pub not_after: DateTime<Utc>,
    pub fingerprint: String,
}

/// Issues the server a certificate for these names from the default authority. Its key is in this node's memory only.
///
/// # Errors
/// `SEALED`, `NOT_INITIALIZED`; `NOT_FOUND` while there is no authority; `BAD_USER_INPUT` at `listener.tls_names` if the authority may
/// not certify one of them; `UNAVAILABLE`.
pub async fn issue_own(app: &Arc<App>, names: &[AltName]) -> Result<OwnCertificate> {
    app.keys.get()?;
    let authority = authority_store::default(&mut app.read().await?).await?;
    let authority = authority.ok_or_else(|| Error::not_found("there is no certificate authority yet"))?;
    let signer = issuers::signer(app, authority.id).await?;
    let now = app.clock().now();
    let ttl = TTL.min((signer.valid_until - now).num_seconds());
    if ttl < 1 {
        return Err(Error::new(ErrorCode::NotFound, "the default certificate authority has expired"));
    }
    let subject = Subject { common_name: common_name(names)?, ..Subject::default() };
    let wanted = profile(now, &signer, CertType::Server, subject, names.to_vec(), ttl, None)
        .map_err(|error| input::moved(error, "listener.tls_names"))?;
    let key = SigningKey::generate(KeyType::EcP256)?;
    let row = make(&signer, &wanted, key.public_key(), now, "system".to_owned()).await?;
    let made = OwnCertificate {
        chain: facts::from_pem(&format!("{}{}", row.certificate_pem, signer.chain_pem))?,
        key_pkcs8: key.to_pkcs8_der()?,
        not_before: row.valid_from,
        not_after: row.valid_until,
        fingerprint: row.fingerprint.clone(),
    };
    let ctx = OpContext::system(Arc::clone(app), "listener");
    settle!(async {
        let (row, event) = (row.clone(), issued_event(ctx.event(EventType::CertificateIssued, None), &row));
        app.ledger
            .change(app.undecided(), None, move |tx| {
                Box::pin(async move {
                    insert(tx, &row, now).await?;
                    Ok(Change::new((), event, Vec::new()))
                })
            })
            .await as Result<(), Attempt>
    })?;
    Ok(made)
}

/// A DNS name if there is one: beside it no client takes the common name for another.
fn common_name(names: &[AltName]) -> Result<String> {
    let dns = names.iter().find_map(|name| match name {
        AltName::Dns(dns) if dns.len() <= 64 => Some(dns.clone()),
        _ => None,
    });
    let address = names.iter().find_map(|name| match name {
        AltName::Ip(address) => Some(address.to_string()),
        _ => None,
    });
    dns.or(address).ok_or_else(|| {
        Error::bad_input("listener.tls_names", "name a DNS name of at most 64 characters or an address")
    })
}

/// How a server's certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Good,
    /// Good, but of an authority that is not the default any more.
    Superseded,
    /// It, or an authority above it, was revoked or has ended.
    Fallen,
}

/// How the certificate of this fingerprint stands.
///
/// # Errors
/// `UNAVAILABLE`.
pub async fn standing(app: &App, fingerprint: &str) -> Result<Standing> {
    let mut tx = app.read().await?;
    let Some(row) = store::by_fingerprint(&mut tx, fingerprint).await? else { return Ok(Standing::Fallen) };
    if trust::problem(&store::chain(&mut tx, row.id).await?, app.clock().now()).is_some() {
        return Ok(Standing::Fallen);
    }
    let default = authority_store::default(&mut tx).await?.map(|authority| authority.id);
    Ok(if default.is_some() && default != row.issuer_id { Standing::Superseded } else { Standing::Good })
}
