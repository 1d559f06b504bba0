//! What is issued.

use schemars::JsonSchema;
use secrethub_engine::{EngineError, Result};
use serde::{Deserialize, Serialize};

const MAX_RULES: usize = 200;
const LONGEST_RULE: usize = 500;
/// Rules that are one word.
const WORDS: [&str; 6] =
    ["allkeys", "allchannels", "allcommands", "nocommands", "resetkeys", "resetchannels"];

/// The rights of issued accounts, which begin with none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// ACL rules in Redis's own words, in their order, one to an element: keys such as `~app:*` or `%R~app:*`, channels such
    /// as `&news`, commands such as `+@read`, `+get` or `-@dangerous`. Passwords, `on`, `off`, `reset` and selectors in
    /// parentheses are not among them.
    pub rules: Vec<String>,
}

impl Role {
    /// Checks what can be checked without the target.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] naming the rule. Its text is not repeated: it may be a password.
    pub fn validate(&self) -> Result<()> {
        if self.rules.is_empty() || self.rules.len() > MAX_RULES {
            return Err(EngineError::bad_input("rules", format!("must be 1 to {MAX_RULES} rules")));
        }
        for (number, rule) in self.rules.iter().enumerate() {
            if let Err(message) = fits(rule) {
                return Err(EngineError::bad_input(format!("rules[{number}]"), message));
            }
        }
        Ok(())
    }
}

fn fits(rule: &str) -> std::result::Result<(), &'static str> {
    if rule.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must be one rule, without spaces");
    }
    if rule.len() > LONGEST_RULE {
        return Err("is longer than 500 bytes");
    }
    let selects = rule.starts_with(['~', '&', '+', '-']) && rule.len() > 1;
    let selects_mode = ["%R~", "%W~", "%RW~", "%WR~"]
        .iter()
        .any(|mode| rule.get(..mode.len()).is_some_and(|start| start.eq_ignore_ascii_case(mode)));
    if selects || selects_mode || WORDS.iter().any(|word| rule.eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    Err(
        "must allow or forbid keys (~ or %), channels (&) or commands (+ or -); passwords and states are the engine's",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_of_rights_are_taken() {
        let role = |rule: &str| Role { rules: vec!["+@read".to_owned(), rule.to_owned()] };
        for rule in
            ["~app:*", "%R~a", "%rw~a", "&news", "+get", "+config|get", "-@all", "allkeys", "ResetKeys"]
        {
            assert_eq!(role(rule).validate(), Ok(()), "{rule}");
        }
        for rule in [
            "",
            ">pass",
            "<pass",
            "#00",
            "!00",
            "nopass",
            "on",
            "off",
            "ON",
            "reset",
            "resetpass",
            "~a +@all",
            "+get\n",
            "(~a",
            "clearselectors",
            "+",
            "%X~a",
            "%R",
            "~a\0",
            "é",
        ] {
            let error = role(rule).validate().unwrap_err();
            assert_eq!(error.field.as_deref(), Some("rules[1]"), "{rule}");
            assert!(rule.len() < 4 || !error.message.contains(rule), "{error}");
        }
        assert!(Role { rules: Vec::new() }.validate().is_err());
    }
}
