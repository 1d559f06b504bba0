//! Whether a value is of its variable's type, as far as async-graphql's validation does not see to it: it takes anything for an input
//! object, and any whole number for an `Int`, and fails at both while others of the request have run.

use super::super::definitions::{Inputs, input};
use async_graphql::Value;
use async_graphql::parser::types::{BaseType, Type};

/// A value that is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The way to it inside the variable, such as `.policies[0]`.
    inside: String,
    pub wanted: &'static str,
}

impl Mismatch {
    fn new(wanted: &'static str) -> Self {
        Self { inside: String::new(), wanted }
    }

    fn below(self, step: &str) -> Self {
        Self { inside: format!("{step}{}", self.inside), ..self }
    }

    /// Where it is, in something that the variable's value stands in.
    pub fn within(&self, outer: &str) -> String {
        format!("{outer}{}", self.inside)
    }
}

/// Types that the schema does not know are its own to refuse. The variables' depth is bounded when they are read.
pub fn check(value: &Value, kind: &Type) -> Result<(), Mismatch> {
    if *value == Value::Null {
        return if kind.nullable { Ok(()) } else { Err(Mismatch::new("a value other than null")) };
    }
    match (&kind.base, value) {
        (BaseType::List(inner), Value::List(items)) => {
            for (index, item) in items.iter().enumerate() {
                check(item, inner).map_err(|mismatch| mismatch.below(&format!("[{index}]")))?;
            }
            Ok(())
        }
        // one value stands for a list of it
        (BaseType::List(inner), value) => check(value, inner),
        (BaseType::Named(name), Value::Number(number)) if name.as_str() == "Int" => {
            match number.as_i64().map(i32::try_from) {
                Some(Ok(_)) => Ok(()),
                _ => Err(Mismatch::new("a whole number of 32 bits")),
            }
        }
        (BaseType::Named(name), value) => input(name).map_or(Ok(()), |input| object(value, &input.fields)),
    }
}

fn object(value: &Value, fields: &Inputs) -> Result<(), Mismatch> {
    let Value::Object(given) = value else { return Err(Mismatch::new("an object")) };
    for (name, value) in given {
        if let Some(field) = fields.get(name.as_str()) {
            check(value, &field.ty.node).map_err(|mismatch| mismatch.below(&format!(".{name}")))?;
        }
    }
    Ok(())
}
