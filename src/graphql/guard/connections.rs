//! Which fields are connections, and how many elements a request asks of them.

use async_graphql::parser::types::{Field, VariableDefinition};
use async_graphql::{Name, Positioned, Value, Variables};

/// How many elements a field hands out at most; `None` for fields that are no lists. Also says whether that hangs on the
/// request's variables.
pub type PageSize = fn(&Field, &[Positioned<VariableDefinition>], &Variables) -> Option<Page>;

/// The answer of a [`PageSize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub size: u64,
    pub varies: bool,
}

/// Elements on a page when the request does not say.
const DEFAULT_PAGE: u64 = 50;
/// The service refuses larger pages with a better sentence than the guard could.
const LARGEST_PAGE: u64 = 100;
/// Fields that are connections even when they are asked for without `first` and `last`.
const CONNECTIONS: [&str; 14] = [
    "auditEvents",
    "authorities",
    "certificateRoles",
    "certificates",
    "engines",
    "enrollments",
    "intermediateCaRequests",
    "leases",
    "policies",
    "roles",
    "secretIds",
    "secrets",
    "tokens",
    "versions",
];

/// The page size of a field of our schema: the larger of `first` and `last`, from literals, variables or their defaults.
#[must_use]
pub fn connection_page_size(
    field: &Field,
    definitions: &[Positioned<VariableDefinition>],
    variables: &Variables,
) -> Option<Page> {
    let mut page: Option<Page> = None;
    for (name, value) in &field.arguments {
        if name.node != "first" && name.node != "last" {
            continue;
        }
        let mut varies = false;
        let resolved = value.node.clone().into_const_with(|variable| {
            varies = true;
            of_variable(&variable, definitions, variables).cloned().ok_or(())
        });
        let size = match resolved {
            Ok(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        let so_far = page.unwrap_or(Page { size: 0, varies: false });
        page = Some(Page { size: so_far.size.max(size.unwrap_or(0)), varies: so_far.varies || varies });
    }
    let known = is_connection(&field.name.node);
    let mut page = page.or(known.then_some(Page { size: 0, varies: false }))?;
    if page.size == 0 {
        page.size = DEFAULT_PAGE;
    }
    page.size = page.size.min(LARGEST_PAGE);
    Some(page)
}

/// Whether a field of this name is a connection.
#[must_use]
pub fn is_connection(name: &str) -> bool {
    CONNECTIONS.binary_search(&name).is_ok()
}

fn of_variable<'a>(
    name: &Name,
    definitions: &'a [Positioned<VariableDefinition>],
    variables: &'a Variables,
) -> Option<&'a Value> {
    variables.get(name).or_else(|| {
        let definition = definitions.iter().find(|d| d.node.name.node == *name)?;
        definition.node.default_value.as_ref().map(|value| &value.node)
    })
}
