//! Whether a redirect is followed, and where to: a pure decision.
//!
//! Belongs here: the rules. Does not: sending (`attempt`), the credential's header (`mirror`).
//!
//! anaconda.org answers most downloads with a redirect to a signed S3 URL (PROTOCOL section 7). A client must never
//! see that URL, so redirects end here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ::http::StatusCode;
use ::http::header::{self, HeaderMap};
use url::{Host, Url};

use super::mirror::Mirror;

/// What becomes of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// It is none.
    No,
    /// Ask there.
    To(Url),
    /// Back to a URL that was already asked.
    Circle,
    /// It must not be followed.
    Refused(&'static str),
}

/// Reads an answer; `asked` are the URLs asked so far, the one that answered last.
pub(super) fn decide(status: StatusCode, headers: &HeaderMap, mirror: &Mirror, asked: &[Url]) -> Redirect {
    let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let (true, Some(current)) = (is_redirect, asked.last()) else { return Redirect::No };
    let Some(location) = headers.get(header::LOCATION) else {
        return Redirect::Refused("it doesn't say where to (no Location)");
    };
    let Some(mut to) = location.to_str().ok().and_then(|text| current.join(text).ok()) else {
        return Redirect::Refused("its Location isn't a URL");
    };
    to.set_fragment(None);
    if !matches!(to.scheme(), "http" | "https") {
        return Redirect::Refused("it leads to another protocol than http and https");
    }
    if current.scheme() == "https" && to.scheme() == "http" {
        return Redirect::Refused("it leads from https to http");
    }
    // User info in a Location would be sent as a credential that nobody configured.
    if to.set_username("").is_err() || to.set_password(None).is_err() {
        return Redirect::Refused("its Location has no host");
    }
    if !mirror.is_origin_of(&to) {
        if let Some(why) = refuse_host(&to, mirror.base()) {
            return Redirect::Refused(why);
        }
        if mirror.is_told_in(&to) {
            return Redirect::Refused(
                "it would carry our credential to another host; name that host in the upstream's `urls` instead",
            );
        }
    }
    if asked.contains(&to) { Redirect::Circle } else { Redirect::To(to) }
}

/// An upstream must not use the gate to read what only this machine can reach: instance metadata, local services.
fn refuse_host(to: &Url, mirror: &Url) -> Option<&'static str> {
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
