//! "Values of Correct Type": what is written out in a document is of the type of where it stands.
//!
//! async-graphql takes texts for enums and anything for an input object, any whole number for an `Int`, and does not look at values with
//! variables in them of operations that are not to run. Scalars that are not built in judge for themselves when it validates.

use super::super::definitions::{Input, Named, named};
use super::refusal;
use super::usages::Usage;
use super::way::Way;
use crate::error::{Error, Result};
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{BaseType, InputValueDefinition, Type};
use async_graphql::{Name, Pos};
use async_graphql_value::Value;

/// What is expected of a value.
#[derive(Clone, Copy, Default)]
pub struct Location<'t> {
    /// `None` where the schema expects nothing: inside a scalar, or behind a name that it does not know.
    pub kind: Option<&'t Type>,
    pub has_default: bool,
    /// The input object of which exactly one field is given.
    pub one_of: Option<&'t str>,
}

impl<'t> Location<'t> {
    /// An item of a list, or the default of a variable.
    pub fn of_type(kind: &'t Type) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// An argument.
    pub fn of_input(input: &'t InputValueDefinition) -> Self {
        Self { has_default: input.default_value.is_some(), ..Self::of_type(&input.ty.node) }
    }
}

/// A value that is given to something.
pub struct Given<'u, 'a> {
    /// The variables in it.
    pub usages: &'u mut Vec<Usage<'a>>,
    /// Where it begins.
    pub pos: Pos,
}

impl<'a> Given<'_, 'a> {
    /// Checks what is written out, and gathers the variables in it. The scan before the parser has bounded the nesting.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` naming the argument, and not the value, which may be secret.
    pub fn check(&mut self, value: &'a Value, location: Location<'a>, way: &Way<'_>) -> Result<()> {
        if let Value::Variable(name) = value {
            // where nothing is expected, the way may be long and is of no use
            let field = if location.kind.is_some() { way.field() } else { way.root().field() };
            self.usages.push(Usage { name, location, field, pos: self.pos });
            return Ok(());
        }
        let Some(kind) = location.kind else { return self.within(value, way) };
        match (value, &kind.base) {
            (Value::Null, _) if kind.nullable => Ok(()),
            (Value::Null, _) => self.refuse(way, "a value other than null"),
            (Value::List(items), BaseType::List(item)) => self.items(items, Location::of_type(item), way),
            // one value stands for a list of it
            (_, BaseType::List(item)) => self.check(value, Location::of_type(item), way),
            (_, BaseType::Named(name)) => self.named(value, name, way),
        }
    }

    /// What is inside a value of which nothing is expected.
    fn within(&mut self, value: &'a Value, way: &Way<'_>) -> Result<()> {
        match value {
            Value::List(items) => self.items(items, Location::default(), way),
            Value::Object(fields) => fields
                .iter()
                .try_for_each(|(name, value)| self.check(value, Location::default(), &Way::Field(way, name))),
            _ => Ok(()),
        }
    }

    fn items(&mut self, items: &'a [Value], location: Location<'a>, way: &Way<'_>) -> Result<()> {
        let mut items = items.iter().enumerate();
        items.try_for_each(|(index, item)| self.check(item, location, &Way::Item(way, index)))
    }

    /// The value is not null.
    fn named(&mut self, value: &'a Value, kind: &str, way: &Way<'_>) -> Result<()> {
        match named(kind) {
            Some(Named::Input(input)) => {
                let Value::Object(given) = value else { return self.refuse(way, "an object") };
                self.object(given, kind, input, way)
            }
            Some(Named::Enum(values)) => match value {
                Value::Enum(name) if values.contains(name.as_str()) => Ok(()),
                Value::Enum(_) => self.refuse(way, &format!("one of the values of the enum \"{kind}\"")),
                _ => self.refuse(way, &format!("a value of the enum \"{kind}\", without quotation marks")),
            },
            _ => match built_in(value, kind) {
                Some(wanted) => self.refuse(way, wanted),
                None => self.within(value, way),
            },
        }
    }

    fn object(
        &mut self,
        given: &'a IndexMap<Name, Value>,
        kind: &str,
        input: &'static Input,
        way: &Way<'_>,
    ) -> Result<()> {
        for (name, value) in given {
            let way = Way::Field(way, name);
            let Some(field) = input.fields.get(name.as_str()) else {
                let message =
                    format!("{} is not defined by the type \"{kind}\": leave it out", way.subject());
                return Err(self.refusal(&way, message));
            };
            let one_of = input.one_of.then_some(input.name);
            self.check(value, Location { one_of, ..Location::of_input(field) }, &way)?;
        }
        if input.one_of && (given.len() != 1 || given.values().any(|value| *value == Value::Null)) {
            return self.refuse(way, "an object with exactly one of its fields, which is not null");
        }
        let mut fields = input.fields.iter();
        let lacking = fields.find(|(name, field)| {
            !field.ty.node.nullable && field.default_value.is_none() && !given.contains_key(**name)
        });
        let Some((name, field)) = lacking else { return Ok(()) };
        let name = Name::new(name);
        let way = Way::Field(way, &name);
        let message =
            format!("{} of the type \"{}\" is required but not given: give it", way.subject(), field.ty.node);
        Err(self.refusal(&way, message))
    }

    fn refuse(&self, way: &Way<'_>, wanted: &str) -> Result<()> {
        let message = format!("{} must hold {wanted}: correct it in the query", way.subject());
        Err(self.refusal(way, message))
    }

    fn refusal(&self, way: &Way<'_>, message: String) -> Error {
        let refusal = refusal(message, [self.pos]);
        match way.field() {
            Some(field) => refusal.at_field(field),
            None => refusal,
        }
    }
}

/// What a built-in scalar wants, if a value is not that.
fn built_in(value: &Value, kind: &str) -> Option<&'static str> {
    let (fits, wanted) = match kind {
        "Int" => (
            matches!(value, Value::Number(number) if number.as_i64().is_some_and(|it| i32::try_from(it).is_ok())),
            "a whole number of 32 bits",
        ),
        "Float" => (matches!(value, Value::Number(_)), "a number"),
        "String" => (matches!(value, Value::String(_)), "a string in quotation marks"),
        "Boolean" => (matches!(value, Value::Boolean(_)), "true or false"),
        "ID" => (
            matches!(value, Value::Number(number) if !number.is_f64()) || matches!(value, Value::String(_)),
            "a string in quotation marks, or a whole number",
        ),
        _ => return None,
    };
    (!fits).then_some(wanted)
}
