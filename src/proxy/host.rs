//! Which host a request means, whichever way it says so.
//!
//! Belongs here: the one function that answers it. Does not: which upstream that host stands for (`policy`), the path's
//! grammar (`conda::url`).

use std::borrow::Cow;

use super::message::Request;

/// What a request target and its headers name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meant<'a> {
    /// Host and port as written, neither lower-cased nor split; `None` where an HTTP/1.0 client named none.
    pub host: Option<&'a str>,
    /// The raw path, percent-escapes untouched; begins with `/`, except `*` and the empty path of CONNECT.
    pub path: &'a str,
    /// What stands behind the first `?`.
    pub query: Option<&'a str>,
    /// Whether the target itself named the host: a client that takes the gate for its proxy, or CONNECT.
    pub absolute: bool,
}

/// Takes a request apart: absolute-form and CONNECT targets name their host themselves (RFC 9112 section 3.2), HTTP/2 has
/// `:authority`, all others have `Host`.
#[must_use]
pub fn meant(request: &Request) -> Meant<'_> {
    // The head scan lets only visible ASCII into a target; HTTP/2 targets come from a parsed URI.
    let target = std::str::from_utf8(request.target()).unwrap_or("/");
    let header = || request.text(&::http::header::HOST);
    let (authority, rest) = split(target, request.method == ::http::Method::CONNECT);
    let (path, query) = match memchr::memchr(b'?', rest.as_bytes()) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let path = if path.is_empty() && request.method != ::http::Method::CONNECT { "/" } else { path };
    // HTTP/2 puts the authority into the URI; in HTTP/1 the engine leaves it out even of absolute targets.
    let named = || request.authority.as_deref().or_else(header);
    let host = authority.or_else(named).filter(|host| !host.is_empty());
    Meant { host, path, query, absolute: authority.is_some() }
}

/// A host as rules name it: lower case, no port, no final dot. Brackets of an IPv6 address stay.
#[must_use]
pub fn bare(host: &str) -> Cow<'_, str> {
    let bytes = host.as_bytes();
    let end = match memchr::memrchr(b']', bytes) {
        Some(bracket) => bracket + 1,
        None => memchr::memchr(b':', bytes).unwrap_or(host.len()),
    };
    let bare = host[..end].trim_end_matches('.');
    if bare.bytes().any(|b| b.is_ascii_uppercase()) { bare.to_ascii_lowercase().into() } else { bare.into() }
}

/// The authority that the target itself carries, and what follows it.
fn split(target: &str, connect: bool) -> (Option<&str>, &str) {
    if target.starts_with('/') || target == "*" {
        return (None, target);
    }
    if connect {
        return (Some(target), "");
    }
    let Some((_scheme, rest)) = target.split_once("://") else { return (None, target) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (Some(&rest[..end]), &rest[end..])
}

#[cfg(test)]
mod tests {
    use pingora::http::RequestHeader;

    use super::*;

    #[test]
    fn every_form_names_its_host() {
        let table = [
            ("GET", "/a/b?c=d?e", Some("h:80"), (Some("h:80"), "/a/b", Some("c=d?e"), false)),
            ("GET", "/a", None, (None, "/a", None, false)),
            ("GET", "/a", Some(""), (None, "/a", None, false)),
            ("GET", "http://x:81/a?b", Some("h"), (Some("x:81"), "/a", Some("b"), true)),
            ("GET", "HTTP://x", None, (Some("x"), "/", None, true)),
            ("GET", "http://x?b", None, (Some("x"), "/", Some("b"), true)),
            ("GET", "/http://x/", Some("h"), (Some("h"), "/http://x/", None, false)),
            ("CONNECT", "x:443", Some("x:443"), (Some("x:443"), "", None, true)),
            ("OPTIONS", "*", Some("h"), (Some("h"), "*", None, false)),
        ];
        for (method, target, host, expected) in table {
            let mut request = RequestHeader::build(method, target.as_bytes(), None).unwrap();
            if let Some(host) = host {
                request.insert_header("Host", host).unwrap();
            }
            let request = Request::of_engine(&request);
            let m = meant(&request);
            assert_eq!((m.host, m.path, m.query, m.absolute), expected, "{method} {target}");
        }
    }

    #[test]
    fn http2_has_it_in_the_uri() {
        let request = ::http::Request::builder().uri("https://x:8443/a?b").body(()).unwrap();
        let request = Request::of_engine(&RequestHeader::from(request.into_parts().0));
        let m = meant(&request);
        assert_eq!((m.host, m.path, m.query), (Some("x:8443"), "/a", Some("b")));
    }
}
