//! "Field Selection Merging": what answers under one name is one thing.
//!
//! The specification compares each two fields. Here they are compared with the first of those that must agree, and what is selected below
//! them is looked at together, so that each selection, with fragments expanded, is visited once for each of the two parts of the rule. The
//! measure bounds how many those are.

use super::super::definitions::{Composite, Field as Defined, Named, composite, innermost, named, root};
use super::refusal;
use crate::error::{Error, Result};
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, FragmentDefinition, Selection, SelectionSet, Type,
};
use async_graphql::{Name, Positioned};
use std::collections::{HashMap, HashSet};

/// # Errors
/// `BAD_USER_INPUT` for fields of one name in the answer that cannot both stand there.
pub fn check(document: &ExecutableDocument) -> Result<()> {
    let mut shapes = Shapes { fragments: &document.fragments, compared: HashMap::new() };
    for (_, operation) in document.operations.iter() {
        let sets = || vec![(composite(root(operation.node.ty)), &operation.node.selection_set.node)];
        shapes.check(sets(), Part::Shape)?;
        shapes.check(sets(), Part::Merging)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Part {
    /// "SameResponseShape": whatever object is answered, the types are alike.
    Shape,
    /// "FieldsInSetCanMerge": of one object, the fields are the same with the same arguments.
    Merging,
}

/// The type that something is selected of; `None` if the schema does not know it.
type Parent = Option<&'static Composite>;

#[derive(Clone, Copy)]
struct Selected<'a> {
    parent: Parent,
    field: &'a Positioned<Field>,
    defined: Option<&'static Defined>,
}

struct Shapes<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    /// Whether the arguments of two fields, by their addresses, are the same: they may meet often, and be long.
    compared: HashMap<(usize, usize), bool>,
}

type Groups<'a> = IndexMap<&'a str, Vec<Selected<'a>>>;

impl<'a> Shapes<'a> {
    /// Checks selection sets that make one object of the answer. The measure has bounded the nesting.
    fn check(&mut self, sets: Vec<(Parent, &'a SelectionSet)>, part: Part) -> Result<()> {
        let (mut groups, mut spread) = (Groups::new(), HashSet::new());
        for (parent, set) in sets {
            self.collect(parent, set, &mut groups, &mut spread);
        }
        for group in groups.into_values() {
            for class in part.classes(group) {
                for other in class.iter().skip(1).filter(|other| !std::ptr::eq(other.field, class[0].field)) {
                    self.compare(&class[0], other, part)?;
                }
                let below = class.iter().filter(|it| !it.field.node.selection_set.node.items.is_empty());
                let below: Vec<_> = below.map(Selected::below).collect();
                if !below.is_empty() {
                    self.check(below, part)?;
                }
            }
        }
        Ok(())
    }

    /// Fields by their names in the answer. A fragment has the same in it wherever it is spread.
    fn collect(
        &self,
        parent: Parent,
        set: &'a SelectionSet,
        groups: &mut Groups<'a>,
        spread: &mut HashSet<&'a Name>,
    ) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let defined = parent.and_then(|parent| parent.field(&field.node.name.node));
                    let group = groups.entry(field.node.response_key().node.as_str()).or_default();
                    group.push(Selected { parent, field, defined });
                }
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let inside = condition.map_or(parent, |condition| composite(&condition.node.on.node));
                    self.collect(inside, &inline.node.selection_set.node, groups, spread);
                }
                Selection::FragmentSpread(at) => {
                    let name = &at.node.fragment_name.node;
                    let Some(fragment) = self.fragments.get(name).filter(|_| spread.insert(name)) else {
                        continue;
                    };
                    let inside = composite(&fragment.node.type_condition.node.on.node);
                    self.collect(inside, &fragment.node.selection_set.node, groups, spread);
                }
            }
        }
    }

    fn compare(&mut self, one: &Selected<'a>, other: &Selected<'a>, part: Part) -> Result<()> {
        let (first, second) = (&one.field.node, &other.field.node);
        match part {
            Part::Shape => match (one.defined, other.defined) {
                (Some(a), Some(b)) if !alike(a.kind, b.kind) => {
                    let reason = format!("they return conflicting types \"{}\" and \"{}\"", a.kind, b.kind);
                    Err(conflict(one, other, &reason))
                }
                _ => Ok(()),
            },
            Part::Merging if first.name.node != second.name.node => {
                let reason =
                    format!("\"{}\" and \"{}\" are different fields", first.name.node, second.name.node);
                Err(conflict(one, other, &reason))
            }
            Part::Merging if !self.same_arguments(first, second) => {
                Err(conflict(one, other, "they have differing arguments"))
            }
            Part::Merging => Ok(()),
        }
    }

    fn same_arguments(&mut self, one: &Field, other: &Field) -> bool {
        if one.arguments.is_empty() || one.arguments.len() != other.arguments.len() {
            return one.arguments.len() == other.arguments.len();
        }
        let addresses = (std::ptr::from_ref(one).addr(), std::ptr::from_ref(other).addr());
        *self.compared.entry(addresses).or_insert_with(|| {
            let values: HashMap<_, _> =
                other.arguments.iter().map(|(name, value)| (&name.node, &value.node)).collect();
            one.arguments.iter().all(|(name, value)| values.get(&name.node) == Some(&&value.node))
        })
    }
}

impl Part {
    /// Divides what answers under one name into what must agree with each other.
    ///
    /// What is selected of an interface may be of any object, and must agree with all. Below that the specification has the objects apart
    /// again; no interface of the schema has fields with something below them, which a test watches over.
    fn classes(self, group: Vec<Selected<'_>>) -> Vec<Vec<Selected<'_>>> {
        let of_object = |selected: &Selected| selected.parent.is_none_or(|parent| parent.object);
        if matches!(self, Self::Shape) || !group.iter().all(of_object) {
            return vec![group];
        }
        let mut classes: IndexMap<Option<&str>, Vec<_>> = IndexMap::new();
        for selected in group {
            classes.entry(selected.parent.map(|parent| parent.name)).or_default().push(selected);
        }
        classes.into_values().collect()
    }
}

impl<'a> Selected<'a> {
    fn below(&self) -> (Parent, &'a SelectionSet) {
        let parent = self.defined.and_then(|defined| composite(innermost(defined.kind)));
        (parent, &self.field.node.selection_set.node)
    }
}

/// Whether two types make the same shape of an answer: the same lists and nulls around the same leaves, or around objects.
fn alike(one: &Type, other: &Type) -> bool {
    one.nullable == other.nullable
        && match (&one.base, &other.base) {
            (BaseType::List(one), BaseType::List(other)) => alike(one, other),
            (BaseType::Named(one), BaseType::Named(other)) => {
                one == other || (has_fields(one) && has_fields(other))
            }
            _ => false,
        }
}

fn has_fields(kind: &str) -> bool {
    matches!(named(kind), Some(Named::Composite(_)))
}

fn conflict(one: &Selected, other: &Selected, reason: &str) -> Error {
    let key = &one.field.node.response_key().node;
    let message = format!(
        "Fields \"{key}\" conflict because {reason}: use different aliases on the fields to fetch both if this was intentional"
    );
    refusal(message, [one.field.pos, other.field.pos])
}
