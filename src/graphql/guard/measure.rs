//! The measure of a parsed document: every selection set visited once, fragments remembered and multiplied.

use super::super::presence;
use super::connections::PageSize;
use super::price::surcharge;
use crate::error::{Error, ErrorCode, Result};
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
    SelectionSet, VariableDefinition,
};
use async_graphql::{Name, Positioned, Variables};
use std::collections::HashMap;

/// What a selection set costs with its fragments expanded. All sums saturate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    pub complexity: u64,
    pub depth: u64,
    /// Selection sets within this one, those of fragments included.
    pub nesting: u64,
    pub aliases: u64,
    pub directives: u64,
    /// Fields, spreads and inline fragments.
    pub selections: u64,
    /// Fields at the top of this selection set.
    pub root_fields: u64,
    /// The deepest nesting of introspection's lists under `__schema` or `__type`.
    pub introspection_lists: u64,
    /// The same nesting, not yet known to be under one of them.
    lists: u64,
    /// Whether `__schema` or `__type` is asked for.
    pub introspects: bool,
    /// What fields cost that take more work than their number says.
    pub surcharge: u64,
    /// Whether the complexity hangs on variables.
    pub varies: bool,
}

/// One operation of a document, measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationMeasure {
    pub operation_name: Option<String>,
    pub operation_type: OperationType,
    pub cost: Cost,
    /// Selections that were looked at; the work that measuring took.
    pub visits: u64,
}

/// Fragments that spread each other more than this many levels deep are refused: it bounds the recursion.
const MAX_SPREAD_LEVELS: usize = 32;

impl Cost {
    fn add(&mut self, other: &Self) {
        self.complexity = self.complexity.saturating_add(other.complexity);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.selections = self.selections.saturating_add(other.selections);
        self.root_fields = self.root_fields.saturating_add(other.root_fields);
        self.surcharge = self.surcharge.saturating_add(other.surcharge);
        self.depth = self.depth.max(other.depth);
        self.nesting = self.nesting.max(other.nesting);
        self.lists = self.lists.max(other.lists);
        self.introspection_lists = self.introspection_lists.max(other.introspection_lists);
        self.introspects |= other.introspects;
        self.varies |= other.varies;
    }
}

/// Measures every operation.
///
/// # Errors
/// `BAD_USER_INPUT` for fragments that spread themselves, `QUERY_TOO_COMPLEX` for too long chains of fragments.
pub fn measure_document(
    document: &ExecutableDocument,
    variables: &Variables,
    page_size: PageSize,
) -> Result<Vec<OperationMeasure>> {
    document
        .operations
        .iter()
        .map(|(name, operation)| measure(document, name, &operation.node, variables, page_size))
        .collect()
}

/// Measures one operation with the request's variables.
///
/// # Errors
/// As [`measure_document`]; `BAD_USER_INPUT` if there is no such operation.
pub fn measure_operation(
    document: &ExecutableDocument,
    name: Option<&str>,
    variables: &Variables,
    page_size: PageSize,
) -> Result<OperationMeasure> {
    let found = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some((None, operation)),
        (DocumentOperations::Multiple(all), Some(name)) => {
            all.get_key_value(name).map(|(n, op)| (Some(n), op))
        }
        (DocumentOperations::Multiple(all), None) if all.len() == 1 => {
            all.iter().next().map(|(name, operation)| (Some(name), operation))
        }
        _ => None,
    };
    let (name, operation) = found.ok_or_else(no_such_operation)?;
    measure(document, name, &operation.node, variables, page_size)
}

pub(crate) fn no_such_operation() -> Error {
    Error::bad_input("operationName", "name one of the document's operations with 'operationName'")
}

fn measure(
    document: &ExecutableDocument,
    name: Option<&Name>,
    operation: &OperationDefinition,
    variables: &Variables,
    page_size: PageSize,
) -> Result<OperationMeasure> {
    let mut measuring = Measuring {
        document,
        definitions: &operation.variable_definitions,
        variables,
        page_size,
        fragments: HashMap::with_capacity(document.fragments.len()),
        visits: 0,
    };
    let mut cost = measuring.selection_set(&operation.selection_set.node, 0)?;
    let on_definitions: usize = operation.variable_definitions.iter().map(|d| d.node.directives.len()).sum();
    cost.directives = cost.directives.saturating_add((operation.directives.len() + on_definitions) as u64);
    Ok(OperationMeasure {
        operation_name: name.map(ToString::to_string),
        operation_type: operation.ty,
        cost,
        visits: measuring.visits,
    })
}

enum Fragment {
    /// Being measured: meeting it again means that it spreads itself.
    Open,
    Done(Cost),
}

struct Measuring<'a> {
    document: &'a ExecutableDocument,
    definitions: &'a [Positioned<VariableDefinition>],
    variables: &'a Variables,
    page_size: PageSize,
    fragments: HashMap<&'a Name, Fragment>,
    visits: u64,
}

impl<'a> Measuring<'a> {
    fn selection_set(&mut self, set: &'a SelectionSet, level: usize) -> Result<Cost> {
        let mut total = Cost::default();
        for selection in &set.items {
            self.visits += 1;
            let mut cost = match &selection.node {
                Selection::Field(field) => self.field(&field.node, level)?,
                Selection::InlineFragment(inline) => {
                    self.selection_set(&inline.node.selection_set.node, level)?
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, level)?,
            };
            cost.selections = cost.selections.saturating_add(1);
            let leaf = matches!(&selection.node, Selection::Field(field) if field.node.selection_set.node.items.is_empty());
            cost.nesting = if leaf { 0 } else { cost.nesting.saturating_add(1) };
            let directives = selection.node.directives().len() as u64;
            cost.directives = cost.directives.saturating_add(directives);
            total.add(&cost);
        }
        Ok(total)
    }

    fn field(&mut self, field: &'a Field, level: usize) -> Result<Cost> {
        // it is ours, and not the client's to pay for
        if presence::is_mark(field) {
            return Ok(Cost::default());
        }
        let mut cost = self.selection_set(&field.selection_set.node, level)?;
        if let Some(page) = (self.page_size)(field, self.definitions, self.variables) {
            cost.complexity = cost.complexity.saturating_mul(page.size);
            cost.varies |= page.varies;
        }
        match field.name.node.as_str() {
            "__schema" | "__type" => {
                cost.introspects = true;
                cost.introspection_lists = cost.introspection_lists.max(cost.lists);
            }
            "fields" | "interfaces" | "possibleTypes" | "inputFields" => {
                cost.lists = cost.lists.saturating_add(1)
            }
            _ => {}
        }
        cost.surcharge = cost.surcharge.saturating_add(surcharge(&field.name.node));
        cost.complexity = cost.complexity.saturating_add(1);
        cost.depth = cost.depth.saturating_add(1);
        cost.aliases = cost.aliases.saturating_add(u64::from(field.alias.is_some()));
        cost.root_fields = 1;
        Ok(cost)
    }

    fn fragment(&mut self, name: &'a Name, level: usize) -> Result<Cost> {
        match self.fragments.get(name) {
            Some(Fragment::Done(cost)) => return Ok(*cost),
            Some(Fragment::Open) => {
                return Err(Error::new(
                    ErrorCode::BadUserInput,
                    format!("the fragment '{name}' spreads itself: remove the cycle"),
                ));
            }
            None => {}
        }
        // an unknown fragment costs nothing here; validation names it
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Cost::default()) };
        if level >= MAX_SPREAD_LEVELS {
            return Err(Error::new(
                ErrorCode::QueryTooComplex,
                format!("fragments spread each other more than {MAX_SPREAD_LEVELS} levels deep"),
            ));
        }
        self.fragments.insert(name, Fragment::Open);
        let mut cost = self.selection_set(&fragment.node.selection_set.node, level + 1)?;
        cost.directives = cost.directives.saturating_add(fragment.node.directives.len() as u64);
        self.fragments.insert(name, Fragment::Done(cost));
        Ok(cost)
    }
}
