//! Users: what they may do, and what is left of them.

use crate::proxy::{Fate, Proxy};
use crate::target::{
    ACCOUNT, Moto, document, engine, installation, keys_of, lease, lister, name, revocation, role,
};
use chrono::TimeDelta;
use secrethub_engine::{Account, Engine, ErrorKind, Installation, Lease};
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn a_user_may_do_what_its_policies_allow_until_it_is_revoked() {
    let moto = Moto::start().await;
    moto.group("readers", &["iam:ListGroups"]).await;
    let managed = moto.policy("managed", &["iam:ListRoles"]).await;
    let engine = moto.engine().await;
    engine.check().await.unwrap();
    let role = role(json!({ "iam_user": {
        "groups": ["readers"],
        "policies": { "list": document(&["iam:ListUsers"]) },
        "managed_policies": [managed],
        "path": "/secrethub/ci/",
        "tags": { "team": "a.b" },
    } }));
    engine.check_role(&role).await.unwrap();
    let lease = lease();
    let issued = engine.issue(&role, &lease).await.unwrap();
    engine.try_credentials(&issued.credentials).await.unwrap();
    let user = moto.client(&issued.credentials);
    user.list_users().send().await.unwrap();
    user.list_groups().send().await.unwrap();
    user.list_roles().send().await.unwrap();
    user.list_policies().send().await.unwrap_err();

    let found = moto.admin.get_user().user_name(name(&issued)).send().await.unwrap();
    let found = found.user().unwrap();
    assert_eq!(found.arn(), format!("arn:aws:iam::{ACCOUNT}:user/secrethub/ci/{}", name(&issued)));
    let mut tags: Vec<_> = found.tags().iter().map(|tag| (tag.key(), tag.value())).collect();
    tags.sort_unstable();
    let lease_id = lease.id.to_string();
    let mark = installation();
    assert_eq!(
        tags,
        [("secrethub:installation", mark.as_str()), ("secrethub:lease", &lease_id), ("team", "a.b")]
    );
    let secret = issued.credentials["secret_access_key"].as_str().unwrap();
    assert!(!issued.handle.to_string().contains(secret));

    engine.revoke(&revocation(&lease)).await.unwrap();
    user.list_users().send().await.unwrap_err();
    let error = engine.try_credentials(&issued.credentials).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(moto.members("readers").await.is_empty());
    engine.revoke(&revocation(&lease)).await.unwrap();
    assert_eq!(moto.users().await, ["engine", "admin"]);
}

#[tokio::test]
async fn a_user_is_deleted_with_all_that_was_added_to_it() {
    let moto = Moto::start().await;
    moto.group("a", &["iam:ListGroups"]).await;
    moto.group("b", &["iam:ListGroups"]).await;
    let managed = moto.policy("managed", &["iam:ListRoles"]).await;
    let engine = moto.engine().await;
    let lease = lease();
    let issued = engine.issue(&lister(), &lease).await.unwrap();
    let (admin, name) = (&moto.admin, name(&issued));
    for policy in ["x", "y"] {
        let text = document(&["iam:*"]).to_string();
        admin
            .put_user_policy()
            .user_name(name)
            .policy_name(policy)
            .policy_document(text)
            .send()
            .await
            .unwrap();
    }
    admin.attach_user_policy().user_name(name).policy_arn(&managed).send().await.unwrap();
    for group in ["a", "b"] {
        admin.add_user_to_group().user_name(name).group_name(group).send().await.unwrap();
    }
    admin.create_access_key().user_name(name).send().await.unwrap();
    admin.create_login_profile().user_name(name).password("P4ssword!long").send().await.unwrap();

    engine.revoke(&revocation(&lease)).await.unwrap();
    assert_eq!(moto.users().await, ["engine", "admin"]);
    assert!(moto.members("a").await.is_empty() && moto.members("b").await.is_empty());
    let attached = admin.list_entities_for_policy().policy_arn(&managed).send().await.unwrap();
    assert!(attached.policy_users().is_empty());
}

#[tokio::test]
async fn other_users_are_neither_listed_nor_touched() {
    let moto = Moto::start().await;
    let engine = moto.engine().await;
    let lease = lease();
    let (own, other) = (installation(), Installation::from_bytes([9; 5]));
    for (path, name) in [
        ("/secrethub/", "alice".to_owned()),
        ("/secrethub/", other.name(lease.id)),
        ("/secrethub/", format!("{}x", own.name(lease.id))),
        ("/", own.name(Uuid::new_v4())),
    ] {
        moto.admin.create_user().user_name(name).path(path).send().await.unwrap();
    }
    let before = moto.users().await;
    let issued = engine.issue(&lister(), &lease).await.unwrap();
    let name = name(&issued).to_owned();
    assert_eq!(engine.list().await.unwrap(), [Account { name, lease_id: lease.id }]);
    engine.revoke(&revocation(&lease)).await.unwrap();
    assert_eq!(engine.list().await.unwrap(), []);
    assert_eq!(moto.users().await, before);
}

#[tokio::test]
async fn issuing_again_leaves_one_user_with_one_key_and_the_roles_rights() {
    let moto = Moto::start().await;
    let engine = moto.engine().await;
    let lease = lease();
    let first = engine.issue(&lister(), &lease).await.unwrap();
    let text = document(&["iam:*"]).to_string();
    let name = name(&first);
    moto.admin.put_user_policy().user_name(name).policy_name("x").policy_document(text).send().await.unwrap();
    let second = engine.issue(&lister(), &lease).await.unwrap();
    assert_eq!(moto.users().await.len(), 3);
    assert_eq!(keys_of(&moto.admin, name).await, [second.credentials["access_key_id"].as_str().unwrap()]);
    moto.client(&first.credentials).list_users().send().await.unwrap_err();
    moto.client(&second.credentials).list_users().send().await.unwrap();
    let policies = moto.admin.list_user_policies().user_name(name).send().await.unwrap();
    assert_eq!(policies.policy_names(), ["list"]);
}

#[tokio::test]
async fn roles_are_checked_against_what_is_there() {
    let moto = Moto::start().await;
    let engine = moto.engine().await;
    let missing = format!("arn:aws:iam::{ACCOUNT}:policy/missing");
    for (json, field) in [
        (json!({ "groups": ["missing"] }), "iam_user.groups[0]"),
        (json!({ "managed_policies": [missing] }), "iam_user.managed_policies[0]"),
        (json!({ "permissions_boundary": missing }), "iam_user.permissions_boundary"),
        (json!({ "policies": { "p": {} } }), "iam_user.policies.p.Statement"),
    ] {
        let error = engine.check_role(&role(json!({ "iam_user": json }))).await.unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some(field)));
    }
    let mut config = moto.config();
    config["secret_access_key"] = json!("not the secret of this key");
    let error = engine_check(config).await;
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(!error.message.contains("not the secret"));
}

async fn engine_check(config: serde_json::Value) -> secrethub_engine::EngineError {
    engine(config).await.check().await.unwrap_err()
}

#[tokio::test]
async fn a_renewal_needs_the_user_and_moves_the_policy_that_ends_it() {
    let moto = Moto::start().await;
    let engine = moto.engine().await;
    let ending = role(json!({ "iam_user": { "deny_after_expiry": true } }));
    // conditions are beyond moto: only that AWS is told is tested
    let mut lease = lease();
    let issued = engine.issue(&ending, &lease).await.unwrap();
    assert_eq!(denied_after(&moto, name(&issued)).await, text(&lease));
    lease.expires_at += TimeDelta::hours(1);
    engine.renew(&ending, &lease, &issued.handle).await.unwrap();
    assert_eq!(denied_after(&moto, name(&issued)).await, text(&lease));
    engine.renew(&lister(), &lease, &issued.handle).await.unwrap();
    engine.revoke(&revocation(&lease)).await.unwrap();
    for role in [&ending, &lister()] {
        let error = engine.renew(role, &lease, &issued.handle).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
    }
}

async fn denied_after(moto: &Moto, name: &str) -> String {
    let policy =
        moto.admin.get_user_policy().user_name(name).policy_name("secrethub-expiry").send().await.unwrap();
    let document = policy.policy_document().replace("%3A", ":").replace("%22", "\"");
    let (_, after) = document.split_once("aws:CurrentTime\"").unwrap();
    after.split('"').nth(1).unwrap().to_owned()
}

fn text(lease: &Lease) -> String {
    lease.expires_at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// moto forgets permissions boundaries, so that what is sent is looked at.
#[tokio::test]
async fn the_boundary_is_set_when_the_user_is_made() {
    let moto = Moto::start().await;
    let boundary = moto.policy("boundary", &["iam:*"]).await;
    let proxy = Proxy::start(&moto.endpoint, |_| Fate::Pass).await;
    let engine = engine(moto.config_at(&proxy.endpoint)).await;
    let bounded = role(json!({ "iam_user": { "permissions_boundary": boundary } }));
    engine.check_role(&bounded).await.unwrap();
    engine.issue(&bounded, &lease()).await.unwrap();
    let sent = format!("PermissionsBoundary={}", boundary.replace(':', "%3A").replace('/', "%2F"));
    assert!(proxy.forms("CreateUser")[0].contains(&sent));
}
