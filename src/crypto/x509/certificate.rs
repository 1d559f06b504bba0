//! Certificates that are written (RFC 5280).

use chrono::{DateTime, Utc};
use der::Encode;
use der::asn1::{Ia5String, ObjectIdentifier};
use ipnet::IpNet;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CrlDistributionPoint, CustomExtension,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyUsagePurpose,
    NameConstraints as WrittenConstraints, SerialNumber,
};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AccessDescription, AuthorityInfoAccessSyntax};

pub use super::issuer::Issuer;
use super::keys::{PublicKey, SigningKey};
use super::{moment, names};
use crate::crypto::random;
use crate::error::{Error, Result};
use crate::model::certificates::{
    AltName, CertType, KeyType, MAX_NAMES, NameConstraints, Subject, Subtrees, parse_dns,
};

const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");

/// What a certificate is to say.
#[derive(Debug, Clone)]
pub struct Profile {
    pub cert_type: CertType,
    pub subject: Subject,
    pub names: Vec<AltName>,
    /// As [`new_serial`] makes them.
    pub serial: Vec<u8>,
    /// Cut to whole seconds, as the next.
    pub not_before: DateTime<Utc>,
    pub not_after: DateTime<Utc>,
    /// Exactly for the kinds that are authorities.
    pub ca: Option<CaProfile>,
    pub urls: Urls,
}

/// What an authority may do.
#[derive(Debug, Clone, Default)]
pub struct CaProfile {
    /// How many authorities may stand below it in a row; `None`: any number.
    pub max_path_length: Option<u8>,
    /// Domains: of each, itself and all names below it. Where some are permitted, all other names are not.
    pub permitted_dns: Vec<String>,
    pub excluded_dns: Vec<String>,
    pub permitted_ips: Vec<IpNet>,
    pub excluded_ips: Vec<IpNet>,
}

impl CaProfile {
    /// What it lets be below it.
    #[must_use]
    pub fn constraints(&self) -> NameConstraints {
        let subtrees = |dns: &[String], ips: &[IpNet]| Subtrees {
            dns: dns.to_vec(),
            ips: ips.iter().map(|range| (*range).into()).collect(),
            ..Subtrees::default()
        };
        NameConstraints {
            permitted: subtrees(&self.permitted_dns, &self.permitted_ips),
            excluded: subtrees(&self.excluded_dns, &self.excluded_ips),
            unusable: false,
        }
    }
}

/// Where relying parties find what belongs to the issuer. A self-signed root has none.
#[derive(Debug, Clone, Default)]
pub struct Urls {
    pub ca_issuers: Option<String>,
    pub ocsp: Option<String>,
    pub crl: Option<String>,
}

/// A new serial number: 16 bytes, positive, without leading zeros, 126 of its bits random (RFC 5280, 4.1.2.2).
#[must_use]
pub fn new_serial() -> Vec<u8> {
    let mut serial = random::bytes::<16>();
    serial[0] = serial[0] & 0x3f | 0x40;
    serial.to_vec()
}

/// A certificate (DER) that answers for itself.
///
/// # Errors
/// `BAD_USER_INPUT` at the part of the profile that cannot be.
pub fn self_signed(profile: &Profile, key: &SigningKey) -> Result<Vec<u8>> {
    let params = params(profile, key.public_key())?;
    let certificate = params.self_signed(key).map_err(Error::internal)?;
    Ok(certificate.der().to_vec())
}

/// A certificate (DER) for this key by this issuer.
///
/// That it ends no later than its issuer, and that its names are within the constraints of all above it, is not checked here.
///
/// # Errors
/// `BAD_USER_INPUT` at the part of the profile that cannot be; at `maxPathLength` if the issuer may have no authority below it.
pub fn sign(profile: &Profile, key: &PublicKey, issuer: &Issuer) -> Result<Vec<u8>> {
    if profile.ca.is_some() && issuer.facts().max_path_length == Some(0) {
        return Err(Error::bad_input(
            "maxPathLength",
            "this authority may sign no authorities: choose one with a greater path length, or a root",
        ));
    }
    let certificate = params(profile, key)?.signed_by(key, &issuer.rcgen()).map_err(Error::internal)?;
    Ok(certificate.der().to_vec())
}

fn params(profile: &Profile, key: &PublicKey) -> Result<CertificateParams> {
    if profile.not_after <= profile.not_before {
        return Err(Error::bad_input("ttlSeconds", "a certificate ends after it begins: ask for more time"));
    }
    if profile.names.len() > MAX_NAMES {
        return Err(Error::bad_input(
            "names",
            format!("a certificate has at most {MAX_NAMES} alternative names"),
        ));
    }
    if profile.serial.is_empty() || profile.serial.len() > 20 {
        return Err(Error::internal("a serial number has 1 to 20 bytes"));
    }
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&profile.serial));
    params.not_before = moment(profile.not_before)?;
    params.not_after = moment(profile.not_after)?;
    params.distinguished_name = names::write_subject(&profile.subject)?;
    params.subject_alt_names = profile.names.iter().map(names::write_alt_name).collect::<Result<_>>()?;
    params.use_authority_key_identifier_extension = true;
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.key_id().to_vec());
    usages(&mut params, profile.cert_type, key.kind());
    match (&profile.ca, profile.cert_type.is_ca()) {
        (Some(ca), true) => authority(&mut params, ca)?,
        (None, false) => params.is_ca = IsCa::ExplicitNoCa,
        _ => {
            return Err(Error::internal("the profile of an authority belongs to kinds that are authorities"));
        }
    }
    urls(&mut params, &profile.urls)?;
    Ok(params)
}

fn usages(params: &mut CertificateParams, cert_type: CertType, key: KeyType) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    match cert_type {
        CertType::RootCa | CertType::IntermediateCa => {
            params.key_usages.extend([KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]);
        }
        CertType::Server => {
            // for the key exchange of TLS 1.2 that RSA keys are used for without Diffie-Hellman
            if key.rsa_bits().is_some() {
                params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
            }
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
        CertType::AgentClient | CertType::AppClient | CertType::AdminClient => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
    }
}

fn authority(params: &mut CertificateParams, ca: &CaProfile) -> Result<()> {
    params.is_ca = IsCa::Ca(match ca.max_path_length {
        Some(length) => BasicConstraints::Constrained(length),
        None => BasicConstraints::Unconstrained,
    });
    let constraints = WrittenConstraints {
        permitted_subtrees: subtrees("permittedDns", &ca.permitted_dns, &ca.permitted_ips)?,
        excluded_subtrees: subtrees("excludedDns", &ca.excluded_dns, &ca.excluded_ips)?,
    };
    params.name_constraints = Some(constraints);
    Ok(())
}

fn subtrees(field: &'static str, domains: &[String], ranges: &[IpNet]) -> Result<Vec<GeneralSubtree>> {
    let domains = domains.iter().map(|domain| match parse_dns(domain) {
        Ok(name) if !name.starts_with('*') => Ok(GeneralSubtree::DnsName(name)),
        _ => Err(Error::bad_input(
            field,
            "write domains such as corp.example, without '*' and without a dot in front",
        )),
    });
    let ranges = ranges.iter().map(|range| {
        Ok(GeneralSubtree::IpAddress(match range {
            IpNet::V4(range) => CidrSubnet::V4(range.network().octets(), range.netmask().octets()),
            IpNet::V6(range) => CidrSubnet::V6(range.network().octets(), range.netmask().octets()),
        }))
    });
    domains.chain(ranges).collect()
}

fn urls(params: &mut CertificateParams, urls: &Urls) -> Result<()> {
    if let Some(crl) = &urls.crl {
        ia5(crl)?;
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![crl.clone()] }];
    }
    let mut access = Vec::new();
    for (method, url) in [(OCSP, &urls.ocsp), (CA_ISSUERS, &urls.ca_issuers)] {
        if let Some(url) = url {
            let location = GeneralName::UniformResourceIdentifier(ia5(url)?);
            access.push(AccessDescription { access_method: method, access_location: location });
        }
    }
    if !access.is_empty() {
        let content = AuthorityInfoAccessSyntax(access).to_der().map_err(Error::internal)?;
        params.custom_extensions.push(CustomExtension::from_oid_content(AUTHORITY_INFO_ACCESS, content));
    }
    Ok(())
}

/// The addresses come from the configuration, which takes none but ASCII.
fn ia5(url: &str) -> Result<Ia5String> {
    Ia5String::new(url).map_err(Error::internal)
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
