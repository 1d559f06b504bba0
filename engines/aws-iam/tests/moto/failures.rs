//! What goes wrong on the way, and what is left behind: nothing, or what the lease id leads to.

use crate::proxy::{Fate, Proxy, error};
use crate::target::{ACCOUNT, Moto, document, engine, keys_of, lease, lister, name, revocation, role};
use secrethub_engine::{Engine, ErrorKind};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn lost_answers_leave_one_user_with_one_known_key() {
    let moto = Moto::start().await;
    let lost = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let proxy = Proxy::start(&moto.endpoint, move |request| {
        let lost = match request.action.as_str() {
            "CreateUser" => &lost[0],
            "CreateAccessKey" => &lost[1],
            _ => return Fate::Pass,
        };
        if lost.fetch_add(1, Ordering::Relaxed) == 0 { Fate::LoseAnswer } else { Fate::Pass }
    })
    .await;
    let engine = engine(moto.config_at(&proxy.endpoint)).await;
    let issued = engine.issue(&lister(), &lease()).await.unwrap();
    assert_eq!(moto.users().await.len(), 3);
    let id = issued.credentials["access_key_id"].as_str().unwrap();
    assert_eq!(keys_of(&moto.admin, name(&issued)).await, [id]);
    moto.client(&issued.credentials).list_users().send().await.unwrap();
}

#[tokio::test]
async fn what_fails_in_the_middle_leaves_nothing_and_names_the_field() {
    let moto = Moto::start().await;
    let engine = moto.engine().await;
    let missing = format!("arn:aws:iam::{ACCOUNT}:policy/missing");
    let malformed = json!({ "Statement": [{ "Effect": "Allow", "Action": "nocolon", "Resource": "*" }] });
    for (json, field) in [
        (json!({ "groups": ["missing"], "policies": { "p": document(&["iam:*"]) } }), "iam_user.groups[0]"),
        (json!({ "managed_policies": [missing] }), "iam_user.managed_policies[0]"),
        (json!({ "policies": { "p": malformed } }), "iam_user.policies.p"),
    ] {
        let error = engine.issue(&role(json!({ "iam_user": json })), &lease()).await.map(drop).unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some(field)), "{error}");
        assert_eq!(moto.users().await, ["engine", "admin"]);
    }
}

#[tokio::test]
async fn what_the_engine_may_not_do_is_refused() {
    let moto = Moto::start().await;
    crate::target::allow(&moto.admin, "engine", &["iam:Get*", "iam:List*"]).await;
    let error = moto.engine().await.issue(&lister(), &lease()).await.map(drop).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("iam:CreateUser"), "{error}");
}

#[tokio::test]
async fn a_busy_target_is_tried_again_and_then_later() {
    let moto = Moto::start().await;
    let (calls, busy) = (AtomicUsize::new(0), AtomicUsize::new(1));
    let busy = std::sync::Arc::new(busy);
    let until = std::sync::Arc::clone(&busy);
    let proxy = Proxy::start(&moto.endpoint, move |_| {
        if calls.fetch_add(1, Ordering::Relaxed) < until.load(Ordering::Relaxed) {
            return error(400, "Throttling", "Rate exceeded");
        }
        Fate::Pass
    })
    .await;
    let engine = engine(moto.config_at(&proxy.endpoint)).await;
    engine.check().await.unwrap();
    busy.store(usize::MAX, Ordering::Relaxed);
    for failed in [
        engine.check().await,
        engine.revoke(&revocation(&lease())).await,
        engine.issue(&lister(), &lease()).await.map(drop),
        engine.list().await.map(drop),
    ] {
        let failed = failed.unwrap_err();
        assert_eq!(failed.kind, ErrorKind::Retry);
        assert!(failed.message.ends_with("Rate exceeded"), "{failed}");
    }
}

#[tokio::test]
async fn a_target_that_is_not_there_is_tried_later() {
    // a port that nothing listens on any more
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nowhere = format!("http://127.0.0.1:{port}");
    let engine = engine(json!({
        "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "secret", "max_attempts": 1,
        "iam_endpoint": nowhere, "sts_endpoint": nowhere,
    }))
    .await;
    for failed in [
        engine.check().await,
        engine.revoke(&revocation(&lease())).await,
        engine.issue(&lister(), &lease()).await.map(drop),
        engine.propose_root().await.map(drop),
    ] {
        assert_eq!(failed.unwrap_err().kind, ErrorKind::Retry);
    }
}

#[tokio::test]
async fn a_key_that_does_not_begin_to_work_is_not_handed_out() {
    let moto = Moto::start().await;
    let own = moto.key["access_key_id"].as_str().unwrap().to_owned();
    let proxy = Proxy::start(&moto.endpoint, move |request| {
        if request.action == "GetCallerIdentity" && !request.headers.contains(&own) {
            return error(
                403,
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            );
        }
        Fate::Pass
    })
    .await;
    let engine = engine(moto.config_at(&proxy.endpoint)).await;
    let error = engine.issue(&lister(), &lease()).await.map(drop).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(proxy.forms("GetCallerIdentity").len() >= 3, "it is tried more than once");
    assert_eq!(moto.users().await, ["engine", "admin"]);
}

#[tokio::test]
async fn what_a_user_made_for_itself_does_not_keep_it() {
    let moto = Moto::start().await;
    let conflicts = AtomicUsize::new(0);
    let proxy = Proxy::start(&moto.endpoint, move |request| match request.action.as_str() {
        // moto deletes users with anything left; IAM does not
        "DeleteUser" if conflicts.fetch_add(1, Ordering::Relaxed) == 0 => {
            error(409, "DeleteConflict", "Cannot delete entity, must delete MFA device first.")
        }
        // moto does not have these
        "ListServiceSpecificCredentials" => Fate::Answer(
            200,
            "<ListServiceSpecificCredentialsResponse><ListServiceSpecificCredentialsResult>\
             <ServiceSpecificCredentials/></ListServiceSpecificCredentialsResult>\
             </ListServiceSpecificCredentialsResponse>"
                .to_owned(),
        ),
        _ => Fate::Pass,
    })
    .await;
    let engine = engine(moto.config_at(&proxy.endpoint)).await;
    let lease = lease();
    let issued = engine.issue(&lister(), &lease).await.unwrap();
    let (admin, name) = (&moto.admin, name(&issued));
    let made = admin.create_virtual_mfa_device().virtual_mfa_device_name("m").send().await.unwrap();
    let number = made.virtual_mfa_device().unwrap().serial_number().to_owned();
    let enabled = admin.enable_mfa_device().user_name(name).serial_number(number);
    enabled.authentication_code1("123456").authentication_code2("234567").send().await.unwrap();
    let ssh = admin.upload_ssh_public_key().user_name(name).ssh_public_key_body("ssh-rsa");
    ssh.send().await.unwrap();
    engine.revoke(&revocation(&lease)).await.unwrap();
    assert_eq!(moto.users().await, ["engine", "admin"]);
    let devices = admin.list_virtual_mfa_devices().send().await.unwrap();
    assert!(devices.virtual_mfa_devices().is_empty());
    assert_eq!(proxy.forms("DeleteSSHPublicKey").len(), 1);
    assert_eq!(proxy.forms("DeactivateMFADevice").len(), 1);
}

/// moto lists all on one page.
#[tokio::test]
async fn lists_go_over_all_pages() {
    let moto = Moto::start().await;
    let names: Vec<_> = (0..3).map(|_| crate::target::installation().name(lease().id)).collect();
    let pages = names.clone();
    let proxy = Proxy::start(&moto.endpoint, move |request| {
        if request.action != "ListUsers" {
            return Fate::Pass;
        }
        let page = (0..3).rev().find(|page| request.form.contains(&format!("Marker=p{page}"))).unwrap_or(0);
        let more = if page < 2 {
            format!("<IsTruncated>true</IsTruncated><Marker>p{}</Marker>", page + 1)
        } else {
            "<IsTruncated>false</IsTruncated>".to_owned()
        };
        let name = &pages[page];
        Fate::Answer(
            200,
            format!(
                "<ListUsersResponse><ListUsersResult><Users><member><Path>/secrethub/</Path>\
                 <UserName>{name}</UserName><UserId>AIDA{page}</UserId><Arn>arn:aws:iam::1:user/{name}</Arn>\
                 <CreateDate>2026-01-01T00:00:00Z</CreateDate></member></Users>{more}</ListUsersResult>\
                 </ListUsersResponse>"
            ),
        )
    })
    .await;
    let engine = engine(moto.config_at(&proxy.endpoint)).await;
    let listed: Vec<_> = engine.list().await.unwrap().into_iter().map(|account| account.name).collect();
    assert_eq!(listed, names);
    assert!(proxy.forms("ListUsers").iter().all(|form| form.contains("PathPrefix=%2Fsecrethub%2F")));
}
