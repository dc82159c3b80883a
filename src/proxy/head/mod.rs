//! Request heads as bytes: where one ends, whether it stays within the limits, and whether its framing is beyond doubt.
//!
//! Belongs here: the incremental scan of what a client sent before anything has been parsed, and the one repair
//! (the `Host` line of an absolute-form request). Pure. Does not: reading from sockets and answering
//! (`front`), the meaning of a path (`conda::url`).
//!
//! The engine parses the head again. What passes here must pass there too, because a head that the engine refuses gets
//! a bare answer and no log line; a property test holds that.

mod fields;

use std::borrow::Cow;
use std::ops::Range;

use bytes::{BufMut, BytesMut};

use fields::Fields;
pub use fields::Line;

/// The most header lines the engine's parser takes.
pub const ENGINE_MAX_HEADERS: usize = 256;
/// Empty lines some clients leave behind a body; more of them is not a request (RFC 9112 section 2.2).
const MAX_LEADING: usize = 8;
/// What a request line holds besides its target: method, version, blanks.
const LINE_SLACK: usize = 48;

/// What a request head may grow to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head, request line and final empty line included; beyond it 431.
    pub max_bytes: usize,
    /// Header lines; beyond it 431. At most [`ENGINE_MAX_HEADERS`] has effect.
    pub max_headers: usize,
    /// Bytes of the request target as written; beyond it 414.
    pub max_url: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_bytes: 32 * 1024, max_headers: 100, max_url: 8 * 1024 }
    }
}

/// Why a head is not taken: the status to answer with, and a sentence a person can act on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// 400, 408, 414, 431, 501, 503 or 505.
    pub status: u16,
    /// What is wrong and what to do; repeats nothing the client sent.
    pub sentence: Cow<'static, str>,
}

impl Refusal {
    pub(super) const fn new(status: u16, sentence: &'static str) -> Self {
        Self { status, sentence: Cow::Borrowed(sentence) }
    }
}

/// How the bytes behind the head are framed (RFC 9112 section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Exactly so many bytes; 0 when nothing was announced.
    Length(u64),
    /// Chunks, up to the last one.
    Chunked,
}

/// A head that may be handed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// Bytes to drop before it: empty lines.
    pub skip: usize,
    /// Bytes from the start of the buffer to the end of the head, `skip` included.
    pub len: usize,
    /// What follows.
    pub framing: Framing,
    /// It asks for something in the way nearly all do: GET or HEAD of HTTP/1.1, a path of common letters, nothing behind the head, no
    /// wishes about the connection but that it stays.
    pub is_plain: bool,
    /// Where its target stands.
    pub target: Range<usize>,
    /// Its header lines, in order.
    pub lines: Vec<Line>,
    /// The authority of an absolute-form or CONNECT target.
    authority: Option<Range<usize>>,
    /// The whole `Host` line, line end included, and its value.
    host: Option<(Range<usize>, Range<usize>)>,
    /// Where the request line ends, line end included.
    first_line: usize,
}

/// What [`Scanner::feed`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scan {
    /// The head is not complete; nothing is wrong so far.
    NeedMore,
    /// The head is complete.
    Complete(Head),
    /// The connection can't be used any further.
    Refuse(Refusal),
}

/// Scans one head in a buffer that grows; every byte is looked at once.
#[derive(Debug)]
pub struct Scanner {
    limits: HeadLimits,
    /// Up to here no line end is hidden.
    seen: usize,
    /// Where the line being collected begins.
    line: usize,
    skip: usize,
    fields: Fields,
}

/// Scans a buffer that holds all that has arrived so far.
#[must_use]
pub fn scan(buf: &[u8], limits: HeadLimits) -> Scan {
    Scanner::new(limits).feed(buf)
}

impl Scanner {
    /// A scanner for the next request of a connection.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        let limits = HeadLimits { max_headers: limits.max_headers.min(ENGINE_MAX_HEADERS), ..limits };
        Self { limits, seen: 0, line: 0, skip: 0, fields: Fields::default() }
    }

    /// Looks at what is new. `buf` must begin with the bytes given before.
    pub fn feed(&mut self, buf: &[u8]) -> Scan {
        match self.advance(buf) {
            Ok(Some(head)) => Scan::Complete(head),
            Ok(None) => Scan::NeedMore,
            Err(refusal) => Scan::Refuse(refusal),
        }
    }

    fn advance(&mut self, buf: &[u8]) -> Result<Option<Head>, Refusal> {
        while let Some(at) = memchr::memchr(b'\n', &buf[self.seen..]) {
            let lf = self.seen + at;
            let line = self.line..lf.saturating_sub(1);
            if lf == self.line || buf[lf - 1] != b'\r' {
                return Err(self.bare_line_feed(buf, lf));
            }
            self.seen = lf + 1;
            self.line = lf + 1;
            if self.line > self.limits.max_bytes {
                return Err(self.too_large());
            }
            if !line.is_empty() {
                self.take_line(buf, line)?;
            } else if self.fields.has_request_line() {
                return self.fields.finish(buf, self.skip, lf + 1).map(Some);
            } else {
                self.skip = lf + 1;
                if self.skip > MAX_LEADING {
                    return Err(Refusal::new(400, "The connection sent empty lines instead of a request."));
                }
            }
        }
        self.seen = buf.len();
        self.check_partial(buf).map(|()| None)
    }

    fn take_line(&mut self, buf: &[u8], line: Range<usize>) -> Result<(), Refusal> {
        if self.fields.has_request_line() {
            return self.fields.header(buf, line, &self.limits);
        }
        self.fields.request_line(buf, line, &self.limits)
    }

    /// What can be said before the line has ended: junk, and growth without end.
    fn check_partial(&self, buf: &[u8]) -> Result<(), Refusal> {
        let partial = &buf[self.line..];
        if !self.fields.has_request_line() {
            fields::check_first_bytes(partial)?;
            if partial.len() > self.limits.max_url.saturating_add(LINE_SLACK) {
                return Err(fields::url_too_long(&self.limits));
            }
        }
        if buf.len() > self.limits.max_bytes { Err(self.too_large()) } else { Ok(()) }
    }

    fn too_large(&self) -> Refusal {
        let sentence = format!(
            "The request head is larger than the {} bytes this gateway accepts; send fewer or shorter headers.",
            self.limits.max_bytes
        );
        Refusal { status: 431, sentence: sentence.into() }
    }

    fn bare_line_feed(&self, buf: &[u8], lf: usize) -> Refusal {
        if !self.fields.has_request_line()
            && let Err(refusal) = fields::check_first_bytes(&buf[self.line..lf])
        {
            return refusal;
        }
        Refusal::new(400, "A line of the request head ends with a bare line feed; lines end with CR LF.")
    }
}

impl Head {
    /// The head as the engine is to see it: without leading empty lines and with `Host` naming what the target names.
    ///
    /// RFC 9112 section 3.2.2: the target of an absolute-form request decides, `Host` is replaced. The engine
    /// compares the two byte by byte instead, so `http://h:80/` with `Host: h` would get a bare 400.
    #[must_use]
    pub fn normalise(&self, mut bytes: BytesMut) -> BytesMut {
        let Some(authority) = &self.authority else {
            if self.skip > 0 {
                let _empty_lines = bytes.split_to(self.skip);
            }
            return bytes;
        };
        let mut out = BytesMut::with_capacity(self.len + authority.len() + 8);
        out.put_slice(&bytes[self.skip..self.first_line]);
        out.put_slice(b"Host: ");
        out.put_slice(&bytes[authority.clone()]);
        out.put_slice(b"\r\n");
        match &self.host {
            Some((line, _)) => {
                out.put_slice(&bytes[self.first_line..line.start]);
                out.put_slice(&bytes[line.end..self.len]);
            }
            None => out.put_slice(&bytes[self.first_line..self.len]),
        }
        out
    }
}

#[cfg(test)]
mod tests;
