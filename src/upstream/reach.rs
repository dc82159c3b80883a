//! Which hosts an upstream may send the gate to, by redirect or by URLs in its index: a pure decision.
//!
//! Belongs here: telling this machine's own addresses from others. Does not: other rules on redirects (`redirect`).
//!
//! An upstream must not use the gate to read what only this machine can reach: instance metadata, local services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Why `to`, named by a mirror at `mirror`, is not asked. Addresses behind names are not looked at: who controls
/// DNS controls the mirror's own name as well.
pub(super) fn refuse(to: &Url, mirror: &Url) -> Option<&'static str> {
    match reach(to) {
        Reach::LinkLocal => Some("it leads to a link-local address"),
        Reach::Loopback if !matches!(reach(mirror), Reach::Loopback) => Some("it leads to this machine"),
        _ => None,
    }
}

enum Reach {
    LinkLocal,
    Loopback,
    Elsewhere,
}

fn reach(url: &Url) -> Reach {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let local = name == "localhost" || name.ends_with(".localhost");
            return if local { Reach::Loopback } else { Reach::Elsewhere };
        }
        None => return Reach::Elsewhere,
    };
    match ip {
        _ if ip.is_loopback() || ip.is_unspecified() => Reach::Loopback,
        IpAddr::V4(ip) if ip.is_link_local() || ip == Ipv4Addr::new(100, 100, 100, 200) => Reach::LinkLocal,
        IpAddr::V6(ip) if ip.is_unicast_link_local() || ip == METADATA_V6 => Reach::LinkLocal,
        _ => Reach::Elsewhere,
    }
}

/// The IPv6 address of a large cloud's instance metadata.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
