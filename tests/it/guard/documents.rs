//! Documents that are known beforehand: by their hash, or by a manifest.

use super::Answer;
use crate::support::server::program;
use crate::support::{Options, Server, Store, text};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

const ME: &str = "query Me { me { displayName } }";
const PUT: &str = "mutation Put($input: PutSecretInput!) { putSecret(input: $input) { secret { version } } }";

fn hex(query: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(query.as_bytes()))
}

fn persisted(hash: &str) -> Value {
    json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
}

async fn post(server: &Server, body: Value) -> Answer {
    Answer::of(
        server.http.post(format!("{}/graphql", server.address())).bearer_auth(&server.root).json(&body),
    )
    .await
}

async fn get(server: &Server, parameters: &[(&str, &str)]) -> Answer {
    let query: Vec<_> = parameters
        .iter()
        .map(|(name, value)| {
            format!("{name}={}", value.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>())
        })
        .collect();
    let url = format!("{}/graphql?{}", server.address(), query.join("&"));
    Answer::of(server.http.get(url).bearer_auth(&server.root)).await
}

fn name(answer: &Answer) -> Option<&str> {
    answer.body.pointer("/data/me/displayName").and_then(Value::as_str)
}

#[tokio::test]
async fn automatic_persisted_queries_by_post_and_get() {
    let server = Server::dev(Store::Sqlite).await;
    let by_hash = json!({"extensions": persisted(&hex(ME))});
    // what others ran under their own text is not found by its hash
    assert!(name(&post(&server, json!({"query": ME})).await).is_some());
    let missed = post(&server, by_hash.clone()).await;
    assert_eq!((missed.status, missed.code()), (200, "PERSISTED_QUERY_NOT_FOUND"));
    // what clients compare
    assert_eq!(missed.body["errors"][0]["message"], "PersistedQueryNotFound");
    let wrong = post(&server, json!({"query": ME, "extensions": persisted(&hex(PUT))})).await;
    assert_eq!(wrong.code(), "BAD_USER_INPUT");
    assert_eq!(post(&server, by_hash.clone()).await.code(), "PERSISTED_QUERY_NOT_FOUND");
    let registered = post(&server, json!({"query": ME, "extensions": persisted(&hex(ME))})).await;
    assert!(name(&registered).is_some(), "{}", registered.body);
    assert_eq!(name(&post(&server, by_hash).await), name(&registered));
    let extensions = persisted(&hex(ME)).to_string();
    assert_eq!(name(&get(&server, &[("extensions", &extensions)]).await), name(&registered));

    // registering works by GET, too, and a mutation does not run by GET even under its hash
    let other = "query Other { me { displayName } }";
    let extensions = persisted(&hex(other)).to_string();
    assert_eq!(get(&server, &[("extensions", &extensions)]).await.code(), "PERSISTED_QUERY_NOT_FOUND");
    assert!(name(&get(&server, &[("query", other), ("extensions", &extensions)]).await).is_some());
    assert!(name(&get(&server, &[("extensions", &extensions)]).await).is_some());
    let input = json!({"input": {"path": "a.b", "data": {"k": "v"}}});
    let put = json!({"query": PUT, "variables": input, "extensions": persisted(&hex(PUT))});
    assert!(post(&server, put).await.body["errors"].is_null());
    let extensions = persisted(&hex(PUT)).to_string();
    let by_get = get(&server, &[("extensions", &extensions), ("variables", &input.to_string())]).await;
    assert_eq!(by_get.status, 405);
    // a mutation with a value in its text is remembered for nobody
    let literal = "mutation { putSecret(input: {path: \"a.b\", data: {pin: 1234}}) { secret { version } } }";
    let put = json!({"query": literal, "extensions": persisted(&hex(literal))});
    assert!(post(&server, put).await.body["errors"].is_null());
    let again = post(&server, json!({"extensions": persisted(&hex(literal))})).await;
    assert_eq!(again.code(), "PERSISTED_QUERY_NOT_FOUND");
}

fn trusted_only(folder: &Path, manifest: &Value) -> String {
    let path = folder.join("documents.json");
    std::fs::write(&path, manifest.to_string()).unwrap();
    format!(
        "[graphql]\nintrospection = \"always\"\ndocuments = \"trusted-only\"\npersisted_documents = {path:?}"
    )
}

#[tokio::test]
async fn with_trusted_documents_nothing_else_runs() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = json!({format!("sha256:{}", hex(ME)): ME, "put": PUT});
    let options = Options { config: trusted_only(folder.path(), &manifest), ..Options::server() };
    let mut server = Server::start(Store::Sqlite, options).await;
    // the doors beside GraphQL are as ever
    let (status, made) =
        server.door("POST", "/v1/sys/init", None, Some(json!({"shares": 1, "threshold": 1}))).await;
    assert_eq!(status, 200, "{made}");
    server.root = text(&made, "/rootToken").to_owned();
    let share = json!({"share": text(&made, "/shares/0")});
    assert_eq!(server.door("POST", "/v1/sys/unseal", None, Some(share)).await.0, 200);

    let id = format!("sha256:{}", hex(ME));
    for body in [
        json!({"query": ME}),
        json!({"documentId": id}),
        json!({"extensions": persisted(&hex(ME))}),
        json!({"query": ME, "extensions": persisted(&hex(ME))}),
    ] {
        let answer = post(&server, body.clone()).await;
        assert!(name(&answer).is_some(), "{body}: {}", answer.body);
    }
    assert!(name(&get(&server, &[("documentId", &id)]).await).is_some());
    let variables = json!({"input": {"path": "a.b", "data": {"k": "v"}}});
    assert!(
        post(&server, json!({"documentId": "put", "variables": variables})).await.body["errors"].is_null()
    );
    assert_eq!(
        get(&server, &[("documentId", "put"), ("variables", &variables.to_string())]).await.status,
        405
    );

    let spaced = ME.replace("{ me", "{  me");
    for query in [spaced.as_str(), "{ me { displayName } }", "{ __schema { queryType { name } } }", "{"] {
        assert_eq!(post(&server, json!({"query": query})).await.code(), "FORBIDDEN", "{query}");
        let registering = json!({"query": query, "extensions": persisted(&hex(query))});
        assert_eq!(post(&server, registering).await.code(), "FORBIDDEN", "{query}");
        let by_hash = post(&server, json!({"extensions": persisted(&hex(query))})).await;
        assert_eq!(by_hash.code(), "PERSISTED_QUERY_NOT_FOUND", "{query}");
        assert_eq!(get(&server, &[("query", query)]).await.code(), "FORBIDDEN", "{query}");
    }
    assert_eq!(post(&server, json!({"documentId": "none"})).await.code(), "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(
        post(&server, json!({"documentId": id, "query": "{ __typename }"})).await.code(),
        "BAD_USER_INPUT"
    );
    server.restart().await;
}

/// The page's own documents are part of the program, and go with the page.
#[tokio::test]
async fn the_playgrounds_documents_run_as_long_as_it_is_served() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("playground/dist/documents.json");
    let page: serde_json::Map<String, Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(page.len() > 10);
    let folder = tempfile::tempdir().unwrap();
    // the operator may have named one of them as well
    let (id, text) = page.iter().next().unwrap();
    let config = trusted_only(folder.path(), &json!({ "me": ME, "page": text, id: text }));
    for (served, environment) in [(true, "true"), (false, "false")] {
        let environment = vec![("SECRETHUB_LISTENER__PLAYGROUND".to_owned(), environment.to_owned())];
        let options = Options { config: config.clone(), environment, ..Options::server() };
        let mut server = Server::start(Store::Sqlite, options).await;
        server.root = String::new();
        for (id, text) in page.iter().skip(1) {
            let by_text = post(&server, json!({ "query": text })).await;
            assert_eq!(by_text.code() == "FORBIDDEN", !served, "{text}: {}", by_text.body);
            let by_id = post(&server, json!({ "documentId": id })).await;
            assert_eq!(by_id.code() == "PERSISTED_QUERY_NOT_FOUND", !served, "{text}: {}", by_id.body);
            let altered = post(&server, json!({ "query": format!("{text} ") })).await;
            assert_eq!(altered.code(), "FORBIDDEN", "{text}");
        }
        let named = post(&server, json!({ "documentId": "page" })).await;
        assert_ne!(named.code(), "PERSISTED_QUERY_NOT_FOUND", "what the operator names runs anyway");
    }
}

#[test]
fn a_manifest_that_does_not_fit_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = |manifest: &Value, arguments: &[&str]| {
        let store = format!("[storage]\nurl = \"sqlite:{}\"\n", folder.path().join("store.db").display());
        let config = folder.path().join("config.toml");
        std::fs::write(&config, store + &trusted_only(folder.path(), manifest)).unwrap();
        let mut command = std::process::Command::new(program());
        command.arg("server").arg("--config").arg(&config).args(arguments);
        command.args(["--listen", "127.0.0.1:0"]).output().unwrap()
    };
    let good = start(&json!({"me": ME}), &["--check"]);
    assert!(good.status.success(), "{good:?}");
    let bad = json!({"me": ME, "the-old-one": "query { secretOfOldVersion { path } }"});
    for arguments in [&["--check"][..], &[]] {
        let refused = start(&bad, arguments);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("graphql.persisted_documents") && said.contains("'the-old-one'"), "{said}");
        assert!(said.contains("secretOfOldVersion"), "{said}");
    }
    assert!(!folder.path().join("store.db").exists(), "nothing was begun");
}
