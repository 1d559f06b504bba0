//! New passwords, from whichever state a crash has left.

use crate::server::{ACCOUNT, Keeps, PASSWORD, ROOT, Server, call, config, engine, hash, lease, role};
use deadpool_redis::redis;
use secrethub_engine::ErrorKind;
use secrethub_engine::wire::Operation;
use serde_json::{Value, json};

fn accepts(server: &Server, account: &str, password: &Value) -> bool {
    server.login(account, password.as_str().unwrap()).is_ok()
}

fn set(server: &Server, rules: &[&str]) {
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg(rules);
    let _: () = command.query(&mut server.root()).unwrap();
}

#[tokio::test]
async fn the_engines_own_password_is_replaced_twice() {
    let (mut one, mut other) = (Server::start(Keeps::AclFile), Server::start(Keeps::ConfigFile));
    let client = engine(config(&[&one, &other])).await;
    let mut passwords = vec![json!(PASSWORD)];
    for _ in 0..2 {
        let proposal = call(&client, Operation::ProposeRoot).await.unwrap();
        passwords.push(proposal["password"].clone());
        assert!(accepts(&one, ACCOUNT, &passwords[passwords.len() - 2]), "a proposal changes nothing");
        for _ in 0..2 {
            call(&client, Operation::RotateRoot { proposal: proposal.clone() }).await.unwrap();
        }
        call(&client, Operation::Check).await.unwrap();
        client.issue(&role(), &lease()).await.unwrap();
        one.restart();
        other.restart();
        let (new, old) = passwords.split_last().unwrap();
        for server in [&one, &other] {
            assert!(accepts(server, ACCOUNT, new));
            assert!(!old.iter().any(|old| accepts(server, ACCOUNT, old)), "the old ones do not work");
        }
        call(&client, Operation::Check).await.unwrap();
    }
}

#[tokio::test]
async fn the_default_account_is_rotated_too() {
    let mut server = Server::start(Keeps::ConfigFile);
    let mut config = config(&[&server]);
    config.as_object_mut().unwrap().remove("username");
    config["password"] = json!(ROOT);
    let client = engine(config).await;
    for _ in 0..2 {
        let proposal = call(&client, Operation::ProposeRoot).await.unwrap();
        call(&client, Operation::RotateRoot { proposal: proposal.clone() }).await.unwrap();
        server.restart();
        assert!(accepts(&server, "default", &proposal["password"]));
        assert!(
            !accepts(&server, "default", &json!(ROOT)),
            "the old requirepass is over, after a restart too"
        );
        call(&client, Operation::Check).await.unwrap();
    }
}

#[tokio::test]
async fn a_rotation_is_finished_from_every_state() {
    for state in 0..5 {
        let (one, other) = (Server::start(Keeps::AclFile), Server::start(Keeps::AclFile));
        let old = config(&[&one, &other]);
        let proposal = call(&engine(old.clone()).await, Operation::ProposeRoot).await.unwrap();
        let new_hash = format!("#{}", hash(proposal["password"].as_str().unwrap()));
        let (add, only) = ([ACCOUNT, &new_hash], [ACCOUNT, "resetpass", &new_hash]);
        match state {
            0 => set(&one, &add),
            1 => [&one, &other].into_iter().for_each(|server| set(server, &add)),
            2 => {
                set(&one, &only);
                set(&other, &add);
            }
            3 => [&one, &other].into_iter().for_each(|server| set(server, &only)),
            // an earlier proposal that was given up
            _ => set(&one, &[ACCOUNT, ">given-up"]),
        }
        // after a crash the server may come with either configuration
        for config in [old, proposal.clone()] {
            let client = engine(config).await;
            call(&client, Operation::RotateRoot { proposal: proposal.clone() }).await.unwrap();
            call(&client, Operation::Check).await.unwrap();
        }
        for server in [&one, &other] {
            assert!(accepts(server, ACCOUNT, &proposal["password"]), "state {state}");
            for old in [PASSWORD, "given-up"] {
                assert!(!accepts(server, ACCOUNT, &json!(old)), "state {state}");
            }
        }
    }
}

#[tokio::test]
async fn a_rotation_that_cannot_be_finished_leaves_the_old_password() {
    let (one, mut other) = (Server::start(Keeps::AclFile), Server::start(Keeps::AclFile));
    let client = engine(config(&[&one, &other])).await;
    let proposal = call(&client, Operation::ProposeRoot).await.unwrap();
    other.stop();
    let rotate = || Operation::RotateRoot { proposal: proposal.clone() };
    assert_eq!(call(&client, rotate()).await.unwrap_err().kind, ErrorKind::Retry);
    assert!(accepts(&one, ACCOUNT, &json!(PASSWORD)));
    other.go_on();
    call(&client, rotate()).await.unwrap();
    assert!(!accepts(&one, ACCOUNT, &json!(PASSWORD)) && !accepts(&other, ACCOUNT, &json!(PASSWORD)));

    let forgetful = Server::start(Keeps::Nothing);
    let client = engine(config(&[&forgetful])).await;
    let proposal = call(&client, Operation::ProposeRoot).await.unwrap();
    let error = call(&client, Operation::RotateRoot { proposal }).await.unwrap_err();
    assert!(error.kind == ErrorKind::Refused && error.message.contains("cannot store"), "{error}");
    assert!(accepts(&forgetful, ACCOUNT, &json!(PASSWORD)));
    call(&client, Operation::Check).await.unwrap();
}

#[tokio::test]
async fn accounts_that_stay_get_new_passwords_and_keep_their_rights() {
    let (mut one, mut other) = (Server::start(Keeps::AclFile), Server::start(Keeps::ConfigFile));
    for server in [&one, &other] {
        set(server, &["app", "on", ">old", "~app:*", "+get"]);
    }
    set(&one, &["half", "on", ">old"]);
    let client = engine(config(&[&one, &other])).await;
    let rotate = |account: &str, password: &str| Operation::RotateAccount {
        account: account.to_owned(),
        password: password.into(),
    };
    for _ in 0..2 {
        call(&client, rotate("app", "new")).await.unwrap();
    }
    one.restart();
    other.restart();
    for server in [&one, &other] {
        assert!(accepts(server, "app", &json!("new")) && !accepts(server, "app", &json!("old")));
        let mut session = server.login("app", "new").unwrap();
        let _: Option<String> = redis::cmd("GET").arg("app:x").query(&mut session).unwrap();
    }
    let issued = client.issue(&role(), &lease()).await.unwrap();
    for account in [ACCOUNT, "nobody", "half", issued.handle["username"].as_str().unwrap()] {
        let error = call(&client, rotate(account, "hunter2")).await.unwrap_err();
        let half = account == "half";
        let expected = if half { ErrorKind::Refused } else { ErrorKind::BadInput };
        assert_eq!(error.kind, expected, "{account}: {error}");
        assert_eq!(error.field.as_deref(), (!half).then_some("account"), "{account}: {error}");
        assert!(!error.message.contains("hunter2"));
    }
    assert!(one.accepts(&issued.credentials) && one.login("nobody", "hunter2").is_err());
    call(&client, Operation::Check).await.unwrap();
}
