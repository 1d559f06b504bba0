//! Keeping up with what changes: authorities, files, and the server's own certificate.

use super::issued::Outlook;
use super::{ClientCertificates, Tls, too_late};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often authorities are looked for.
const TRUST: Duration = Duration::from_secs(1);
/// For the store to name them.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the files are looked at.
const FILES: Duration = Duration::from_secs(5);
/// How often the server's own certificate is looked at, and how soon one is asked for again.
const OWN: Duration = Duration::from_secs(5);
const OWN_WAITING: Duration = Duration::from_secs(2);
const OWN_FAILED: Duration = Duration::from_secs(30);

impl Tls {
    /// Runs as long as the listener.
    pub async fn watch(self: Arc<Self>) {
        tokio::join!(self.watch_trust(), self.watch_files(), self.watch_own());
    }

    async fn watch_trust(&self) {
        if self.clients == ClientCertificates::Off {
            return;
        }
        let mut failing = false;
        loop {
            tokio::select! {
                () = sleep(TRUST) => {}
                () = self.keeper.changed() => {}
            }
            self.see_to_trust(&mut failing).await;
        }
    }

    /// Takes over the authorities there are. While they are not to be had, those known before stay: each certificate is looked up
    /// all the same.
    pub(super) async fn see_to_trust(&self, failing: &mut bool) {
        if self.clients == ClientCertificates::Off {
            return;
        }
        let found = timeout(PATIENCE, self.keeper.anchors()).await.unwrap_or_else(|_| Err(too_late()));
        let changed = found.and_then(|mut anchors| {
            anchors.sort_unstable();
            anchors.dedup();
            let count = anchors.len();
            if self.parts.lock().anchors == anchors {
                return Ok(None);
            }
            self.change(|parts| parts.anchors = anchors)?;
            Ok(Some(count))
        });
        match changed {
            Ok(changed) => {
                *failing = false;
                if let Some(authorities) = changed {
                    tracing::info!(authorities, "clients may have certificates of these authorities now");
                    self.own_due.notify_one();
                }
            }
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    let context = error.log_context().unwrap_or_default();
                    tracing::warn!(
                        error = %error,
                        context,
                        "the authorities of client certificates could not be looked up"
                    );
                }
            }
        }
    }

    async fn watch_files(self: &Arc<Self>) {
        if self.files.is_none() {
            return;
        }
        loop {
            let forced = tokio::select! {
                () = sleep(FILES) => false,
                () = self.reload.notified() => true,
            };
            self.see_to_files(forced).await;
        }
    }

    /// Takes over files that have changed.
    pub(super) async fn see_to_files(self: &Arc<Self>, forced: bool) {
        let tls = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || tls.files.as_ref()?.lock().look(forced)).await;
        let Ok(Some(certified)) = looked else { return };
        let sha256 = super::fingerprint(&certified);
        match self.change(|parts| parts.base = certified) {
            Ok(()) => tracing::info!(sha256, "the certificate files were read again"),
            Err(error) => {
                let context = error.log_context().unwrap_or_default();
                tracing::error!(error = %error, context, "the listener's certificate could not be changed");
            }
        }
    }

    async fn watch_own(&self) {
        let Some(names) = &self.names else { return pending().await };
        loop {
            let pause = match self.see_to_own(names).await {
                Outlook::Good => OWN,
                Outlook::Waiting => OWN_WAITING,
                Outlook::Failed => OWN_FAILED,
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.own_due.notified() => {}
            }
        }
    }
}
