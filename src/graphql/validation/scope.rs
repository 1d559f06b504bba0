//! One walk through an operation or a fragment, not into the fragments that it spreads: it checks the values that are written out, and
//! gathers the variables that are used.

use super::super::definitions::{Composite, Inputs, composite, directive, innermost, root};
use super::places;
use super::usages::Usage;
use super::values::{Given, Location};
use super::way::Way;
use crate::error::Result;
use async_graphql::parser::types::{
    Directive, Field, FragmentDefinition, OperationDefinition, Selection, SelectionSet, TypeCondition,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;
use std::collections::HashSet;

/// What an operation or a fragment has in it.
#[derive(Default)]
pub struct Scope<'a> {
    pub usages: Vec<Usage<'a>>,
    pub spreads: HashSet<&'a Name>,
    /// What usages are there already: one of each kind is enough.
    seen: HashSet<(&'a Name, usize, bool, bool)>,
}

type Parent = Option<&'static Composite>;

impl<'a> Scope<'a> {
    /// # Errors
    /// `BAD_USER_INPUT` for a value of another type than where it stands.
    pub fn of_operation(operation: &'a OperationDefinition) -> Result<Self> {
        let mut scope = Self::default();
        for definition in &operation.variable_definitions {
            let definition = &definition.node;
            let Some(default) = &definition.default_value else { continue };
            let value = default.node.clone().into_value();
            let way = Way::Default(&definition.name.node);
            // there are no variables in it
            let mut given = Given { usages: &mut Vec::new(), pos: default.pos };
            given.check(&value, Location::of_type(&definition.var_type.node), &way)?;
        }
        scope.directives(&operation.directives)?;
        scope.set(&operation.selection_set.node, composite(root(operation.ty)))?;
        Ok(scope)
    }

    /// # Errors
    /// As [`Self::of_operation`].
    pub fn of_fragment(fragment: &'a FragmentDefinition) -> Result<Self> {
        let mut scope = Self::default();
        scope.directives(&fragment.directives)?;
        scope.set(&fragment.selection_set.node, of(&fragment.type_condition))?;
        Ok(scope)
    }

    /// The scan before the parser has bounded the nesting.
    fn set(&mut self, set: &'a SelectionSet, parent: Parent) -> Result<()> {
        for selection in &set.items {
            self.directives(selection.node.directives())?;
            match &selection.node {
                Selection::Field(field) => self.field(field, parent)?,
                Selection::InlineFragment(inline) => {
                    let inside = inline.node.type_condition.as_ref().map_or(parent, of);
                    self.set(&inline.node.selection_set.node, inside)?;
                }
                Selection::FragmentSpread(spread) => {
                    self.spreads.insert(&spread.node.fragment_name.node);
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &'a Positioned<Field>, parent: Parent) -> Result<()> {
        let name = field.node.name.node.as_str();
        if name == "__typename" {
            places::typename(field)?;
        }
        let known = parent.and_then(|parent| parent.field(name));
        self.arguments(&field.node.arguments, known.map(|field| &field.arguments), true)?;
        let below = known.and_then(|field| composite(innermost(field.kind)));
        self.set(&field.node.selection_set.node, below)
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) -> Result<()> {
        directives
            .iter()
            .try_for_each(|used| self.arguments(&used.node.arguments, directive(&used.node.name.node), false))
    }

    /// What the schema does not know is async-graphql's to refuse; its variables are used nevertheless.
    fn arguments(
        &mut self,
        arguments: &'a [(Positioned<Name>, Positioned<Value>)],
        known: Option<&'static Inputs>,
        of_field: bool,
    ) -> Result<()> {
        for (name, value) in arguments {
            let input = known.and_then(|known| known.get(name.node.as_str()));
            let location = input.map_or(Location::default(), |input| Location::of_input(input));
            let way = if of_field { Way::Argument(&name.node) } else { Way::Directive(&name.node) };
            let mut usages = Vec::new();
            Given { usages: &mut usages, pos: value.pos }.check(&value.node, location, &way)?;
            self.usages.extend(usages.into_iter().filter(|usage| self.seen.insert(usage.kind_of_usage())));
        }
        Ok(())
    }
}

fn of(condition: &Positioned<TypeCondition>) -> Parent {
    composite(&condition.node.on.node)
}
