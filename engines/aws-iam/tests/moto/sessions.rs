//! Temporary credentials of STS.

use crate::proxy::{Fate, Proxy};
use crate::target::{ACCOUNT, Moto, allow, document, engine, lease, revocation, role};
use chrono::TimeDelta;
use secrethub_engine::{Engine, ErrorKind, Revocation};
use serde_json::{Value, json};
use std::time::Instant;

/// Makes a role that this user of moto may assume and that allows `iam:ListUsers`. Its ARN.
async fn make_role(moto: &Moto, name: &str, trusted: &str) -> String {
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:user/{trusted}") },
    }] });
    let made = moto.admin.create_role().role_name(name).assume_role_policy_document(trust.to_string());
    let arn = made.send().await.unwrap().role().unwrap().arn().to_owned();
    let may = moto.admin.put_role_policy().role_name(name).policy_name("may");
    may.policy_document(document(&["iam:ListUsers"]).to_string()).send().await.unwrap();
    arn
}

#[tokio::test]
async fn a_session_of_a_role_may_what_the_role_may_and_ends_with_its_lease() {
    let moto = Moto::start().await;
    let arn = make_role(&moto, "deploy", "engine").await;
    let proxy = Proxy::start(&moto.endpoint, |_| Fate::Pass).await;
    let engine = engine(moto.config_at(&proxy.endpoint)).await;
    let role = role(json!({ "assume_role": {
        "role_arn": arn, "session_policy": document(&["iam:List*"]), "external_id": "e:1",
    } }));
    engine.check_role(&role).await.unwrap();
    let lease = lease();
    let begun = Instant::now();
    let issued = engine.issue(&role, &lease).await.unwrap();
    let took = TimeDelta::from_std(begun.elapsed()).unwrap();
    engine.try_credentials(&issued.credentials).await.unwrap();
    let session = moto.client(&issued.credentials);
    session.list_users().send().await.unwrap();
    session.list_groups().send().await.unwrap_err();

    let name = crate::target::installation().name(lease.id);
    let session_arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/deploy/{name}");
    assert_eq!(issued.credentials["session_arn"], json!(session_arn));
    let ends = chrono::DateTime::parse_from_rfc3339(issued.credentials["ends_at"].as_str().unwrap()).unwrap();
    let early = lease.expires_at.signed_duration_since(ends);
    // it is asked for by its length, which counts from when the target hears of it
    assert!(early >= -(took + TimeDelta::seconds(1)) && early < TimeDelta::seconds(5), "{early}, {took}");
    let sent = &proxy.forms("AssumeRole")[0];
    assert!(sent.contains("ExternalId=e%3A1") && sent.contains("Policy=%7B"), "{sent}");
    for secret in ["secret_access_key", "session_token"] {
        assert!(!issued.handle.to_string().contains(issued.credentials[secret].as_str().unwrap()));
    }

    let renewed = engine.renew(&role, &lease, &issued.handle).await.unwrap_err();
    assert_eq!(renewed.kind, ErrorKind::Unsupported, "which callers are told as a conflict");
    let known = Revocation { lease_id: lease.id, handle: Some(issued.handle), role: Some(role) };
    engine.revoke(&known).await.unwrap();
    engine.revoke(&revocation(&lease)).await.unwrap();
}

#[tokio::test]
async fn leases_that_sts_does_not_have_are_refused() {
    let moto = Moto::start().await;
    let engine = moto.engine().await;
    let role = role(json!({ "assume_role": { "role_arn": make_role(&moto, "deploy", "engine").await } }));
    for (seconds, works) in [(60, false), (890, true), (13 * 3600, false)] {
        let mut lease = lease();
        lease.expires_at = lease.expires_at - TimeDelta::hours(1) + TimeDelta::seconds(seconds);
        match engine.issue(&role, &lease).await {
            Ok(_) => assert!(works),
            Err(error) => assert!(!works && error.kind == ErrorKind::Refused, "{error}"),
        }
    }
}

#[tokio::test]
async fn a_role_that_does_not_trust_the_engine_is_refused() {
    let moto = Moto::start().await;
    let arn = make_role(&moto, "deploy", "someone-else").await;
    let role = role(json!({ "assume_role": { "role_arn": arn } }));
    let error = moto.engine().await.issue(&role, &lease()).await.map(drop).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("sts:AssumeRole"), "{error}");
}

#[tokio::test]
async fn for_sessions_no_rights_in_iam_are_needed() {
    let moto = Moto::start().await;
    let arn = make_role(&moto, "deploy", "engine").await;
    allow(&moto.admin, "engine", &["sts:AssumeRole"]).await;
    let engine = moto.engine().await;
    engine.check().await.unwrap();
    let role = role(json!({ "assume_role": { "role_arn": arn } }));
    let lease = lease();
    engine.issue(&role, &lease).await.unwrap();
    let lost = Revocation { lease_id: lease.id, handle: None, role: Some(role) };
    engine.revoke(&lost).await.unwrap();
    // without the role it cannot be told from a user that the engine may not delete any more
    assert_eq!(engine.revoke(&revocation(&lease)).await.unwrap_err().kind, ErrorKind::Refused);
}

/// moto does not know the sessions that it federates: only that they are issued is tested.
#[tokio::test]
async fn a_federation_token_is_issued() {
    let moto = Moto::start_open().await;
    let role = role(json!({ "federation_token": { "session_policy": document(&["s3:*"]) } }));
    let lease = lease();
    let issued = moto.engine().await.issue(&role, &lease).await.unwrap();
    let arn = format!("arn:aws:sts::{ACCOUNT}:federated-user/{}", lease.id.simple());
    assert_eq!(issued.credentials["session_arn"], json!(arn));
    assert!(issued.credentials["session_token"].as_str().is_some_and(|token| !token.is_empty()));
    assert_eq!(issued.handle["session_name"], Value::from(lease.id.simple().to_string()));
}
