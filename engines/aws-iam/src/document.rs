//! Policy documents, ARNs and names, as far as they can be checked without AWS.

use crate::config::in_name;
use schemars::JsonSchema;
use secrethub_engine::{EngineError, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most characters of a user's inline policies together, and of a session policy; AWS does not count white space.
pub const LONGEST_DOCUMENT: usize = 2048;

/// A policy document: a JSON object with `Version` and `Statement`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Document(Map<String, Value>);

impl Document {
    /// As it is sent.
    #[must_use]
    pub fn text(&self) -> String {
        Value::from(self.0.clone()).to_string()
    }

    /// Its length as AWS counts.
    #[must_use]
    pub fn length(&self) -> usize {
        self.text().chars().filter(|character| !character.is_whitespace()).count()
    }

    /// Whether it has the form of a policy. What it says is checked by AWS.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] at or below `field`.
    pub fn check(&self, field: &str) -> Result<()> {
        let version = self.0.get("Version");
        if version.is_some_and(|version| version != "2012-10-17" && version != "2008-10-17") {
            return Err(EngineError::bad_input(
                format!("{field}.Version"),
                "must be 2012-10-17 or 2008-10-17",
            ));
        }
        let at = format!("{field}.Statement");
        match self.0.get("Statement") {
            Some(Value::Array(statements)) if !statements.is_empty() => statements
                .iter()
                .enumerate()
                .try_for_each(|(index, statement)| check_statement(&format!("{at}[{index}]"), statement)),
            Some(statement @ Value::Object(_)) => check_statement(&at, statement),
            _ => Err(EngineError::bad_input(at, "must be a statement, or a list of one or more")),
        }
    }
}

fn check_statement(field: &str, statement: &Value) -> Result<()> {
    let has = |keys: [&str; 2]| keys.iter().any(|key| statement.get(key).is_some());
    if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
        return Err(EngineError::bad_input(format!("{field}.Effect"), "must be Allow or Deny"));
    }
    if !has(["Action", "NotAction"]) || !has(["Resource", "NotResource"]) {
        return Err(EngineError::bad_input(
            field,
            "must have Action or NotAction, and Resource or NotResource",
        ));
    }
    Ok(())
}

/// Checks an ARN of IAM, whose last part begins with `kind`: `policy/` or `role/`.
///
/// # Errors
/// [`EngineError::bad_input`] at `field`.
pub fn check_arn(field: &str, arn: &str, kind: &str) -> Result<()> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let fits = match parts.as_slice() {
        ["arn", partition, "iam", "", account, resource] => {
            partition.starts_with("aws")
                && (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
                    || *account == "aws" && kind == "policy/")
                && resource.strip_prefix(kind).is_some_and(|name| !name.is_empty() && !name.ends_with('/'))
        }
        _ => false,
    };
    if fits && arn.len() <= 2048 && arn.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(EngineError::bad_input(
            field,
            format!("must be an ARN such as arn:aws:iam::123456789012:{kind}name"),
        ))
    }
}

/// Checks the name of a group or an inline policy.
///
/// # Errors
/// [`EngineError::bad_input`] at `field`.
pub fn check_name(field: &str, name: &str) -> Result<()> {
    if (1..=128).contains(&name.len()) && name.chars().all(in_name) {
        Ok(())
    } else {
        Err(EngineError::bad_input(field, "must have 1 to 128 letters, digits and _+=,.@-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(document: Value) -> Option<String> {
        let document: Document = serde_json::from_value(document).unwrap();
        document.check("p").err().and_then(|error| error.field)
    }

    #[test]
    fn documents_need_the_form_of_a_policy() {
        let allow = json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" });
        assert_eq!(check(json!({ "Version": "2012-10-17", "Statement": [allow] })), None);
        assert_eq!(check(json!({ "Statement": allow })), None);
        assert_eq!(check(json!({ "Version": "2012-10-17" })).as_deref(), Some("p.Statement"));
        assert_eq!(check(json!({ "Statement": [] })).as_deref(), Some("p.Statement"));
        assert_eq!(check(json!({ "Version": 1, "Statement": allow })).as_deref(), Some("p.Version"));
        let permit = json!({ "Effect": "Permit", "Action": "s3:*", "Resource": "*" });
        assert_eq!(check(json!({ "Statement": [allow, permit] })).as_deref(), Some("p.Statement[1].Effect"));
        let everywhere = json!({ "Effect": "Allow", "Action": "s3:*" });
        assert_eq!(check(json!({ "Statement": everywhere })).as_deref(), Some("p.Statement"));
    }

    #[test]
    fn white_space_is_not_counted() {
        let document: Document = serde_json::from_value(json!({ "a": "b c\td" })).unwrap();
        assert_eq!(document.length(), r#"{"a":"bc\td"}"#.len());
    }

    #[test]
    fn arns_are_checked_by_kind() {
        for arn in ["arn:aws:iam::123456789012:policy/a/b", "arn:aws-cn:iam::aws:policy/ReadOnlyAccess"] {
            check_arn("f", arn, "policy/").unwrap();
            assert!(check_arn("f", arn, "role/").is_err());
        }
        check_arn("f", "arn:aws:iam::123456789012:role/x", "role/").unwrap();
        for arn in [
            "",
            "arn:aws:iam::12:role/x",
            "arn:aws:iam::aws:role/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:s3::123456789012:role/x",
            "arn:aws:iam::123456789012:role/x y",
        ] {
            assert_eq!(check_arn("f", arn, "role/").unwrap_err().field.as_deref(), Some("f"), "{arn}");
        }
    }
}
