//! The variables of a request, looked at as text before a tree is built of them: each value takes far more memory in a tree
//! than the two bytes that it may take as text.

use crate::error::{Error, Result};
use async_graphql::Variables;

/// What variables may be. Every number is a largest value that is still allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariableLimits {
    pub max_variables: usize,
    /// Bytes of their JSON.
    pub max_bytes: usize,
    /// Values and keys in all of them together.
    pub max_values: usize,
    /// Elements of one list.
    pub max_list_length: usize,
    /// Lists and objects within each other, the object of the variables itself included.
    pub max_depth: usize,
}

/// The parser itself ends at 128.
pub const DEEPEST: usize = 120;

impl Default for VariableLimits {
    fn default() -> Self {
        Self {
            max_variables: 100,
            max_bytes: 8 * 1024 * 1024,
            max_values: 100_000,
            max_list_length: 10_000,
            max_depth: DEEPEST,
        }
    }
}

/// A list or an object that has begun.
struct Open {
    list: bool,
    members: usize,
}

impl VariableLimits {
    /// The variables of a JSON text; none for an empty one or `null`.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `variables`; its sentence never repeats what was sent.
    pub fn parse(&self, json: &str) -> Result<Variables> {
        let trimmed = json.trim_ascii();
        if trimmed.is_empty() || trimmed == "null" {
            return Ok(Variables::default());
        }
        if !trimmed.starts_with('{') {
            return Err(no_object());
        }
        self.scan(json.as_bytes())?;
        serde_json::from_str(json).map_err(|_| no_object())
    }

    /// Counts outside strings, without parsing. Valid JSON is counted exactly enough; what is not valid the parser refuses at the
    /// first fault, so it builds no more than was counted up to there.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` naming the limit.
    pub fn scan(&self, json: &[u8]) -> Result<()> {
        within(json.len(), self.max_bytes, "bytes of JSON")?;
        let mut open: Vec<Open> = Vec::new();
        let (mut values, mut in_string, mut at) = (0_usize, false, 0);
        while let Some(&byte) = json.get(at) {
            match (in_string, byte) {
                (true, b'\\') => at += 1,
                (_, b'"') => in_string = !in_string,
                (false, b'[' | b'{') => {
                    values += 1;
                    open.push(Open { list: byte == b'[', members: 1 });
                    within(open.len(), self.max_depth, "levels of lists and objects")?;
                }
                (false, b']' | b'}') => drop(open.pop()),
                (false, b',') => {
                    values += 1;
                    let depth = open.len();
                    if let Some(innermost) = open.last_mut() {
                        innermost.members += 1;
                        self.members(innermost, depth)?;
                    }
                }
                (false, b':') => values += 1,
                _ => {}
            }
            at += 1;
        }
        within(values, self.max_values, "values: send larger data as a text")
    }

    fn members(&self, innermost: &Open, depth: usize) -> Result<()> {
        if innermost.list {
            within(innermost.members, self.max_list_length, "elements in one list")
        } else if depth == 1 {
            within(innermost.members, self.max_variables, "variables")
        } else {
            Ok(())
        }
    }
}

fn within(value: usize, limit: usize, what: &str) -> Result<()> {
    if value <= limit {
        return Ok(());
    }
    Err(Error::bad_input("variables", format!("the variables hold more than {limit} {what}")))
}

fn no_object() -> Error {
    Error::bad_input("variables", "'variables' must be a JSON object")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(limits: &VariableLimits, json: &str, words: &str) {
        let error = limits.parse(json).err().unwrap();
        assert!(error.message().contains(words), "{error}");
        assert_eq!(error.field(), Some("variables"));
    }

    #[test]
    fn every_limit_is_held_and_the_last_value_passes() {
        let small = VariableLimits {
            max_variables: 3,
            max_bytes: 200,
            max_values: 30,
            max_list_length: 5,
            max_depth: 4,
        };
        assert_eq!(small.parse(r#"{"a":1,"b":[1,2,3,4,5],"c":{"x":{"y":[]}}}"#).unwrap().len(), 3);
        refused(&small, r#"{"a":1,"b":2,"c":3,"d":4}"#, "3 variables");
        refused(&small, r#"{"b":[1,2,3,4,5,6]}"#, "5 elements");
        refused(&small, r#"{"a":[[[[1]]]]}"#, "4 levels");
        refused(&small, &format!(r#"{{"a":"{}"}}"#, "x".repeat(200)), "200 bytes");
        refused(&small, &format!(r#"{{"a":{{{}"z":1}}}}"#, r#""y":1,"#.repeat(15)), "30 values");
    }

    #[test]
    fn what_is_in_strings_does_not_count() {
        let limits =
            VariableLimits { max_values: 5, max_list_length: 1, max_depth: 1, ..VariableLimits::default() };
        assert!(limits.parse(&format!("{{\"x\":\"{}\"}}", r#",:[{\"\\"#.repeat(100))).is_ok());
    }

    #[test]
    fn only_objects_are_variables() {
        let limits = VariableLimits::default();
        assert!(limits.parse(" null ").unwrap().is_empty() && limits.parse("").unwrap().is_empty());
        for json in ["1", "[]", "\"s3cret\"", "{", "{\"a\":s3cret}", "{} {}"] {
            let error = limits.parse(json).err().unwrap();
            assert!(error.message().ends_with("must be a JSON object"), "{error}");
        }
        // far deeper than the parser itself would go
        let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        refused(&limits, &deep, "levels");
    }
}
