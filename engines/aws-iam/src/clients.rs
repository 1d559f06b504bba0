//! The clients of IAM and STS, built from the configuration and from nothing else.

use crate::config::Config;
use crate::failure::Failure;
use aws_sdk_iam::config::retry::RetryConfig;
use aws_sdk_iam::config::timeout::TimeoutConfig;
use aws_sdk_iam::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_async::time::SharedTimeSource;
use secrethub_engine::SecretString;
use std::time::Duration;

/// Clients with the engine's own access key.
pub struct Clients {
    pub iam: aws_sdk_iam::Client,
    pub sts: aws_sdk_sts::Client,
}

/// Who an access key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub arn: String,
}

impl Clients {
    /// Builds them. Nothing is sent yet. `time` is the clock that requests are signed with.
    #[must_use]
    pub fn new(config: &Config, time: &SharedTimeSource) -> Self {
        let token = config.session_token.as_ref();
        let credentials =
            credentials(&config.access_key_id, &config.secret_access_key, token.map(SecretString::expose));
        let region = Region::new(config.region.clone());
        let retries = RetryConfig::standard().with_max_attempts(config.max_attempts);
        let whole = Duration::from_secs(config.operation_timeout_seconds);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(config.connect_timeout_seconds))
            .operation_attempt_timeout(whole / 2)
            .operation_timeout(whole)
            .build();
        let mut iam = aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(region.clone())
            .credentials_provider(credentials.clone())
            .retry_config(retries.clone())
            .timeout_config(timeouts.clone())
            .time_source(time.clone());
        let mut sts = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(region)
            .credentials_provider(credentials)
            .retry_config(retries)
            .timeout_config(timeouts)
            .time_source(time.clone());
        iam.set_endpoint_url(config.iam_endpoint.clone());
        sts.set_endpoint_url(config.sts_endpoint.clone());
        Self {
            iam: aws_sdk_iam::Client::from_conf(iam.build()),
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
        }
    }

    /// Who the engine's own access key belongs to. Every key may ask that.
    ///
    /// # Errors
    /// [`crate::failure::Cause::Key`] if AWS does not accept it.
    pub async fn identify(&self) -> Result<Identity, Failure> {
        let answer = self.sts.get_caller_identity().send().await?;
        Ok(Identity { arn: answer.arn().unwrap_or_default().to_owned() })
    }

    /// Who these credentials belong to.
    ///
    /// # Errors
    /// As [`Clients::identify`].
    pub async fn identify_other(&self, credentials: Credentials) -> Result<Identity, Failure> {
        let other = aws_sdk_sts::Config::builder().credentials_provider(credentials);
        let answer = self.sts.get_caller_identity().customize().config_override(other).send().await?;
        Ok(Identity { arn: answer.arn().unwrap_or_default().to_owned() })
    }
}

/// Credentials for a client.
#[must_use]
pub fn credentials(id: &str, secret: &SecretString, token: Option<&str>) -> Credentials {
    Credentials::new(id, secret.expose(), token.map(str::to_owned), None, "secrethub")
}
