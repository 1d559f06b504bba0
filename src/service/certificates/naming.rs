//! The names of a certificate: from the request, the CSR, the role and the entity.

use super::plan::CertificateWish;
use super::roles::RoleState;
use crate::crypto::x509::request::CertificateRequest;
use crate::error::{Error, Result};
use crate::model::certificates::{AltName, CertType, MAX_NAMES, Subject};

/// Subject and alternative names.
///
/// # Errors
/// `BAD_USER_INPUT` naming the field.
pub fn naming(
    wish: &CertificateWish,
    csr: Option<&CertificateRequest>,
    role: Option<&RoleState>,
    entity_id: Option<&str>,
) -> Result<(Subject, Vec<AltName>)> {
    let csr = csr.filter(|_| role.is_none_or(|role| role.rules.use_csr_names));
    let of_csr = csr.and_then(|csr| csr.subject.clone());
    let common_name = wish
        .common_name
        .clone()
        .or_else(|| of_csr.as_ref().map(|subject| subject.common_name.clone()))
        .or_else(|| entity_id.map(str::to_owned))
        .ok_or_else(|| {
            Error::bad_input("commonName", "a common name is needed: neither the CSR nor an entity gives one")
        })?;
    let (organization, organizational_unit) = match role {
        Some(role) => (role.rules.organization.clone(), role.rules.organizational_unit.clone()),
        None => of_csr.map_or((None, None), |subject| (subject.organization, subject.organizational_unit)),
    };
    let subject = Subject { common_name, organization, organizational_unit };
    subject.check().map_err(|(field, message)| Error::bad_input(field, message))?;
    let mut names = match (&wish.names, csr) {
        (Some(texts), _) => parse_names(texts)?,
        (None, Some(csr)) => csr.names.clone(),
        (None, None) => Vec::new(),
    };
    if wish.cert_type == CertType::Server {
        // clients look at the alternative names only (RFC 9525)
        names.extend(AltName::of_common_name(&subject.common_name));
    }
    names.sort();
    names.dedup();
    if wish.cert_type == CertType::Server && names.is_empty() {
        let field = if wish.common_name.is_some() { "commonName" } else { "names" };
        return Err(Error::bad_input(
            field,
            "a server's certificate needs a DNS name or an address, and the common name is neither: correct it, or give one in 'names'",
        ));
    }
    if wish.cert_type.is_ca() {
        names.clear();
    }
    Ok((subject, names))
}

/// Alternative names as requests write them.
///
/// # Errors
/// `BAD_USER_INPUT` at `names`.
pub fn parse_names(texts: &[String]) -> Result<Vec<AltName>> {
    if texts.len() > MAX_NAMES {
        return Err(Error::bad_input("names", "a certificate has at most 100 alternative names"));
    }
    let parse = |(index, text): (usize, &String)| {
        AltName::parse(text).map_err(|problem| Error::bad_input(format!("names[{index}]"), problem))
    };
    texts.iter().enumerate().map(parse).collect()
}
