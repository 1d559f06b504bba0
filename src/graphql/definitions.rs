//! What the text of the schema defines, and where in a document an operation stands.

use super::sdl;
use async_graphql::Positioned;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, DirectiveDefinition, DocumentOperations, ExecutableDocument, FieldDefinition,
    InputValueDefinition, OperationDefinition, OperationType, Type, TypeDefinition, TypeKind,
    TypeSystemDefinition,
};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// The text is made by this program, and a test parses it.
static SCHEMA: LazyLock<Parsed> = LazyLock::new(|| parse(&sdl()));

/// What the specification adds to every schema ("Schema Introspection"), as async-graphql has it; its text does not have it. The fields
/// of `__Meta` are those that stand in other types.
static INTROSPECTION: LazyLock<Parsed> = LazyLock::new(|| parse(include_str!("introspection.graphql")));

const META: &str = "__Meta";

const BUILT_IN: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

struct Parsed {
    types: Vec<TypeDefinition>,
    directives: Vec<DirectiveDefinition>,
}

fn parse(text: &str) -> Parsed {
    let definitions = parse_schema(text).map(|schema| schema.definitions).unwrap_or_default();
    let (mut types, mut directives) = (Vec::new(), Vec::new());
    for definition in definitions {
        match definition {
            TypeSystemDefinition::Type(definition) => types.push(definition.node),
            TypeSystemDefinition::Directive(definition) => directives.push(definition.node),
            TypeSystemDefinition::Schema(_) => {}
        }
    }
    Parsed { types, directives }
}

/// Every type of the schema, without the built-in scalars and the types of introspection.
pub fn defined_types() -> &'static [TypeDefinition] {
    &SCHEMA.types
}

/// What a name stands for in the schema.
pub enum Named {
    /// Of any kind, whether built in or not.
    Scalar,
    Enum(HashSet<&'static str>),
    Input(Input),
    Composite(Composite),
}

/// An input object.
pub struct Input {
    pub name: &'static str,
    pub one_of: bool,
    pub fields: Inputs,
}

/// Arguments, or the fields of an input object, by name.
pub type Inputs = HashMap<&'static str, &'static InputValueDefinition>;

/// What has fields to select: an object, an interface or a union.
pub struct Composite {
    pub name: &'static str,
    /// Whether it is an object, and nothing that stands for several.
    pub object: bool,
    fields: HashMap<&'static str, Field>,
}

/// A field of the schema.
pub struct Field {
    pub kind: &'static Type,
    pub arguments: Inputs,
}

static NAMED: LazyLock<HashMap<&str, Named>> = LazyLock::new(|| {
    let defined = SCHEMA.types.iter().chain(&INTROSPECTION.types);
    let defined = defined.map(|definition| {
        let name = definition.name.node.as_str();
        (name, described(name, definition))
    });
    defined.chain(BUILT_IN.map(|name| (name, Named::Scalar))).collect()
});

static DIRECTIVES: LazyLock<HashMap<&str, Inputs>> = LazyLock::new(|| {
    let directives = SCHEMA.directives.iter();
    directives.map(|directive| (directive.name.node.as_str(), by_name(&directive.arguments))).collect()
});

fn described(name: &'static str, definition: &'static TypeDefinition) -> Named {
    let composite = |object, fields: &'static [Positioned<FieldDefinition>]| {
        let field = |field: &'static FieldDefinition| Field {
            kind: &field.ty.node,
            arguments: by_name(&field.arguments),
        };
        let fields = fields.iter().map(|it| (it.node.name.node.as_str(), field(&it.node))).collect();
        Named::Composite(Composite { name, object, fields })
    };
    match &definition.kind {
        TypeKind::Scalar => Named::Scalar,
        TypeKind::Object(object) => composite(true, &object.fields),
        TypeKind::Interface(interface) => composite(false, &interface.fields),
        TypeKind::Union(_) => composite(false, &[]),
        TypeKind::Enum(kind) => {
            Named::Enum(kind.values.iter().map(|value| value.node.value.node.as_str()).collect())
        }
        TypeKind::InputObject(object) => {
            let one_of = definition.directives.iter().any(|directive| directive.node.name.node == "oneOf");
            Named::Input(Input { name, one_of, fields: by_name(&object.fields) })
        }
    }
}

fn by_name(inputs: &'static [Positioned<InputValueDefinition>]) -> Inputs {
    inputs.iter().map(|input| (input.node.name.node.as_str(), &input.node)).collect()
}

/// The type of this name, the built-in scalars and the types of introspection included.
pub fn named(name: &str) -> Option<&'static Named> {
    NAMED.get(name)
}

/// The type of this name, if it has fields to select.
pub fn composite(name: &str) -> Option<&'static Composite> {
    match named(name)? {
        Named::Composite(composite) => Some(composite),
        _ => None,
    }
}

/// The input object of this name.
pub fn input(name: &str) -> Option<&'static Input> {
    match named(name)? {
        Named::Input(input) => Some(input),
        _ => None,
    }
}

/// The arguments of a directive that may stand in a document.
pub fn directive(name: &str) -> Option<&'static Inputs> {
    DIRECTIVES.get(name)
}

impl Composite {
    /// A field, those of introspection included.
    pub fn field(&'static self, name: &str) -> Option<&'static Field> {
        let meta =
            name == "__typename" || (name.starts_with("__") && self.name == root(OperationType::Query));
        let owner = if meta { composite(META)? } else { self };
        owner.fields.get(name)
    }
}

/// The type at the root of operations of a kind.
pub fn root(kind: OperationType) -> &'static str {
    match kind {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    }
}

/// The name inside a type, without lists.
pub fn innermost(mut kind: &Type) -> &str {
    loop {
        match &kind.base {
            BaseType::Named(name) => return name.as_str(),
            BaseType::List(item) => kind = item,
        }
    }
}

/// The operation of a document that runs: the one of this name, or without a name the first.
pub fn chosen<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a OperationDefinition> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => operation,
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name)?,
        (DocumentOperations::Multiple(all), None) => all.values().next()?,
    };
    Some(&operation.node)
}

/// All operations of a document, to be changed.
pub fn operations_mut(document: &mut ExecutableDocument) -> Vec<&mut OperationDefinition> {
    let operations: Vec<&mut Positioned<OperationDefinition>> = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(all) => all.values_mut().collect(),
    };
    operations.into_iter().map(|operation| &mut operation.node).collect()
}
