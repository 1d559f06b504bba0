//! Seal and keys: initialise, unseal, seal. Unsealing is per node: each holds the keys in its own memory.

mod initialize;
mod keys;
mod records;
mod rekey;
mod rekey_state;
mod reseal;
mod rotation;
mod unseal;

pub use initialize::{Initialized, initialize, initialize_with};
pub use keys::{KeySlot, Keys};
pub(super) use records::{know_key, open_record};
pub use rekey::{cancel_rekey, confirm_rekey, rekey_status, start_rekey, submit_rekey_share};
pub use rekey_state::RekeyStatus;
pub(super) use rotation::refresh_keyring;
pub use rotation::{Rewrapped, RotatedKey, rewrap, rotate_encryption_key};
pub use unseal::{reset_unseal, seal, unseal};

use super::App;
use super::context::OpContext;
use crate::crypto::keyring::RootKey;
use crate::crypto::memory::Key32;
use crate::crypto::shares::SetId;
use crate::error::{Error, ErrorCode, Result};
use crate::storage::errors::corrupt;
use crate::storage::seal as store;
use crate::storage::seal::SealConfigRow;
use rekey_state::Rekey;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit, watch};
use unseal::{Unsealing, open};

/// How many may wait for their turn at the desk; beyond it they are told to come back.
const PLACES: usize = 32;

/// How sealed this node is. Shown to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealStatus {
    pub initialized: bool,
    pub sealed: bool,
    /// Shares that unseal; absent before initialisation and with a static seal.
    pub threshold: Option<i64>,
    pub shares: Option<i64>,
    /// Shares given so far towards unsealing this node.
    pub progress: i64,
    pub version: String,
    pub cluster_name: Option<String>,
    /// `shamir` or `static`.
    pub seal_type: Option<String>,
}

/// Seal state of a node besides the keys.
pub struct SealState {
    cluster_name: String,
    static_key: Option<Key32>,
    status: watch::Sender<SealStatus>,
    /// Never held over I/O, so that whoever resets it need not wait.
    unsealing: parking_lot::Mutex<Option<Unsealing>>,
    /// Held over the store's I/O on purpose: unsealing, sealing and re-keying take turns.
    desk: Mutex<Desk>,
    places: Semaphore,
}

#[derive(Default)]
struct Desk {
    rekey: Option<Rekey>,
}

/// A turn at the desk, until it is dropped.
struct Turn<'s> {
    desk: MutexGuard<'s, Desk>,
    _place: SemaphorePermit<'s>,
}

impl SealState {
    #[must_use]
    pub fn new(cluster_name: String, static_key: Option<Key32>) -> Self {
        let status = SealStatus {
            initialized: false,
            sealed: true,
            threshold: None,
            shares: None,
            progress: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster_name: None,
            seal_type: None,
        };
        Self {
            cluster_name,
            static_key,
            status: watch::Sender::new(status),
            unsealing: parking_lot::Mutex::default(),
            desk: Mutex::default(),
            places: Semaphore::new(PLACES),
        }
    }

    /// Waits for a turn, unless too many wait already: some of these operations are open to strangers.
    async fn turn(&self) -> Result<Turn<'_>> {
        let place = self.places.try_acquire().map_err(|_| {
            Error::new(
                ErrorCode::RateLimited,
                "too many operations on the seal are waiting: try again shortly",
            )
            .with_retry_after(1)
        })?;
        Ok(Turn { desk: self.desk.lock().await, _place: place })
    }
}

/// Reads the seal configuration at start, and unseals if the seal is static.
///
/// # Errors
/// `UNAVAILABLE`, or internal if the static key does not fit the store.
pub(super) async fn load(app: &Arc<App>) -> Result<()> {
    let Some(config) = read_config(app).await? else { return Ok(()) };
    note_config(app, &config);
    let Some(key) = (config.seal_type == "static").then_some(app.seal.static_key.as_ref()).flatten() else {
        return Ok(());
    };
    let root = RootKey::unwrap(key, &config.wrapped_root_key).map_err(|_| {
        Error::bad_input(
            "seal.key_file / seal.key_env",
            "the key of the static seal does not open this store: configure the key it was made with",
        )
    })?;
    let ctx = OpContext::system(Arc::clone(app), "auto-unseal");
    open(&ctx, root, &config).await
}

/// What other nodes have done to the seal meanwhile. For a node that was started before the store was initialised: looks again, and
/// unseals if the seal is static. `true`: the store has been initialised. Later: a re-key changes the number of shares.
///
/// # Errors
/// As at start.
pub async fn discover(app: &Arc<App>) -> Result<bool> {
    if app.keys.initialized.load(Ordering::Acquire) {
        // if the store does not answer, what is known stands
        if let Ok(Some(config)) = read_config(app).await {
            note_config(app, &config);
        }
        return Ok(false);
    }
    load(app).await?;
    Ok(app.keys.initialized.load(Ordering::Acquire))
}

/// The state of the seal. Asks the store only while this node believes that nothing is initialised.
pub async fn status(app: &App) -> SealStatus {
    unseal::forget_stale(app);
    if !app.keys.initialized.load(Ordering::Acquire) {
        // another node may have initialised the store; if it does not answer, what is known stands
        if let Ok(Some(config)) = read_config(app).await {
            note_config(app, &config);
        }
    }
    app.seal.status.borrow().clone()
}

/// Follows the state of the seal.
#[must_use]
pub fn watch(app: &App) -> watch::Receiver<SealStatus> {
    app.seal.status.subscribe()
}

/// # Errors
/// `SEALED` or `NOT_INITIALIZED`.
pub fn require_unsealed(app: &App) -> Result<()> {
    app.keys.get().map(drop)
}

fn shares_of(config: &SealConfigRow) -> Result<(SetId, u8)> {
    let set_id = config.set_id.as_slice().try_into().map_err(|_| corrupt("seal_config", "set_id", "1"))?;
    let threshold = u8::try_from(config.threshold).map_err(|_| corrupt("seal_config", "threshold", "1"))?;
    Ok((SetId::from_bytes(set_id), threshold))
}

async fn read_config(app: &App) -> Result<Option<SealConfigRow>> {
    let mut tx = app.read().await?;
    store::config(&mut tx).await
}

fn note_config(app: &App, config: &SealConfigRow) {
    app.keys.initialized.store(true, Ordering::Release);
    let shamir = config.seal_type == "shamir";
    publish(app, |status| {
        status.initialized = true;
        status.threshold = shamir.then_some(config.threshold);
        status.shares = shamir.then_some(config.shares);
        status.cluster_name = Some(config.cluster_name.clone());
        status.seal_type = Some(config.seal_type.clone());
    });
}

fn publish(app: &App, change: impl FnOnce(&mut SealStatus)) {
    app.seal.status.send_if_modified(|status| {
        let before = status.clone();
        change(status);
        *status != before
    });
}

/// For the operator's log; the message never holds what was handed in.
fn warn_refused(ctx: &OpContext, what: &'static str, error: &Error) {
    tracing::warn!(
        source_ip = ctx.origin().source_ip.map(|address| address.to_string()),
        code = error.code().as_str(),
        reason = error.message(),
        "{what}"
    );
}

#[cfg(test)]
mod tests;
