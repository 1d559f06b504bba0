//! Secret values, tokens, shares, SecretIDs, and what engines hold and issue: planted, used in every operation, in good ones and in
//! failing ones, and then looked for in the log at its most talkative, in every error, in the audit log and in the store.

mod engines;

use crate::support::plugins::postgresql_section;
use crate::support::sql::Sql;
use crate::support::{Options, Reply, Server, Store};
use serde_json::{Value, json};
use std::time::Duration;

const VALUE: &str = "planted-value-Zq8vT1kXw3";
const PATCHED: &str = "planted-patch-Lm4nB7cVx2";
const REFUSED: &str = "planted-refused-Hy6tR5eWq9";
const UNPARSED: &str = "planted-unparsed-Pa0sD8fGh1";
const OWN_SECRET_ID: &str = "planted-own-secret-id-Jk3lZ6xCv5bN";
const WRONG_SECRET_ID: &str = "planted-wrong-secret-id-Rt7yU2iOp4aS";
const WRONG_TOKEN: &str = "shub_planted-wrong-token-Df9gH0jKl3zX";

/// What must not be found, and the texts to look through.
struct Search {
    planted: Vec<(&'static str, String)>,
    errors: String,
}

impl Search {
    fn plant(&mut self, what: &'static str, secret: &str) {
        self.planted.push((what, secret.to_owned()));
    }

    /// Keeps the errors of a reply for the search.
    fn note(&mut self, reply: Reply) -> Value {
        for error in &reply.errors {
            self.errors.push_str(&error.to_string());
            self.errors.push('\n');
        }
        if reply.data.is_null() && reply.errors.is_empty() {
            self.errors.push_str(&reply.body);
        }
        reply.data
    }

    /// Where any of the planted secrets is found: plain, in hexadecimal or in base64.
    fn found_in(&self, place: &str, haystack: &[u8]) -> Vec<String> {
        let finders = self.planted.iter().flat_map(|(what, secret)| {
            let bytes = secret.as_bytes();
            [
                (what, "", secret.clone()),
                (what, " in hexadecimal", data_encoding::HEXLOWER.encode(bytes)),
                // without the last characters, which depend on what follows
                (what, " in base64", data_encoding::BASE64_NOPAD.encode(&bytes[..bytes.len() / 3 * 3])),
            ]
        });
        finders
            .filter(|(_, _, needle)| haystack.windows(needle.len()).any(|window| window == needle.as_bytes()))
            .map(|(what, how, needle)| {
                let at =
                    haystack.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap();
                let around = &haystack[at.saturating_sub(200)..(at + needle.len() + 40).min(haystack.len())];
                format!("{what}{how} in {place}: …{}…", String::from_utf8_lossy(around))
            })
            .collect()
    }
}

const PATCH: &str =
    "mutation($input: PatchSecretInput!) { patchSecret(input: $input) { secret { version } } }";
const DELETE: &str = "mutation($input: DeleteSecretInput!) { deleteSecret(input: $input) { __typename } }";
const RESTORE: &str =
    "mutation($input: RestoreSecretInput!) { restoreSecret(input: $input) { secret { version } } }";
const ROLLBACK: &str =
    "mutation($input: RollbackSecretInput!) { rollbackSecret(input: $input) { secret { version } } }";
const DESTROY: &str =
    "mutation($input: DestroySecretVersionsInput!) { destroySecretVersions(input: $input) { __typename } }";
const RENEW: &str = "mutation($input: RenewTokenInput!) { renewToken(input: $input) { accessor } }";
const REVOKE: &str = "mutation($input: RevokeTokenInput!) { revokeToken(input: $input) { __typename } }";

/// Secrets written, read, changed and refused.
async fn secrets(server: &Server, search: &mut Search) {
    let root = server.root.clone();
    search.plant("a secret's value", VALUE);
    search.plant("a patched value", PATCHED);
    search.plant("a refused value", REFUSED);
    search.plant("a value in an unreadable request", UNPARSED);
    search.note(server.put(&root, "leak.a", json!({"password": VALUE})).await);
    search.note(server.put(&root, "leak.a", json!({"password": VALUE, "more": 1})).await);
    search.note(server.as_root(PATCH, json!({"input": {"path": "leak.a", "data": {"more": PATCHED}}})).await);
    for (mutation, more) in [
        (ROLLBACK, json!({"toVersion": 1})),
        (DELETE, json!({})),
        (RESTORE, json!({"versions": [4]})),
        (DESTROY, json!({"versions": [2]})),
    ] {
        let mut input = more;
        input["path"] = json!("leak.a");
        search.note(server.as_root(mutation, json!({ "input": input })).await);
    }
    assert_eq!(search.note(server.read(&root, "leak.a").await)["secret"]["data"]["password"], json!(VALUE));
    // refused in all the ways there are
    let refused = json!({"password": REFUSED});
    search.note(server.put_expecting(&root, "leak.a", refused.clone(), 1).await);
    search.note(server.put(&root, "Leak..A", refused.clone()).await);
    search.note(server.put(&root, "leak.a", json!([REFUSED])).await);
    search.note(server.put(&root, "leak.a", json!(REFUSED)).await);
    search.note(server.put(WRONG_TOKEN, "leak.a", refused.clone()).await);
    search.note(server.as_root(PATCH, json!({"input": {"path": "leak.none", "data": refused}})).await);
    search.note(
        server
            .as_root(PATCH, json!({"input": {"path": "leak.a", "data": REFUSED, "surprise": REFUSED}}))
            .await,
    );
    // written into the request's text rather than its variables
    for query in [
        format!(
            "mutation {{ putSecret(input: {{path: \"leak.b\", data: {{password: \"{UNPARSED}\"}}}}) {{ secret {{ version }} }} }}"
        ),
        format!(
            "mutation {{ putSecret(input: {{path: \"leak.b\", data: {{password: \"{UNPARSED}\"}}) {{ secret }}"
        ),
        format!(
            "mutation {{ putSecret(input: {{path: \"leak.b\", data: \"{UNPARSED}\"}}) {{ secret {{ version }} }} }}"
        ),
        format!(
            "mutation {{ putSecret(input: {{path: \"leak.b\", datum: \"{UNPARSED}\"}}) {{ secret {{ version }} }} }}"
        ),
        format!(
            "mutation {{ putSecret(input: {{path: \"{UNPARSED}\", data: {{}}}}) {{ secret {{ version }} }} }}"
        ),
        format!("mutation {{ putSecret(input: \"{UNPARSED}\") {{ secret {{ version }} }} }}"),
        format!("mutation {{ put_secret(password: \"{UNPARSED}\") {{ secret {{ version }} }} }}"),
        format!(
            "mutation {{ putSecret(input: {{path: \"leak.b\", expectedVersion: \"{UNPARSED}\", data: {{}}}}) {{ secret {{ version }} }} }}"
        ),
        format!("\"{UNPARSED}"),
    ] {
        search.note(server.as_root(&query, json!({})).await);
    }
}

/// Roles, SecretIDs and tokens.
async fn logins(server: &Server, search: &mut Search) {
    search.plant("a SecretID of the role's owner", OWN_SECRET_ID);
    search.plant("a wrong SecretID", WRONG_SECRET_ID);
    search.plant("a wrong token", WRONG_TOKEN);
    let document =
        json!({"version": 1, "allowed_secrets": ["leak.*"], "allowed_operations": ["read", "list"]});
    server.create_policy("leak", document).await;
    let role_id = server.create_role("leak", json!({"policies": ["leak"]})).await;
    let (secret_id, accessor) = server.generate_secret_id("leak", json!({})).await;
    search.plant("a SecretID", &secret_id);
    let own = json!({"input": {"roleName": "leak", "secretId": OWN_SECRET_ID}});
    search.note(
        server
            .as_root(
                "mutation($input: GenerateSecretIdInput!) { generateSecretId(input: $input) { accessor } }",
                own,
            )
            .await,
    );
    for wrong in [WRONG_SECRET_ID, WRONG_TOKEN] {
        search.note(server.login(&role_id, wrong).await);
        search.note(server.login(wrong, wrong).await);
    }
    for good in [&secret_id, OWN_SECRET_ID] {
        let login = search.note(server.login(&role_id, good).await);
        let token =
            login["loginWithAppRole"]["token"].as_str().unwrap_or_else(|| panic!("{login}")).to_owned();
        search.plant("a role's token", &token);
        search.note(server.read(&token, "leak.a").await);
        search.note(server.put(&token, "leak.a", json!({"password": REFUSED})).await);
        search.note(server.graphql(Some(&token), RENEW, json!({"input": {"token": token}})).await);
        search.note(server.as_root(RENEW, json!({"input": {"token": WRONG_TOKEN}})).await);
        search.note(server.as_root(REVOKE, json!({"input": {"token": WRONG_TOKEN}})).await);
        search.note(server.graphql(Some(&token), REVOKE, json!({"input": {"token": token}})).await);
        search.note(server.read(&token, "leak.a").await);
    }
    let made = server.token_with(&["leak"], json!({"numUses": 2})).await;
    search.plant("a made token", &made);
    for _ in 0..4 {
        search.note(server.read(&made, "leak.a").await);
    }
    search.note(server.read(WRONG_TOKEN, "leak.a").await);
    let destroy = json!({"input": {"roleName": "leak", "accessor": accessor}});
    search.note(
        server
            .as_root(
                "mutation($input: DestroySecretIdInput!) { destroySecretId(input: $input) { __typename } }",
                destroy,
            )
            .await,
    );
    search.note(server.login(&role_id, &secret_id).await);
}

/// Seal, unseal, rekey, and shares in the wrong places.
async fn shares(server: &mut Server, search: &mut Search) {
    for share in &server.shares.clone() {
        search.plant("a key share", share);
        // all but the last character: what a slip of the pen leaves
        search.plant("most of a key share", &share[..share.len() - 1]);
        search.note(server.give_share(share).await);
        search.note(server.put(&server.root, &format!("Leak.{share}"), json!({"share": share})).await);
    }
    let start = "mutation { startRekey(input: {shares: 3, threshold: 2}) { shares } }";
    search.note(server.as_root(start, json!({})).await);
    let submit = "mutation($input: SubmitRekeyShareInput!) { submitRekeyShare(input: $input) { shares } }";
    for share in &server.shares {
        let given = search.note(server.as_root(submit, json!({"input": {"share": share}})).await);
        for new in given["submitRekeyShare"]["shares"].as_array().into_iter().flatten() {
            search.planted.push(("a new key share", new.as_str().unwrap().to_owned()));
        }
    }
    search.note(server.as_root("mutation { seal { __typename } }", json!({})).await);
    let half = server.shares[0].clone();
    let mistyped = format!("{}{}", &half[..half.len() - 1], if half.ends_with('a') { "b" } else { "a" });
    search.note(server.give_share(&mistyped).await);
    for share in server.shares.clone() {
        search.note(server.give_share(&share).await);
        server.door("POST", "/v1/sys/unseal", None, Some(json!({"share": share, "surprise": share}))).await;
        server.door("POST", "/v1/sys/unseal", None, Some(json!([share]))).await;
        server.door("GET", &format!("/v1/sys/{share}"), None, None).await;
    }
}

/// Everything that is in the store, as bytes.
async fn stored(server: &Server) -> Vec<u8> {
    if let Some(file) = server.database.file() {
        let mut bytes = Vec::new();
        for suffix in ["", "-wal"] {
            bytes.extend(std::fs::read(format!("{}{suffix}", file.display())).unwrap_or_default());
        }
        assert!(bytes.len() > 4096);
        return bytes;
    }
    let mut sql = Sql::open(&server.database.url).await;
    let tables = sql
        .rows("SELECT format('%I', relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        .await;
    let mut text = String::new();
    for table in tables.into_iter().filter_map(|mut row| row[0].take()) {
        for row in sql.rows(&format!("SELECT t::text FROM {table} t")).await {
            text.push_str(row[0].as_deref().unwrap_or_default());
            text.push('\n');
        }
    }
    assert!(text.len() > 4096);
    text.into_bytes()
}

both_stores!(nothing_leaks);

async fn nothing_leaks(store: Store) {
    let options =
        Options { log_level: "trace,sqlx=trace", config: postgresql_section(), ..Options::server() };
    let mut server = Server::start(store, options).await;
    server.initialize().await;
    server.unseal().await;
    let mut search = Search { planted: Vec::new(), errors: String::new() };
    search.plant("the root token", &server.root);
    secrets(&server, &mut search).await;
    logins(&server, &mut search).await;
    engines::engines(&server, &mut search).await;
    shares(&mut server, &mut search).await;
    // once more with the database failing under the server: what the driver says must not get out either
    let mut sql = Sql::open(&server.database.url).await;
    sql.run("ALTER TABLE secret_versions RENAME TO away").await;
    let failed = server.put(&server.root, "leak.c", json!({"password": VALUE})).await;
    assert!(!failed.body.contains("secret_versions") && !failed.body.contains("SQL"), "{}", failed.body);
    search.note(failed);
    search.note(server.read(&server.root, "leak.a").await);
    sql.run("ALTER TABLE away RENAME TO secret_versions").await;
    let export = server.command(&["audit", "export"]);
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    tokio::time::sleep(Duration::from_millis(200)).await;

    let log = server.log();
    assert!(log.lines().count() > 100, "the log at trace level is short:\n{log}");
    let events = String::from_utf8(export.stdout).unwrap();
    assert!(events.lines().count() > 30, "{events}");
    let mut found = search.found_in("the log", log.as_bytes());
    found.extend(search.found_in("an error", search.errors.as_bytes()));
    found.extend(search.found_in("the audit log", events.as_bytes()));
    found.extend(search.found_in("the store", &stored(&server).await));
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
}
