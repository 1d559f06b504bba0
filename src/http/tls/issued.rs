//! The server's own certificate, from its default authority: taken when there is one, renewed in time and when another authority is
//! the default, and dropped when it does not stand any more.

use super::{Tls, too_late};
use crate::error::{Error, ErrorCode, Result};
use crate::model::certificates::AltName;
use crate::service::certificates::own::{OwnCertificate, Standing};
use chrono::{DateTime, TimeDelta, Utc};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// For the store to say whether the certificate stands.
const PATIENCE: Duration = Duration::from_secs(3);
/// For a certificate to be issued.
const ISSUE_PATIENCE: Duration = Duration::from_secs(30);
/// A certificate that falls as soon as it is there is not replaced over and over.
const LEAST_INTERVAL: TimeDelta = TimeDelta::seconds(30);

/// The certificate in use.
pub(super) struct Own {
    pub(super) certified: Arc<CertifiedKey>,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
    fingerprint: String,
    taken: DateTime<Utc>,
}

/// How it stands after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// There is one, and no need for another.
    Good,
    /// There can be none: sealed, or no authority.
    Waiting,
    /// Getting one failed.
    Failed,
}

impl Own {
    fn of(issued: &OwnCertificate, taken: DateTime<Utc>) -> Result<Self> {
        let chain = issued.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(issued.key_pkcs8.as_slice()));
        Ok(Self {
            certified: super::certified(chain, &key).map_err(Error::internal)?,
            not_before: issued.not_before,
            not_after: issued.not_after,
            fingerprint: issued.fingerprint.clone(),
            taken,
        })
    }

    /// At two thirds of its life: time enough for a node that stays sealed for a while.
    fn due(&self) -> DateTime<Utc> {
        self.not_before + (self.not_after - self.not_before) * 2 / 3
    }
}

impl Tls {
    /// Takes or renews the certificate if that is due.
    pub(super) async fn see_to_own(&self, names: &[AltName]) -> Outlook {
        let now = self.clock.now();
        let own = self.parts.lock().own.clone();
        let too_soon = own.as_ref().is_some_and(|own| now < own.taken + LEAST_INTERVAL);
        let mut fallen = false;
        if let Some(own) = &own {
            // while the store does not say, it is taken for good
            let standing = match timeout(PATIENCE, self.keeper.standing(&own.fingerprint)).await {
                Ok(Ok(standing)) => standing,
                _ => Standing::Good,
            };
            fallen = standing == Standing::Fallen;
            let superseded = standing == Standing::Superseded && !too_soon;
            if !fallen && !superseded && now < own.due() {
                return Outlook::Good;
            }
        }
        let taken = if too_soon { Err(too_soon_again()) } else { self.take(names, now).await };
        match taken {
            Ok(()) => Outlook::Good,
            Err(error) => {
                if own.is_some_and(|own| fallen || now >= own.not_after) {
                    tracing::warn!("the server's own certificate has ended, and there is no other yet");
                    self.put(None);
                }
                match error.code() {
                    ErrorCode::Sealed | ErrorCode::NotInitialized | ErrorCode::NotFound => Outlook::Waiting,
                    _ => {
                        let context = error.log_context().unwrap_or_default();
                        tracing::warn!(error = %error, context, "the server got no certificate of its own");
                        Outlook::Failed
                    }
                }
            }
        }
    }

    async fn take(&self, names: &[AltName], now: DateTime<Utc>) -> Result<()> {
        let issued =
            timeout(ISSUE_PATIENCE, self.keeper.issue(names)).await.unwrap_or_else(|_| Err(too_late()))?;
        let own = Own::of(&issued, now)?;
        tracing::info!(
            sha256 = %own.fingerprint,
            not_after = %own.not_after,
            "the listener has a new certificate of the server's own authority"
        );
        self.put(Some(own));
        Ok(())
    }

    fn put(&self, own: Option<Own>) {
        if let Err(error) = self.change(|parts| parts.own = own.map(Arc::new)) {
            let context = error.log_context().unwrap_or_default();
            tracing::error!(error = %error, context, "the listener's certificate could not be changed");
        }
    }
}

fn too_soon_again() -> Error {
    Error::new(ErrorCode::Unavailable, "the certificate was taken a moment ago and does not stand any more")
}
