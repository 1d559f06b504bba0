//! Floor 5: the doors. One `/graphql`, the system doors under `/v1`, health, and the connections that lead to them.

mod audit_export;
pub mod bearer;
pub mod body;
pub mod client_address;
mod compress;
mod counts;
pub mod gate;
mod health;
pub mod ids;
mod metrics;
pub mod negotiation;
pub mod origins;
pub mod params;
mod patience;
mod per_address;
mod pki;
pub mod places;
mod playground;
pub mod respond;
pub mod router;
pub mod server;
mod sys;
pub mod tls;
mod toll;
pub mod transport;
mod ws;
