//! Floor 5: the doors. One `/graphql`, the system doors under `/v1`, health, and the connections that lead to them.

mod audit_export;
pub mod bearer;
pub mod body;
pub mod client_address;
pub mod gate;
mod health;
pub mod ids;
pub mod meters;
mod metrics;
pub mod negotiation;
pub mod params;
mod patience;
mod per_address;
mod pki;
pub mod respond;
pub mod router;
pub mod server;
mod sys;
pub mod tls;
mod trace;
pub mod transport;
