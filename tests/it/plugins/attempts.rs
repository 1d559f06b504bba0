//! What an engine's process can get at: nothing that is not its own.

use super::*;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_engine_gets_nothing() {
    // what it could reach if it were not confined: this user's file, this process, this socket
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.db");
    std::fs::write(&store, "the store").unwrap();
    let address = SocketAddr::from_abstract_name("secrethub-hostile-target");
    let _listener = address.and_then(|address| UnixListener::bind_addr(&address));

    let engines = engines();
    let target = plain();
    let got = ask(&engines, &target, role("attempts", store.to_str().unwrap()), PATIENCE).await.unwrap();
    println!("{got:#}");
    let attempts = got.as_object().unwrap();
    assert!(attempts.len() > 35);
    for (attempt, outcome) in attempts.iter().filter(|(_, outcome)| outcome.is_string()) {
        let outcome = outcome.as_str().unwrap();
        // EPERM or EACCES: refused, not merely failed
        let refused = outcome.ends_with("(os error 1)") || outcome.ends_with("(os error 13)");
        assert!(outcome.starts_with("denied: ") && refused, "{attempt}: {outcome}");
    }
    assert_eq!(got["environment"], json!([]));
    let descriptors: Vec<_> =
        got["descriptors"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    // /dev/null three times, its socket, then what its own runtime opened: sockets, and pollers, which have no type; no file
    assert_eq!(descriptors[..4], ["0: 20000", "1: 20000", "2: 20000", "3: 140000"]);
    let own = |descriptor: &&str| descriptor.ends_with(": 140000") || descriptor.ends_with(": 0");
    assert!(descriptors[4..].iter().all(own), "{descriptors:?}");
    assert_eq!(std::fs::read_to_string(&store).unwrap(), "the store");
    assert!(pid(&engines, &target).await > 0, "and it serves on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_can_be_resolved() {
    let engines = engines();
    let got = ask(&engines, &plain(), role("resolve", ""), PATIENCE).await.unwrap();
    assert!(got["localhost"].as_str().unwrap().contains("127.0.0.1"), "{got}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_may_read_what_the_configuration_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "certificate").unwrap();
    let read = vec![folder.path().to_owned()];
    let engines = start(settings(vec![PluginPin { read, ..pin(&hostile()) }]));
    let path = file.to_str().unwrap();
    let got = ask(&engines, &plain(), role("attempts", path), PATIENCE).await.unwrap();
    assert_eq!(got[path], "got it");
    assert!(got["write the store"].as_str().unwrap().starts_with("denied: "), "{got}");
    assert!(got["remove the store"].as_str().unwrap().starts_with("denied: "), "{got}");

    let write = vec![folder.path().to_owned()];
    let engines = start(settings(vec![PluginPin { write, ..pin(&hostile()) }]));
    let got = ask(&engines, &plain(), role("attempts", path), PATIENCE).await.unwrap();
    assert_eq!((&got["write the store"], &got["remove the store"]), (&json!("got it"), &json!("got it")));
    assert!(!file.exists());
}
