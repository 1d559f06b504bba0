//! Whose address a request counts as coming from: the socket's, unless the socket is a proxy that we were told to trust.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the client.
///
/// `X-Forwarded-For` counts only when the peer is a trusted proxy, and is then read from the right, where our own proxies
/// write: the first entry that is not one of them is the client. `None` if that entry is no address: rules about addresses
/// then deny, as for any address that is not known.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(peer, trusted) {
        return Some(peer);
    }
    let mut nearest = peer;
    for value in headers.get_all(FORWARDED_FOR).iter().rev() {
        for entry in value.to_str().ok()?.rsplit(',') {
            nearest = address(entry.trim())?;
            if !is_trusted(nearest, trusted) {
                return Some(nearest);
            }
        }
    }
    Some(nearest)
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// An address, with or without a port or brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_table_of_forwarded_for() {
        let table: &[(&str, &[&str], Option<&str>)] = &[
            // peer, headers, expected; 10.0.0.0/8 and fd00::/8 are trusted
            ("203.0.113.9", &["1.2.3.4"], Some("203.0.113.9")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["1.2.3.4"], Some("1.2.3.4")),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4"], Some("1.2.3.4")),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.9.9.9"], Some("1.2.3.4")),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4"], Some("1.2.3.4")),
            ("10.0.0.1", &["1.2.3.4", "10.1.1.1, 10.2.2.2"], Some("1.2.3.4")),
            ("10.0.0.1", &["10.7.7.7, 10.8.8.8"], Some("10.7.7.7")),
            ("10.0.0.1", &["1.2.3.4:5678"], Some("1.2.3.4")),
            ("10.0.0.1", &["[2001:db8::1]:443"], Some("2001:db8::1")),
            ("10.0.0.1", &["[2001:db8::1]"], Some("2001:db8::1")),
            ("10.0.0.1", &["2001:db8::1"], Some("2001:db8::1")),
            ("10.0.0.1", &["1.2.3.4, unknown"], None),
            ("10.0.0.1", &["1.2.3.4, "], None),
            ("10.0.0.1", &["nonsense, 1.2.3.4"], Some("1.2.3.4")),
            ("::ffff:10.0.0.1", &["::ffff:1.2.3.4"], Some("1.2.3.4")),
            ("fd00::1", &["1.2.3.4"], Some("1.2.3.4")),
        ];
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(
                client_address(peer.parse().unwrap(), &headers, &trusted),
                expected,
                "{peer} {values:?}"
            );
        }
        // without trusted proxies the header is never read
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_static("1.2.3.4"));
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(client_address(peer, &headers, &[]), Some(peer));
    }
}
