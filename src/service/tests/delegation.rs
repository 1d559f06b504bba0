//! Nobody passes on more than he holds.

use super::super::ledger::Attempt;
use super::super::policies::{self, PolicyInput};
use super::super::roles::{self, GenerateSecretId, RoleInput};
use super::super::tokens::{self, CreateToken};
use super::{Node, administers, code, names};
use crate::error::ErrorCode;
use crate::storage::testing::shown;
use serde_json::json;
use uuid::Uuid;

fn role(name: &str, policies: &[&str]) -> RoleInput {
    RoleInput { name: name.to_owned(), policies: Some(names(policies)), ..RoleInput::default() }
}

fn secret_id(role_name: &str) -> GenerateSecretId {
    GenerateSecretId { role_name: role_name.to_owned(), ..GenerateSecretId::default() }
}

#[tokio::test]
async fn a_role_gets_no_area_by_a_binding() {
    let node = Node::start().await;
    node.policy("roles", administers(&["roles"]), &[]).await;
    node.policy("all", administers(&["policies"]), &["role:ops", "agent:node"]).await;
    let caller = node.caller(&["roles"]).await;

    let before = node.events("admin.access_denied").await;
    assert_eq!(code(roles::create(&caller, role("ops", &[])).await), ErrorCode::Forbidden);
    assert_eq!(node.events("admin.access_denied").await, before + 1, "it is recorded");
    let agent = RoleInput { entity_type: Some("agent".to_owned()), ..role("node", &[]) };
    assert_eq!(code(roles::create(&caller, agent.clone()).await), ErrorCode::Forbidden);
    // another type than the one that is bound: until it is switched
    shown(roles::create(&caller, role("node", &[])).await);
    assert_eq!(code(roles::update(&caller, agent).await), ErrorCode::Forbidden);
    shown(roles::create(&caller, role("ops2", &[])).await);

    // a role that root made of the bound name is not the caller's to hand out or to change
    shown(roles::create(&node.root, role("ops", &[])).await);
    assert_eq!(code(roles::generate_secret_id(&caller, secret_id("ops")).await), ErrorCode::Forbidden);
    let open = RoleInput { name: "ops".to_owned(), description: Some("mine".into()), ..Default::default() };
    assert_eq!(code(roles::update(&caller, open).await), ErrorCode::Forbidden);
    shown(roles::generate_secret_id(&node.root, secret_id("ops")).await);
    shown(roles::generate_secret_id(&caller, secret_id("ops2")).await);

    // bound after the role was made: no SecretID from then on
    node.policy("late", administers(&["seal"]), &["role:ops2"]).await;
    assert_eq!(code(roles::generate_secret_id(&caller, secret_id("ops2")).await), ErrorCode::Forbidden);
}

#[tokio::test]
async fn only_root_names_policies_that_do_not_exist() {
    let node = Node::start().await;
    node.policy("roles", administers(&["roles", "tokens"]), &[]).await;
    node.policy(
        "gone",
        json!({ "version": 1, "allowed_secrets": ["a.*"], "allowed_operations": ["read"] }),
        &[],
    )
    .await;
    let caller = node.caller(&["roles"]).await;
    assert_eq!(code(roles::create(&caller, role("early", &["later"])).await), ErrorCode::Forbidden);
    let hidden = RoleInput { token_policies: Some(names(&["later"])), ..role("early", &[]) };
    assert_eq!(code(roles::create(&caller, hidden).await), ErrorCode::Forbidden);
    let token = CreateToken { policies: names(&["later"]), ..Default::default() };
    assert_eq!(code(tokens::create(&caller, token.clone()).await), ErrorCode::Forbidden);
    shown(tokens::create(&node.root, token).await);
    shown(roles::create(&node.root, role("early", &["later"])).await);
    assert_eq!(code(roles::generate_secret_id(&caller, secret_id("early")).await), ErrorCode::Forbidden);

    // a role that outlived its policy can be put right, and not used before
    shown(roles::create(&caller, role("shop", &["gone"])).await);
    shown(policies::delete(&node.root, "gone").await);
    let described = RoleInput { name: "shop".into(), description: Some("x".into()), ..Default::default() };
    assert_eq!(code(roles::update(&caller, described).await), ErrorCode::Forbidden);
    assert_eq!(code(roles::generate_secret_id(&caller, secret_id("shop")).await), ErrorCode::Forbidden);
    shown(roles::update(&caller, role("shop", &[])).await);
    shown(roles::generate_secret_id(&caller, secret_id("shop")).await);
}

#[tokio::test]
async fn an_area_held_under_conditions_is_not_given_without_them() {
    let node = Node::start().await;
    let here =
        json!({ "version": 1, "administers": ["audit"], "conditions": { "ip_ranges": ["127.0.0.0/8"] } });
    node.policy("roles", administers(&["roles"]), &[]).await;
    node.policy("audit-here", here, &[]).await;
    node.policy("audit", administers(&["audit"]), &[]).await;
    let caller = node.caller(&["roles", "audit-here"]).await;
    assert_eq!(code(roles::create(&caller, role("a", &["audit"])).await), ErrorCode::Forbidden);
    shown(roles::create(&caller, role("b", &["audit-here"])).await);
    let free = node.caller(&["roles", "audit"]).await;
    shown(roles::create(&free, role("c", &["audit"])).await);
    shown(roles::create(&free, role("d", &["audit-here"])).await);

    // what a deny policy takes away, now or at other times, is not given on: the role's tokens would not carry it
    let elsewhere =
        json!({ "version": 1, "administers": ["audit"], "conditions": { "ip_ranges": ["10.0.0.0/8"] } });
    let deny = PolicyInput {
        name: "no-audit".to_owned(),
        document: elsewhere,
        deny_policy: true,
        ..PolicyInput::default()
    };
    shown(policies::create(&node.root, deny).await);
    let bounded = node.caller(&["roles", "audit", "no-audit"]).await;
    assert_eq!(code(roles::create(&bounded, role("e", &["audit"])).await), ErrorCode::Forbidden);
    shown(roles::create(&bounded, role("f", &["roles"])).await);
    // 'root' is for 'root' alone, even for one who has every area
    let every: Vec<&str> = crate::model::policies::Area::ALL.iter().map(|area| area.as_str()).collect();
    node.policy("every", administers(&every), &[]).await;
    let every = node.caller(&["every"]).await;
    assert_eq!(code(roles::create(&every, role("g", &["root"])).await), ErrorCode::Forbidden);
    shown(roles::create(&every, role("h", &["audit", "every"])).await);
}

#[tokio::test]
async fn a_token_passes_on_only_what_it_names() {
    let node = Node::start().await;
    node.policy("tokens", administers(&["tokens"]), &[]).await;
    node.policy("bound", administers(&["audit"]), &["role:ops"]).await;
    let made = shown(roles::create(&node.root, role("ops", &["tokens"])).await);
    let id = shown(roles::generate_secret_id(&node.root, secret_id("ops")).await);
    let login =
        roles::login(&super::context(&node.app, None), &made.id.to_string(), Some(&id.secret_id)).await;
    let caller = node.with(&shown(login).token);
    let child = |policies: &[&str]| CreateToken { policies: names(policies), ..Default::default() };

    let before = node.events("admin.access_denied").await;
    assert_eq!(code(tokens::create(&caller, child(&["bound"])).await), ErrorCode::Forbidden);
    assert_eq!(code(tokens::create(&caller, child(&["root"])).await), ErrorCode::Forbidden);
    assert_eq!(node.events("admin.access_denied").await, before + 2, "they are recorded");
    let held = shown(tokens::create(&caller, child(&["tokens"])).await);
    assert_eq!(held.policies, ["tokens"]);
    // the binding itself goes with the entity
    let me = shown(tokens::me(&node.with(&held.token)).await);
    assert_eq!(me.policies, ["bound", "tokens"]);
}

#[tokio::test]
async fn a_token_that_ended_meanwhile_makes_nothing() {
    let node = Node::start().await;
    node.policy("both", administers(&["tokens", "roles"]), &[]).await;
    shown(roles::create(&node.root, role("shop", &[])).await);
    let caller = node.caller(&["both"]).await;
    // decided before the revocation, carried out after it
    let access = caller.access().await.unwrap_or_else(|_| panic!("the token is live"));
    let accessor = access.caller.accessor;
    shown(tokens::revoke(&node.root, None, Some(accessor)).await);
    let child = CreateToken { policies: names(&["both"]), ..Default::default() };
    let refused =
        |attempt: Attempt| matches!(attempt, Attempt::Failed(e) if e.code() == ErrorCode::Unauthenticated);
    assert!(tokens::issue(&access, &child).await.is_err_and(refused));
    assert!(tokens::renew_with(&access, None, None, None).await.is_err_and(refused));
    assert!(roles::generate(&access, &secret_id("shop")).await.is_err_and(refused));
    assert_eq!(node.events("token.issued").await, 1, "the caller's own");
}

#[tokio::test]
async fn names_that_cannot_be_are_not_looked_up() {
    let node = Node::start().await;
    for name in ["", "a\0b", "a b", "é"] {
        assert!(shown(roles::find(&node.root, name).await).is_none());
        assert!(shown(policies::find(&node.root, name).await).is_none());
        let change = RoleInput { name: name.to_owned(), ..Default::default() };
        assert_eq!(code(roles::update(&node.root, change).await), ErrorCode::NotFound);
        assert_eq!(code(roles::delete(&node.root, name).await), ErrorCode::NotFound);
        assert_eq!(code(policies::delete(&node.root, name).await), ErrorCode::NotFound);
        assert_eq!(code(roles::generate_secret_id(&node.root, secret_id(name)).await), ErrorCode::NotFound);
        assert_eq!(code(roles::destroy_secret_id(&node.root, name, Uuid::nil()).await), ErrorCode::NotFound);
        assert_eq!(code(roles::secret_ids(&node.root, name, Default::default()).await), ErrorCode::NotFound);
    }
    let nil = RoleInput { role_id: Some(Uuid::nil()), ..role("nil", &[]) };
    assert_eq!(code(roles::create(&node.root, nil).await), ErrorCode::BadUserInput);
}
