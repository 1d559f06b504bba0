//! Address ranges in CIDR notation, and lists of them that restrict where a caller may come from.
//!
//! An IPv4-mapped IPv6 source address (`::ffff:10.1.2.3`, what a dual-stack socket reports) is compared as
//! the IPv4 address it stands for, and by no IPv6 range, `::/0` included.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Most ranges in one list.
pub const MAX_RANGES: usize = 64;

/// Why a text is no address range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    #[error("write an address range in CIDR notation, such as 10.0.0.0/8 or 2001:db8::/32")]
    Notation,
    #[error("the address has bits set below its prefix: write the range's first address, {0}")]
    HostBits(IpNet),
    #[error("the range is IPv4 written as IPv6: write it as IPv4, such as 10.0.0.0/8")]
    MappedIpv4,
}

/// The address that stands for all that one client may take: an IPv6 client has a whole /64 at its disposal.
#[must_use]
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        ip => ip,
    }
}

/// One range of addresses. A bare address is the range of just that address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Checks the notation.
    ///
    /// # Errors
    /// [`CidrError`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let range: IpNet = match text.parse() {
            Ok(range) => range,
            Err(_) => text.parse::<IpAddr>().map(IpNet::from).map_err(|_| CidrError::Notation)?,
        };
        if let IpNet::V6(v6) = range
            && v6.prefix_len() >= 96
            && v6.addr().to_ipv4_mapped().is_some()
        {
            return Err(CidrError::MappedIpv4);
        }
        if range.addr() != range.network() {
            return Err(CidrError::HostBits(range.trunc()));
        }
        Ok(Self(range))
    }

    /// Whether the address lies in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Where a caller may come from. The empty list is no restriction: it contains every address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CidrList(Vec<Cidr>);

impl CidrList {
    /// Reads up to [`MAX_RANGES`] different ranges.
    ///
    /// # Errors
    /// The index of the first range that is wrong, and a sentence that says why.
    pub fn parse(texts: &[String]) -> Result<Self, (usize, String)> {
        let mut ranges = Vec::with_capacity(texts.len().min(MAX_RANGES));
        for (index, text) in texts.iter().enumerate() {
            if index >= MAX_RANGES {
                return Err((index, format!("a list has at most {MAX_RANGES} ranges: merge or remove some")));
            }
            let range = Cidr::parse(text).map_err(|error| (index, error.to_string()))?;
            if ranges.contains(&range) {
                return Err((index, "the range stands in the list already: remove it".to_owned()));
            }
            ranges.push(range);
        }
        Ok(Self(ranges))
    }

    /// A list of ranges that were checked one by one.
    #[must_use]
    pub fn new(ranges: Vec<Cidr>) -> Self {
        Self(ranges)
    }

    /// Whether the list restricts nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a caller may come from this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.is_empty() || self.0.iter().any(|range| range.contains(address))
    }

    /// Whether every address that this list contains is in `other` too, also where it takes several ranges of
    /// `other` to cover one of this list.
    #[must_use]
    pub fn is_subset_of(&self, other: &CidrList) -> bool {
        // Aggregated, `other` consists of the largest ranges it covers: a range within their union is within one.
        let outer = IpNet::aggregate(&other.nets());
        self.nets().iter().all(|inner| outer.iter().any(|range| range.contains(inner)))
    }

    /// The ranges in canonical notation, in the order in which they were written.
    #[must_use]
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// The ranges, with "no restriction" written out.
    fn nets(&self) -> Vec<IpNet> {
        if self.0.is_empty() {
            return vec![IpNet::V4(ipnet::Ipv4Net::default()), IpNet::V6(ipnet::Ipv6Net::default())];
        }
        self.0.iter().map(|range| range.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(texts: &[&str]) -> CidrList {
        CidrList::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn reads_ranges_and_bare_addresses() {
        for (text, canonical) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("2001:DB8:0::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(Cidr::parse(text).unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn names_each_fault() {
        for text in
            ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "10.0.0.0/", "/8", "host", " 10.0.0.0/8"]
        {
            assert_eq!(Cidr::parse(text), Err(CidrError::Notation), "{text:?}");
        }
        let problem = Cidr::parse("10.1.0.0/8").unwrap_err().to_string();
        assert!(problem.ends_with("10.0.0.0/8"), "{problem}");
        assert!(matches!(Cidr::parse("2001:db8::1/32"), Err(CidrError::HostBits(_))));
        assert_eq!(Cidr::parse("::ffff:10.0.0.0/104"), Err(CidrError::MappedIpv4));
        assert_eq!(Cidr::parse("::ffff:10.0.0.1"), Err(CidrError::MappedIpv4));
    }

    #[test]
    fn a_list_names_the_index_of_a_fault() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(CidrList::parse(&texts(&["10.0.0.0/8", "x"])).unwrap_err().0, 1);
        assert_eq!(CidrList::parse(&texts(&["10.0.0.1", "::/0", "10.0.0.1/32"])).unwrap_err().0, 2);
        let many: Vec<String> = (0..65).map(|n| format!("10.0.0.{n}")).collect();
        assert_eq!(CidrList::parse(&many).unwrap_err().0, 64);
        assert!(CidrList::parse(&many[..64]).is_ok());
    }

    #[test]
    fn an_ipv4_mapped_source_is_its_ipv4_address() {
        let ten = list(&["10.0.0.0/8"]);
        assert!(ten.contains("10.9.9.9".parse().unwrap()));
        assert!(ten.contains("::ffff:10.9.9.9".parse().unwrap()));
        assert!(!ten.contains("::ffff:11.9.9.9".parse().unwrap()));
        assert!(!ten.contains("::10.9.9.9".parse().unwrap()));
        assert!(!list(&["::/0"]).contains("::ffff:10.9.9.9".parse().unwrap()));
        assert!(list(&["::/0"]).contains("2001:db8::1".parse().unwrap()));
        assert!(CidrList::default().contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn subsets() {
        let everywhere = CidrList::default();
        assert!(everywhere.is_subset_of(&everywhere));
        assert!(list(&["10.0.0.0/8"]).is_subset_of(&everywhere));
        assert!(!everywhere.is_subset_of(&list(&["0.0.0.0/0"])));
        assert!(everywhere.is_subset_of(&list(&["::/0", "0.0.0.0/0"])));
        assert!(list(&["10.1.0.0/16", "10.2.0.1"]).is_subset_of(&list(&["10.0.0.0/8"])));
        assert!(!list(&["10.1.0.0/16", "11.2.0.1"]).is_subset_of(&list(&["10.0.0.0/8"])));
        assert!(!list(&["10.0.0.0/8"]).is_subset_of(&list(&["10.0.0.0/9"])));
        assert!(list(&["10.0.0.0/8"]).is_subset_of(&list(&["10.128.0.0/9", "10.0.0.0/9"])));
        assert!(!list(&["::/0"]).is_subset_of(&list(&["0.0.0.0/0"])));
    }

    proptest! {
        #[test]
        fn membership_follows_the_bits(network in any::<u32>(), prefix in 0u8..=32, address in any::<u32>(), near in any::<bool>()) {
            let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) };
            let network = network & mask;
            let address = if near { network | (address & !mask) } else { address };
            let range = Cidr::parse(&format!("{}/{prefix}", std::net::Ipv4Addr::from(network))).unwrap();
            let expected = address & mask == network;
            let v4 = std::net::Ipv4Addr::from(address);
            prop_assert_eq!(range.contains(v4.into()), expected);
            prop_assert_eq!(range.contains(v4.to_ipv6_mapped().into()), expected);
        }
    }
}
