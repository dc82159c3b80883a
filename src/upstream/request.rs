//! What is asked of an upstream.
//!
//! Belongs here: the request value and its headers. Does not: where it is sent (`mirror`), how (`attempt`).

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::via;

/// W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// One request, the same for every mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchRequest {
    /// Percent-encoded, without a leading slash, below the mirror's base.
    pub path: String,
    /// Percent-encoded, without the question mark.
    pub query: Option<String>,
    /// What the answer is for: decides how large it may be.
    pub purpose: Purpose,
    /// `If-None-Match`, as it is to be sent.
    pub if_none_match: Option<String>,
    /// `If-Modified-Since`, as it is to be sent.
    pub if_modified_since: Option<String>,
    /// Ask for the bytes from here to the end.
    pub range_from: Option<u64>,
    /// `If-Range`, only with `range_from`.
    pub if_range: Option<String>,
    /// HEAD instead of GET.
    pub head: bool,
    /// The `Via` of the request this one is made for; ours is appended.
    pub via: Option<String>,
    /// `traceparent`, where upstream is to be told.
    pub traceparent: Option<String>,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A package file.
    Package,
    /// repodata and its kin, shards, channeldata.
    Index,
    /// Anything else.
    #[default]
    Plain,
}

impl FetchRequest {
    /// A GET of `path`.
    #[must_use]
    pub fn get(path: impl Into<String>, purpose: Purpose) -> Self {
        Self { path: path.into(), purpose, ..Self::default() }
    }

    /// Whether the answer may be 304.
    pub(super) const fn is_conditional(&self) -> bool {
        self.if_none_match.is_some() || self.if_modified_since.is_some()
    }

    /// Why this can't be sent to anybody.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        if self.path.starts_with('/') {
            return Some("the path begins with a slash");
        }
        let odd = |b: u8| !b.is_ascii_graphic() || b == b'#' || b == b'\\';
        if self.path.bytes().any(|b| odd(b) || b == b'?') {
            return Some("the path is not percent-encoded");
        }
        if self.query.iter().any(|query| query.bytes().any(odd)) {
            return Some("the query is not percent-encoded");
        }
        if self.if_range.is_some() && self.range_from.is_none() {
            return Some("If-Range without a range");
        }
        None
    }

    /// The headers, but for the credential.
    pub(super) fn headers(&self, pseudonym: &str) -> Result<HeaderMap, &'static str> {
        let mut headers = HeaderMap::new();
        // A coding could not be resumed, and its length is not the file's.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let range = self.range_from.map(|from| format!("bytes={from}-"));
        let fields: [(HeaderName, Option<&str>); 6] = [
            (header::IF_NONE_MATCH, self.if_none_match.as_deref()),
            (header::IF_MODIFIED_SINCE, self.if_modified_since.as_deref()),
            (header::RANGE, range.as_deref()),
            (header::IF_RANGE, self.if_range.as_deref()),
            (TRACEPARENT, self.traceparent.as_deref()),
            (header::VIA, Some(&*via::append(self.via.as_deref(), "1.1", pseudonym))),
        ];
        for (name, value) in fields {
            let Some(value) = value else { continue };
            let value =
                HeaderValue::from_str(value).map_err(|_| "a header has characters that can't be sent")?;
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

/// Whether one of the `Via` headers names `pseudonym`.
pub(super) fn is_via(headers: &HeaderMap, pseudonym: &str) -> bool {
    headers
        .get_all(header::VIA)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .any(|via| via::mentions(via, pseudonym))
}

/// What stays as it is in a path segment: unreserved characters, and what conda's file names have (`+`, `!`, `=`, `@`).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'+')
    .remove(b'!')
    .remove(b'=')
    .remove(b'@');

/// Percent-encodes a whole decoded path, segment by segment; slashes stay.
#[must_use]
pub fn encode_path(path: &str) -> String {
    if path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+!=@/".contains(&b)) {
        return path.to_owned();
    }
    path.split('/').map(encode_path_segment).collect::<Vec<_>>().join("/")
}

/// Percent-encodes one segment of an upstream path; a slash in it becomes `%2F`. `.` and `..` can't be encoded in a way
/// URLs keep apart from the special segments; a request with them is refused.
#[must_use]
pub fn encode_path_segment(segment: &str) -> String {
    utf8_percent_encode(segment, SEGMENT).to_string()
}
