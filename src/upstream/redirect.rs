//! Whether a redirect is followed, and where to: a pure decision.
//!
//! Belongs here: the rules. Does not: sending (`attempt`), the credential's header (`mirror`), which hosts
//! an upstream may name at all (`reach`).
//!
//! anaconda.org answers most downloads with a redirect to a signed S3 URL (PROTOCOL section 7). A client must never
//! see that URL, so redirects end here.

use ::http::StatusCode;
use ::http::header::{self, HeaderMap};
use url::Url;

use super::mirror::Mirror;
use super::reach;

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
        if let Some(why) = reach::refuse(&to, mirror.base()) {
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
