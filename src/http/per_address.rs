//! How many connections one address holds, so that no single client takes them all.

use super::counts::{Counted, Counts};
use crate::model::cidr::client_of;
use std::net::IpAddr;

/// The connections there are, by where they come from.
#[derive(Clone, Default)]
pub struct PerAddress(Counts<IpAddr>);

impl PerAddress {
    /// Counts a connection; `None` if `most` are there already.
    pub fn enter(&self, address: IpAddr, most: usize) -> Option<Counted<IpAddr>> {
        self.0.enter(client_of(address), most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_count() {
        let counts = PerAddress::default();
        let enter = |text: &str| counts.enter(text.parse().unwrap(), 2);
        let first = enter("192.0.2.1");
        let second = enter("::ffff:192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(enter("192.0.2.1").is_none());
        let neighbours = (enter("2001:db8::1"), enter("2001:db8::ffff:1"));
        assert!(neighbours.0.is_some() && neighbours.1.is_some());
        assert!(enter("2001:db8::2").is_none());
        assert!(enter("2001:db8:0:1::2").is_some());
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        drop((second, neighbours));
        assert!(counts.0.is_empty());
    }
}
