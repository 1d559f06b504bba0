//! The guard: what is measured before it is executed. Whatever it lets through must be within its limits, measured in another way.

use crate::{try_all, try_texts};
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Request, Value, Variables};
use secrethub::graphql::documents::{Asked, DocumentCache};
use secrethub::graphql::guard::{
    QueryLimits, VariableLimits, connection_page_size, measure_document, price, scan,
};
use secrethub::graphql::{ApiSchema, SchemaOptions, schema};
use secrethub::http::params::Params;
use secrethub_fuzz::corpus;
use std::cell::RefCell;
use std::sync::Arc;

const WORDS: [&str; 22] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "...A",
    "... on Query",
    "fragment A on Query",
    "query",
    "mutation",
    "subscription",
    "@include(if: true)",
    "$x",
    "\"",
    "\"\"\"",
    "#",
    "first: 100",
    "versions",
    "a: ",
    "loginWithAppRole",
    "__schema",
];

/// Small, so that random inputs reach them.
fn limits() -> QueryLimits {
    QueryLimits {
        max_bytes: 2_000,
        max_tokens: 150,
        max_depth: 6,
        max_aliases: 5,
        max_root_fields: 6,
        max_root_mutations: 3,
        max_directives: 5,
        max_complexity: 500,
        max_operations: 3,
        variables: VariableLimits::default(),
    }
}

/// What a document expands to, counted by expanding it; `None` past `most`.
fn expanded(document: &ExecutableDocument, set: &SelectionSet, most: usize) -> Option<(usize, u64)> {
    let (mut count, mut depth) = (0, 0);
    for selection in &set.items {
        let (inner, field) = match &selection.node {
            Selection::Field(field) => (Some(&field.node.selection_set.node), 1),
            Selection::InlineFragment(inline) => (Some(&inline.node.selection_set.node), 0),
            Selection::FragmentSpread(spread) => (
                document
                    .fragments
                    .get(&spread.node.fragment_name.node)
                    .map(|fragment| &fragment.node.selection_set.node),
                0,
            ),
        };
        let below =
            inner.map_or(Some((0, 0)), |set| expanded(document, set, most.checked_sub(count + 1)?))?;
        count += 1 + below.0;
        depth = depth.max(field + below.1);
        if count > most {
            return None;
        }
    }
    Some((count, depth))
}

#[test]
fn guard() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let schema: ApiSchema = schema(SchemaOptions::default());
    let limits = limits();
    let runtime = std::panic::AssertUnwindSafe((runtime, schema));
    try_texts(&corpus("guard").unwrap(), &WORDS, |text| {
        let Ok(scanned) = scan(text, &limits) else { return };
        assert!(text.len() <= limits.max_bytes && scanned.tokens <= limits.max_tokens);
        let Ok(document) = parse_query(text) else { return };
        let Ok(operations) = measure_document(&document, &Variables::default(), connection_page_size) else {
            return;
        };
        for operation in &operations {
            // each selection that was written is looked at once for each operation, however often it is spread
            assert!(operation.visits <= scanned.tokens as u64, "{} visits", operation.visits);
            assert!(price(operation) > 0);
        }
        if limits.check_document(&operations).is_err() {
            return;
        }
        assert!(operations.len() as u64 <= limits.max_operations);
        for (_, operation) in document.operations.iter() {
            let set = &operation.node.selection_set.node;
            let (_, depth) =
                expanded(&document, set, limits.max_tokens).expect("no more than the limit allows");
            assert!(depth <= limits.max_depth, "{depth} levels");
        }
        // and what was let through is harmless to what stands behind the guard
        let (runtime, schema) = &*runtime;
        let mut request = Request::new(text);
        request.operation_name = operations.first().and_then(|operation| operation.operation_name.clone());
        let cache = DocumentCache::new(limits, connection_page_size, 1, 1, Arc::default());
        let name = request.operation_name.as_deref();
        if cache.prepare(&Asked::text(text), name, &Variables::default()).is_err() {
            return;
        }
        runtime.block_on(schema.execute(request));
    });
}

/// How deep a value is, its longest list, and how many values it holds.
fn shape(value: &Value) -> (usize, usize, usize) {
    let (members, list): (Vec<&Value>, bool) = match value {
        Value::List(list) => (list.iter().collect(), true),
        Value::Object(map) => (map.values().collect(), false),
        _ => return (0, 0, 1),
    };
    let own = if list { members.len() } else { 0 };
    members.into_iter().map(shape).fold((1, own, 1), |so_far, inner| {
        (so_far.0.max(inner.0 + 1), so_far.1.max(inner.1), so_far.2 + inner.2)
    })
}

#[test]
fn variables() {
    let limits =
        VariableLimits { max_variables: 4, max_bytes: 300, max_values: 40, max_list_length: 4, max_depth: 4 };
    let words = ["[", "]", "{", "}", "\"", "\\\"", ",", ":", "\"k\":", "[[[[", "1e999", "null", "\\u0000"];
    try_texts(&corpus("variables").unwrap(), &words, |text| {
        let Ok(variables) = limits.parse(text) else { return };
        assert!(variables.len() <= limits.max_variables && text.len() <= limits.max_bytes);
        let all =
            Value::Object(variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect());
        let (depth, list, values) = shape(&all);
        assert!(
            depth <= limits.max_depth && list <= limits.max_list_length && values <= limits.max_values + 1
        );
    });
}

#[test]
fn params() {
    let words = [
        "\"query\":",
        "\"documentId\":",
        "\"variables\":",
        "\"extensions\":",
        "null",
        "{",
        "}",
        "[",
        "]",
        "\"",
    ];
    let cache = RefCell::new(DocumentCache::new(limits(), connection_page_size, 16, 1 << 16, Arc::default()));
    let cache = std::panic::AssertUnwindSafe(cache);
    try_all(&corpus("params").unwrap(), &words, |bytes| {
        let Ok(params) = Params::from_body(bytes, &VariableLimits::default()) else { return };
        let asked: Asked = params.asked();
        assert!(asked.text.is_some() || asked.id.is_some() || asked.hash.is_some());
        assert!(asked.id.is_none() || (asked.text.is_none() && asked.hash.is_none()));
        let prepared = cache.borrow().prepare(&asked, params.operation_name.as_deref(), &params.variables);
        if let Ok(prepared) = prepared {
            assert!(prepared.operation.cost.complexity <= limits().max_complexity);
        }
    });
}
