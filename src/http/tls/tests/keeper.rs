use super::*;
use crate::model::certificates::CertType;
use crate::service::certificates::PeerCertificate;
use crate::service::certificates::own::{OwnCertificate, Standing};
use crate::service::certificates::trust::{Refusal, Refused};
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use uuid::Uuid;

#[derive(Clone, Copy)]
pub(super) enum Verdict {
    Admit,
    Refuse,
    Revoked,
    Unavailable,
    Hang,
}

/// A gatekeeper that does as it is told.
pub(super) struct Keeper {
    pub(super) clock: Arc<ManualClock>,
    pub(super) anchors: Mutex<Vec<Vec<u8>>>,
    pub(super) anchors_fail: AtomicBool,
    pub(super) verdict: Mutex<Verdict>,
    pub(super) admissions: AtomicUsize,
    /// What was put on the record.
    pub(super) refusals: Mutex<Vec<Refusal>>,
    /// Issues for three hours.
    pub(super) issuer: Mutex<Option<Authority>>,
    pub(super) issued: AtomicUsize,
    pub(super) standing: Mutex<Standing>,
    pub(super) changed: Notify,
}

impl Keeper {
    pub(super) fn new(clock: Arc<ManualClock>, anchors: Vec<Vec<u8>>) -> Self {
        Self {
            clock,
            anchors: Mutex::new(anchors),
            anchors_fail: AtomicBool::new(false),
            verdict: Mutex::new(Verdict::Admit),
            admissions: AtomicUsize::new(0),
            refusals: Mutex::new(Vec::new()),
            issuer: Mutex::new(None),
            issued: AtomicUsize::new(0),
            standing: Mutex::new(Standing::Good),
            changed: Notify::new(),
        }
    }
}

impl Gatekeeper for Arc<Keeper> {
    fn anchors(&self) -> BoxFuture<'_, Result<Vec<Vec<u8>>>> {
        Box::pin(async {
            if self.anchors_fail.load(Ordering::SeqCst) {
                return Err(Error::unavailable("closed"));
            }
            Ok(self.anchors.lock().clone())
        })
    }

    fn admit<'a>(&'a self, leaf: &'a [u8]) -> BoxFuture<'a, Result<PeerCertificate, Refused>> {
        self.admissions.fetch_add(1, Ordering::SeqCst);
        let verdict = *self.verdict.lock();
        Box::pin(async move {
            match verdict {
                Verdict::Admit => Ok(PeerCertificate {
                    id: Uuid::nil(),
                    fingerprint: data_encoding::HEXLOWER.encode(&crate::crypto::primitives::sha256(leaf)),
                    cert_type: CertType::ALL[0],
                    common_name: "admitted".to_owned(),
                    serial_number: "01".to_owned(),
                }),
                Verdict::Refuse => Err(Refused::Because("it is not known")),
                Verdict::Revoked => Err(Refused::Revoked("it was revoked")),
                Verdict::Unavailable => Err(Refused::Unknown(Error::unavailable("closed"))),
                Verdict::Hang => std::future::pending().await,
            }
        })
    }

    fn refused(&self, refusal: Refusal) -> BoxFuture<'_, Result<()>> {
        self.refusals.lock().push(refusal);
        Box::pin(async { Ok(()) })
    }

    fn issue<'a>(&'a self, _: &'a [AltName]) -> BoxFuture<'a, Result<OwnCertificate>> {
        Box::pin(async {
            let issuer = self.issuer.lock();
            let issuer = issuer.as_ref().ok_or_else(|| Error::not_found("no authority"))?;
            self.issued.fetch_add(1, Ordering::SeqCst);
            let (begins, ends) = (self.clock.now(), self.clock.now() + TimeDelta::hours(3));
            let made = signed(issuer, params("own", begins, ends), ExtendedKeyUsagePurpose::ServerAuth);
            Ok(OwnCertificate {
                fingerprint: data_encoding::HEXLOWER.encode(&made.leaf),
                chain: vec![made.leaf, issuer.der().to_vec()],
                key_pkcs8: made.key.into(),
                not_before: begins,
                not_after: ends,
            })
        })
    }

    fn standing<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async { Ok(*self.standing.lock()) })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.changed.notified())
    }
}
