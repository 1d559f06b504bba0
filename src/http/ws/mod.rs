//! GraphQL over WebSockets: the subprotocol `graphql-transport-ws`, and no other.
//!
//! [`handshake`] lets a connection become a socket, [`protocol`] knows what may be said when, [`session`] does it,
//! and [`run`] is one operation of it.

mod handshake;
mod messages;
mod protocol;
mod run;
mod session;

pub(super) use handshake::{is_upgrade, upgrade};
