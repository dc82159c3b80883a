//! From the HTTP client's errors to ours.
//!
//! Belongs here: finding out what happened, without repeating the client's message: it may hold the URL. Does not: the
//! sentences (`error`).

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use super::error::{FetchError, TimeoutPhase};

/// Where in an exchange the HTTP client failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before the answer's headers.
    Head,
    /// While the body was read.
    Body,
}

/// Reads an error of the HTTP client. Its own message is never repeated: it may hold the URL.
pub(super) fn classify(error: &reqwest::Error, mirror: &str, stage: Stage, connect: Duration) -> FetchError {
    let mirror = mirror.to_owned();
    if let Some(why) = tls_reason(error) {
        return FetchError::Tls { mirror, why };
    }
    if error.is_connect() {
        if error.is_timeout() {
            return FetchError::Timeout { mirror, phase: TimeoutPhase::Connect, after: connect };
        }
        let why = io_reason(error).unwrap_or_else(|| "the connection or the proxy was refused".to_owned());
        return FetchError::Unreachable { mirror, why };
    }
    let why = io_reason(error).unwrap_or_else(|| match stage {
        Stage::Head => "the connection ended before a complete answer".to_owned(),
        Stage::Body => "the body ended before its announced length or was malformed".to_owned(),
    });
    FetchError::Reset { mirror, why }
}

/// What the system said: an errno's text, which never holds a URL.
fn io_reason(error: &reqwest::Error) -> Option<String> {
    let io = || chain(error).filter_map(|e| e.downcast_ref::<io::Error>());
    if error.is_dns() {
        // The resolver's errors are made by the standard library from its return code.
        let said = io().last().map_or_else(|| "no address".to_owned(), ToString::to_string);
        return Some(format!("its name has no address ({said})"));
    }
    io().filter(|e| e.raw_os_error().is_some()).last().map(ToString::to_string)
}

/// What rustls said, which is about certificates and protocol, never about paths.
fn tls_reason(error: &reqwest::Error) -> Option<String> {
    chain(error).find_map(|e| e.downcast_ref::<rustls::Error>()).map(ToString::to_string)
}

/// The error and its causes. An I/O error that wraps another one would skip it (its `source` is the inner one's source).
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    fn cause<'a>(error: &&'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        let error: &'a (dyn StdError + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    }
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), cause)
}
