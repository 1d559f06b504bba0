//! Taking a secret off an account whose target is gone, while a new password is on its way to it.

use super::super::super::engines::{self as service, BindAccount};
use super::super::super::secrets::{self, PutSecret, UpdateSettings};
use super::*;

fn bound() -> SecretPath {
    SecretPath::parse("prod.bound").unwrap()
}

async fn put(node: &Node, data: Value) -> Result<i64> {
    let input = PutSecret { path: bound(), data, expected_version: None, description: None, metadata: None };
    secrets::put(&node.root, input).await.map(|view| view.version)
}

async fn version(node: &Node, version: Option<i64>) -> Value {
    shown(secrets::read(&node.root, &bound(), version).await).map_or(Value::Null, |value| value.data)
}

#[tokio::test]
async fn by_force_both_passwords_are_kept() {
    let scene = Scene::set().await;
    let node = &scene.node;
    shown(put(node, json!({ "username": "billing", "password": "former", "other": 1 })).await);
    // of one version only, the former password would be lost
    let one = UpdateSettings {
        path: bound(),
        description: None,
        metadata: None,
        max_versions: Some(1),
        rotation: None,
    };
    shown(secrets::update_settings(&node.root, one).await);
    let bind = BindAccount {
        path: bound(),
        engine: "main".to_owned(),
        account: "billing".to_owned(),
        schedule: None,
        username_key: None,
        password_key: None,
    };
    assert_eq!(code(service::bind(&node.root, bind.clone()).await), ErrorCode::EngineUnavailable);
    assert_eq!(code(service::unbind(&node.root, &bound(), false).await), ErrorCode::Conflict);

    node.policy("engines", administers(&["engines"]), &[]).await;
    let engineer = node.caller(&["engines"]).await;
    assert_eq!(code(service::unbind(&engineer, &bound(), true).await), ErrorCode::Forbidden);
    let bare = SecretPath::parse("prod.bare").unwrap();
    assert_eq!(code(service::unbind(&node.root, &bare, true).await), ErrorCode::NotFound);

    shown(service::unbind(&node.root, &bound(), true).await);
    assert_eq!(version(node, Some(1)).await["password"], "former");
    let newest = version(node, None).await;
    let password = newest["password"].as_str().unwrap();
    assert!(password.len() >= 20 && password != "former");
    assert_eq!((&newest["username"], &newest["other"]), (&json!("billing"), &json!(1)));
    let view = shown(secrets::find(&node.root, &bound()).await).unwrap();
    assert_eq!(view.version, 2);
    assert!(
        view.rotation.and_then(|rotation| rotation.last_rotated_at).is_none(),
        "nobody knows of a rotation"
    );
    assert_eq!(code(service::unbind(&node.root, &bound(), true).await), ErrorCode::NotFound);
    assert_eq!(shown(put(node, json!({ "mine": true })).await), 3, "it is a plain secret");
    // one that was made by binding, and has no version yet
    let fresh = BindAccount { path: bare.clone(), account: "other".to_owned(), ..bind };
    assert_eq!(code(service::bind(&node.root, fresh).await), ErrorCode::EngineUnavailable);
    shown(service::unbind(&node.root, &bare, true).await);
    let value = shown(secrets::read(&node.root, &bare, None).await).unwrap();
    assert_eq!((value.version, &value.data["username"]), (1, &json!("other")));
    let filter = audit::AuditFilter { event_types: names(&["secret.updated"]), ..Default::default() };
    let page = paging::PageRequest { first: Some(100), ..Default::default() };
    let events = shown(audit::list(&node.root, filter, page).await).edges;
    let forced = events.iter().filter(|(_, event)| event.event_data["forced"] == json!(true));
    assert_eq!(forced.count(), 2, "one for each");
    assert!(!events.iter().any(|(_, event)| event.event_data.to_string().contains(password)));
}
