//! Writing secrets.

use crate::graphql::result::{AtArgument, Result, op};
use crate::graphql::scalars::{Json, Path};
use crate::graphql::types::secrets::Secret;
use crate::service::secrets;
use async_graphql::{Context, InputObject, MaybeUndefined, Object, SimpleObject};

#[derive(Default)]
pub struct SecretMutation;

/// Where the path of a secret stands in every input here.
const PATH: &str = "input.path";

#[Object]
impl SecretMutation {
    /// Writes a new version of a static secret, or makes the secret. Needs the `write` operation.
    async fn put_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The secret and its value.")] input: PutSecretInput,
    ) -> Result<PutSecretPayload> {
        let put = secrets::PutSecret {
            path: input.path.at(PATH)?,
            data: input.data.0,
            expected_version: input.expected_version.map(Into::into),
            description: input.description,
            metadata: input.metadata.map(|json| json.0),
        };
        Ok(secrets::put(op(ctx)?, put).await.at_input()?.into())
    }

    /// Merges into the latest version and writes the result as a new one: JSON merge patch, RFC 7396.
    /// Needs the `write` operation.
    async fn patch_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The secret and the patch.")] input: PatchSecretInput,
    ) -> Result<PutSecretPayload> {
        let patch = secrets::PatchSecret {
            path: input.path.at(PATH)?,
            data: input.data.0,
            expected_version: input.expected_version.map(Into::into),
        };
        Ok(secrets::patch(op(ctx)?, patch).await.at_input()?.into())
    }

    /// Deletes versions so that they can be restored. Needs the `delete` operation.
    async fn delete_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The secret and which of its versions.")] input: DeleteSecretInput,
    ) -> Result<DeleteSecretPayload> {
        let secret =
            secrets::delete(op(ctx)?, &input.path.at(PATH)?, numbers(input.versions)).await.at_input()?;
        Ok(DeleteSecretPayload { secret: Some(secret.into()) })
    }

    /// Brings deleted versions back that are not destroyed. Needs the `write` operation.
    async fn restore_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The secret and which of its versions.")] input: RestoreSecretInput,
    ) -> Result<PutSecretPayload> {
        Ok(secrets::restore(op(ctx)?, &input.path.at(PATH)?, numbers(input.versions))
            .await
            .at_input()?
            .into())
    }

    /// Destroys the values of versions for good, or the entire secret. Needs the `delete` operation.
    async fn destroy_secret_versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The secret and what of it.")] input: DestroySecretVersionsInput,
    ) -> Result<DeleteSecretPayload> {
        let (path, versions) = (input.path.at(PATH)?, numbers(input.versions));
        let entire = input.entire_secret.unwrap_or_default();
        let left = secrets::destroy(op(ctx)?, &path, versions, entire).await.at_input()?;
        Ok(DeleteSecretPayload { secret: left.map(Into::into) })
    }

    /// Writes the value of an earlier version again, as a new version. Needs the `write` operation.
    async fn rollback_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The secret and the version to go back to.")] input: RollbackSecretInput,
    ) -> Result<PutSecretPayload> {
        let expected = input.expected_version.map(Into::into);
        let secret =
            secrets::rollback(op(ctx)?, &input.path.at(PATH)?, input.to_version.into(), expected).await;
        Ok(secret.at_input()?.into())
    }

    /// Changes what is given of a secret's settings and keeps the rest; no new version. Needs the `write` operation.
    async fn update_secret_settings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The secret and the changes.")] input: UpdateSecretSettingsInput,
    ) -> Result<PutSecretPayload> {
        let update = secrets::UpdateSettings {
            path: input.path.at(PATH)?,
            description: maybe_set(input.description),
            metadata: maybe_set(input.metadata).map(|metadata| metadata.map(|json| json.0)),
            max_versions: input.max_versions.map(Into::into),
            rotation: input.rotation.map(|rotation| secrets::RotationInput {
                enabled: rotation.enabled,
                schedule: rotation.schedule,
            }),
        };
        Ok(secrets::update_settings(op(ctx)?, update).await.at_input()?.into())
    }
}

fn numbers(versions: Option<Vec<i32>>) -> Option<Vec<i64>> {
    versions.map(|versions| versions.into_iter().map(Into::into).collect())
}

/// Left out: keep it. Null: take it away.
fn maybe_set<T>(value: MaybeUndefined<T>) -> Option<Option<T>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

/// A secret and its new value.
#[derive(InputObject)]
struct PutSecretInput {
    /// The path of the secret, which need not exist yet.
    path: Path,
    /// The value: a JSON object, up to 1 MiB.
    #[graphql(secret)]
    data: Json,
    /// The latest version that the caller knows: `CONFLICT` if it is another. 0 means that the secret must not exist.
    expected_version: Option<i32>,
    /// What it is for; stays as it is if left out.
    description: Option<String>,
    /// Labels of the client's own, a JSON object, not secret; stay as they are if left out.
    metadata: Option<Json>,
}

/// A secret and what to change in its value.
#[derive(InputObject)]
struct PatchSecretInput {
    /// The path of the secret.
    path: Path,
    /// A JSON merge patch (RFC 7396): a JSON object whose keys replace those of the value, and null removes a key.
    #[graphql(secret)]
    data: Json,
    /// The latest version that the caller knows: `CONFLICT` if it is another.
    expected_version: Option<i32>,
}

/// Which versions of a secret to delete.
#[derive(InputObject)]
struct DeleteSecretInput {
    /// The path of the secret.
    path: Path,
    /// The numbers of the versions; the latest if left out; at most 100 of them.
    versions: Option<Vec<i32>>,
}

/// Which versions of a secret to restore.
#[derive(InputObject)]
struct RestoreSecretInput {
    /// The path of the secret.
    path: Path,
    /// The numbers of the versions; the latest if left out; at most 100 of them.
    versions: Option<Vec<i32>>,
}

/// What of a secret to destroy: `versions`, or all of it.
#[derive(InputObject)]
struct DestroySecretVersionsInput {
    /// The path of the secret.
    path: Path,
    /// The numbers of the versions whose values are destroyed; the latest if left out, and none with `entireSecret`; at most 100 of them.
    versions: Option<Vec<i32>>,
    /// Whether the secret goes with all of its versions and settings.
    #[graphql(default_with = "Some(false)")]
    entire_secret: Option<bool>,
}

/// Which version of a secret to go back to.
#[derive(InputObject)]
struct RollbackSecretInput {
    /// The path of the secret.
    path: Path,
    /// The number of the version whose value becomes the new version.
    to_version: i32,
    /// The latest version that the caller knows: `CONFLICT` if it is another.
    expected_version: Option<i32>,
}

/// Changes to a secret's settings. What is left out stays.
#[derive(InputObject)]
struct UpdateSecretSettingsInput {
    /// The path of the secret.
    path: Path,
    /// What it is for; null takes it away.
    description: MaybeUndefined<String>,
    /// Labels of the client's own, a JSON object, not secret; null takes them away.
    metadata: MaybeUndefined<Json>,
    /// How many versions to keep, 1 to 1000; older ones are destroyed with the next write.
    max_versions: Option<i32>,
    /// When its value is to be renewed.
    rotation: Option<SecretRotationInput>,
}

/// When a secret's value is to be renewed.
#[derive(InputObject)]
struct SecretRotationInput {
    /// Whether the schedule is in force.
    enabled: bool,
    /// The schedule as a cron expression, in UTC: five fields (minute hour day month weekday), or six with seconds first.
    schedule: Option<String>,
}

/// The secret after a change.
#[derive(SimpleObject)]
struct PutSecretPayload {
    /// The secret as it now is.
    secret: Secret,
}

impl From<secrets::SecretView> for PutSecretPayload {
    fn from(view: secrets::SecretView) -> Self {
        Self { secret: view.into() }
    }
}

/// What is left of the secret.
#[derive(SimpleObject)]
struct DeleteSecretPayload {
    /// The secret as it now is; null if it is gone altogether.
    secret: Option<Secret>,
}
