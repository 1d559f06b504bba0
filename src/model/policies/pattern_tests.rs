use super::*;
use proptest::prelude::*;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn path(text: &str) -> SecretPath {
    SecretPath::parse(text).unwrap()
}

#[test]
fn names_each_fault() {
    assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
    assert_eq!(Pattern::parse(&"a".repeat(501)), Err(PatternError::TooLong));
    assert!(Pattern::parse(&"a".repeat(500)).is_ok());
    for text in [".", "a.", ".a", "a..b", "*.", ".*"] {
        assert_eq!(Pattern::parse(text), Err(PatternError::EmptySegment), "{text}");
    }
    for text in ["A", "a/*", "a ", "ä", "a.?", "a\n", "a.[b]"] {
        assert_eq!(Pattern::parse(text), Err(PatternError::BadCharacter), "{text:?}");
    }
    for text in ["**", "a.**", "a**b", "**.a"] {
        assert_eq!(Pattern::parse(text), Err(PatternError::StarsSideBySide), "{text}");
    }
}

#[test]
fn matches_by_the_rules() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("*", &["a", "a.b", "a.b.c"], &[]),
        ("prod.db", &["prod.db"], &["prod", "prod.db.x", "prod.dbx", "xprod.db"]),
        ("prod.db.*", &["prod.db.x", "prod.db.x.y"], &["prod.db", "prod.dbx.y", "prod", "test.db.x"]),
        (
            "prod.*.readonly",
            &["prod.db.readonly"],
            &["prod.readonly", "prod.a.b.readonly", "prod.db.readonly.x"],
        ),
        ("*.db", &["prod.db", "test.db"], &["db", "prod.db.x", "a.prod.db"]),
        ("*.*", &["a.b", "a.b.c"], &["a"]),
        ("prod.*.x.*", &["prod.a.x.y", "prod.a.x.y.z"], &["prod.a.x", "prod.x.y", "prod.a.b.x.y"]),
        (
            "prod.billing-*",
            &["prod.billing-db", "prod.billing-"],
            &["prod.billing-db.x", "prod.billing", "prod.xbilling-"],
        ),
        ("prod.billing-*.*", &["prod.billing-db.x", "prod.billing-.x.y"], &["prod.billing-db"]),
        ("*-db", &["a-db", "-db", "x-db-db"], &["db", "a-dbx", "a.b-db"]),
        ("a*b*c", &["abc", "axbyc", "abbcc", "abcbc"], &["ab", "ac", "abcd", "a.b.c"]),
        ("*a*", &["a", "bab"], &["b", "a.a"]),
    ];
    for (text, matching, others) in table {
        for candidate in *matching {
            assert!(pattern(text).matches(&path(candidate)), "{text} {candidate}");
        }
        for candidate in *others {
            assert!(!pattern(text).matches(&path(candidate)), "{text} {candidate}");
        }
    }
}

#[test]
fn many_stars_take_no_exponential_time() {
    let glob = pattern(&format!("{}b", "a*".repeat(200)));
    assert!(!glob.matches(&path(&"a".repeat(500))));
    let deep = pattern(&format!("{}b", "*.".repeat(200)));
    assert!(!deep.matches(&path(&format!("{}a", "a.".repeat(249)))));
}

#[test]
fn literal_prefixes_and_pruning() {
    for (text, prefix) in [
        ("*", ""),
        ("prod.db.*", "prod.db"),
        ("prod.billing-*", "prod"),
        ("a.b", "a.b"),
        ("a*", ""),
        ("a.*.c.d", "a"),
    ] {
        assert_eq!(pattern(text).literal_prefix(), prefix);
    }
    let table = [
        ("prod.db.*", "prod", true),
        ("prod.db.*", "prod.db", true),
        ("prod.db.*", "prod.db.x.y", true),
        ("prod.db.*", "test", false),
        ("prod.db", "prod.db", true),
        ("prod.db", "prod.db.x", false),
        ("prod.*.readonly", "prod.x", true),
        ("prod.*.readonly", "prod.x.y", false),
        ("prod.billing-*", "prod.shop", false),
        ("prod.billing-*", "prod.billing-db.x", false),
        ("*", "any.thing", true),
    ];
    for (text, prefix, expected) in table {
        assert_eq!(pattern(text).may_match_below(&path(prefix)), expected, "{text} {prefix}");
    }
}

/// The rules once more, as plainly as they can be said.
fn oracle(pattern: &[&str], path: &[&str]) -> bool {
    fn run(glob: &[char], part: &[char]) -> bool {
        match (glob.split_first(), part.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), None) => run(rest, part),
            (Some(('*', rest)), Some((_, tail))) => run(rest, part) || run(glob, tail),
            (Some((a, rest)), Some((b, tail))) => a == b && run(rest, tail),
            _ => false,
        }
    }
    match (pattern, path) {
        ([], []) => true,
        (["*"], [_, ..]) => true,
        ([segment, rest @ ..], [part, tail @ ..]) => {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            run(&chars(segment), &chars(part)) && oracle(rest, tail)
        }
        _ => false,
    }
}

fn any_pattern() -> impl Strategy<Value = String> {
    let segment =
        prop_oneof![2 => Just("*".to_owned()), 3 => "[ab]{1,3}", 3 => "[ab]{0,2}(\\*[ab]{1,2}){1,3}\\*?"];
    prop::collection::vec(segment, 1..5).prop_map(|segments| segments.join("."))
}

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{1,5}", 1..6).prop_map(|segments| segments.join("."))
}

/// A path that matches, by replacing each star with what is given.
fn fill(pattern: &str, with: &str) -> String {
    let segments: Vec<&str> = pattern.split('.').collect();
    segments
        .iter()
        .map(|segment| if *segment == "*" { "b".to_owned() } else { segment.replace('*', with) })
        .collect::<Vec<_>>()
        .join(".")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_oracle(text in any_pattern(), candidate in any_path()) {
        let expected = oracle(&text.split('.').collect::<Vec<_>>(), &candidate.split('.').collect::<Vec<_>>());
        prop_assert_eq!(pattern(&text).matches(&path(&candidate)), expected);
    }

    #[test]
    fn what_a_pattern_describes_it_matches(text in any_pattern(), with in "[ab]{0,3}", deeper in "(\\.[ab]){0,2}") {
        let mut filled = fill(&text, &with);
        if text == "*" || text.ends_with(".*") {
            filled.push_str(&deeper);
        }
        prop_assert!(pattern(&text).matches(&path(&filled)));
        let prefix = pattern(&text).literal_prefix();
        prop_assert!(prefix.is_empty() || path(&filled).is_within(&path(&prefix)));
    }

    #[test]
    fn pruning_never_hides_a_match(text in any_pattern(), candidate in any_path(), depth in 1usize..6) {
        let segments: Vec<&str> = candidate.split('.').collect();
        let prefix = segments[..depth.min(segments.len())].join(".");
        if pattern(&text).matches(&path(&candidate)) {
            prop_assert!(pattern(&text).may_match_below(&path(&prefix)));
        }
    }

    #[test]
    fn pruning_keeps_only_what_can_match(text in any_pattern(), prefix in any_path()) {
        if pattern(&text).may_match_below(&path(&prefix)) {
            // The prefix, then the pattern's own segments from there on, filled.
            let depth = prefix.split('.').count();
            let rest: Vec<String> = text.split('.').skip(depth).map(|segment| fill(segment, "a")).collect();
            let mut full = prefix.clone();
            for segment in rest {
                full = format!("{full}.{segment}");
            }
            let deeper = format!("{full}.a");
            prop_assert!(pattern(&text).matches(&path(&full)) || pattern(&text).matches(&path(&deeper)));
        }
    }

    #[test]
    fn parsing_never_panics(text in any::<String>()) {
        let _ = Pattern::parse(&text);
    }
}
