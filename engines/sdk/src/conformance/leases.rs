//! Issue, renew and revoke.

use super::kit::{lease, soon};
use super::{Client, Fixture, Kit};
use crate::wire::Operation;
use crate::{Installation, Lease, Revocation};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use uuid::Uuid;

/// How many leases "many" are.
const MANY: usize = 24;
/// What is left of a deadline of a millisecond, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(2);

pub async fn credentials_of_two_leases_differ<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let (one, other) = (lease(), lease());
    let (first, second) = (kit.issue(&one).await, kit.issue(&other).await);
    assert!(first.credentials != second.credentials, "credentials of two leases MUST differ");
    let secrets = kit.fixture.secrets_of(&first.credentials);
    assert!(!secrets.is_empty(), "the kit found no secret in the credentials: write `Fixture::secrets_of`");
    for secret in kit.fixture.secrets_of(&second.credentials) {
        assert!(!secrets.contains(&secret), "credentials of two leases MUST differ in their secrets");
    }
    kit.assert_accounts(2, "two leases have two accounts").await;
    kit.revoke(one.id).await;
    assert!(kit.fixture.works(&second.credentials).await, "`revoke` ends one lease only");
    kit.revoke(other.id).await;
}

pub async fn credentials_work_until_they_are_revoked<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    if let Err(error) = kit.client.call(Operation::Check, super::DEADLINE).await {
        panic!("`check` succeeds where issuing does: {error}");
    }
    let check = Operation::CheckRole { role: kit.fixture.role() };
    if let Err(error) = kit.client.call(check, super::DEADLINE).await {
        panic!("`check_role` succeeds for a role that issues: {error}");
    }
    let lease = lease();
    let issued = kit.issue(&lease).await;
    assert!(kit.fixture.works(&issued.credentials).await, "issued credentials work");
    let revocation =
        Revocation { lease_id: lease.id, handle: Some(issued.handle), role: Some(kit.fixture.role()) };
    match kit.client.revoke_with(vec![revocation]).await {
        Ok(results) => assert_eq!(results, [Ok(())], "`revoke` succeeds"),
        Err(error) => panic!("`revoke` succeeds: {error}"),
    }
    assert!(!kit.fixture.works(&issued.credentials).await, "revoked credentials do not work");
    kit.assert_accounts(0, "`revoke` removes the account").await;
}

pub async fn revoking_twice_succeeds<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let lease = lease();
    let issued = kit.issue(&lease).await;
    kit.revoke(lease.id).await;
    assert!(
        !kit.fixture.works(&issued.credentials).await,
        "`revoke` MUST need nothing but the lease id: the credentials still work"
    );
    if let Err(error) = kit.client.revoke(lease.id).await {
        panic!("`revoke` MUST succeed for a lease that is revoked already: {error}");
    }
}

pub async fn revoking_what_was_never_issued_succeeds<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    if let Err(error) = kit.client.revoke(Uuid::new_v4()).await {
        panic!("`revoke` MUST succeed for a lease that was never issued: {error}");
    }
}

pub async fn issuing_again_leaves_one_credential<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let lease = lease();
    let (first, second) = (kit.issue(&lease).await, kit.issue(&lease).await);
    let sentence = "`issue` repeated with the same lease id MUST NOT leave two credentials behind";
    kit.assert_accounts(1, sentence).await;
    assert!(kit.fixture.works(&second.credentials).await, "what the last `issue` answered works");
    if first.credentials != second.credentials {
        assert!(!kit.fixture.works(&first.credentials).await, "{sentence}: the first still works");
    }
    kit.revoke(lease.id).await;
    for issued in [first, second] {
        assert!(!kit.fixture.works(&issued.credentials).await, "{sentence}: one survives `revoke`");
    }
    kit.assert_accounts(0, sentence).await;
}

pub async fn an_issue_that_was_broken_off_is_revoked_by_its_id<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    for deadline in [0, 1, 2, 4, 8, 16] {
        let lease = lease();
        let issue = Operation::Issue { role: kit.fixture.role(), lease: lease.clone() };
        // its answer is lost in any case
        let _ = kit.client.call(issue, Duration::from_millis(deadline)).await;
        // what the target was told before goes on there
        tokio::time::sleep(kit.fixture.settling()).await;
        kit.revoke(lease.id).await;
    }
    kit.assert_accounts(0, "`revoke` MUST find what `issue` made even if its answer was lost").await;
}

pub async fn many_are_issued_and_revoked_at_once<F: Fixture>() {
    let kit = Arc::new(Kit::<F>::start().await);
    let mut tasks = JoinSet::new();
    for number in 0..MANY {
        let kit = Arc::clone(&kit);
        tasks.spawn(async move {
            let lease = lease();
            let issued = kit.issue(&lease).await;
            assert!(kit.fixture.works(&issued.credentials).await, "issued credentials work");
            if number % 2 == 0 {
                kit.revoke(lease.id).await;
                assert!(!kit.fixture.works(&issued.credentials).await, "revoked credentials do not work");
                return None;
            }
            Some((lease.id, issued))
        });
    }
    let left: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    kit.assert_accounts(MANY / 2, "issuing and revoking at once leaves the leases that are alive").await;
    for (lease, issued) in left {
        assert!(kit.fixture.works(&issued.credentials).await, "a revocation ends one lease only");
        kit.revoke(lease).await;
    }
    kit.assert_accounts(0, "`revoke` removes the account").await;
}

pub async fn many_are_revoked_in_one_call<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let mut leases = vec![Uuid::new_v4()];
    let mut issued = Vec::new();
    for _ in 0..MANY / 4 {
        let lease = lease();
        issued.push(kit.issue(&lease).await);
        leases.extend([lease.id, Uuid::new_v4()]);
    }
    match kit.client.revoke_all(&leases).await {
        Ok(results) => {
            assert_eq!(results.len(), leases.len(), "`revoke_many` gives one result for each");
            for result in results {
                assert_eq!(result, Ok(()), "`revoke` MUST succeed, issued before or not");
            }
        }
        Err(error) => panic!("`revoke_many` succeeds: {error}"),
    }
    for issued in issued {
        assert!(!kit.fixture.works(&issued.credentials).await, "revoked credentials do not work");
    }
    kit.assert_accounts(0, "`revoke_many` removes the accounts").await;
    match kit.client.revoke_all(&[]).await {
        Ok(results) => assert!(results.is_empty(), "`revoke_many` of none has no results"),
        Err(error) => panic!("`revoke_many` of none succeeds: {error}"),
    }
}

pub async fn renewed_credentials_go_on_working<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let lease = lease();
    let issued = kit.issue(&lease).await;
    let longer = Lease { expires_at: soon(2), ..lease.clone() };
    let renew = Operation::Renew { role: kit.fixture.role(), lease: longer, handle: issued.handle };
    if let Err(error) = kit.client.call(renew, super::DEADLINE).await {
        panic!("`renew` lets the credentials live: {error}");
    }
    assert!(kit.fixture.works(&issued.credentials).await, "`renew` lets the credentials live");
    kit.assert_accounts(1, "`renew` makes no account").await;
    kit.revoke(lease.id).await;
    assert!(!kit.fixture.works(&issued.credentials).await, "renewed credentials can be revoked");
}

pub async fn nothing_foreign_is_touched<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    kit.fixture.plant_foreign().await;
    let other = match Client::connect::<F::Engine>(kit.fixture.config(), stranger()).await {
        Ok(client) => client,
        Err(error) => panic!("two installations can share a target: {error}"),
    };
    let (ours, theirs) = (lease(), lease());
    kit.issue(&ours).await;
    let foreign = match other.issue(&kit.fixture.role(), &theirs).await {
        Ok(issued) => issued,
        Err(error) => panic!("two installations can share a target: {error}"),
    };
    for id in [ours.id, theirs.id, Uuid::new_v4()] {
        kit.revoke(id).await;
    }
    assert!(
        kit.fixture.works(&foreign.credentials).await,
        "nothing but names with the installation's mark is ever touched: another installation's account is gone"
    );
    if let Err(error) = other.revoke(theirs.id).await {
        panic!("the other installation revokes its own: {error}");
    }
    assert!(!kit.fixture.works(&foreign.credentials).await, "the other installation revokes its own");
    assert!(
        kit.fixture.foreign_is_there().await,
        "nothing but names with the installation's mark is ever touched: the foreign account is gone"
    );
}

pub async fn errors_and_handles_hold_no_secret<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let lease = lease();
    let issued = kit.issue(&lease).await;
    let handle = issued.handle.to_string();
    let secrets = kit.fixture.secrets_of(&issued.credentials);
    for secret in secrets.into_iter().chain(kit.fixture.secrets()) {
        assert!(!handle.contains(&secret), "secrets MUST NOT be in a handle");
    }
    // credentials that cannot work, and others that cannot be read
    kit.revoke(lease.id).await;
    for credentials in [issued.credentials.clone(), Value::Null, damaged(&issued.credentials)] {
        if let Err(error) = kit.client.try_credentials(&credentials).await {
            kit.assert_clean(&error, &[&issued.credentials, &credentials]);
        }
    }
}

pub async fn deadlines_are_kept<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let lease = lease();
    let revocations = vec![Revocation { lease_id: lease.id, handle: None, role: None }];
    let operations = [
        Operation::Check,
        Operation::Issue { role: kit.fixture.role(), lease: lease.clone() },
        Operation::Revoke { revocations },
        Operation::List,
    ];
    for operation in operations {
        let start = Instant::now();
        // in time or too late: it is answered
        let _ = kit.client.call(operation, Duration::from_millis(1)).await;
        assert!(start.elapsed() < PROMPTLY, "a call SHOULD end when its future is dropped");
    }
    tokio::time::sleep(kit.fixture.settling()).await;
    kit.revoke(lease.id).await;
}

/// Another installation.
pub(super) fn stranger() -> Installation {
    Installation::from_bytes(*b"other")
}

/// The same with another type in each field.
fn damaged(credentials: &Value) -> Value {
    let fields = credentials.as_object().into_iter().flatten();
    Value::Object(fields.map(|(name, value)| (name.clone(), Value::Array(vec![value.clone()]))).collect())
}
