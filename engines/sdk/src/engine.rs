//! The trait, and what goes in and out.

use crate::{EngineError, Installation, Result, SecretString};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::future::Future;
use uuid::Uuid;

/// What is to be issued or renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Names the lease for ever: what an engine makes on its target is named after it.
    pub id: Uuid,
    /// When the credentials end. The server revokes them then; an engine that can, tells the target too.
    pub expires_at: DateTime<Utc>,
}

/// What was issued.
#[derive(Clone, Serialize, Deserialize)]
pub struct Issued {
    /// The credentials: a JSON object, shown to the caller once and sealed at rest.
    pub credentials: Value,
    /// What `renew` and `revoke` are helped by: a JSON object that holds no secret. It is what operators see of the lease.
    pub handle: Value,
}

/// What is to be revoked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revocation<R> {
    pub lease_id: Uuid,
    /// What `issue` returned; `None` if its answer was lost.
    pub handle: Option<Value>,
    /// The role as it is now; `None` if it is gone.
    pub role: Option<R>,
}

/// A lease that is alive, for [`Engine::restore`].
#[derive(Clone, Serialize, Deserialize)]
pub struct Live<R> {
    pub lease: Lease,
    pub role: R,
    pub handle: Value,
    /// What [`Engine::issue`] returned.
    pub credentials: Value,
}

/// An account on the target that carries this installation's mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    /// The lease that the name is made from.
    pub lease_id: Uuid,
}

/// Issues credentials on one target. See the crate's documentation for what an engine must do.
///
/// Methods with a body are optional: an engine that does not have them answers *unsupported*, and the server offers less.
/// All calls may run concurrently.
pub trait Engine: Sized + Send + Sync + 'static {
    /// The name among plugins, such as `postgresql`: letters, digits and `-`.
    const KIND: &'static str;

    /// Whether it has [`Engine::restore`], and [`Engine::list`] is cheap enough to be asked every minute: then the server has accounts made
    /// anew that the target has lost, by itself.
    const RESTORES: bool = false;

    /// How to reach the target, and with which rights.
    type Config: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;

    /// What is issued: one configuration for each path that credentials are issued at.
    type Role: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;

    /// Takes a configuration that fits its type. Reaching the target is left to [`Engine::check`] and the first call, so
    /// that an engine whose target is down can start.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] naming the field.
    fn connect(config: Self::Config, installation: Installation)
    -> impl Future<Output = Result<Self>> + Send;

    /// Whether the target answers and the configured account has the rights that issuing needs.
    fn check(&self) -> impl Future<Output = Result<()>> + Send;

    /// Whether credentials of this role could be issued, as far as can be told without issuing any.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] naming the field.
    fn check_role(&self, role: &Self::Role) -> impl Future<Output = Result<()>> + Send {
        let _ = role;
        async { Ok(()) }
    }

    /// Makes credentials, named after the lease.
    fn issue(&self, role: &Self::Role, lease: &Lease) -> impl Future<Output = Result<Issued>> + Send;

    /// Lets the credentials live until `lease.expires_at`.
    fn renew(
        &self,
        role: &Self::Role,
        lease: &Lease,
        handle: &Value,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Ends the credentials and whatever uses them now. Succeeds if there are none.
    fn revoke(&self, revocation: &Revocation<Self::Role>) -> impl Future<Output = Result<()>> + Send;

    /// Ends many, one result for each, in their order. Worth writing where the target is quicker that way.
    fn revoke_many(
        &self,
        revocations: &[Revocation<Self::Role>],
    ) -> impl Future<Output = Vec<Result<()>>> + Send {
        async move {
            let mut results = Vec::with_capacity(revocations.len());
            for revocation in revocations {
                results.push(self.revoke(revocation).await);
            }
            results
        }
    }

    /// Logs in with credentials that were just issued: the server rehearses a new role with it.
    fn try_credentials(&self, credentials: &Value) -> impl Future<Output = Result<()>> + Send {
        let _ = credentials;
        async { Err(EngineError::unsupported("try_credentials")) }
    }

    /// Every account on the target that carries this installation's mark.
    fn list(&self) -> impl Future<Output = Result<Vec<Account>>> + Send {
        async { Err(EngineError::unsupported("list")) }
    }

    /// Makes the credentials of a live lease anew, exactly as they were, where the target has lost them. Succeeds if they
    /// are still there.
    fn restore(&self, live: &Live<Self::Role>) -> impl Future<Output = Result<()>> + Send {
        let _ = live;
        async { Err(EngineError::unsupported("restore")) }
    }

    /// A configuration with a new secret for the engine's own account. The server stores it before anything depends on
    /// it, then calls [`Engine::rotate_root`]. If the secret can only be made by the target, it is made here, beside the old
    /// one, which goes on working; one that an earlier proposal left behind is removed.
    fn propose_root(&self) -> impl Future<Output = Result<Self::Config>> + Send {
        async { Err(EngineError::unsupported("rotate_root")) }
    }

    /// Lets the engine's own account have the proposed secret, and the old one not work any more; this engine uses the new one
    /// from then on. Succeeds if that is so already, in whichever state a crash has left it: the server repeats it until it
    /// does.
    fn rotate_root(&self, proposal: Self::Config) -> impl Future<Output = Result<()>> + Send {
        let _ = proposal;
        async { Err(EngineError::unsupported("rotate_root")) }
    }

    /// Gives a long-lived account of the target a new password. The server has stored it before, and repeats the call with
    /// the same one until it succeeds.
    fn rotate_account(
        &self,
        account: &str,
        password: &SecretString,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (account, password);
        async { Err(EngineError::unsupported("rotate_account")) }
    }
}
