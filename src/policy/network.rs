//! A range of IP addresses, as `10.0.0.0/8`.
//!
//! Belongs here: parsing and membership. Does not: who may do what from where.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// One network, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// The first address; an IPv4 address is kept in its IPv6-mapped form.
    base: u128,
    /// How many leading bits of 128 count.
    bits: u32,
    v4: bool,
}

impl Network {
    /// Parses `ADDRESS/BITS` or `ADDRESS`. Bits behind the prefix must be zero. `None` otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().ok()?;
        let v4 = address.is_ipv4();
        let width = if v4 { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().ok().filter(|b| *b <= width)?
            }
            Some(_) => return None,
            None => width,
        };
        let network = Self { base: number(address), bits: bits + (128 - width), v4 };
        (network.base & !network.mask() == 0).then_some(network)
    }

    /// Whether an address lies in it; IPv4 addresses that came in over IPv6 count as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        number(address) & self.mask() == self.base
    }

    const fn mask(self) -> u128 {
        match u128::MAX.checked_shl(128 - self.bits) {
            Some(mask) => mask,
            None => 0,
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from_bits(self.base);
        match address.to_ipv4_mapped().filter(|_| self.v4) {
            Some(v4) => write!(f, "{v4}/{}", self.bits.saturating_sub(96)),
            None => write!(f, "{address}/{}", self.bits),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{inside} in {network}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{outside} not in {network}");
        }
        assert!(Network::parse("::/0").unwrap().contains("192.0.2.1".parse().unwrap()));
        assert_eq!(Network::parse("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(Network::parse("fd00::/8").unwrap().to_string(), "fd00::/8");
    }

    #[test]
    fn refusals() {
        for bad in ["", "10.0.0.1/8", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/+8", "host", "10/8"]
        {
            assert!(Network::parse(bad).is_none(), "{bad}");
        }
    }
}
