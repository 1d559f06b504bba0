//! What the doors beside GraphQL cost the budget of the address that a request comes from, in the units of the guard.

use super::{pki, sys};

/// The toll of a door. Those that tell how the server is are free: whoever watches over it must not be turned away.
pub(super) fn of(path: &str) -> u64 {
    match path {
        "/livez" | "/readyz" | "/v1/sys/health" => 0,
        sys::INIT | "/v1/sys/unseal" => 50,
        "/v1/audit/export" => 1_000,
        // both ask the store
        "/metrics" => 20,
        // an answer of OCSP is signed, if it is not known already
        _ if path.starts_with(pki::PREFIX) => 5,
        _ => 1,
    }
}
