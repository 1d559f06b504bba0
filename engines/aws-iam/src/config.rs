//! How AWS is reached, and as whom.

use schemars::JsonSchema;
use secrethub_engine::{EngineError, NameTemplate, Result, SecretString};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// The longest name of an IAM user, and of a session.
const LONGEST_NAME: usize = 64;
/// The longest path of an IAM user.
const LONGEST_PATH: usize = 512;

/// How to reach AWS, and with which rights. Credentials come from here alone: no environment, profile or instance metadata is
/// looked at.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The id of the access key that the engine uses: 16 to 128 letters, digits and `_`. Let it belong to an IAM user that
    /// nothing else uses: then its key can be rotated.
    #[schemars(length(min = 16, max = 128), extend("x-target" = true))]
    pub access_key_id: String,

    /// The secret of that access key.
    pub secret_access_key: SecretString,

    /// The session token, if these are temporary credentials. They end by themselves and cannot be rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretString>,

    /// The region whose STS is asked, and whose partition's IAM. `us-east-1` if nothing is given.
    #[serde(default = "region")]
    pub region: String,

    /// Where IAM is reached if not at its public address, such as `https://iam.example.net`. `http://` is taken for this
    /// machine only, since new keys come back over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-target" = true))]
    pub iam_endpoint: Option<String>,

    /// Where STS is reached if not at its public address, for example at a VPC endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sts_endpoint: Option<String>,

    /// How long connecting may take, in seconds: 1 to 60, 5 if nothing is given.
    #[serde(default = "connect_timeout_seconds")]
    #[schemars(range(min = 1, max = 60))]
    pub connect_timeout_seconds: u64,

    /// How long one call to AWS may take with its repetitions, in seconds: 2 to 300, 20 if nothing is given. One attempt
    /// may take half of it.
    #[serde(default = "operation_timeout_seconds")]
    #[schemars(range(min = 2, max = 300))]
    pub operation_timeout_seconds: u64,

    /// How often a call is made when AWS is busy or does not answer: 1 to 10, 4 if nothing is given.
    #[serde(default = "max_attempts")]
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: u32,

    /// How long a new access key may take to work, in seconds: 0 to 120, 20 if nothing is given. With 0 new keys are handed
    /// out at once, and their first uses may fail.
    #[serde(default = "key_wait_seconds")]
    #[schemars(range(max = 120))]
    pub key_wait_seconds: u64,

    /// How users and sessions are named: `{{installation}}` and `{{lease}}`, each once, and letters, digits and `_+=,.@-`;
    /// 64 characters at most. Change it only while there are no leases, since users are found by their name.
    #[serde(default = "username_template")]
    #[schemars(extend("x-target" = true))]
    pub username_template: String,

    /// The path that users are created under: begins and ends with `/`, 512 characters at most; `/secrethub/` if nothing is
    /// given. Reconciliation looks for users here.
    #[serde(default = "user_path")]
    pub user_path: String,
}

fn region() -> String {
    "us-east-1".to_owned()
}

fn connect_timeout_seconds() -> u64 {
    5
}

fn operation_timeout_seconds() -> u64 {
    20
}

fn max_attempts() -> u32 {
    4
}

fn key_wait_seconds() -> u64 {
    20
}

fn username_template() -> String {
    NameTemplate::DEFAULT.to_owned()
}

fn user_path() -> String {
    "/secrethub/".to_owned()
}

impl Config {
    /// Checks everything that can be checked without AWS, and reads the template.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] naming the field.
    pub fn validate(&self) -> Result<NameTemplate> {
        let id = &self.access_key_id;
        if !(16..=128).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(bad("access_key_id", "must have 16 to 128 letters and digits"));
        }
        if self.secret_access_key.is_empty() {
            return Err(bad("secret_access_key", "must not be empty"));
        }
        if self.session_token.as_ref().is_some_and(SecretString::is_empty) {
            return Err(bad("session_token", "must not be empty: leave it out"));
        }
        let in_region = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=32).contains(&self.region.len()) || !self.region.bytes().all(in_region) {
            return Err(bad("region", "must be the name of a region, such as eu-central-1"));
        }
        check_endpoint("iam_endpoint", self.iam_endpoint.as_deref())?;
        check_endpoint("sts_endpoint", self.sts_endpoint.as_deref())?;
        check_range("connect_timeout_seconds", self.connect_timeout_seconds, 1, 60)?;
        check_range("operation_timeout_seconds", self.operation_timeout_seconds, 2, 300)?;
        check_range("max_attempts", u64::from(self.max_attempts), 1, 10)?;
        check_range("key_wait_seconds", self.key_wait_seconds, 0, 120)?;
        check_path("user_path", &self.user_path)?;
        NameTemplate::parse("username_template", &self.username_template, LONGEST_NAME, in_name)
    }

    /// How long a new access key may take to work.
    #[must_use]
    pub fn key_wait(&self) -> Duration {
        Duration::from_secs(self.key_wait_seconds)
    }
}

/// A character of a name in IAM.
#[must_use]
pub fn in_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}

/// Checks the path of users.
///
/// # Errors
/// [`EngineError::bad_input`] at `field`.
pub fn check_path(field: &str, path: &str) -> Result<()> {
    if !path.starts_with('/') || !path.ends_with('/') {
        return Err(bad(field, "must begin and end with /"));
    }
    if path.len() > LONGEST_PATH || !path.bytes().all(|b| b.is_ascii_graphic()) || path.contains("//") {
        return Err(bad(field, "must have at most 512 visible ASCII characters, and no part that is empty"));
    }
    Ok(())
}

fn check_range(field: &str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(bad(field, &format!("must be {least} to {most}")))
    }
}

/// `https://` and a host, or `http://` and this machine.
fn check_endpoint(field: &str, endpoint: Option<&str>) -> Result<()> {
    let Some(endpoint) = endpoint else { return Ok(()) };
    let (scheme, rest) = endpoint.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        Some(_) if !authority.ends_with(']') => "",
        _ => authority,
    };
    let visible = endpoint.bytes().all(|b| b.is_ascii_graphic());
    if !matches!(scheme, "https" | "http") || host.is_empty() || authority.contains('@') || !visible {
        return Err(bad(field, "must be an address such as https://iam.example.net"));
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if scheme == "http" && host != "localhost" && !address.is_ok_and(|address| address.is_loopback()) {
        return Err(bad(field, "must begin with https://, since keys travel over it"));
    }
    Ok(())
}

fn bad(field: &str, message: &str) -> EngineError {
    EngineError::bad_input(field, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config(changes: &Value) -> Config {
        let mut whole = json!({ "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "s" });
        for (key, value) in changes.as_object().unwrap() {
            whole[key] = value.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn defaults_are_valid() {
        let config = config(&json!({}));
        config.validate().unwrap();
        assert_eq!((config.region.as_str(), config.user_path.as_str()), ("us-east-1", "/secrethub/"));
    }

    #[test]
    fn what_will_never_do_is_refused_by_its_field() {
        for (field, value) in [
            ("access_key_id", json!("short")),
            ("access_key_id", json!("AKIA AKIA AKIA AKIA")),
            ("secret_access_key", json!("")),
            ("session_token", json!("")),
            ("region", json!("US East")),
            ("iam_endpoint", json!("iam.example.net")),
            ("iam_endpoint", json!("ftp://iam.example.net")),
            ("iam_endpoint", json!("http://iam.example.net")),
            ("sts_endpoint", json!("http://127.0.0.1@evil.example")),
            ("sts_endpoint", json!("https://")),
            ("sts_endpoint", json!("https://a b")),
            ("connect_timeout_seconds", json!(0)),
            ("operation_timeout_seconds", json!(301)),
            ("max_attempts", json!(0)),
            ("key_wait_seconds", json!(121)),
            ("username_template", json!("{{lease}}")),
            ("username_template", json!("{{installation}}/{{lease}}")),
            ("username_template", json!(format!("{}{{{{installation}}}}{{{{lease}}}}", "x".repeat(31)))),
            ("user_path", json!("secrethub")),
            ("user_path", json!("/a//")),
            ("user_path", json!("/a b/")),
        ] {
            let error = config(&json!({ field: value })).validate().unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{value}");
        }
    }

    #[test]
    fn endpoints_of_this_machine_may_be_plain() {
        for endpoint in
            ["http://127.0.0.1:5000", "http://localhost:5000/", "http://[::1]:5000", "https://x.example"]
        {
            config(&json!({ "iam_endpoint": endpoint, "sts_endpoint": endpoint })).validate().unwrap();
        }
    }

    #[test]
    fn secrets_are_not_in_debug() {
        let config = config(&json!({ "secret_access_key": "hunter2", "session_token": "hunter3" }));
        assert!(!format!("{config:?}").contains("hunter"));
    }
}
