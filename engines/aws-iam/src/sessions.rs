//! Temporary credentials of STS. They end by themselves with the lease; AWS has no way to end one of them sooner.

use crate::Account;
use crate::document::Document;
use crate::failure::{Cause, Failure};
use crate::role::{AssumeRole, FederationToken};
use aws_sdk_sts::primitives::{DateTime, DateTimeFormat};
use aws_sdk_sts::types::{Credentials, PolicyDescriptorType};
use chrono::Utc;
use secrethub_engine::{EngineError, Issued, Lease, Result};
use serde_json::json;
use std::time::SystemTime;

/// The shortest that STS issues, in seconds.
const SHORTEST: i64 = 900;
/// What the way here may have taken of a lease of 15 minutes, in seconds: such credentials may end this much after it.
const LENIENCY: i64 = 30;
/// The longest of `AssumeRole`, in seconds, if the role allows it.
const LONGEST_ASSUMED: i64 = 12 * 3600;
/// The longest of `GetFederationToken`, in seconds.
const LONGEST_FEDERATED: i64 = 36 * 3600;

/// Issues a session of a role, named after the lease.
///
/// # Errors
/// `Refused` for a lease that is too short or too long, and as AWS answers; `BadInput` names the part of the role at fault.
pub async fn assume(
    account: &Account,
    role: &AssumeRole,
    name: &str,
    lease: &Lease,
    now: SystemTime,
) -> Result<Issued> {
    let answer = account
        .clients
        .sts
        .assume_role()
        .role_arn(&role.role_arn)
        .role_session_name(name)
        .duration_seconds(duration(lease, now, LONGEST_ASSUMED)?)
        .set_policy(role.session_policy.as_ref().map(Document::text))
        .set_policy_arns(described(&role.managed_policies))
        .set_external_id(role.external_id.clone())
        .send()
        .await;
    let answer = answer.map_err(|error| failed(error.into(), "cannot assume the role", "assume_role"))?;
    let arn = answer.assumed_role_user().map(|user| user.arn().to_owned());
    issued(answer.credentials, arn, name)
}

/// Issues a session of the engine's own user.
///
/// # Errors
/// As [`assume`].
pub async fn federate(
    account: &Account,
    role: &FederationToken,
    lease: &Lease,
    now: SystemTime,
) -> Result<Issued> {
    // at most 32 characters, which a name by the template is not
    let name = lease.id.simple().to_string();
    let answer = account
        .clients
        .sts
        .get_federation_token()
        .name(&name)
        .duration_seconds(duration(lease, now, LONGEST_FEDERATED)?)
        .set_policy(role.session_policy.as_ref().map(Document::text))
        .set_policy_arns(described(&role.managed_policies))
        .send()
        .await;
    let answer =
        answer.map_err(|error| failed(error.into(), "cannot get a federation token", "federation_token"))?;
    let arn = answer.federated_user().map(|user| user.arn().to_owned());
    issued(answer.credentials, arn, &name)
}

/// The seconds until the lease ends, rounded down, so that the credentials do not outlive it.
fn duration(lease: &Lease, now: SystemTime, longest: i64) -> Result<i32> {
    let left = (lease.expires_at - chrono::DateTime::<Utc>::from(now)).num_seconds();
    if left < SHORTEST - LENIENCY {
        return Err(EngineError::refused(
            "STS issues credentials for 15 minutes at least: request a lease of 15 minutes or more",
        )
        .at(""));
    }
    if left > longest {
        return Err(EngineError::refused(format!(
            "STS issues such credentials for {} hours at most: request a shorter lease",
            longest / 3600
        ))
        .at(""));
    }
    i32::try_from(left.max(SHORTEST)).map_err(|_| EngineError::refused("request a shorter lease"))
}

fn failed(failure: Failure, doing: &str, kind: &str) -> EngineError {
    match failure.cause {
        Cause::Document => failure.at(doing, &format!("{kind}.session_policy")),
        // the role's own maximum, which is no fault of its configuration here
        Cause::Input if failure.message.contains("DurationSeconds") => {
            EngineError::refused(format!("{doing}: {}: request a shorter lease", failure.message))
        }
        _ => failure.at(doing, kind),
    }
}

fn described(arns: &[String]) -> Option<Vec<PolicyDescriptorType>> {
    let described = arns.iter().map(|arn| PolicyDescriptorType::builder().arn(arn).build());
    (!arns.is_empty()).then(|| described.collect())
}

fn issued(credentials: Option<Credentials>, arn: Option<String>, name: &str) -> Result<Issued> {
    let unreadable = || Failure::unreadable().doing("cannot read what STS issued");
    let (credentials, arn) = credentials.zip(arn).ok_or_else(unreadable)?;
    let ends = text_of(&credentials.expiration).ok_or_else(unreadable)?;
    Ok(Issued {
        handle: json!({
            "session_name": name,
            "session_arn": arn,
            "access_key_id": credentials.access_key_id,
            "ends_at": ends,
        }),
        credentials: json!({
            "access_key_id": credentials.access_key_id,
            "secret_access_key": credentials.secret_access_key,
            "session_token": credentials.session_token,
            "session_arn": arn,
            "ends_at": ends,
        }),
    })
}

fn text_of(time: &DateTime) -> Option<String> {
    DateTime::from_secs(time.secs()).fmt(DateTimeFormat::DateTime).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrethub_engine::ErrorKind;
    use std::time::Duration;
    use uuid::Uuid;

    fn seconds(left: i64) -> Result<i32> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_300);
        let expires_at = chrono::DateTime::<Utc>::from(now) + chrono::TimeDelta::seconds(left);
        duration(&Lease { id: Uuid::nil(), expires_at }, now, LONGEST_ASSUMED)
    }

    #[test]
    fn sessions_end_with_their_lease() {
        assert_eq!(seconds(3600).unwrap(), 3600);
        assert_eq!(seconds(900).unwrap(), 900);
        // on its way since a moment
        assert_eq!(seconds(880).unwrap(), 900);
        for left in [-5, 0, 869, LONGEST_ASSUMED + 1] {
            assert_eq!(seconds(left).unwrap_err().kind, ErrorKind::Refused, "{left}");
        }
    }
}
