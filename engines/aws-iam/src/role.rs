//! What is issued: an IAM user, or temporary credentials of STS.

use crate::config::{Config, check_path};
use crate::document::{Document, LONGEST_DOCUMENT, check_arn, check_name};
use schemars::JsonSchema;
use secrethub_engine::{EngineError, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// What is issued: exactly one of `iam_user`, `assume_role` and `federation_token`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct Role {
    /// An IAM user with one access key. Its lease can be renewed, and revoking deletes the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iam_user: Option<UserRole>,

    /// A session of an IAM role, by STS `AssumeRole`. AWS ends it when its lease ends: it cannot be renewed, and not be ended
    /// sooner. Its lease must have 15 minutes to 12 hours, and no more than the role's maximum session duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,

    /// A session with part of the rights of the engine's own IAM user, by STS `GetFederationToken`. As `assume_role`, with a
    /// lease of 15 minutes to 36 hours; it can use neither IAM nor most of STS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federation_token: Option<FederationToken>,
}

/// An IAM user.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRole {
    /// The groups that it joins, by name: 10 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub groups: Vec<String>,

    /// Its inline policies, by name: policy documents of 2,048 characters together at most, white space not counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, Document>,

    /// The ARNs of managed policies to attach: 20 at most, and 10 unless AWS has raised the account's quota.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub managed_policies: Vec<String>,

    /// The ARN of the policy that bounds its permissions, whatever else it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<String>,

    /// The path that it is created under, at or below the configuration's `user_path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,

    /// Tags, besides those that the engine sets (`secrethub:installation` and `secrethub:lease`): 40 at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,

    /// Whether the user also gets an inline policy, `secrethub-expiry`, that denies everything after the end of the lease; a
    /// renewal moves it. AWS then ends the credentials even if this server is down. It takes some 150 of the 2,048
    /// characters, and has no effect on targets that ignore conditions on `aws:CurrentTime`.
    #[serde(default)]
    pub deny_after_expiry: bool,
}

/// A session of an IAM role.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssumeRole {
    /// The ARN of the role. Its trust policy must name the engine's account.
    pub role_arn: String,

    /// A policy document that narrows the session: 2,048 characters at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_policy: Option<Document>,

    /// The ARNs of managed policies that narrow the session: 10 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub managed_policies: Vec<String>,

    /// What the role's trust policy may demand of who assumes it; 2 to 1,224 characters. AWS does not treat it as a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224))]
    pub external_id: Option<String>,
}

/// A session of the engine's own user. Without a policy it would have no rights: at least one must be given.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FederationToken {
    /// A policy document: the session may do what this and the engine's user both may. 2,048 characters at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_policy: Option<Document>,

    /// The ARNs of managed policies, in the same way: 10 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub managed_policies: Vec<String>,
}

/// The one that is given.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    User(&'a UserRole),
    Assumed(&'a AssumeRole),
    Federated(&'a FederationToken),
}

impl Role {
    /// The one that is given.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] for none or several.
    pub fn kind(&self) -> Result<Kind<'_>> {
        match (&self.iam_user, &self.assume_role, &self.federation_token) {
            (Some(user), None, None) => Ok(Kind::User(user)),
            (None, Some(assume), None) => Ok(Kind::Assumed(assume)),
            (None, None, Some(federation)) => Ok(Kind::Federated(federation)),
            _ => Err(EngineError::bad_input(
                "",
                "must have exactly one of iam_user, assume_role and federation_token",
            )),
        }
    }

    /// Whether it issues credentials of STS.
    #[must_use]
    pub fn is_session(&self) -> bool {
        self.iam_user.is_none() && (self.assume_role.is_some() || self.federation_token.is_some())
    }

    /// Checks everything that can be checked without AWS.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] naming the field.
    pub fn validate(&self, config: &Config) -> Result<Kind<'_>> {
        let kind = self.kind()?;
        match kind {
            Kind::User(user) => user.validate(config)?,
            Kind::Assumed(assume) => assume.validate()?,
            Kind::Federated(federation) => federation.validate()?,
        }
        Ok(kind)
    }
}

/// What `deny_after_expiry` takes of the inline policies' length.
const EXPIRY_LENGTH: usize = 160;

impl UserRole {
    fn validate(&self, config: &Config) -> Result<()> {
        check_count("iam_user.groups", self.groups.len(), 10)?;
        for (index, group) in self.groups.iter().enumerate() {
            check_name(&format!("iam_user.groups[{index}]"), group)?;
        }
        for (name, document) in &self.policies {
            let field = format!("iam_user.policies.{name}");
            check_name(&field, name)?;
            document.check(&field)?;
        }
        let length = self.policies.values().map(Document::length).sum::<usize>();
        let room = LONGEST_DOCUMENT - if self.deny_after_expiry { EXPIRY_LENGTH } else { 0 };
        if length > room {
            return Err(bad(
                "iam_user.policies",
                format!("have {length} characters, and AWS takes {room}: use a managed policy"),
            ));
        }
        if self.deny_after_expiry && self.policies.contains_key(crate::users::EXPIRY_POLICY) {
            return Err(bad("iam_user.policies", "must not contain secrethub-expiry with deny_after_expiry"));
        }
        check_arns("iam_user.managed_policies", &self.managed_policies, 20)?;
        if let Some(boundary) = &self.permissions_boundary {
            check_arn("iam_user.permissions_boundary", boundary, "policy/")?;
        }
        if let Some(path) = &self.path {
            check_path("iam_user.path", path)?;
            if !path.starts_with(&config.user_path) {
                return Err(bad("iam_user.path", format!("must begin with {}", config.user_path)));
            }
        }
        self.validate_tags()
    }

    fn validate_tags(&self) -> Result<()> {
        check_count("iam_user.tags", self.tags.len(), 40)?;
        let in_tag = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
        let mut seen = HashSet::new();
        for (key, value) in &self.tags {
            let field = format!("iam_user.tags.{key}");
            let small = key.to_lowercase();
            if !(1..=128).contains(&key.chars().count()) || !key.chars().all(in_tag) {
                return Err(bad(&field, "must have a name of 1 to 128 letters, digits, spaces and _.:/=+-@"));
            }
            if small.starts_with("aws:") || small.starts_with("secrethub:") {
                return Err(bad(&field, "must not have a name that begins with aws: or secrethub:"));
            }
            if value.chars().count() > 256 || !value.chars().all(in_tag) {
                return Err(bad(&field, "must have at most 256 letters, digits, spaces and _.:/=+-@"));
            }
            if !seen.insert(small) {
                return Err(bad(&field, "is there twice: AWS does not tell capital letters from small ones"));
            }
        }
        Ok(())
    }
}

impl AssumeRole {
    fn validate(&self) -> Result<()> {
        check_arn("assume_role.role_arn", &self.role_arn, "role/")?;
        check_session("assume_role", self.session_policy.as_ref(), &self.managed_policies)?;
        let in_id = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
        if let Some(id) = &self.external_id
            && !((2..=1224).contains(&id.len()) && id.chars().all(in_id))
        {
            return Err(bad("assume_role.external_id", "must have 2 to 1224 letters, digits and _+=,.@:/-"));
        }
        Ok(())
    }
}

impl FederationToken {
    fn validate(&self) -> Result<()> {
        check_session("federation_token", self.session_policy.as_ref(), &self.managed_policies)?;
        if self.session_policy.is_none() && self.managed_policies.is_empty() {
            return Err(bad("federation_token", "must have session_policy or managed_policies"));
        }
        Ok(())
    }
}

fn check_session(field: &str, policy: Option<&Document>, managed: &[String]) -> Result<()> {
    check_arns(&format!("{field}.managed_policies"), managed, 10)?;
    let Some(policy) = policy else { return Ok(()) };
    let field = format!("{field}.session_policy");
    policy.check(&field)?;
    if policy.text().chars().count() > LONGEST_DOCUMENT {
        return Err(bad(&field, "must have at most 2048 characters"));
    }
    Ok(())
}

fn check_arns(field: &str, arns: &[String], most: usize) -> Result<()> {
    check_count(field, arns.len(), most)?;
    arns.iter()
        .enumerate()
        .try_for_each(|(index, arn)| check_arn(&format!("{field}[{index}]"), arn, "policy/"))
}

fn check_count(field: &str, count: usize, most: usize) -> Result<()> {
    if count <= most { Ok(()) } else { Err(bad(field, format!("must be at most {most}"))) }
}

fn bad(field: &str, message: impl Into<String>) -> EngineError {
    EngineError::bad_input(field, message)
}

#[cfg(test)]
#[path = "role_tests.rs"]
mod tests;
