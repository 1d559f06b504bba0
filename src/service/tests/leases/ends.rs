use super::super::super::engines as engine_service;
use super::super::super::leases::{RevokeSelection, reap, renew, revoke, revoke_many};
use super::super::super::roles::{self, GenerateSecretId, RoleInput};
use super::*;

/// Whether a caller sees a lease.
async fn sees(ctx: &OpContext, id: Uuid) -> bool {
    shown(leases::find(ctx, id).await).is_some()
}

async fn outlived(scene: &Scene, ctx: &OpContext) -> Uuid {
    let past = scene.node.app.clock.now() - Duration::seconds(30);
    scene.lease(ctx, |row| (row.issued_at, row.expires_at, row.due_at) = (past, past, Some(past))).await
}

#[tokio::test]
async fn a_lease_is_seen_and_ended_by_its_owner_by_right_and_by_its_administrators() {
    let scene = Scene::set().await;
    let owner = scene.may(&["issue"]).await;
    let id = scene.lease(&owner, |_| ()).await;
    let revoker = scene.may(&["revoke"]).await;
    scene.node.policy("leases", administers(&["leases"]), &[]).await;
    let administrator = scene.node.caller(&["leases"]).await;
    let strangers = [scene.node.caller(&["issue"]).await, scene.may(&["read", "list", "renew"]).await];
    for ctx in [&owner, &revoker, &administrator] {
        assert!(sees(ctx, id).await);
    }
    for ctx in &strangers {
        assert!(!sees(ctx, id).await);
        assert_eq!(code(revoke(ctx, id, false).await), ErrorCode::NotFound, "as if it were not there");
        assert!(scene.all(ctx).await.is_empty());
    }
    assert_eq!(scene.node.events("secret.access_denied").await, 4);
    assert_eq!(code(revoke(&owner, Uuid::nil(), false).await), ErrorCode::NotFound);
    assert!(!sees(&owner, Uuid::nil()).await);
    assert_eq!(scene.all(&owner).await.len(), 1);
    assert!(scene.all(&revoker).await.is_empty(), "the list is of one's own leases");
    assert_eq!(scene.all(&administrator).await.len(), 1);
    assert_eq!(code(revoke_many(&revoker, RevokeSelection::Path(path()), false).await), ErrorCode::Forbidden);
    assert_eq!(scene.now_is(id).await.state, LeaseState::Active);

    for ctx in [&owner, &revoker, &administrator] {
        let lease = scene.lease(&owner, |_| ()).await;
        assert_eq!(shown(revoke(ctx, lease, false).await).state, LeaseState::Revoking);
    }
}

#[tokio::test]
async fn only_what_is_active_may_be_renewed_and_only_by_right() {
    let scene = Scene::set().await;
    let owner = scene.may(&["issue"]).await;
    let renewer = scene.may(&["renew"]).await;
    let id = scene.lease(&owner, |_| ()).await;
    assert_eq!(code(renew(&owner, id, None).await), ErrorCode::Forbidden, "own, but at a path of another's");
    assert_eq!(code(renew(&scene.node.caller(&["issue"]).await, id, None).await), ErrorCode::NotFound);
    assert_eq!(code(renew(&renewer, Uuid::nil(), None).await), ErrorCode::NotFound);
    assert_eq!(renew(&renewer, id, Some(0)).await.unwrap_err().field(), Some("incrementSeconds"));
    // it may; the engine is asked, and is not there
    assert_eq!(code(renew(&renewer, id, None).await), ErrorCode::EngineUnavailable);
    let refused = [
        scene.lease(&owner, |row| row.state = "issuing".to_owned()).await,
        scene.lease(&owner, |row| row.state = "revoking".to_owned()).await,
        scene.lease(&owner, |row| (row.max_renewals, row.renewed_count) = (Some(1), 1)).await,
        outlived(&scene, &owner).await,
    ];
    for id in refused {
        assert_eq!(code(renew(&renewer, id, None).await), ErrorCode::Conflict);
        assert_eq!(scene.now_is(id).await.renewed_count, i64::from(id == refused[2]));
    }
}

#[tokio::test]
async fn leases_end_with_their_token_and_with_their_role() {
    let scene = Scene::set().await;
    let owner = scene.may(&["issue"]).await;
    let (_, accessor) = scene.actor(&owner).await;
    let id = scene.lease(&owner, |_| ()).await;
    let kept = scene.lease(&scene.node.root, |_| ()).await;
    shown(tokens::revoke(&scene.node.root, None, Some(accessor)).await);
    let lease = scene.now_is(id).await;
    assert_eq!(lease.state, LeaseState::Revoking);
    assert!(lease.revocation_reason.is_some());

    let input =
        RoleInput { name: "app".to_owned(), policies: Some(names(&["issue"])), ..RoleInput::default() };
    let role = shown(roles::create(&scene.node.root, input.clone()).await);
    let secret_id = GenerateSecretId { role_name: "app".to_owned(), ..GenerateSecretId::default() };
    let secret_id = shown(roles::generate_secret_id(&scene.node.root, secret_id).await).secret_id;
    let (anyone, role_id) = (context(&scene.node.app, None), role.id.to_string());
    let login = shown(roles::login(&anyone, &role_id, Some(&secret_id)).await);
    let app = scene.node.with(&login.token);
    let id = scene.lease(&app, |_| ()).await;
    let disabled = RoleInput { enabled: Some(false), policies: None, ..input };
    shown(roles::update(&scene.node.root, disabled).await);
    assert_eq!(scene.now_is(id).await.state, LeaseState::Revoking);
    assert_eq!(scene.now_is(kept).await.state, LeaseState::Active);
}

#[tokio::test]
async fn many_end_together_and_the_force_asks_no_target() {
    let scene = Scene::set().await;
    let root = &scene.node.root;
    let owner = scene.may(&["issue"]).await;
    let (_, accessor) = scene.actor(&owner).await;
    let first = scene.lease(&owner, |_| ()).await;
    let second = scene.lease(root, |_| ()).await;
    assert_eq!(shown(revoke_many(root, RevokeSelection::Token(accessor), false).await), 1);
    assert_eq!(scene.now_is(second).await.state, LeaseState::Active);
    assert_eq!(shown(revoke_many(root, RevokeSelection::Path(path()), false).await), 1, "once each");
    assert_eq!(shown(revoke_many(root, RevokeSelection::Engine("main".to_owned()), false).await), 0);
    for (selection, field) in [
        (RevokeSelection::Engine("none".to_owned()), "engine"),
        (RevokeSelection::Role("none".to_owned()), "roleName"),
    ] {
        let refused = revoke_many(root, selection, false).await.unwrap_err();
        assert_eq!(refused.field(), Some(field));
    }
    assert_eq!(scene.counted().await, (2, 2));
    assert_eq!(shown(revoke_many(root, RevokeSelection::Engine("main".to_owned()), true).await), 2);
    assert_eq!(scene.counted().await, (0, 0));
    assert_eq!(scene.node.events("lease.revocation_forced").await, 2);
    for id in [first, second] {
        let lease = scene.now_is(id).await;
        assert_eq!(lease.state, LeaseState::Revoked);
        assert!(lease.revocation_reason.unwrap().starts_with("forced"));
    }
    let disabled = shown(engine_service::disable(root, "main", false).await);
    assert_eq!(disabled.pending_leases, 0);
    let gone = secret_store::find(&mut shown(scene.node.app.read().await), PATH).await;
    assert!(shown(gone).is_none(), "its roles go with it");
}

#[tokio::test]
async fn an_engine_that_is_disabled_goes_with_its_last_lease_however_that_ends() {
    let scene = Scene::set().await;
    let root = &scene.node.root;
    let id = scene.lease(root, |_| ()).await;
    assert_eq!(shown(engine_service::disable(root, "main", true).await).pending_leases, 1);
    assert_eq!(scene.now_is(id).await.state, LeaseState::Revoking);
    assert!(shown(engine_service::find(root, "main").await).is_some());
    assert_eq!(code(issue(root, asking(None, None)).await), ErrorCode::Conflict);
    assert_eq!(shown(revoke_many(root, RevokeSelection::Engine("main".to_owned()), true).await), 1);
    shown(reap(&OpContext::system(Arc::clone(&scene.node.app), "test")).await);
    assert!(shown(engine_service::find(root, "main").await).is_none());
    assert_eq!(scene.node.events("engine.disabled").await, 1);
}

#[tokio::test]
async fn what_the_target_does_not_revoke_stays_on_the_record() {
    let scene = Scene::set().await;
    let id = outlived(&scene, &scene.node.root).await;
    let before = scene.now_is(id).await;
    assert_eq!(before.state, LeaseState::Revoking, "it has ended, whether the task has got to it or not");
    let system = OpContext::system(Arc::clone(&scene.node.app), "test");
    let reaped = shown(reap(&system).await);
    // an attempt that takes long goes on by itself
    assert_eq!((reaped.revoked, reaped.failed + reaped.going_on), (0, 1));
    let mut lease = scene.now_is(id).await;
    for _ in 0..400 {
        if lease.last_revocation_error.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        lease = scene.now_is(id).await;
    }
    assert_eq!((lease.state, lease.revocation_reason.as_deref()), (LeaseState::Revoking, Some("expired")));
    assert!(lease.overdue_seconds.unwrap() >= 30 && lease.last_revocation_error.is_some());
    assert_eq!(scene.node.events("lease.revocation_overdue").await, 1);
    assert_eq!(scene.counted().await, (1, 1), "it still counts");
    // not due again at once
    assert_eq!(shown(reap(&system).await).failed, 0);
    let refused = engine_service::disable(&scene.node.root, "main", false).await;
    assert_eq!(code(refused), ErrorCode::Conflict);
}
