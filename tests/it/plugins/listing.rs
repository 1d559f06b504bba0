//! What is known of plugins, and what is wrong with them.

use super::*;
use secrethub::engine::PluginInfo;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_says_what_it_is_and_its_process_is_confined_completely() {
    let engines = engines();
    assert!(!engines.plugins()[0].available, "nothing is started by itself");
    engines.describe().await;
    let info = engines.plugin("hostile").await.unwrap();
    assert_eq!(info.problem, None);
    assert!(info.available && info.kind == "hostile" && info.sha256.len() == 64);
    assert!(info.sandbox.starts_with("full (Landlock "), "{}", info.sandbox);
    assert_eq!(info.config_schema["properties"]["password"]["writeOnly"], true);
    assert_eq!(info.file_name, "libsecrethub_engine_hostile.so");
    assert_eq!(engines.plugin("nonesuch").await, None);
    let missing = Target { kind: "nonesuch".to_owned(), ..plain() };
    assert!(is_unavailable(&ask(&engines, &missing, role("nothing", ""), PATIENCE).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_plugins_have_a_problem_and_stop_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let changed = path("changed.so");
    std::fs::copy(hostile(), &changed).unwrap();
    let mut pins = vec![pin(&hostile()), pin(&changed)];
    std::fs::write(&changed, b"something else").unwrap();
    std::fs::write(path("text.so"), b"no library at all").unwrap();
    pins.push(pin(&path("text.so")));
    pins.push(PluginPin { file: path("missing.so"), ..pins[0].clone() });
    std::fs::copy(hostile(), path("twin.so")).unwrap();
    pins.push(pin(&path("twin.so")));
    for mode in ["version", "kind", "garbage", "exit", "silent"] {
        pins.push(pin(&copy(folder.path(), mode)));
    }
    let engines = start(settings(pins));
    engines.describe().await;
    let problems: Vec<_> = engines.plugins().into_iter().map(problem).collect();
    let expected = [
        "",
        "the file is not the one that was configured",
        "the file cannot be loaded as a library",
        "the file is not there",
        "another plugin has the kind 'hostile' already",
        "the plugin speaks version 99 of the protocol",
        "the plugin's kind is not",
        "what the plugin says first cannot be read",
        "the process ended before the plugin said what it is (exit code 7)",
        "the plugin did not say what it is in time",
    ];
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}\nis not\n{expected}");
    }
    assert_eq!(problems.len(), expected.len());
    assert!(pid(&engines, &plain()).await > 0, "the good one works");
}

fn problem(info: PluginInfo) -> String {
    assert_eq!(info.available, info.problem.is_none());
    info.problem.unwrap_or_default()
}

/// Ends the process and asks again. The checked bytes go with it, which takes a moment: until then another starts with them.
async fn refusal_afresh(engines: &Engines, target: &Target) -> Result<Value, CallError> {
    let since = std::time::Instant::now();
    loop {
        engines.stop(target.id).await;
        let outcome = ask(engines, target, role("nothing", ""), PATIENCE).await;
        if outcome.is_err() || since.elapsed() > PATIENCE {
            return outcome;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_is_not_loaded_and_works_again_once_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plugin.so");
    std::fs::copy(hostile(), &file).unwrap();
    let engines = start(settings(vec![pin(&file)]));
    let target = plain();
    let first = pid(&engines, &target).await;
    std::fs::write(&file, b"changed under a running server").unwrap();
    assert_eq!(pid(&engines, &target).await, first, "what runs goes on");
    let outcome = refusal_afresh(&engines, &target).await;
    assert!(
        matches!(&outcome, Err(CallError::Unavailable { message, .. }) if message.contains("SHA-256")),
        "{outcome:?}"
    );
    assert!(!engines.plugins()[0].available);
    std::fs::copy(hostile(), &file).unwrap();
    assert_ne!(pid_again(&engines, &target).await, first);
    assert!(engines.plugins()[0].available);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_hash_the_first_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plugin.so");
    std::fs::copy(hostile(), &file).unwrap();
    let engines = start(settings(vec![PluginPin { sha256: None, ..pin(&file) }]));
    let target = plain();
    pid(&engines, &target).await;
    assert_eq!(engines.plugins()[0].sha256, pin(&file).sha256.unwrap());
    std::fs::copy(copy(folder.path(), "other"), &file).unwrap();
    assert!(is_unavailable(&refusal_afresh(&engines, &target).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_takes_long_keeps_nobody_from_another() {
    let folder = tempfile::tempdir().unwrap();
    let engines = start(settings(vec![pin(&copy(folder.path(), "silent")), pin(&hostile())]));
    let describing = tokio::spawn({
        let engines = engines.clone();
        async move { engines.describe().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(ask(&engines, &plain(), role("nothing", ""), Duration::from_secs(8)).await.is_ok());
    assert!(!describing.is_finished());
}

#[test]
fn nobody_else_can_start_an_engines_process() {
    let ended =
        std::process::Command::new(env!("CARGO_BIN_EXE_secrethub")).arg("engine-host").output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("started by the server only"));
}
