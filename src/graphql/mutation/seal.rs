//! Initialising, unsealing, sealing and the keys.

use crate::graphql::result::{AtArgument, Result, op};
use crate::graphql::types::seal::{RekeyStatus, RotateEncryptionKeyPayload, SealStatus};
use crate::service::seal;
use async_graphql::{Context, InputObject, Object, SimpleObject};

#[derive(Default)]
pub struct SealMutation;

#[Object]
impl SealMutation {
    /// Gives a new server its keys. No token needed; `CONFLICT` if it was done before.
    async fn initialize(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How to split the key that unseals.")] input: InitializeInput,
    ) -> Result<InitializePayload> {
        let made =
            seal::initialize(op(ctx)?, input.shares.into(), input.threshold.into()).await.at_input()?;
        Ok(InitializePayload {
            shares: made.shares.iter().map(|share| share.expose().to_owned()).collect(),
            root_token: made.root_token.as_str().to_owned(),
        })
    }

    /// Gives one key share; with the last one needed the server unseals. No token needed.
    async fn unseal(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key share.")] input: UnsealInput,
    ) -> Result<UnsealPayload> {
        Ok(UnsealPayload { status: seal::unseal(op(ctx)?, &input.share).await.at_input()?.into() })
    }

    /// Forgets the key shares that were given so far. No token needed.
    async fn reset_unseal(&self, ctx: &Context<'_>) -> Result<UnsealPayload> {
        Ok(UnsealPayload { status: seal::reset_unseal(op(ctx)?).await.into() })
    }

    /// Takes the keys out of memory at once. Needs administration of `seal`.
    async fn seal(&self, ctx: &Context<'_>) -> Result<SealPayload> {
        Ok(SealPayload { status: seal::seal(op(ctx)?).await?.into() })
    }

    /// Starts the making of new key shares; the present ones stay in force until `confirmRekey` is done.
    /// Needs administration of `seal`.
    async fn start_rekey(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How to split the key anew.")] input: StartRekeyInput,
    ) -> Result<RekeyPayload> {
        let status =
            seal::start_rekey(op(ctx)?, input.shares.into(), input.threshold.into()).await.at_input()?;
        Ok(status.into())
    }

    /// Gives one of the present key shares; with the last one needed the answer holds the new shares, this once.
    /// Needs administration of `seal`.
    async fn submit_rekey_share(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key share.")] input: SubmitRekeyShareInput,
    ) -> Result<RekeyPayload> {
        Ok(seal::submit_rekey_share(op(ctx)?, &input.share).await.at_input()?.into())
    }

    /// Shows back one of the new key shares; when all were shown back they come into force, and the earlier ones are
    /// worthless. Needs administration of `seal`.
    async fn confirm_rekey(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key share.")] input: ConfirmRekeyInput,
    ) -> Result<RekeyPayload> {
        Ok(seal::confirm_rekey(op(ctx)?, &input.share).await.at_input()?.into())
    }

    /// Gives up the making of new key shares; the present ones stay in force. Needs administration of `seal`.
    async fn cancel_rekey(&self, ctx: &Context<'_>) -> Result<RekeyPayload> {
        Ok(seal::cancel_rekey(op(ctx)?).await?.into())
    }

    /// Makes a new encryption key for what is written from now on, without a pause. Needs administration of `seal`.
    async fn rotate_encryption_key(&self, ctx: &Context<'_>) -> Result<RotateEncryptionKeyPayload> {
        Ok(seal::rotate_encryption_key(op(ctx)?).await?.into())
    }
}

/// How to split the key that unseals the server.
#[derive(InputObject)]
struct InitializeInput {
    /// How many shares to make, 1 to 255. With a configured key that unseals by itself no shares are made.
    shares: i32,
    /// How many of them unseal the server, 1 to `shares`.
    threshold: i32,
}

/// The keys to a new server. They are shown this once: hand the shares to different people.
#[derive(SimpleObject)]
struct InitializePayload {
    /// The key shares; empty with a configured key that unseals by itself.
    shares: Vec<String>,
    /// A token with the built-in policy `root`.
    root_token: String,
}

/// One key share.
#[derive(InputObject)]
struct UnsealInput {
    /// The share as it was printed.
    #[graphql(secret)]
    share: String,
}

/// Where the unsealing stands.
#[derive(SimpleObject)]
struct UnsealPayload {
    /// The state after this step.
    status: SealStatus,
}

/// Where the seal stands.
#[derive(SimpleObject)]
struct SealPayload {
    /// The state after sealing.
    status: SealStatus,
}

/// How to split the key anew.
#[derive(InputObject)]
struct StartRekeyInput {
    /// How many new shares to make, 1 to 255.
    shares: i32,
    /// How many of them will unseal the server, 1 to `shares`.
    threshold: i32,
}

/// One of the present key shares.
#[derive(InputObject)]
struct SubmitRekeyShareInput {
    /// The share as it was printed.
    #[graphql(secret)]
    share: String,
}

/// One of the new key shares.
#[derive(InputObject)]
struct ConfirmRekeyInput {
    /// The share as `submitRekeyShare` returned it.
    #[graphql(secret)]
    share: String,
}

/// Where the making of new key shares stands.
#[derive(SimpleObject)]
struct RekeyPayload {
    /// The state after this step.
    status: RekeyStatus,
    /// The new shares, in the one answer that completes the quorum; otherwise empty.
    shares: Vec<String>,
}

impl From<seal::RekeyStatus> for RekeyPayload {
    fn from(status: seal::RekeyStatus) -> Self {
        let shares = status.new_shares.iter().flatten().map(|share| share.expose().to_owned()).collect();
        Self { status: (&status).into(), shares }
    }
}
