//! Initialisation: the keys, the shares and the root token are made, once for a store.

use super::super::context::OpContext;
use super::super::ledger::link;
use super::super::tokens::NewToken;
use super::super::{App, to_the_end};
use super::keys::wrap_signer;
use super::unseal::open;
use super::{note_config, store, warn_refused};
use crate::crypto::audit::AuditSigner;
use crate::crypto::keyring::{DataKey, RootKey};
use crate::crypto::memory::Key32;
use crate::crypto::random;
use crate::crypto::shares::{SetId, ShareText, split};
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::storage::seal::{KeyringRow, SealConfigRow};
use crate::storage::{audit as audit_store, tokens as token_store};
use uuid::Uuid;
use zeroize::Zeroizing;

/// The shares and the root token, to be shown once.
pub struct Initialized {
    /// Empty with a static seal.
    pub shares: Vec<ShareText>,
    pub root_token: Zeroizing<String>,
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
    let (working, root_token) = (ctx.clone(), root_token.map(|text| Zeroizing::new(text.to_owned())));
    let outcome = to_the_end(async move {
        initialize_now(&working, shares, threshold, root_token.as_ref().map(|text| text.as_str())).await
    })
    .await;
    if let Err(error) = &outcome {
        warn_refused(ctx, "an initialisation was refused", error);
    }
    outcome
}

async fn initialize_now(
    ctx: &OpContext,
    shares: i64,
    threshold: i64,
    root_token: Option<&str>,
) -> Result<Initialized> {
    let app = ctx.app();
    // first of all: on a server in use this answers strangers from memory, without keys, turns or transactions
    refuse_second(app).await?;
    let _turn = app.seal.turn().await?;
    refuse_second(app).await?;
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
    let from = audit_store::lock_head(&mut tx).await?;
    if store::config(&mut tx).await?.is_some() {
        return Err(initialised_already());
    }
    store::insert_config(&mut tx, &config).await?;
    let wrapped_key = root.wrap_data_key(&data_key);
    store::insert_key(&mut tx, &KeyringRow { version: 1, wrapped_key, created_at: now }).await?;
    token_store::insert(&mut tx, &row).await?;
    let mut event = ctx.event(EventType::SystemInitialized, None);
    event.event_data = serde_json::json!({ "shares": config.shares, "threshold": config.threshold, "seal": config.seal_type });
    let mut events = [event];
    let mut to = link(&from, &signer, &mut events, app.clock.now(), &mut Vec::new())?;
    to.generation += 1;
    let step = audit_store::Step { from: &from, to: &to, events: &events, told: &[] };
    audit_store::advance(&mut tx, step).await?;
    tx.commit().await?;
    note_config(app, &config);
    if is_static && let Err(error) = open(ctx, root, &config).await {
        // it is done, and the root token is nowhere but here: it must reach the caller whatever happens after the commit
        tracing::error!(
            code = error.code().as_str(),
            context = error.log_context(),
            "initialised, but not unsealed: restart the server, the static seal then tries again"
        );
    }
    Ok(Initialized { shares: share_texts, root_token: token })
}

async fn refuse_second(app: &App) -> Result<()> {
    if super::status(app).await.initialized { Err(initialised_already()) } else { Ok(()) }
}

fn initialised_already() -> Error {
    Error::conflict("this store is initialised already: unseal it with its key shares")
}

pub(super) fn share_counts(threshold: i64, shares: i64) -> Result<(u8, u8)> {
    let shares_u8 = u8::try_from(shares)
        .map_err(|_| Error::bad_input("shares", "the number of shares is from 1 to 255"))?;
    let threshold = u8::try_from(threshold)
        .map_err(|_| Error::bad_input("threshold", "the threshold is from 1 to the number of shares"))?;
    Ok((threshold, shares_u8))
}
