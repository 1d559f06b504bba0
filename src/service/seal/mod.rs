//! Seal and keys: initialise, unseal, seal. Unsealing is per node: each holds the keys in its own memory.

mod rekey;
mod rotation;

pub use rekey::{RekeyStatus, cancel_rekey, confirm_rekey, rekey_status, start_rekey, submit_rekey_share};
pub(super) use rotation::refresh_keyring;
pub use rotation::{Rewrapped, RotatedKey, rewrap, rotate_encryption_key};

use super::context::{OpContext, settle};
use super::ledger::{Attempt, Change, append};
use super::tokens::NewToken;
use super::{App, to_the_end};
use crate::crypto::audit::AuditSigner;
use crate::crypto::barrier::Barrier;
use crate::crypto::keyring::{DataKey, KeyError, Keyring, RootKey, unwrap_key, wrap};
use crate::crypto::memory::Key32;
use crate::crypto::random;
use crate::crypto::shares::{SetId, Share, ShareCollector, ShareText, split};
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::db::corrupt;
use crate::storage::seal::{KeyringRow, SealConfigRow};
use crate::storage::{audit as audit_store, seal as store, tokens as token_store};
use arc_swap::ArcSwapOption;
use rekey::Rekey;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, watch};
use uuid::Uuid;
use zeroize::Zeroizing;

const SIGNER_PURPOSE: &str = "audit-signer";

/// What an unsealed node holds in memory.
pub struct Keys {
    pub barrier: Barrier,
    pub signer: AuditSigner,
    pub audit_public_key: [u8; 32],
}

/// The place of the keys: empty while the node is sealed.
#[derive(Default)]
pub struct KeySlot {
    keys: ArcSwapOption<Keys>,
    initialized: AtomicBool,
}

impl KeySlot {
    /// # Errors
    /// `SEALED` or `NOT_INITIALIZED`.
    pub fn get(&self) -> Result<Arc<Keys>> {
        self.keys.load_full().ok_or_else(|| {
            if self.initialized.load(Ordering::Acquire) { Error::sealed() } else { Error::not_initialized() }
        })
    }

    pub fn clear(&self) {
        self.keys.store(None);
    }

    fn set(&self, keys: Keys) {
        self.keys.store(Some(Arc::new(keys)));
    }
}

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
    /// Held over the store's I/O on purpose: unsealing, sealing and re-keying take turns.
    desk: Mutex<Desk>,
}

/// What people have handed in so far.
#[derive(Default)]
struct Desk {
    unseal: Option<ShareCollector>,
    rekey: Option<Rekey>,
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
        Self { cluster_name, static_key, status: watch::Sender::new(status), desk: Mutex::default() }
    }
}

/// The shares and the root token, to be shown once.
pub struct Initialized {
    /// Empty with a static seal.
    pub shares: Vec<ShareText>,
    pub root_token: Zeroizing<String>,
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

/// The state of the seal. Asks the store only while this node believes that nothing is initialised.
pub async fn status(app: &App) -> SealStatus {
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

/// Makes the keys, the shares and the root token. Needs no token: there is none yet.
///
/// # Errors
/// `CONFLICT` if it was done before, `BAD_USER_INPUT` naming `shares` or `threshold`.
pub async fn initialize(ctx: &OpContext, shares: i64, threshold: i64) -> Result<Initialized> {
    initialize_with(ctx, shares, threshold, None).await
}

/// As [`initialize`], with a root token of the caller's choice: for `secrethub dev`.
///
/// # Errors
/// As [`initialize`].
pub async fn initialize_with(
    ctx: &OpContext,
    shares: i64,
    threshold: i64,
    root_token: Option<&str>,
) -> Result<Initialized> {
    let (ctx, root_token) = (ctx.clone(), root_token.map(|text| Zeroizing::new(text.to_owned())));
    to_the_end(async move {
        initialize_now(&ctx, shares, threshold, root_token.as_ref().map(|text| text.as_str())).await
    })
    .await
}

async fn initialize_now(
    ctx: &OpContext,
    shares: i64,
    threshold: i64,
    root_token: Option<&str>,
) -> Result<Initialized> {
    let app = ctx.app();
    let _turn = app.seal.desk.lock().await;
    let (unseal_key, set_id, share_texts) = match &app.seal.static_key {
        Some(key) => (key.duplicate(), SetId::from_bytes(random::bytes()), Vec::new()),
        None => {
            let key = Key32::generate();
            let (threshold, shares) = share_counts(threshold, shares)?;
            let (set_id, texts) = split(&key, threshold, shares)?;
            (key, set_id, texts)
        }
    };
    let is_static = app.seal.static_key.is_some();
    let now = app.clock.now();
    let root = RootKey::generate();
    let data_key = DataKey::generate(1);
    let signer = AuditSigner::generate();
    let config = SealConfigRow {
        set_id: set_id.as_bytes().to_vec(),
        shares: if is_static { 1 } else { shares },
        threshold: if is_static { 1 } else { threshold },
        seal_type: if is_static { "static" } else { "shamir" }.to_owned(),
        wrapped_root_key: root.wrap(&unseal_key),
        audit_public_key: signer.public_key().to_vec(),
        audit_private_key_encrypted: wrap_signer(&root, &signer)?,
        cluster_name: app.seal.cluster_name.clone(),
        cluster_id: Uuid::new_v4(),
        created_at: now,
        rekeyed_at: None,
    };
    let (token, row) = NewToken::root(now).make(root_token)?;
    let mut tx = app.db.begin().await?;
    let mut head = audit_store::lock_head(&mut tx).await?;
    if store::config(&mut tx).await?.is_some() {
        return Err(Error::conflict("this store is initialised already: unseal it with its key shares"));
    }
    store::insert_config(&mut tx, &config).await?;
    let wrapped_key = root.wrap_data_key(&data_key);
    store::insert_key(&mut tx, &KeyringRow { version: 1, wrapped_key, created_at: now }).await?;
    token_store::insert(&mut tx, &row).await?;
    let mut event = ctx.event(EventType::SystemInitialized, None);
    event.event_data = serde_json::json!({ "shares": config.shares, "threshold": config.threshold, "seal": config.seal_type });
    head.generation += 1;
    append(&mut tx, &mut head, &signer, &mut [event], app.clock.as_ref(), &mut Vec::new()).await?;
    tx.commit().await?;
    note_config(app, &config);
    if is_static {
        open(ctx, root, &config).await?;
    }
    Ok(Initialized { shares: share_texts, root_token: token })
}

fn share_counts(threshold: i64, shares: i64) -> Result<(u8, u8)> {
    let shares_u8 = u8::try_from(shares)
        .map_err(|_| Error::bad_input("shares", "the number of shares is from 1 to 255"))?;
    let threshold = u8::try_from(threshold)
        .map_err(|_| Error::bad_input("threshold", "the threshold is from 1 to the number of shares"))?;
    Ok((threshold, shares_u8))
}

/// Takes one share towards unsealing this node.
///
/// # Errors
/// `BAD_USER_INPUT` at `share` saying what is wrong with it; the progress then stays as it was.
pub async fn unseal(ctx: &OpContext, share: &str) -> Result<SealStatus> {
    let (ctx, share) = (ctx.clone(), Zeroizing::new(share.to_owned()));
    to_the_end(async move { unseal_now(&ctx, &share).await }).await
}

async fn unseal_now(ctx: &OpContext, share: &str) -> Result<SealStatus> {
    let app = ctx.app();
    let mut desk = app.seal.desk.lock().await;
    if app.keys.get().is_ok() {
        return Ok(app.seal.status.borrow().clone());
    }
    let config = read_config(app).await?.ok_or_else(Error::not_initialized)?;
    note_config(app, &config);
    if config.seal_type == "static" {
        return Err(Error::bad_input(
            "share",
            "this server has a static seal: start it with its key and it unseals itself",
        ));
    }
    let share = Share::parse(share)?;
    let (set_id, threshold) = shares_of(&config)?;
    let collector = desk.unseal.get_or_insert_with(|| ShareCollector::new(set_id, threshold));
    if collector.set_id() != set_id {
        // the shares were changed by a re-key on another node
        *collector = ShareCollector::new(set_id, threshold);
    }
    let progress = collector.add(share)?;
    publish(app, |status| status.progress = i64::from(progress.have));
    if !progress.complete() {
        return Ok(app.seal.status.borrow().clone());
    }
    let unseal_key = collector.recover();
    desk.unseal = None;
    publish(app, |status| status.progress = 0);
    let root =
        unseal_key.and_then(|key| RootKey::unwrap(&key, &config.wrapped_root_key).ok()).ok_or_else(|| {
            Error::bad_input(
                "share",
                "these shares do not make the key: enter all of them again, beginning with the first",
            )
        })?;
    open(ctx, root, &config).await?;
    Ok(app.seal.status.borrow().clone())
}

/// Forgets the shares given so far.
pub async fn reset_unseal(ctx: &OpContext) -> SealStatus {
    let app = ctx.app();
    app.seal.desk.lock().await.unseal = None;
    publish(app, |status| status.progress = 0);
    status(app).await
}

/// Drops the keys from this node's memory. Needs the area `seal`.
///
/// # Errors
/// `FORBIDDEN`, `SEALED`, `UNAVAILABLE`.
pub async fn seal(ctx: &OpContext) -> Result<SealStatus> {
    let ctx = ctx.clone();
    to_the_end(async move { seal_now(&ctx).await }).await
}

async fn seal_now(ctx: &OpContext) -> Result<SealStatus> {
    let app = ctx.app();
    let mut desk = app.seal.desk.lock().await;
    settle!(seal_once(ctx))?;
    *desk = Desk::default();
    publish(app, |status| {
        status.sealed = true;
        status.progress = 0;
    });
    Ok(app.seal.status.borrow().clone())
}

async fn seal_once(ctx: &OpContext) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Seal, "seal").await?;
    let event = access.granted(EventType::SystemSealed, &decision);
    access
        .change(&event.clone(), move |_| {
            Box::pin(async move { Ok(Change::new((), event, vec![super::cache::Effect::Sealed])) })
        })
        .await
}

/// Readies the keys and records the unsealing; if it cannot be recorded, the node stays sealed.
async fn open(ctx: &OpContext, root: RootKey, config: &SealConfigRow) -> Result<()> {
    let app = ctx.app();
    let keys = read_keys(app, root, config).await?;
    app.keys.set(keys);
    let recorded = settle!(async {
        let event = ctx.event(EventType::SystemUnsealed, None);
        app.ledger.record(app.undecided(), vec![event]).await
    });
    if let Err(error) = recorded {
        app.keys.clear();
        return Err(error);
    }
    publish(app, |status| status.sealed = false);
    Ok(())
}

async fn read_keys(app: &App, root: RootKey, config: &SealConfigRow) -> Result<Keys> {
    let mut tx = app.read().await?;
    let rows = store::keyring(&mut tx).await?;
    let mut data_keys = Vec::with_capacity(rows.len());
    for row in &rows {
        data_keys.push(unwrap_row(&root, row)?);
    }
    let active = data_keys.iter().map(DataKey::version).max().ok_or(KeyError::MissingVersion(1))?;
    let signer = unwrap_signer(&root, &config.audit_private_key_encrypted)?;
    let audit_public_key = signer.public_key();
    if audit_public_key.as_slice() != config.audit_public_key {
        return Err(corrupt("seal_config", "audit_public_key", "1"));
    }
    let barrier = Barrier::new(Keyring::new(root, data_keys, active)?);
    Ok(Keys { barrier, signer, audit_public_key })
}

fn unwrap_row(root: &RootKey, row: &KeyringRow) -> Result<DataKey> {
    let version =
        u32::try_from(row.version).map_err(|_| corrupt("keyring", "version", &row.version.to_string()))?;
    Ok(root.unwrap_data_key(version, &row.wrapped_key)?)
}

fn wrap_signer(root: &RootKey, signer: &AuditSigner) -> Result<Vec<u8>> {
    let secret = signer.to_secret();
    let mut bytes = [0; 32];
    if secret.len() != bytes.len() {
        return Err(Error::internal("an audit signing key does not have 32 bytes"));
    }
    bytes.copy_from_slice(&secret);
    Ok(wrap(&root.derive(SIGNER_PURPOSE), SIGNER_PURPOSE, &Key32::from_bytes(&mut bytes)))
}

fn unwrap_signer(root: &RootKey, wrapped: &[u8]) -> Result<AuditSigner> {
    let secret = unwrap_key(&root.derive(SIGNER_PURPOSE), SIGNER_PURPOSE, wrapped)?;
    AuditSigner::from_secret(secret.expose())
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
