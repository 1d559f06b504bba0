//! Operations that an engine may leave out. One that it has must do what it says.

use super::kit::lease;
use super::leases::stranger;
use super::{Client, DEADLINE, Fixture, Kit};
use crate::wire::Operation;
use crate::{Engine, ErrorKind, Live, Result};
use std::collections::BTreeSet;

/// The value, or `None` if the engine does not have the operation.
fn supported<T>(result: Result<T>, sentence: &str) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind == ErrorKind::Unsupported => None,
        Err(error) => panic!("{sentence}: {error}"),
    }
}

pub async fn list_has_exactly_the_accounts_of_the_installation<F: Fixture>() {
    let sentence = "`list` MUST return exactly the accounts with this installation's mark";
    let kit = Kit::<F>::start().await;
    let Some(accounts) = supported(kit.client.list().await, sentence) else { return };
    assert!(accounts.is_empty(), "{sentence}: there are {accounts:?} on a clean target");
    kit.fixture.plant_foreign().await;
    let leases = [lease(), lease(), lease()];
    for lease in &leases {
        kit.issue(lease).await;
    }
    let theirs = lease();
    let other = match Client::connect::<F::Engine>(kit.fixture.config(), stranger()).await {
        Ok(client) => client,
        Err(error) => panic!("two installations can share a target: {error}"),
    };
    if let Err(error) = other.issue(&kit.fixture.role(), &theirs).await {
        panic!("two installations can share a target: {error}");
    }
    let listed = supported(kit.client.list().await, sentence).unwrap_or_default();
    let names: BTreeSet<_> = listed.iter().map(|account| account.name.clone()).collect();
    assert_eq!(names, kit.fixture.accounts().await.into_iter().collect(), "{sentence}");
    let ids: BTreeSet<_> = listed.iter().map(|account| account.lease_id).collect();
    assert_eq!(ids, leases.iter().map(|lease| lease.id).collect(), "`list` reads the lease id from the name");
    assert_eq!(listed.len(), leases.len(), "{sentence}, each once");
    for lease in &leases {
        kit.revoke(lease.id).await;
    }
    let listed = supported(kit.client.list().await, sentence).unwrap_or_default();
    assert!(listed.is_empty(), "{sentence}: there are {listed:?} after revocation");
    if let Err(error) = other.revoke(theirs.id).await {
        panic!("the other installation revokes its own: {error}");
    }
    assert!(kit.fixture.foreign_is_there().await, "`list` touches nothing");
}

pub async fn try_credentials_tells_live_from_revoked<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let lease = lease();
    let issued = kit.issue(&lease).await;
    let tried = kit.client.try_credentials(&issued.credentials).await;
    if supported(tried, "`try_credentials` logs in with what was just issued").is_none() {
        kit.revoke(lease.id).await;
        return;
    }
    kit.revoke(lease.id).await;
    match kit.client.try_credentials(&issued.credentials).await {
        Ok(()) => panic!("`try_credentials` fails with revoked credentials"),
        Err(error) => kit.assert_clean(&error, &[&issued.credentials]),
    }
}

pub async fn restore_makes_the_same_credentials<F: Fixture>() {
    let sentence = "`restore` makes the credentials anew, exactly as they were";
    let kit = Kit::<F>::start().await;
    let lease = lease();
    let issued = kit.issue(&lease).await;
    let live = Live {
        lease: lease.clone(),
        role: kit.fixture.role(),
        handle: issued.handle.clone(),
        credentials: issued.credentials.clone(),
    };
    let restore = || kit.client.call(Operation::Restore { live: live.clone() }, DEADLINE);
    let restores = supported(restore().await, "`restore` succeeds if they are still there").is_some();
    assert_eq!(restores, F::Engine::RESTORES, "`RESTORES` says whether there is `restore`");
    if restores {
        assert!(kit.fixture.works(&issued.credentials).await, "`restore` leaves what is there");
        // revoked, and then alive again: as if the target had lost them
        kit.revoke(lease.id).await;
        supported(restore().await, sentence);
        assert!(kit.fixture.works(&issued.credentials).await, "{sentence}");
        kit.assert_accounts(1, sentence).await;
    }
    kit.revoke(lease.id).await;
    assert!(!kit.fixture.works(&issued.credentials).await, "restored credentials can be revoked");
}
