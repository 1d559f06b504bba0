//! The certificate of a server that has none yet.

use crate::error::{Error, Result};
use crate::model::certificates::AltName;
use chrono::{DateTime, Utc};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Clocks of clients may be behind by so much.
const BACKDATED: u64 = 60 * 60;
/// A server may wait long to be unsealed, and is restarted now and then.
const LIFETIME: u64 = 365 * 24 * 60 * 60;

/// A self-signed certificate for these names, whose key is nowhere but in memory.
///
/// # Errors
/// Internal.
pub(super) fn self_signed(names: &[AltName], now: DateTime<Utc>) -> Result<Arc<CertifiedKey>> {
    let mut params = CertificateParams::default();
    for name in names {
        params.subject_alt_names.push(match name {
            AltName::Dns(name) => SanType::DnsName(name.as_str().try_into().map_err(Error::internal)?),
            AltName::Ip(address) => SanType::IpAddress(*address),
            AltName::Uri(uri) => SanType::URI(uri.as_str().try_into().map_err(Error::internal)?),
        });
    }
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "SecretHub, self-signed");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let begins = u64::try_from(now.timestamp()).unwrap_or_default().saturating_sub(BACKDATED);
    params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(begins);
    params.not_after = params.not_before + Duration::from_secs(LIFETIME);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::internal)?;
    let certificate = params.self_signed(&key).map_err(Error::internal)?;
    let key = Zeroizing::new(key.serialize_der());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_slice()));
    super::certified(vec![certificate.der().clone()], &key).map_err(Error::internal)
}
