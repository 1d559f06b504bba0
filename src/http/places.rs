//! What lasts longer than a request: sockets and subscriptions, and how many each caller may hold.

use super::counts::{Counted, Counts};
use crate::crypto::primitives::sha256;
use crate::error::{Error, ErrorCode, Result};
use crate::model::cidr::client_of;
use crate::model::meter::Level;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub struct PlaceLimits {
    pub sockets_per_caller: usize,
    pub subscriptions_per_socket: usize,
    pub subscriptions_per_caller: usize,
    /// Of all callers, on this node.
    pub subscriptions: usize,
}

impl Default for PlaceLimits {
    fn default() -> Self {
        Self {
            sockets_per_caller: 200,
            subscriptions_per_socket: 100,
            subscriptions_per_caller: 1000,
            subscriptions: 10_000,
        }
    }
}

/// Who holds something: a token, or where somebody without one comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// By its hash.
    Token([u8; 32]),
    Address(Option<IpAddr>),
}

impl Holder {
    #[must_use]
    pub fn of(bearer: Option<&str>, address: Option<IpAddr>) -> Self {
        match bearer {
            Some(token) => Self::Token(sha256(token.as_bytes())),
            None => Self::Address(address.map(client_of)),
        }
    }
}

/// The places there are. Shared by all doors.
pub struct Places {
    pub limits: PlaceLimits,
    sockets: Counts<Holder>,
    subscriptions: Counts<Holder>,
    /// Of callers with a token, and of those without one, so that strangers do not take all.
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    open: Arc<Level>,
}

/// Of a caller without a token, who can follow the seal and nothing else.
const MOST_OF_STRANGER: usize = 50;
/// The part of all subscriptions that strangers may hold together, beside those of the others.
const PART_OF_STRANGERS: usize = 4;

/// A place among the subscriptions, until it is dropped.
pub struct Subscribed {
    _caller: Counted<Holder>,
    _node: OwnedSemaphorePermit,
    _open: Open,
}

/// Counts as open until it is dropped.
struct Open(Arc<Level>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Places {
    #[must_use]
    pub fn new(limits: PlaceLimits) -> Self {
        Self {
            limits,
            sockets: Counts::default(),
            subscriptions: Counts::default(),
            known: Arc::new(Semaphore::new(limits.subscriptions.min(Semaphore::MAX_PERMITS))),
            strangers: Arc::new(Semaphore::new(limits.subscriptions / PART_OF_STRANGERS)),
            open: Arc::default(),
        }
    }

    /// How many subscriptions are open.
    pub fn open(&self) -> Arc<Level> {
        Arc::clone(&self.open)
    }

    /// A place for a socket.
    ///
    /// # Errors
    /// `RATE_LIMITED` if this caller holds as many as it may.
    pub fn socket(&self, holder: Holder) -> Result<Counted<Holder>> {
        let most = self.limits.sockets_per_caller;
        self.sockets.enter(holder, most).ok_or_else(|| {
            limited(format!("at most {most} sockets of one caller are open at a time: close some first"))
        })
    }

    /// A place for a subscription.
    ///
    /// # Errors
    /// `RATE_LIMITED` if this caller holds as many as it may, `UNAVAILABLE` if all callers together do.
    pub fn subscription(&self, holder: Holder) -> Result<Subscribed> {
        let (most, all) = match holder {
            Holder::Token(_) => (self.limits.subscriptions_per_caller, &self.known),
            Holder::Address(_) => {
                (self.limits.subscriptions_per_caller.min(MOST_OF_STRANGER), &self.strangers)
            }
        };
        let caller = self.subscriptions.enter(holder, most).ok_or_else(|| {
            limited(format!(
                "at most {most} subscriptions of one caller are open at a time: complete some first"
            ))
        })?;
        let node = Arc::clone(all).try_acquire_owned().map_err(|_| {
            Error::new(
                ErrorCode::Unavailable,
                "the server has as many subscriptions as it takes: try again later",
            )
            .with_retry_after(10)
        })?;
        self.open.join();
        Ok(Subscribed { _caller: caller, _node: node, _open: Open(self.open()) })
    }
}

/// What a caller hears that holds as many as it may.
pub fn limited(message: String) -> Error {
    Error::new(ErrorCode::RateLimited, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_places_of_its_own_and_all_together_have_some() {
        let limits = PlaceLimits { subscriptions_per_caller: 2, subscriptions: 3, ..PlaceLimits::default() };
        let places = Places::new(limits);
        let holder = |token: &str| Holder::of(Some(token), None);
        let first = places.subscription(holder("a")).unwrap();
        let second = places.subscription(holder("a")).unwrap();
        assert_eq!(places.subscription(holder("a")).err().unwrap().code(), ErrorCode::RateLimited);
        let third = places.subscription(holder("b")).unwrap();
        assert_eq!(places.subscription(holder("b")).err().unwrap().code(), ErrorCode::Unavailable);
        drop((first, second));
        let again = places.subscription(holder("b")).unwrap();
        drop((third, again));
        assert!(places.subscriptions.is_empty());
    }

    #[test]
    fn strangers_leave_places_for_others() {
        let limits = PlaceLimits { subscriptions: 400, ..PlaceLimits::default() };
        let places = Places::new(limits);
        let stranger = |number: u8| Holder::of(None, Some([192, 0, 2, number].into()));
        let mut held = Vec::new();
        for number in 0..2 {
            held.extend((0..50).map(|_| places.subscription(stranger(number)).unwrap()));
            let refused = places.subscription(stranger(number)).err().unwrap();
            assert_eq!(refused.code(), ErrorCode::RateLimited);
        }
        assert_eq!(places.subscription(stranger(2)).err().unwrap().code(), ErrorCode::Unavailable);
        assert!(places.subscription(Holder::of(Some("a"), None)).is_ok());
    }

    #[test]
    fn who_has_no_token_is_an_address() {
        let of = |text: &str| Holder::of(None, Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(Holder::of(Some(""), None), Holder::of(None, None));
    }
}
