//! Engines, their roles, and the accounts of their targets.

use crate::graphql::result::{AtArgument, Failure, Result, op};
use crate::graphql::scalars::{Json, Path, int};
use crate::graphql::types::engines::Engine;
use crate::graphql::types::secrets::Secret;
use crate::service::engines;
use async_graphql::{Context, InputObject, Object, SimpleObject};

#[derive(Default)]
pub struct EngineMutation;

#[Object]
impl EngineMutation {
    /// Enables an engine: tries its configuration on the target, in a process of its own, and keeps it sealed. `CONFLICT` if the name is
    /// taken. Needs administration of `engines`.
    async fn enable_engine(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The engine.")] input: EnableEngineInput,
    ) -> Result<EnginePayload> {
        Ok(EnginePayload { engine: engines::enable(op(ctx)?, input.into()).await.at_input()?.into() })
    }

    /// Gives an engine another configuration, all of it with its secrets, and other limits; what is left out of the limits is
    /// none. Its leases are renewed and revoked with it from then on; so it is `CONFLICT` to name another target while leases or bound accounts
    /// live on the present one. A new secret of its own account that the target has not taken (`rootRotationPending`) is given up for the one
    /// that is configured here; `CONFLICT` while somebody is at it, or while it may still take effect. Needs administration of `engines`.
    async fn update_engine(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The engine as it is to be.")] input: EnableEngineInput,
    ) -> Result<EnginePayload> {
        Ok(EnginePayload { engine: engines::update(op(ctx)?, input.into()).await.at_input()?.into() })
    }

    /// Removes an engine with its roles. `CONFLICT` while it has live leases, unless they are to be revoked: then it issues no more,
    /// and goes with the last of them. Needs administration of `engines`.
    async fn disable_engine(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which engine.")] input: DisableEngineInput,
    ) -> Result<DisableEnginePayload> {
        let revoke = input.revoke_leases.unwrap_or(false);
        let disabled = engines::disable(op(ctx)?, &input.name, revoke).await.at_input()?;
        Ok(DisableEnginePayload { name: disabled.name, pending_leases: int(disabled.pending_leases) })
    }

    /// Gives the engine's own account on the target a new secret, which only this server knows. What breaks off is tried again until the target
    /// has it, by this or by itself; `CONFLICT` while somebody else is at it. Needs administration of `engines`.
    async fn rotate_engine_root(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which engine.")] input: RotateEngineRootInput,
    ) -> Result<EnginePayload> {
        Ok(EnginePayload { engine: engines::rotate_root(op(ctx)?, &input.name).await.at_input()?.into() })
    }

    /// Sets what is issued at a path: a secret of type `DYNAMIC_ROLE`. The engine checks the configuration; a rehearsal issues,
    /// logs in and revokes before it is saved. Needs administration of `engines`.
    async fn put_engine_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The path, and what is issued there.")] input: EngineRoleInput,
    ) -> Result<EngineRolePayload> {
        let secret = engines::put_role(op(ctx)?, input.try_into()?).await.at_input()?;
        Ok(EngineRolePayload { secret: secret.into() })
    }

    /// Removes what is issued at a path. `CONFLICT` while it has live leases, unless they are to be revoked. Needs administration of
    /// `engines`.
    async fn delete_engine_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which role.")] input: DeleteEngineRoleInput,
    ) -> Result<DeleteEngineRolePayload> {
        let path = input.path.at("input.path")?;
        let revoke = input.revoke_leases.unwrap_or(false);
        let deleted = engines::delete_role(op(ctx)?, &path, revoke).await.at_input()?;
        Ok(DeleteEngineRolePayload {
            path: (&deleted.path).into(),
            revoked_leases: int(i64::try_from(deleted.revoked_leases).unwrap_or(i64::MAX)),
        })
    }

    /// Compares an engine's target with the leases, removes the accounts that carry this installation's mark and have no lease, and
    /// makes anew those that the target has lost, where the engine can. Needs administration of `engines`.
    async fn heal_engine_drift(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which engine.")] input: HealEngineDriftInput,
    ) -> Result<HealEngineDriftPayload> {
        let healed = engines::heal_drift(op(ctx)?, &input.name).await.at_input()?;
        Ok(HealEngineDriftPayload {
            engine: healed.engine.into(),
            removed: int(healed.removed),
            restored: int(healed.restored),
            problems: healed.problems,
        })
    }

    /// Lets a static secret hold the password of an account of a target, and gives that account a new one at once. From then on only
    /// rotations write it. Needs administration of `engines`, and `write` on the path.
    async fn bind_secret_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The secret and the account.")] input: BindSecretAccountInput,
    ) -> Result<SecretAccountPayload> {
        let secret = engines::bind(op(ctx)?, input.try_into()?).await.at_input()?;
        Ok(SecretAccountPayload { secret: secret.into() })
    }

    /// Takes a secret off its account; the value and the account stay as they are. `CONFLICT` while a new password is on its way to the
    /// target, unless it is forced. Needs administration of `engines`.
    async fn unbind_secret_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which secret.")] input: UnbindSecretAccountInput,
    ) -> Result<UnbindSecretAccountPayload> {
        let path = input.path.at("input.path")?;
        engines::unbind(op(ctx)?, &path, input.force.unwrap_or(false)).await.at_input()?;
        Ok(UnbindSecretAccountPayload { path: (&path).into() })
    }

    /// Gives the account of a secret a new password now, and stores it as a new version. Needs `rotate` on the path.
    async fn rotate_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which secret.")] input: RotateSecretInput,
    ) -> Result<SecretAccountPayload> {
        let secret = engines::rotate_secret(op(ctx)?, &input.path.at("input.path")?).await.at_input()?;
        Ok(SecretAccountPayload { secret: secret.into() })
    }
}

/// An engine to enable, or how one is to be from now on.
#[derive(InputObject)]
struct EnableEngineInput {
    /// Its name among engines: 1 to 128 letters, digits, `.`, `_` and `-`.
    name: String,
    /// The kind of its plugin, such as `postgresql`; it cannot be changed.
    kind: String,
    /// The whole configuration, secrets included: a JSON object as the plugin's `configSchema` describes it.
    #[graphql(secret)]
    config: Json,
    /// The longest lifetime of what it issues, in seconds, with all renewals.
    max_ttl_seconds: Option<i32>,
    /// The most leases that may live at a time.
    max_leases: Option<i32>,
    /// What it is for.
    description: Option<String>,
    /// Whether it issues and renews; true if never given.
    enabled: Option<bool>,
    /// Of a change: that the target is the same, although the configuration reads like another one's, since it has another address now
    /// or takes another key.
    same_target: Option<bool>,
}

impl From<EnableEngineInput> for engines::EnableEngine {
    fn from(input: EnableEngineInput) -> Self {
        Self {
            name: input.name,
            kind: input.kind,
            config: input.config.0,
            max_ttl_seconds: input.max_ttl_seconds.map(Into::into),
            max_leases: input.max_leases.map(Into::into),
            description: input.description,
            enabled: input.enabled,
            same_target: input.same_target.unwrap_or(false),
        }
    }
}

/// An engine after a change.
#[derive(SimpleObject)]
struct EnginePayload {
    /// The engine as it now is.
    engine: Engine,
}

/// Which engine to disable.
#[derive(InputObject)]
struct DisableEngineInput {
    /// The name of the engine.
    name: String,
    /// Whether to revoke its live leases rather than refuse.
    revoke_leases: Option<bool>,
}

/// What came of disabling an engine.
#[derive(SimpleObject)]
struct DisableEnginePayload {
    /// The name of the engine.
    name: String,
    /// How many leases are still to be revoked before it goes; 0: it is gone.
    pending_leases: i32,
}

/// Which engine's own secret to replace.
#[derive(InputObject)]
struct RotateEngineRootInput {
    /// The name of the engine.
    name: String,
}

/// What is to be issued at a path.
#[derive(InputObject)]
struct EngineRoleInput {
    /// The path that the credentials are issued at.
    path: Path,
    /// The name of the engine that issues them.
    engine: String,
    /// The role's configuration: a JSON object as the plugin's `roleSchema` describes it.
    config: Json,
    /// How long credentials live that are asked for without a lifetime, in seconds; an hour if left out.
    default_ttl_seconds: Option<i32>,
    /// How long they can live with all renewals, in seconds; a day if left out.
    max_ttl_seconds: Option<i32>,
    /// The most leases of this path that may live at a time.
    max_leases: Option<i32>,
    /// How often a lease can be renewed.
    max_renewals: Option<i32>,
    /// What it is for; kept if left out.
    description: Option<String>,
    /// Labels of the client's own, a JSON object; kept if left out.
    metadata: Option<Json>,
    /// Whether to issue once, log in and revoke before it is saved.
    rehearse: Option<bool>,
}

impl TryFrom<EngineRoleInput> for engines::EngineRole {
    type Error = Failure;

    fn try_from(input: EngineRoleInput) -> Result<Self> {
        Ok(Self {
            path: input.path.at("input.path")?,
            engine: input.engine,
            config: input.config.0,
            default_ttl_seconds: input.default_ttl_seconds.map(Into::into),
            max_ttl_seconds: input.max_ttl_seconds.map(Into::into),
            max_leases: input.max_leases.map(Into::into),
            max_renewals: input.max_renewals.map(Into::into),
            description: input.description,
            metadata: input.metadata.map(|json| json.0),
            rehearse: input.rehearse.unwrap_or(false),
        })
    }
}

/// An engine role after a change.
#[derive(SimpleObject)]
struct EngineRolePayload {
    /// The secret of type `DYNAMIC_ROLE` at its path.
    secret: Secret,
}

/// Which engine role to delete.
#[derive(InputObject)]
struct DeleteEngineRoleInput {
    /// The path of the role.
    path: Path,
    /// Whether to revoke its live leases rather than refuse.
    revoke_leases: Option<bool>,
}

/// What came of deleting an engine role.
#[derive(SimpleObject)]
struct DeleteEngineRolePayload {
    /// The path at which nothing is issued any more.
    path: Path,
    /// How many leases end by it.
    revoked_leases: i32,
}

/// Which engine's drift to heal.
#[derive(InputObject)]
struct HealEngineDriftInput {
    /// The name of the engine.
    name: String,
}

/// What healing did.
#[derive(SimpleObject)]
struct HealEngineDriftPayload {
    /// The engine, with the drift that is left.
    engine: Engine,
    /// Accounts without a lease that were removed from the target.
    removed: i32,
    /// Accounts of leases that were made anew.
    restored: i32,
    /// What could not be healed, and why; twenty at most.
    problems: Vec<String>,
}

/// A secret and the account whose password it is to hold.
#[derive(InputObject)]
struct BindSecretAccountInput {
    /// The path of the secret; it is made if there is none.
    path: Path,
    /// The name of the engine.
    engine: String,
    /// The account's name on the target.
    account: String,
    /// When the password is replaced: a cron expression in UTC; only on demand if left out.
    schedule: Option<String>,
    /// The key of the secret's value that holds the account's name; `username` if left out.
    username_key: Option<String>,
    /// The key that holds the password; `password` if left out.
    password_key: Option<String>,
}

impl TryFrom<BindSecretAccountInput> for engines::BindAccount {
    type Error = Failure;

    fn try_from(input: BindSecretAccountInput) -> Result<Self> {
        Ok(Self {
            path: input.path.at("input.path")?,
            engine: input.engine,
            account: input.account,
            schedule: input.schedule,
            username_key: input.username_key,
            password_key: input.password_key,
        })
    }
}

/// A secret whose password was rotated.
#[derive(SimpleObject)]
struct SecretAccountPayload {
    /// The secret as it now is.
    secret: Secret,
}

/// Which secret to unbind.
#[derive(InputObject)]
struct UnbindSecretAccountInput {
    /// The path of the secret.
    path: Path,
    /// Whether to unbind it although a new password is on its way: for targets that are gone for good. Nobody knows then which of the
    /// two passwords is in force, so the new one is stored as the newest version, and the version before is kept. Needs administration of
    /// `leases` as well, as forced revocation does.
    force: Option<bool>,
}

/// What came of unbinding a secret.
#[derive(SimpleObject)]
struct UnbindSecretAccountPayload {
    /// The path of the secret, which is a plain one from now on.
    path: Path,
}

/// Which secret's password to rotate.
#[derive(InputObject)]
struct RotateSecretInput {
    /// The path of the secret.
    path: Path,
}
