//! What bounds the work.

use super::super::definitions::{composite, defined_types, innermost};
use super::super::guard::{QueryLimits, connection_page_size, measure_document, scan};
use super::check;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::TypeKind;
use std::fmt::Write;

/// Documents as large as they may be, in which much meets. What they take is printed: some milliseconds, in an optimised build.
#[test]
fn the_largest_documents_are_looked_at_once() {
    let limits = QueryLimits::default();
    let mut documents = Vec::new();
    // fragments that spread the next twice
    let below = "id createdAt versions(first: 1) { nodes { version } }";
    let mut doubling = String::from("{ secret(path: \"a\") { ...F0 } }");
    for level in 0..8 {
        let next = level + 1;
        write!(
            doubling,
            " fragment F{level} on Secret {{ {below} ...F{next} engine {{ id }} ... {{ ...F{next} }} }}"
        )
        .unwrap();
    }
    write!(doubling, " fragment F8 on Secret {{ {below} }}").unwrap();
    documents.push(doubling);
    // one name as often as may be, each time with the same long argument
    let field = format!(" leases(filter: {{states: [{}]}}) {{ nodes {{ leaseId }} }}", "ACTIVE ".repeat(215));
    let mut long = String::new();
    for number in 0..20 {
        write!(long, " fragment F{number} on Query {{ {field} }}").unwrap();
    }
    let spreads: String = (0..20).map(|number| format!(" ...F{number}")).collect();
    documents.push(format!("{{ {spreads} }} {long}"));
    // the same fields of many objects
    let objects = ["Secret { versions", "Role { secretIds", "Token { accessor } ... on Secret { versions"];
    let many: String = (0..300)
        .map(|number| format!(" ... on {} {{ nodes {{ createdAt }} }} createdAt }}", objects[number % 3]))
        .collect();
    documents.push(format!("{{ node(id: 1) {{ {many} }} }}"));
    // many operations, with what they use in one fragment
    let uses = " versions(first: $a) { pageInfo { endCursor } }".repeat(80);
    let operations: String = (0..19)
        .map(|number| format!(" query Q{number}($a: Int) {{ secret(path: \"a\") {{ ...F }} }}"))
        .collect();
    documents.push(format!("{operations} fragment F on Secret {{ {uses} }}"));
    for text in documents {
        scan(&text, &limits).unwrap();
        let parsed = parse_query(&text).unwrap();
        let measured =
            measure_document(&parsed, &async_graphql::Variables::default(), connection_page_size).unwrap();
        limits.check_document(&measured).unwrap();
        let begun = std::time::Instant::now();
        check(&parsed).unwrap();
        let selections: u64 = measured.iter().map(|operation| operation.cost.selections).sum();
        eprintln!("{} bytes, {selections} selections: {:?}", text.len(), begun.elapsed());
    }
}

/// What `shapes` has left out of the rule.
#[test]
fn no_interface_has_fields_with_something_below() {
    let mut seen = 0;
    for definition in defined_types() {
        let fields = match &definition.kind {
            TypeKind::Interface(interface) => &interface.fields,
            _ => continue,
        };
        for field in fields {
            seen += 1;
            let below = composite(innermost(&field.node.ty.node));
            assert!(below.is_none(), "{}.{}", definition.name.node, field.node.name.node);
        }
    }
    assert!(seen > 0);
}
