use super::*;
use async_graphql::Variables;
use async_graphql::parser::parse_query;
use std::fmt::Write as _;

fn measured(text: &str) -> Result<Vec<OperationMeasure>> {
    let limits = QueryLimits::default();
    scan(text, &limits)?;
    let document = parse_query(text).map_err(|e| Error::new(ErrorCode::BadUserInput, e.to_string()))?;
    let operations = measure_document(&document, &Variables::default(), connection_page_size)?;
    limits.check_document(&operations)?;
    for operation in &operations {
        limits.check_complexity(operation)?;
    }
    Ok(operations)
}

fn refused(text: &str, word: &str) {
    let error = measured(text).unwrap_err();
    assert_eq!(error.code(), ErrorCode::QueryTooComplex, "{error}");
    assert!(error.message().contains(word), "{error}");
}

fn bomb(levels: u8) -> String {
    let mut text = "query { ...A }".to_owned();
    for level in 0..levels {
        let (this, next) = ((b'A' + level) as char, (b'A' + level + 1) as char);
        if level + 1 == levels {
            write!(text, " fragment {this} on Query {{ __typename }}").unwrap();
        } else {
            write!(text, " fragment {this} on Query {{ ...{next} ...{next} }}").unwrap();
        }
    }
    text
}

#[test]
fn the_fragment_bomb_costs_one_visit_per_selection() {
    let text = bomb(26);
    refused(&text, "expanded");
    let document = parse_query(&text).unwrap();
    let operations = measure_document(&document, &Variables::default(), connection_page_size).unwrap();
    assert!(operations[0].visits <= 60, "{}", operations[0].visits);
    assert!(operations[0].cost.selections > 1 << 25);
    // also when nothing but spreads of an unknown fragment is left at the end
    refused(&text.replace("__typename", "...Nowhere"), "expanded");
}

#[test]
fn numbers_saturate_instead_of_wrapping() {
    let mut text = "query { ...F0 }".to_owned();
    for level in 0..30 {
        write!(text, " fragment F{level} on Q {{ {} }}", format!("...F{} ", level + 1).repeat(8)).unwrap();
    }
    text.push_str(" fragment F30 on Q { a }");
    refused(&text, "expanded");
}

#[test]
fn cycles_and_long_chains_are_refused() {
    for text in [
        "{ ...A } fragment A on Q { a ...A }",
        "{ ...A } fragment A on Q { ...B } fragment B on Q { b { ...A } }",
    ] {
        let error = measured(text).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadUserInput);
        assert!(error.message().contains("spreads itself"), "{error}");
    }
    let mut chain = "{ ...F0 } fragment F40 on Q { a }".to_owned();
    for level in 0..40 {
        write!(chain, " fragment F{level} on Q {{ ...F{} }}", level + 1).unwrap();
    }
    refused(&chain, "levels deep");
}

#[test]
fn every_limit_is_held() {
    let aliases = |n: usize| (0..n).fold(String::new(), |t, i| t + &format!("a{i}: x "));
    refused(&format!("mutation {{ {} }}", aliases(11)), "mutations");
    assert!(measured(&format!("mutation {{ {} }}", aliases(10))).is_ok());
    refused(&format!("{{ {} }}", aliases(21)), "root");
    refused(&format!("{{ o {{ {} }} }}", aliases(101)), "aliases");
    refused(&format!("{{ {}a{} }}", "a { ".repeat(16), " }".repeat(16)), "nested fields");
    assert!(measured(&format!("{{ {}a{} }}", "a { ".repeat(15), " }".repeat(15))).is_ok());
    for (open, fragment) in [("... { ", ""), ("... { ", " fragment F on Q { ... { a } }")] {
        let last = if fragment.is_empty() { "... { ... { a } }" } else { "...F" };
        let nested = |n: usize| format!("{{ {}{last}{} }}{fragment}", open.repeat(n), " }".repeat(n));
        refused(&nested(31), "within each other");
        assert!(measured(&nested(30)).is_ok());
    }
    refused(&format!("{{ a {} }}", "@x ".repeat(51)), "directives");
    refused(&format!("{{ {} }}", "a ".repeat(5000)), "tokens");
    refused(&format!("{{ a #{}\n }}", "x".repeat(64 * 1024)), "bytes");
    refused(&format!("{{ a(x: {}{}) }}", "[".repeat(100), "]".repeat(100)), "nests");
    refused(&format!("query ($x: {}Int{}) {{ a }}", "[".repeat(100), "]".repeat(100)), "nests");
    let many = (0..51).fold(String::new(), |t, i| t + &format!("query Q{i} {{ a }} "));
    refused(&many, "operations");
    // mutations behind fragments count as well
    refused(&format!("mutation {{ ...F ...F }} fragment F on Mutation {{ {} }}", aliases(6)), "mutations");
}

#[test]
fn connections_multiply_what_is_below_them() {
    let complexity = |text: &str| measured(text).map(|m| m[0].cost.complexity);
    assert_eq!(complexity("{ me { displayName } }").unwrap(), 2);
    assert_eq!(complexity("{ secrets(first: 10) { nodes { path } } }").unwrap(), 21);
    assert_eq!(complexity("{ secrets { nodes { path } } }").unwrap(), 101);
    assert_eq!(complexity("{ policies(last: 7) { nodes { name } } }").unwrap(), 15);
    assert_eq!(complexity("{ unheardOf(first: 4) { a } }").unwrap(), 5);
    // more than a page can hold is the service's to refuse, in better words
    assert_eq!(complexity("{ secrets(first: 1000000) { nodes { path } } }").unwrap(), 201);
    refused("{ secrets(first: 100) { nodes { versions(first: 100) { nodes { version } } } } }", "complexity");
}

#[test]
fn nothing_hides_in_strings_or_comments() {
    let limits = QueryLimits::default();
    let tokens = |text: &str| scan(text, &limits).map(|s| s.tokens);
    assert_eq!(tokens("{ a }").unwrap(), 3);
    assert_eq!(tokens("{ a # { { {\n b }").unwrap(), 4);
    assert_eq!(tokens("{a(x:\"{{{\\\"}\")}").unwrap(), 8);
    assert_eq!(tokens("{a(x:\"\"\"{\"{\\\"\"\"}\"\"\")}").unwrap(), 8);
    assert_eq!(tokens("{...on Q{a}}").unwrap(), 8);
    assert_eq!(tokens("{a...F...G}").unwrap(), 7);
    assert_eq!(tokens("query($a:Int!=-1.5e3){a}").unwrap(), 13);
    for open in ["{a(x:\"b)}", "{a(x:\"\"\"b)}", "{a(x:\"b\n\")}", "{a(x:\"\\"] {
        assert_eq!(tokens(open).unwrap_err().code(), ErrorCode::BadUserInput, "{open}");
    }
    // an unfinished block string would be two strings to the parser: refused rather than misread
    assert!(tokens("{a(x:[\"\"\"{{{\"])}").is_err());
}

#[test]
fn an_object_has_each_key_once() {
    let limits = QueryLimits::default();
    for text in [
        "{ a(x: { b: 1, b: 2 }) }",
        "{ a(x: { b: $v, c: E, b: \"s\" }) }",
        "{ a(x: [{ b: { c: [1] d: {} c: 2 } }]) }",
        "query($x: X = { b: -1 b: 2 }) { a }",
        "{ a @x(y: { b: true, b: true }) }",
    ] {
        let error = scan(text, &limits).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadUserInput, "{text}");
        assert!(error.message().contains("same key twice"), "{text}: {error}");
    }
    for text in [
        "{ a a { b b } }",
        "{ a(x: { b: b, c: c, d: $b, e: [b, b, b] }) }",
        "{ a(x: { \"b\": 1, \"c\": 1 }) }",
        "{ a(x: { b: { b: { b: 1 } } }) b(x: { b: \"b: 1, b: 2\" }) }",
        "{ a(x: [{ b: 1 }, { b: 1 }]) { b(b: 1) } }",
        "query($b: X = {b: 1}, $c: X = {b: 1}) { a }",
    ] {
        assert!(scan(text, &limits).is_ok(), "{text}");
    }
}

#[test]
fn the_introspection_of_tools_passes_and_its_abuse_does_not() {
    // what GraphiQL sends: getIntrospectionQuery() of graphql-js with all options
    let of_type = "ofType { kind name ".repeat(9) + &"}".repeat(9);
    let tool = format!(
        "query IntrospectionQuery {{ __schema {{ description queryType {{ name kind }} mutationType {{ name kind }}
          subscriptionType {{ name kind }} types {{ ...FullType }}
          directives {{ name description isRepeatable locations args(includeDeprecated: true) {{ ...InputValue }} }} }} }}
        fragment FullType on __Type {{ kind name description specifiedByURL isOneOf
          fields(includeDeprecated: true) {{ name description args(includeDeprecated: true) {{ ...InputValue }}
            type {{ ...TypeRef }} isDeprecated deprecationReason }}
          inputFields(includeDeprecated: true) {{ ...InputValue }} interfaces {{ ...TypeRef }}
          enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
          possibleTypes {{ ...TypeRef }} }}
        fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue isDeprecated deprecationReason }}
        fragment TypeRef on __Type {{ kind name {of_type} }}"
    );
    let operations = measured(&tool).unwrap();
    assert!(operations[0].cost.introspects);
    refused(
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
        "lists of introspection",
    );
    assert!(!measured("{ a { fields { fields { fields { x } } } } }").unwrap()[0].cost.introspects);
}

#[test]
fn prices_follow_the_work() {
    let of = |text: &str| price(&measured(text).unwrap()[0]);
    assert_eq!(of("{ me { displayName } }"), 2);
    assert_eq!(of("{ secrets(first: 10) { nodes { path } } }"), 21);
    assert_eq!(of("mutation { putSecret(input: $i) { secret { path } } }"), 13);
    // as often as it is asked for, also behind a fragment
    let login = "loginWithAppRole(input: $i) { token }";
    assert_eq!(of(&format!("mutation {{ {login} }}")), 27);
    let twice = format!("mutation {{ ...L b: {login} }} fragment L on Mutation {{ a: {login} }}");
    assert_eq!(of(&twice), 54);
    assert!(of("{ __schema { types { name } } }") > 500);
    assert_eq!((of_text(0), of_text(255), of_text(64 * 1024)), (1, 1, 257));
}
