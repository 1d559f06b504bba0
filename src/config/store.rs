//! What there is to say about the address of a store before it is used.

use crate::storage::db::StoreUrl;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::net::IpAddr;
use std::str::FromStr;

/// Whether what is written and read may cross a network unencrypted: PostgreSQL on another host without an `sslmode` that
/// insists on TLS.
#[must_use]
pub fn in_the_clear(url: &StoreUrl) -> bool {
    let StoreUrl::Postgres(text) = url else { return false };
    // StoreUrl has parsed it before
    let Ok(options) = PgConnectOptions::from_str(text) else { return false };
    let host = options.get_host().trim_matches(['[', ']']);
    let stays_here = options.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    let insists =
        matches!(options.get_ssl_mode(), PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    !stays_here && !insists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_network_without_tls_is_reported() {
        for (url, expected) in [
            ("sqlite:x.db", false),
            ("postgres://u:p@localhost/d", false),
            ("postgres://u:p@127.0.0.1:5433/d?sslmode=disable", false),
            ("postgres://u:p@[::1]/d", false),
            ("postgres:///d?host=/run/postgresql", false),
            ("postgres://u:p@db.example/d", true),
            ("postgres://u:p@192.0.2.1/d?sslmode=prefer", true),
            ("postgres://u:p@db.example/d?sslmode=disable", true),
            ("postgres://u:p@db.example/d?sslmode=require", false),
            ("postgres://u:p@db.example/d?sslmode=verify-full", false),
        ] {
            assert_eq!(in_the_clear(&StoreUrl::parse(url).unwrap()), expected, "{url}");
        }
    }
}
