//! "All Variable Usages Are Allowed": a variable stands only where every value of its type may. It is defined once, and used.

use super::refusal;
use super::scope::Scope;
use super::values::Location;
use crate::error::{Error, Result};
use async_graphql::parser::types::{BaseType, OperationDefinition, Type, VariableDefinition};
use async_graphql::{Name, Pos, Positioned, Value};
use std::collections::{HashMap, HashSet};

/// A variable where it is used.
pub struct Usage<'a> {
    pub name: &'a Name,
    pub location: Location<'a>,
    /// The argument and the way into it; `None` in directives.
    pub field: Option<String>,
    pub pos: Pos,
}

impl<'a> Usage<'a> {
    /// What is the same for usages that are judged alike.
    pub fn kind_of_usage(&self) -> (&'a Name, usize, bool, bool) {
        let kind = self.location.kind.map_or(0, |kind| std::ptr::from_ref(kind).addr());
        (self.name, kind, self.location.has_default, self.location.one_of.is_some())
    }
}

/// Checks what an operation and the fragments that it reaches use. Those fragments are added to `reached`.
///
/// # Errors
/// `BAD_USER_INPUT` naming the variable, and the two types if they do not fit.
pub fn check<'a>(
    name: Option<&Name>,
    operation: &'a OperationDefinition,
    scope: &Scope<'a>,
    fragments: &HashMap<&'a Name, Scope<'a>>,
    reached: &mut HashSet<&'a Name>,
) -> Result<()> {
    let mut definitions: HashMap<&Name, (&Positioned<VariableDefinition>, bool)> = HashMap::new();
    for definition in &operation.variable_definitions {
        let variable = &definition.node.name.node;
        if definitions.insert(variable, (definition, false)).is_some() {
            let message = format!("There can be only one variable named \"${variable}\"");
            return Err(refusal(message, [definition.pos]));
        }
    }
    let mut here: HashSet<&'a Name> = HashSet::new();
    let mut scopes = vec![scope];
    while let Some(scope) = scopes.pop() {
        for usage in &scope.usages {
            let Some((definition, used)) = definitions.get_mut(usage.name) else {
                return Err(undefined(name, usage));
            };
            *used = true;
            allowed(definition, usage)?;
        }
        let spreads = scope.spreads.iter().filter(|name| here.insert(name));
        scopes.extend(spreads.filter_map(|name| fragments.get(name)));
    }
    reached.extend(here);
    // settled variables are not async-graphql's to look for
    match definitions.into_values().find(|(_, used)| !used) {
        Some((unused, _)) => {
            let message = format!("Variable \"${}\" is never used: leave it out", unused.node.name.node);
            Err(refusal(message, [unused.pos]))
        }
        None => Ok(()),
    }
}

fn undefined(operation: Option<&Name>, usage: &Usage) -> Error {
    let by = operation.map_or_else(String::new, |name| format!(" by operation \"{name}\""));
    let message = format!("Variable \"${}\" is not defined{by}: declare it with its type", usage.name);
    at(refusal(message, [usage.pos]), usage)
}

fn allowed(definition: &Positioned<VariableDefinition>, usage: &Usage) -> Result<()> {
    let Some(wanted) = usage.location.kind else { return Ok(()) };
    let declared = &definition.node.var_type.node;
    let null_is_kept_away = || {
        let default = definition.node.default_value.as_ref();
        default.is_some_and(|default| default.node != Value::Null) || usage.location.has_default
    };
    let may_be_null = wanted.nullable && usage.location.one_of.is_none();
    if (may_be_null || !declared.nullable || null_is_kept_away()) && fits(&declared.base, &wanted.base) {
        return Ok(());
    }
    let variable = usage.name;
    let message = match usage.location.one_of.filter(|_| fits(&declared.base, &wanted.base)) {
        Some(object) => format!(
            "Variable \"${variable}\" is of type \"{declared}\" but must be non-nullable to be used for OneOf Input Object \"{object}\": \
             declare it as \"{declared}!\""
        ),
        None => format!(
            "Variable \"${variable}\" of type \"{declared}\" used in position expecting type \"{wanted}\": \
             declare it with that type"
        ),
    };
    Err(at(refusal(message, [definition.pos, usage.pos]), usage))
}

fn at(error: Error, usage: &Usage) -> Error {
    let field = usage.field.clone().unwrap_or_else(|| format!("variables.{}", usage.name));
    error.at_field(field)
}

/// "Are Types Compatible", but for null at the outermost.
fn fits(declared: &BaseType, wanted: &BaseType) -> bool {
    match (declared, wanted) {
        (BaseType::Named(declared), BaseType::Named(wanted)) => declared == wanted,
        (BaseType::List(declared), BaseType::List(wanted)) => {
            let Type { base, nullable } = &**declared;
            (wanted.nullable || !nullable) && fits(base, &wanted.base)
        }
        _ => false,
    }
}
