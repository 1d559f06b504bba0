//! New data keys under load, and new shares.

use crate::support::writers::{Writers, all_there};
use crate::support::{Options, Reply, Server, Store};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ROTATE: &str = "mutation { rotateEncryptionKey { keyVersion } }";
const START: &str = "mutation($input: StartRekeyInput!) { startRekey(input: $input) {
  status { started shares threshold progress required confirmed complete } shares } }";
const SUBMIT: &str = "mutation($input: SubmitRekeyShareInput!) { submitRekeyShare(input: $input) {
  status { started shares threshold progress required confirmed complete } shares } }";
const CONFIRM: &str = "mutation($input: ConfirmRekeyInput!) { confirmRekey(input: $input) {
  status { started shares threshold progress required confirmed complete } shares } }";

both_stores!(data_key_under_load, rekey, rekey_forgotten);

async fn data_key_under_load(store: Store) {
    let mut server = Server::unsealed(store).await;
    let mut sql = crate::support::sql::Sql::open(&server.database.url).await;
    // enough to be rewrapped that the background has something to do
    let mut writes = Vec::new();
    let filling = Writers::start(&server, 16, 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    writes.extend(filling.finish_unrefused().await);
    let writers = Writers::start(&server, 4, 1);
    let mut newest = 1;
    for _ in 0..2 {
        let rotated = server.as_root(ROTATE, json!({})).await.ok();
        let version = rotated["rotateEncryptionKey"]["keyVersion"].as_i64().unwrap();
        assert_eq!(version, newest + 1);
        newest = version;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let old = format!(
        "SELECT count(*) FROM secret_versions WHERE encrypted_data IS NOT NULL AND key_version <> {newest}"
    );
    let since = Instant::now();
    while sql.number(&old).await > 0 {
        let left = sql.number(&old).await;
        assert!(since.elapsed() < Duration::from_secs(60), "{left} records are still under an old key");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    writes.extend(writers.finish_unrefused().await);
    eprintln!("{} writes, rewrapped {:?} after the rotation", writes.len(), since.elapsed());
    all_there(&server, &writes).await;
    server.audit_is_whole().await;
    server.restart().await;
    server.unseal().await;
    all_there(&server, &writes).await;
    assert_eq!(sql.number(&old).await, 0);
    server.audit_is_whole().await;
}

async fn share(server: &Server, mutation: &str, share: &str) -> Reply {
    server.as_root(mutation, json!({"input": {"share": share}})).await
}

fn new_shares(payload: &Value) -> Vec<String> {
    let shares = payload["shares"].as_array().cloned().unwrap_or_default();
    shares.iter().map(|share| share.as_str().unwrap().to_owned()).collect()
}

/// Starts a rekey to 4 shares of which 3 are needed and gives the old quorum; the new shares.
async fn begin(server: &Server) -> Vec<String> {
    let started = server.as_root(START, json!({"input": {"shares": 4, "threshold": 3}})).await.ok();
    let status = &started["startRekey"]["status"];
    assert_eq!((&status["started"], &status["progress"]), (&json!(true), &json!(0)), "{started}");
    let first = share(server, SUBMIT, &server.shares[0]).await.ok();
    assert!(new_shares(&first["submitRekeyShare"]).is_empty(), "below the quorum nothing is shown");
    assert_eq!(first["submitRekeyShare"]["status"]["progress"], json!(1));
    share(server, SUBMIT, &server.shares[0]).await.refused("BAD_USER_INPUT");
    let second = share(server, SUBMIT, &server.shares[2]).await.ok();
    let shares = new_shares(&second["submitRekeyShare"]);
    assert_eq!(shares.len(), 4, "the quorum is reached: the new shares are shown, once");
    shares
}

async fn rekey(store: Store) {
    let mut server = Server::unsealed(store).await;
    server.put(&server.root, "a.b", json!({"k": "v"})).await.ok();
    let new = begin(&server).await;
    let old = server.shares.clone();
    for (index, one) in new.iter().enumerate() {
        if index == 1 {
            share(&server, CONFIRM, &new[0]).await.refused("BAD_USER_INPUT");
            share(&server, CONFIRM, &old[0]).await.refused("BAD_USER_INPUT");
        }
        let confirmed = share(&server, CONFIRM, one).await.ok();
        let status = &confirmed["confirmRekey"]["status"];
        assert_eq!(status["complete"], json!(index == 3), "{status}");
        assert!(new_shares(&confirmed["confirmRekey"]).is_empty(), "the shares are shown once only");
    }
    server.restart().await;
    let refused = server.give_share(&old[0]).await;
    refused.refused("BAD_USER_INPUT");
    assert_eq!(refused.field(), Some("input.share"));
    server.shares = new;
    server.options.shares = (4, 3);
    server.unseal().await;
    assert_eq!(server.read(&server.root, "a.b").await.ok()["secret"]["data"], json!({"k": "v"}));
    server.audit_is_whole().await;
}

/// New shares that were never shown back are worth nothing; the old ones stay good.
async fn rekey_forgotten(store: Store) {
    let mut server = Server::start(store, Options::server()).await;
    server.initialize().await;
    server.unseal().await;
    server.put(&server.root, "a.b", json!({"k": "v"})).await.ok();
    let new = begin(&server).await;
    for one in &new[..3] {
        share(&server, CONFIRM, one).await.ok();
    }
    server.restart().await;
    for one in &new {
        server.give_share(one).await.refused("BAD_USER_INPUT");
    }
    server.unseal().await;
    assert_eq!(server.read(&server.root, "a.b").await.ok()["secret"]["data"], json!({"k": "v"}));
    server.audit_is_whole().await;
}
