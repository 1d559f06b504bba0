use super::super::documents::{Asked, DocumentCache};
use super::*;
use async_graphql::Variables;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

const ME: &str = "{ me { displayName } }";

fn hex(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

async fn built(manifest: Value, trusted_only: bool) -> Result<Persisted> {
    let manifest = Manifest::parse(manifest.to_string().as_bytes())?;
    Persisted::build(&manifest, &QueryLimits::default(), trusted_only).await
}

fn cache(persisted: Persisted) -> DocumentCache {
    DocumentCache::new(QueryLimits::default(), connection_page_size, 8, 1 << 20, Arc::new(persisted))
}

fn code(cache: &DocumentCache, asked: Asked) -> Option<ErrorCode> {
    cache.prepare(&asked, None, &Variables::default()).err().map(|error| error.code())
}

fn by_id(id: &str) -> Asked<'_> {
    Asked { id: Some(id), ..Asked::default() }
}

fn by_hash(hash: &str) -> Asked<'_> {
    Asked { hash: Some(hash), ..Asked::default() }
}

#[tokio::test]
async fn trusted_documents_run_by_every_name_and_nothing_else_does() {
    let id = format!("sha256:{}", hex(ME));
    let list = "query Page($n: Int) { secrets(first: $n) { nodes { path } } }";
    let cache = cache(built(json!({ &id: ME, "page": list }), true).await.unwrap());
    for asked in
        [Asked::text(ME), by_id(&id), by_hash(&hex(ME)), by_id("page"), by_hash("page"), by_hash(&hex(list))]
    {
        assert_eq!(code(&cache, asked), None, "{asked:?}");
    }
    for text in ["{ me { displayName }  }", "{ __schema { types { name } } }", "{ me { accessor } }", "{"] {
        assert_eq!(code(&cache, Asked::text(text)), Some(ErrorCode::Forbidden), "{text}");
        let registering = Asked { text: Some(text), hash: Some(&hex(text)), id: None };
        assert_eq!(code(&cache, registering), Some(ErrorCode::Forbidden), "{text}");
        assert_eq!(code(&cache, by_hash(&hex(text))), Some(ErrorCode::PersistedQueryNotFound), "{text}");
    }
    assert_eq!(code(&cache, by_id("other")), Some(ErrorCode::PersistedQueryNotFound));
}

#[tokio::test]
async fn documents_of_the_page_are_added_unless_the_limits_refuse_them() {
    let (small, deep) = ("{ me { accessor } }", "{ secrets { nodes { versions { nodes { version } } } } }");
    let page = json!({ format!("sha256:{}", hex(small)): small, format!("sha256:{}", hex(deep)): deep,
                       format!("sha256:{}", hex(ME)): ME });
    let page = Manifest::parse(page.to_string().as_bytes()).unwrap();
    let limits = QueryLimits { max_depth: 3, ..QueryLimits::default() };
    let mut persisted = built(json!({ "me": ME }), true).await.unwrap();
    persisted.add(&page, &limits).await;
    assert_eq!(persisted.left_out().len(), 1, "{:?}", persisted.left_out());
    assert!(persisted.left_out()[0].contains(&hex(deep)));
    let cache = cache(persisted);
    assert_eq!(code(&cache, Asked::text(small)), None);
    assert_eq!(code(&cache, Asked::text(ME)), None);
    assert_eq!(code(&cache, Asked::text(deep)), Some(ErrorCode::Forbidden));
}

#[tokio::test]
async fn beside_a_manifest_others_run_too_unless_it_says_so() {
    let cache = cache(built(json!({ "me": ME }), false).await.unwrap());
    assert_eq!(code(&cache, by_id("me")), None);
    assert_eq!(code(&cache, by_id("you")), Some(ErrorCode::PersistedQueryNotFound));
    assert_eq!(code(&cache, Asked::text("{ me { accessor } }")), None);
}

#[tokio::test]
async fn the_manifest_of_apollo() {
    let operations = json!([{"id": hex(ME), "name": "Me", "type": "query", "body": ME}]);
    let of =
        |format: &str, version: u32| json!({"format": format, "version": version, "operations": operations});
    let cache = cache(built(of("apollo-persisted-query-manifest", 1), true).await.unwrap());
    assert_eq!(code(&cache, by_hash(&hex(ME))), None);
    assert!(built(of("apollo-persisted-query-manifest", 2), true).await.is_err());
    assert!(built(of("other", 1), true).await.is_err());
}

#[tokio::test]
async fn a_document_that_is_not_good_is_named() {
    let deep = format!("{{ {}x{} }}", "a { ".repeat(20), " }".repeat(20));
    let costly = "{ secrets(first: 100) { nodes { versions(first: 100) { nodes { version } } } } }";
    for (text, words) in [
        ("{ me { displayName }", "syntax error"),
        ("{ me { nothingLikeIt } }", "nothingLikeIt"),
        ("query A { me { displayName } } query B { nowhere }", "nowhere"),
        ("{ me { displayName } } fragment F on Query { me { displayName } }", "F"),
        ("mutation { putSecret(input: {path: \"a\"}) { secret { path } } }", "is required"),
        (deep.as_str(), "nested fields"),
        (costly, "complexity"),
    ] {
        let error = built(json!({ "good": ME, "the bad one": text }), true).await.err().unwrap();
        assert_eq!(error.field(), Some("graphql.persisted_documents"));
        assert!(error.message().contains("'the bad one'"), "{error}");
        let problem = error.message().split_once("cannot be used: ").unwrap().1;
        assert!(problem.contains(words), "{text}: {error}");
    }
    let wrong = format!("sha256:{}", hex("{ me { displayName }  }"));
    assert!(built(json!({ &wrong: ME }), true).await.err().unwrap().message().contains("SHA-256"));
}

#[test]
fn manifests_are_bounded_and_plain() {
    let parse = |text: &str| Manifest::parse(text.as_bytes());
    for bad in ["", "[]", "{}", "{\"a\": 1}", "{\"\": \"{ a }\"}", "{\"operations\": []}"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    let many = |count: usize| {
        json!((0..count).map(|n| (n.to_string(), json!("{ a }"))).collect::<serde_json::Map<_, _>>())
            .to_string()
    };
    assert!(parse(&many(10_000)).is_ok());
    assert!(parse(&many(10_001)).is_err());
}

#[tokio::test]
async fn no_name_is_given_twice() {
    let manifest =
        Manifest::parse(br#"{"a": "{ me { displayName } }", "a": "{ me { accessor } }"}"#).unwrap();
    let error = Persisted::build(&manifest, &QueryLimits::default(), true).await.err().unwrap();
    assert!(error.message().contains("the same name"), "{error}");
}
