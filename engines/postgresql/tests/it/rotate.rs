//! Passwords that change: the engine's own, and those of accounts that it does not make.

use crate::server::{ROOT, ROOT_PASSWORD};
use crate::target::{Admin, Target, lease, revocation, username};
use secrethub_engine::{Engine, ErrorKind, SecretString};
use secrethub_engine_postgresql::PostgresEngine;
use serde_json::json;

#[tokio::test]
async fn the_engines_own_password_is_rotated() {
    let target = Target::new(Admin::Createrole).await;
    let engine = target.engine().await;
    let mut passwords = vec![target.admin_password.clone()];
    let log_in = |password: String| async {
        let password = password;
        target.server.log_in("postgres", &target.admin, &password).await.is_ok()
    };
    for _ in 0..2 {
        let proposal = engine.propose_root().await.unwrap();
        passwords.push(proposal.password.expose().to_owned());
        engine.rotate_root(proposal.clone()).await.unwrap();
        // as after a crash before the answer was stored
        engine.rotate_root(proposal.clone()).await.unwrap();
        let lease = lease();
        engine.issue(&target.role(), &lease).await.unwrap();
        engine.revoke(&revocation(&lease)).await.unwrap();
    }
    let mut works = Vec::new();
    for password in &passwords {
        works.push(log_in(password.clone()).await);
    }
    assert_eq!(works, [false, false, true]);

    // an engine that was started with the old password, and the proposal that was carried out
    let old = target.engine().await;
    let error = old.check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(!error.message.contains(&target.admin_password));
    let mut json = target.config();
    json["password"] = json!(passwords[2]);
    old.rotate_root(serde_json::from_value(json.clone()).unwrap()).await.unwrap();
    old.check().await.unwrap();

    // neither is in force
    json["password"] = json!("something else entirely");
    let lost = PostgresEngine::connect(
        serde_json::from_value(target.config()).unwrap(),
        target.installation.clone(),
    );
    let error =
        lost.await.unwrap().rotate_root(serde_json::from_value(json.clone()).unwrap()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("neither"), "{error}");
    json["username"] = json!("somebody");
    let error = old.rotate_root(serde_json::from_value(json).unwrap()).await.unwrap_err();
    assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some("username")));
    // the first was set by the test
    for password in &passwords[1..] {
        assert!(!target.server.log().contains(password));
    }
}

#[tokio::test]
async fn passwords_of_other_accounts_are_rotated() {
    let target = Target::new(Admin::Createrole).await;
    let engine = target.engine().await;
    let maker = target.server.log_in("postgres", &target.admin, &target.admin_password).await.unwrap();
    let account = format!("Legacy \"app\" {}", target.installation);
    let quoted = account.replace('"', "\"\"");
    maker.batch_execute(&format!("CREATE ROLE \"{quoted}\" LOGIN PASSWORD 'first'")).await.unwrap();
    // not only what the engine's own passwords are made of
    let password = SecretString::from("it's \\ a pässword;--");
    for _ in 0..2 {
        engine.rotate_account(&account, &password).await.unwrap();
        target.server.log_in("postgres", &account, password.expose()).await.unwrap();
        assert!(target.server.log_in("postgres", &account, "first").await.is_err());
    }
    assert!(!target.server.log().contains(password.expose()));

    let lease = lease();
    let issued = engine.issue(&target.role(), &lease).await.unwrap();
    let missing = "not on the target";
    let own = "engine's own";
    for (name, words) in [
        ("nobody-of-that-name", missing),
        (target.group.as_str(), "may not log in"),
        (target.admin.as_str(), own),
        (username(&issued), own),
        (&"x".repeat(64), "63 bytes"),
    ] {
        let error = engine.rotate_account(name, &password).await.unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some("account")), "{error}");
        assert!(error.message.contains(words), "{error}");
    }
    // the target's rules hold
    let error = engine.rotate_account(ROOT, &password).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(!format!("{error:?}").contains("SCRAM"), "{error}");
    target.server.log_in("postgres", ROOT, ROOT_PASSWORD).await.unwrap();
}

/// As when a node takes up what another one is slow with: the target fails one of two that change the same account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_password_is_set_by_several_at_once() {
    let target = Target::new(Admin::Createrole).await;
    let first = target.engine().await;
    let proposal = first.propose_root().await.unwrap();
    let setting = (0..12).map(|_| async {
        let engine = target.engine().await;
        engine.rotate_root(proposal.clone()).await
    });
    for set in futures_util::future::join_all(setting).await {
        set.unwrap();
    }
    first.rotate_root(proposal).await.unwrap();
    first.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_fails_while_the_engines_own_password_is_rotated() {
    let target = Target::new(Admin::Createrole).await;
    // each change has all of them log in anew, and some while the next one is made
    let engine = target.engine_with(json!({ "max_connections": 16, "connect_timeout_seconds": 30 })).await;
    let rotating = async {
        for _ in 0..20 {
            engine.rotate_root(engine.propose_root().await.unwrap()).await.unwrap();
        }
    };
    let over = std::sync::atomic::AtomicBool::new(false);
    let using = (0..16).map(|_| async {
        let mut issued = 0;
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            let lease = lease();
            engine.issue(&target.role(), &lease).await.unwrap();
            engine.revoke(&revocation(&lease)).await.unwrap();
            issued += 1;
        }
        issued
    });
    let rotating = async {
        rotating.await;
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (issued, ()) = tokio::join!(futures_util::future::join_all(using), rotating);
    assert!(issued.iter().all(|issued| *issued > 0), "{issued:?}");
}
