//! How many connections one address holds, so that no single client takes them all.

use crate::model::cidr::client_of;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The connections there are, by where they come from.
#[derive(Clone, Default)]
pub struct PerAddress(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection that counts until this is dropped.
pub struct Counted {
    counts: PerAddress,
    from: IpAddr,
}

impl PerAddress {
    /// Counts a connection; `None` if `most` are there already.
    pub fn enter(&self, address: IpAddr, most: usize) -> Option<Counted> {
        let from = client_of(address);
        let mut counts = self.0.lock();
        let count = counts.entry(from).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Counted { counts: self.clone(), from })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock();
        if let Some(count) = counts.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.from);
            }
        }
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
        assert!(counts.0.lock().is_empty());
    }
}
