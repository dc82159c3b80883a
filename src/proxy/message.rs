//! Heads as values: what was asked, what is answered.
//!
//! Belongs here: looking things up in a request's head, collecting an answer's. Does not: reading and writing them (`head`, `lean`, the
//! engine), what they mean (`request`, `respond`).
//!
//! Why not the engine's types: each header costs them a parsed name, a second spelling of it and a place in a hash table. A request of a
//! client has five headers, of which the gate looks at two.

use std::ops::Range;

use bytes::BytesMut;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;

use super::head::{Head, Line};

/// The head of a request.
#[derive(Debug)]
pub struct Request {
    /// As sent.
    pub method: Method,
    /// The client speaks HTTP/1.0.
    pub http10: bool,
    /// The authority that the transport names beside the target: HTTP/2's `:authority`.
    pub authority: Option<Box<str>>,
    bytes: BytesMut,
    target: Range<usize>,
    lines: Vec<Line>,
}

impl Request {
    /// A plain head as it arrived ([`Head::is_plain`]).
    pub(super) fn of_plain(head: Head, bytes: BytesMut) -> Self {
        let method = if bytes.starts_with(b"HEAD ") { Method::HEAD } else { Method::GET };
        Self { method, http10: false, authority: None, bytes, target: head.target, lines: head.lines }
    }

    /// A head that the engine has parsed.
    pub(super) fn of_engine(header: &RequestHeader) -> Self {
        let mut bytes = BytesMut::from(header.raw_path());
        let target = 0..bytes.len();
        let mut add = |text: &[u8]| {
            let start = bytes.len();
            bytes.extend_from_slice(text);
            start..bytes.len()
        };
        let lines = header.headers.iter();
        let lines =
            lines.map(|(name, value)| Line { name: add(name.as_ref()), value: add(value.as_bytes()) });
        let lines = lines.collect();
        let authority = header.uri.authority().map(|authority| authority.as_str().into());
        let http10 = header.version < http::Version::HTTP_11;
        Self { method: header.method.clone(), http10, authority, bytes, target, lines }
    }

    /// The target as sent.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        &self.bytes[self.target.clone()]
    }

    /// Every header: its name as sent and its value.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (&self.bytes[line.name.clone()], &self.bytes[line.value.clone()]))
    }

    /// The values of all lines of one header, in order.
    pub fn all<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_str().as_bytes();
        let same = move |line: &&Line| {
            line.name.len() == name.len() && self.bytes[line.name.clone()].eq_ignore_ascii_case(name)
        };
        self.lines.iter().filter(same).map(|line| &self.bytes[line.value.clone()])
    }

    /// The value of a header's first line.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        let name = name.as_str().as_bytes();
        let same = |line: &&Line| {
            line.name.len() == name.len() && self.bytes[line.name.clone()].eq_ignore_ascii_case(name)
        };
        self.lines.iter().find(same).map(|line| &self.bytes[line.value.clone()])
    }

    /// The same as text; `None` also where it is not visible ASCII.
    #[must_use]
    pub fn text(&self, name: &HeaderName) -> Option<&str> {
        visible(self.get(name)?)
    }

    /// The bytes behind it, to be used again.
    pub(super) fn into_bytes(self) -> BytesMut {
        self.bytes
    }
}

/// Visible ASCII, blanks and tabs.
#[must_use]
pub fn visible(value: &[u8]) -> Option<&str> {
    // No early exit: this way the compiler looks at many bytes at once.
    let is_visible = value.iter().fold(true, |good, b| good & matches!(b, b' '..=b'~' | b'\t'));
    if is_visible { std::str::from_utf8(value).ok() } else { None }
}

/// The head of an answer; its headers are sent in the order in which they were set.
#[derive(Clone, Debug)]
pub struct Response {
    /// 200 and so on.
    pub status: u16,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Response {
    /// Without headers.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::with_capacity(12) }
    }

    /// Sets a header, whatever it was.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        match self.headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.headers.push((name, value)),
        }
    }

    /// Sets a header to what never changes.
    pub fn set_static(&mut self, name: HeaderName, value: &'static str) {
        self.set(name, HeaderValue::from_static(value));
    }

    /// Sets a header to a text.
    ///
    /// # Errors
    /// When it holds control characters.
    pub fn set_text(&mut self, name: HeaderName, value: &str) -> pingora::Result<()> {
        let value = HeaderValue::from_str(value).map_err(|_| {
            pingora::Error::explain(pingora::ErrorType::InvalidHTTPHeader, format!("the value of {name}"))
        })?;
        self.set(name, value);
        Ok(())
    }

    /// One more line of a header; also for one that is certainly not there yet, which then needs no look.
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.push((name, value));
    }

    /// The same with what never changes.
    pub fn add_static(&mut self, name: HeaderName, value: &'static str) {
        self.add(name, HeaderValue::from_static(value));
    }

    /// Takes a header out.
    pub fn remove(&mut self, name: &HeaderName) {
        self.headers.retain(|(known, _)| known != name);
    }

    /// The value of a header.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// All headers.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }

    /// How many bytes the body is said to have.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.get(&http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}
