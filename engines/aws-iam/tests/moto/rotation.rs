//! Rotation of the engine's own key, from every state that a crash can leave.

use crate::proxy::{Fate, Proxy};
use crate::target::{ACCOUNT, Moto, engine, keys_of, lease, lister, make_key, revocation};
use secrethub_engine::{Engine, ErrorKind};
use secrethub_engine_aws_iam::{AwsIam, Config};
use serde_json::{Value, json};

fn config(json: Value) -> Config {
    serde_json::from_value(json).unwrap()
}

async fn engine_with(proposal: &Config) -> AwsIam {
    engine(serde_json::to_value(proposal).unwrap()).await
}

#[tokio::test]
async fn the_old_key_ends_and_the_engine_goes_on() {
    let moto = Moto::start().await;
    let engine = moto.engine().await;
    let lease = lease();
    engine.issue(&lister(), &lease).await.unwrap();
    let proposal = engine.propose_root().await.unwrap();
    assert_ne!(json!(proposal.access_key_id), moto.key["access_key_id"]);
    assert_eq!(keys_of(&moto.admin, "engine").await.len(), 2);
    // both work until the rotation
    engine.check().await.unwrap();
    engine_with(&proposal).await.check().await.unwrap();

    engine.rotate_root(proposal.clone()).await.unwrap();
    assert_eq!(keys_of(&moto.admin, "engine").await, [proposal.access_key_id.as_str()]);
    moto.client(&moto.key).list_users().send().await.unwrap_err();
    engine.check().await.unwrap();
    engine.revoke(&revocation(&lease)).await.unwrap();

    // repeated: here, by one that still has the old key, and by one that has the new key
    engine.rotate_root(proposal.clone()).await.unwrap();
    let old = moto.engine().await;
    old.rotate_root(proposal.clone()).await.unwrap();
    old.check().await.unwrap();
    let new = engine_with(&proposal).await;
    new.rotate_root(proposal).await.unwrap();
    // and once more from the new key
    let next = new.propose_root().await.unwrap();
    new.rotate_root(next.clone()).await.unwrap();
    assert_eq!(keys_of(&moto.admin, "engine").await, [next.access_key_id]);
}

#[tokio::test]
async fn a_rotation_that_stopped_before_the_old_key_ended_is_finished_from_the_new_one() {
    let moto = Moto::start().await;
    let proposal = moto.engine().await.propose_root().await.unwrap();
    engine_with(&proposal).await.rotate_root(proposal.clone()).await.unwrap();
    assert_eq!(keys_of(&moto.admin, "engine").await, [proposal.access_key_id]);
}

#[tokio::test]
async fn a_proposal_left_behind_is_removed_and_a_key_in_use_is_not() {
    let moto = Moto::start().await;
    let engine = moto.engine().await;
    let first = engine.propose_root().await.unwrap();
    let second = engine.propose_root().await.unwrap();
    let keys = keys_of(&moto.admin, "engine").await;
    assert!(keys.len() == 2 && keys.contains(&second.access_key_id) && !keys.contains(&first.access_key_id));
    // used by somebody
    engine_with(&second).await.check().await.unwrap();
    let error = engine.propose_root().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains(&second.access_key_id), "{error}");
    assert_eq!(keys_of(&moto.admin, "engine").await, keys);
    // a first proposal that is gone is not waited for
    let error = engine.rotate_root(first).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    engine.check().await.unwrap();
}

#[tokio::test]
async fn the_key_of_another_user_is_refused() {
    let moto = Moto::start().await;
    let engine = moto.engine().await;
    let mut other = moto.config();
    for (key, value) in make_key(&moto.admin, "admin").await.as_object().unwrap() {
        other[key] = value.clone();
    }
    let error = engine.rotate_root(config(other)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert_eq!(keys_of(&moto.admin, "engine").await.len(), 1);
    assert_eq!(keys_of(&moto.admin, "admin").await.len(), 2);
    engine.check().await.unwrap();
}

#[tokio::test]
async fn only_keys_of_users_are_rotated() {
    let moto = Moto::start().await;
    let who = |arn: String| {
        move |request: &crate::proxy::Request| {
            if request.action != "GetCallerIdentity" {
                return Fate::Pass;
            }
            Fate::Answer(
                200,
                format!(
                    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>u</UserId>\
                     <Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
                ),
            )
        }
    };
    for (arn, word) in [
        (format!("arn:aws:iam::{ACCOUNT}:root"), "root"),
        (format!("arn:aws:sts::{ACCOUNT}:assumed-role/deploy/s"), "IAM user"),
    ] {
        let proxy = Proxy::start(&moto.endpoint, who(arn)).await;
        let error = engine(moto.config_at(&proxy.endpoint)).await.propose_root().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(word), "{error}");
    }
    let mut temporary = moto.config();
    temporary["session_token"] = json!("token");
    let error = engine(temporary).await.propose_root().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("temporary"), "{error}");
    assert_eq!(keys_of(&moto.admin, "engine").await.len(), 1);
}
