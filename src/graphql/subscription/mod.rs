//! What can be followed, one file per noun.

mod audit;
mod leases;
mod seal;
mod secrets;

use super::result::Failure;
use crate::service::subscriptions::Changes;
use async_graphql::MergedSubscription;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

/// What can be followed, over a WebSocket (`graphql-transport-ws`) or as server-sent events. Each subscription goes on as long as the
/// caller's token is good, and judges every event by the policies of its moment. An event has a cursor: who comes back with it
/// as `after` misses nothing and gets nothing twice.
#[derive(MergedSubscription, Default)]
#[graphql(name = "Subscription")]
pub struct SubscriptionRoot(
    secrets::SecretSubscription,
    leases::LeaseSubscription,
    audit::AuditSubscription,
    seal::SealSubscription,
);

/// What clients get: the last one may be an error.
type Stream<T> = BoxStream<'static, async_graphql::Result<T>>;

/// Changes in the words of clients.
fn dressed<V: 'static, T: From<V> + 'static>(changes: Changes<V>) -> Stream<T> {
    changes.map(|change| change.map(T::from).map_err(|error| Failure(error).into())).boxed()
}
