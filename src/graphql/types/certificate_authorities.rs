//! Authorities of certificates as clients see them.

use super::certificates::Certificate;
use crate::graphql::scalars::{DateTime, int};
use crate::service::certificates::AuthorityView;
use async_graphql::Object;

pub struct CertificateAuthority(AuthorityView);

impl From<AuthorityView> for CertificateAuthority {
    fn from(view: AuthorityView) -> Self {
        Self(view)
    }
}

/// An authority whose key is kept here. What it publishes is at `/v1/pki/SERIAL/ca.pem`, `/crl` and `/ocsp`.
#[Object]
impl CertificateAuthority {
    /// Its certificate.
    async fn certificate(&self) -> Certificate {
        self.0.certificate.clone().into()
    }

    /// Whether it signs what names no authority.
    async fn is_default(&self) -> bool {
        self.0.is_default
    }

    /// Whether it signs new certificates. Revocation lists and OCSP answers for those that it has signed go on in any case.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// The certificates above it, PEM, nearest first; empty for a root.
    async fn chain_pem(&self) -> &str {
        &self.0.chain_pem
    }

    /// How many of its certificates were ever revoked.
    async fn revocations(&self) -> i32 {
        int(self.0.revocations)
    }

    /// The number of its latest revocation list; null in the moment before the first.
    async fn crl_number(&self) -> Option<i32> {
        self.0.crl_number.map(int)
    }

    /// When that list was made.
    async fn crl_this_update(&self) -> Option<DateTime> {
        self.0.crl_this_update.map(Into::into)
    }

    /// Until when that list is good.
    async fn crl_next_update(&self) -> Option<DateTime> {
        self.0.crl_next_update.map(Into::into)
    }
}
