//! AWS IAM users, keys and assumed roles.
//!
//! A role issues one of three things:
//!
//! - **`iam_user`**: an IAM user named after the lease, with one access key, and with the groups, policies, boundary and tags that
//!   the role says. Credentials: `access_key_id`, `secret_access_key`, `user_name`, `user_arn`. Revoking deletes the user. What is
//!   new or deleted takes AWS some seconds to know everywhere: keys are handed out when STS accepts them, and a deleted one may
//!   work that much longer in places.
//! - **`assume_role`** and **`federation_token`**: temporary credentials of STS with a `session_token`, that AWS ends when the lease
//!   ends (`ends_at`; a lease of 15 minutes may be exceeded by the moment that the request took). They cannot be renewed. AWS has no
//!   way to end a single one sooner, so revoking succeeds with nothing done, and **they work until `ends_at` all the same**.
//!   Whoever must end them at once denies the role what was issued before now (in the console: *revoke active sessions*).
//!
//! The engine's own account needs, for users: `iam:CreateUser`, `TagUser`, `GetUser`, `ListUsers`, `DeleteUser`, `PutUserPolicy`,
//! `ListUserPolicies`, `DeleteUserPolicy`, `AttachUserPolicy`, `ListAttachedUserPolicies`, `DetachUserPolicy`,
//! `AddUserToGroup`, `ListGroupsForUser`, `RemoveUserFromGroup`, `CreateAccessKey`, `ListAccessKeys`, `DeleteAccessKey` and
//! `DeleteLoginProfile`, on its `user_path` and the groups; `GetGroup` and `GetPolicy` let it check roles. For users that make MFA
//! devices, certificates, SSH keys or service credentials for themselves, it needs to list and delete these too. For
//! sessions: `sts:AssumeRole` or `sts:GetFederationToken`. To rotate its own key: `iam:ListAccessKeys`, `CreateAccessKey`,
//! `DeleteAccessKey` and `GetAccessKeyLastUsed` on itself.
//!
//! Keys of long-lived accounts cannot be rotated here, nor lost ones restored: AWS makes the secrets of access keys itself, and
//! takes none that was stored before.

mod checks;
mod clients;
mod config;
mod document;
mod failure;
mod keys;
mod leftovers;
mod removal;
mod role;
mod root;
mod sessions;
mod users;

pub use config::Config;
pub use document::Document;
pub use role::{AssumeRole, FederationToken, Role, UserRole};

use aws_smithy_async::time::SharedTimeSource;
use clients::Clients;
use futures_util::StreamExt;
use role::Kind;
use secrethub_engine::{
    Account as Named, Engine, EngineError, Installation, Issued, Lease, NameTemplate, Result, Revocation,
    SecretString,
};
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use users::NewUser;
use uuid::Uuid;

/// Users that are deleted at a time: IAM bears few calls a second for a whole AWS account.
const REVOCATIONS: usize = 4;

/// The longest that credentials are tried.
const TRY: Duration = Duration::from_secs(5);

/// The engine's own account: the configuration in force and the clients made of it.
struct Account {
    config: Config,
    clients: Clients,
}

/// Issues IAM users and sessions in one AWS account.
pub struct AwsIam {
    installation: Installation,
    names: NameTemplate,
    time: SharedTimeSource,
    /// Changed by a rotation of the engine's own key; calls keep the one that they began with.
    account: RwLock<Arc<Account>>,
}

impl AwsIam {
    fn account(&self) -> Arc<Account> {
        Arc::clone(&self.account.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn name(&self, lease_id: Uuid) -> String {
        self.names.name(&self.installation, lease_id)
    }
}

impl Engine for AwsIam {
    const KIND: &'static str = "aws-iam";
    type Config = Config;
    type Role = Role;

    async fn connect(config: Config, installation: Installation) -> Result<Self> {
        let names = config.validate()?;
        let time = SharedTimeSource::default();
        let clients = Clients::new(&config, &time);
        let account = RwLock::new(Arc::new(Account { config, clients }));
        Ok(Self { installation, names, time, account })
    }

    async fn check(&self) -> Result<()> {
        checks::account(&self.account()).await
    }

    async fn check_role(&self, role: &Role) -> Result<()> {
        checks::role(&self.account(), role).await
    }

    async fn issue(&self, role: &Role, lease: &Lease) -> Result<Issued> {
        let account = self.account();
        let name = self.name(lease.id);
        let now = self.time.now();
        match role.validate(&account.config)? {
            Kind::User(role) => {
                let installation = &self.installation;
                NewUser { account: &account, installation, name: &name, role, lease }.issue().await
            }
            Kind::Assumed(role) => sessions::assume(&account, role, &name, lease, now).await,
            Kind::Federated(role) => sessions::federate(&account, role, lease, now).await,
        }
    }

    async fn renew(&self, role: &Role, lease: &Lease, handle: &Value) -> Result<()> {
        match role.kind()? {
            Kind::User(role) if !is_session(handle) => {
                users::renew(&self.account(), &self.name(lease.id), role, lease.expires_at).await
            }
            _ => Err(EngineError::unsupported("renewal of credentials of STS: request new ones")),
        }
    }

    /// Deletes the lease's user. A session of STS ends by itself, and not sooner.
    async fn revoke(&self, revocation: &Revocation<Role>) -> Result<()> {
        let Revocation { lease_id, handle, role } = revocation;
        if handle.as_ref().is_some_and(is_session) {
            return Ok(());
        }
        let (account, name) = (self.account(), self.name(*lease_id));
        // if the answer of issuing was lost, the role may have been another then
        let session = handle.is_none() && role.as_ref().is_some_and(Role::is_session);
        if session && !removal::may_look(&account.clients.iam, &name).await {
            return Ok(());
        }
        removal::remove(&account.clients.iam, &name).await
    }

    async fn revoke_many(&self, revocations: &[Revocation<Role>]) -> Vec<Result<()>> {
        let removals: Vec<_> = revocations.iter().map(|revocation| self.revoke(revocation)).collect();
        futures_util::stream::iter(removals).buffered(REVOCATIONS).collect().await
    }

    async fn try_credentials(&self, credentials: &Value) -> Result<()> {
        let text = |key: &str| credentials.get(key).and_then(Value::as_str);
        let (Some(id), Some(secret)) = (text("access_key_id"), text("secret_access_key")) else {
            return Err(EngineError::refused("these are not credentials of this engine"));
        };
        let account = self.account();
        let (secret, token) = (SecretString::from(secret), text("session_token"));
        let attempt = || account.clients.identify_other(clients::credentials(id, &secret, token));
        // issuing has waited already: this is for the servers of AWS that know of the key last
        let tried = keys::wait(account.config.key_wait().min(TRY), attempt).await;
        tried.map(drop).map_err(|failure| failure.doing("AWS does not take the credentials"))
    }

    async fn list(&self) -> Result<Vec<Named>> {
        let names = checks::users(&self.account()).await?;
        let lease = |name: &String| self.names.lease_of(&self.installation, name);
        Ok(names
            .into_iter()
            .filter_map(|name| lease(&name).map(|lease_id| Named { name, lease_id }))
            .collect())
    }

    async fn propose_root(&self) -> Result<Config> {
        root::propose(&self.account()).await
    }

    async fn rotate_root(&self, proposal: Config) -> Result<()> {
        proposal.validate()?;
        let clients = Clients::new(&proposal, &self.time);
        let proposed = Arc::new(Account { config: proposal, clients });
        root::rotate(&self.account(), &proposed, || {
            *self.account.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&proposed);
        })
        .await
    }
}

/// Whether a handle is that of a session.
fn is_session(handle: &Value) -> bool {
    handle.get("session_name").is_some()
}

secrethub_engine::export_engine!(AwsIam);
