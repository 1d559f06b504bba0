//! Pages: one Relay connection for every list that can grow.

use crate::service::paging::{Connection, PageRequest};
use async_graphql::{Context, Object, OutputType, SimpleObject, TypeName};
use std::borrow::Cow;

/// How many a page holds if the client does not say.
pub const DEFAULT_PAGE: i32 = 50;

/// One page of a list: the `SecretConnection` of the type `Secret`, and so on.
pub struct Page<T> {
    edges: Vec<Edge<T>>,
    has_next_page: bool,
    has_previous_page: bool,
    start_cursor: Option<String>,
    end_cursor: Option<String>,
}

/// One entry of a page.
pub struct Edge<T> {
    cursor: String,
    node: T,
}

/// Where a page stands in its list.
#[derive(SimpleObject)]
pub struct PageInfo {
    /// Whether there is more after this page: ask for it with `after: endCursor`. A search through very many entries ends
    /// early with a page that is not full, or even empty: then there may be more.
    has_next_page: bool,
    /// Whether there is more before this page.
    has_previous_page: bool,
    /// The cursor of the first entry, or of where a search backward ended early; null if there is neither.
    start_cursor: Option<String>,
    /// The cursor of the last entry, or of where a search ended early; null if there is neither.
    end_cursor: Option<String>,
}

impl<T> Edge<T> {
    /// An entry that comes by itself, outside of any page.
    pub fn new(cursor: String, node: T) -> Self {
        Self { cursor, node }
    }
}

impl<V, T: From<V>> From<Connection<V>> for Page<T> {
    fn from(connection: Connection<V>) -> Self {
        let edges = connection.edges.into_iter().map(|(cursor, view)| Edge { cursor, node: view.into() });
        Self {
            edges: edges.collect(),
            has_next_page: connection.has_next_page,
            has_previous_page: connection.has_previous_page,
            start_cursor: connection.start_cursor,
            end_cursor: connection.end_cursor,
        }
    }
}

impl<T: OutputType> TypeName for Page<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", T::type_name()).into()
    }
}

impl<T: OutputType> TypeName for Edge<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", T::type_name()).into()
    }
}

/// One page of a list that can be long.
#[Object(name_type)]
impl<T: OutputType> Page<T> {
    /// The entries of this page, each with its cursor.
    async fn edges(&self) -> &[Edge<T>] {
        &self.edges
    }

    /// The entries of this page, without their cursors.
    async fn nodes(&self) -> Vec<&T> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// Where this page stands in its list.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_next_page: self.has_next_page,
            has_previous_page: self.has_previous_page,
            start_cursor: self.start_cursor.clone(),
            end_cursor: self.end_cursor.clone(),
        }
    }
}

/// One entry of a page: what is listed, and its place in the list.
#[Object(name_type)]
impl<T: OutputType> Edge<T> {
    /// The place of this entry in the list, for `after` and `before`. Its content is no promise: hand it back as it is.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The entry itself.
    async fn node(&self) -> &T {
        &self.node
    }
}

/// A page counted from either end. The default of `first` does not stand in the way of a `last` that was given.
pub fn either_way(
    ctx: &Context<'_>,
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
) -> PageRequest {
    let first_was_given = ctx.item.node.get_argument("first").is_some();
    let first = if last.is_some() && !first_was_given { None } else { first };
    PageRequest { first, after, last, before }
}
