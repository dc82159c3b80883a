//! One access line: what it says, and its two spellings.
//!
//! Nothing a client sent is printed as it came: tokens and queries are masked, control characters and everything
//! beyond ASCII are escaped, and long values are cut.

use std::cell::RefCell;
use std::time::Duration;

use jiff::Timestamp;
use memchr::memmem;

use super::super::labels::Outcome;
use super::super::log::Format;
use crate::clock::UnixMillis;
use crate::id::RequestId;
use crate::secret::mask_path;

/// The longest path printed.
const MAX_PATH: usize = 2048;
/// The longest of other values that come from the client.
const MAX_VALUE: usize = 256;

/// How an answer ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum End {
    /// With its last byte.
    #[default]
    Complete,
    /// The client left, or took no bytes for too long.
    ClientLeft,
    /// The gate cut it, as the bytes behind it failed.
    Cut,
}

impl End {
    /// The word in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientLeft => "client-left",
            Self::Cut => "cut",
        }
    }
}

/// What one line says.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// When the head was complete.
    pub at: UnixMillis,
    /// The id that the client got too.
    pub request: RequestId,
    /// Address and port.
    pub client: &'a str,
    /// As sent; empty when the request line was not readable.
    pub method: &'a [u8],
    /// As sent: raw, tokens included. Masked here.
    pub target: &'a [u8],
    /// The host of an absolute-form request, or one that decided the route.
    pub host: Option<&'a str>,
    /// As answered; 499 when the client left before there was one.
    pub status: u16,
    /// Body bytes handed to the connection.
    pub bytes: u64,
    /// From the complete head to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// From the complete head to the last byte.
    pub took: Duration,
    /// Where the bytes came from.
    pub outcome: Outcome,
    /// Whose file it was.
    pub channel: Option<&'a str>,
    /// Who asked, if they showed it: the user's name.
    pub user: Option<&'a str>,
    /// The id of the token that they showed; not the token.
    pub token: Option<&'a str>,
    /// The `User-Agent` header, as sent.
    pub agent: &'a [u8],
    /// How it ended.
    pub end: End,
}

impl Line<'_> {
    /// Appends the line, line feed included.
    pub(super) fn format(&self, out: &mut Vec<u8>, format: Format) {
        let mut pairs = Pairs { out, json: format == Format::Json, first: true };
        pairs.open();
        pairs.time("time", self.at);
        pairs.id("id", self.request);
        pairs.word("client", self.client.as_bytes());
        pairs.text("method", self.method);
        if let Some(host) = self.host {
            pairs.text("host", host.as_bytes());
        }
        pairs.target("path", self.target);
        pairs.number("status", u64::from(self.status));
        pairs.number("bytes", self.bytes);
        if let Some(first_byte) = self.first_byte {
            pairs.millis("first_byte_ms", first_byte);
        }
        pairs.millis("ms", self.took);
        pairs.word("outcome", self.outcome.as_str().as_bytes());
        if let Some(channel) = self.channel {
            pairs.text("channel", channel.as_bytes());
        }
        if let Some(user) = self.user {
            pairs.text("user", user.as_bytes());
        }
        if let Some(token) = self.token {
            pairs.word("token", token.as_bytes());
        }
        if self.end != End::Complete {
            pairs.word("end", self.end.as_str().as_bytes());
        }
        pairs.text("agent", self.agent);
        pairs.close();
    }
}

/// `key=value key="value"`, or one JSON object.
struct Pairs<'a> {
    out: &'a mut Vec<u8>,
    json: bool,
    first: bool,
}

impl Pairs<'_> {
    fn open(&mut self) {
        if self.json {
            self.out.push(b'{');
        }
    }

    fn close(&mut self) {
        self.out.extend_from_slice(if self.json { b"}\n" } else { b"\n" });
    }

    fn key(&mut self, key: &str) {
        if !self.first {
            self.out.push(if self.json { b',' } else { b' ' });
        }
        self.first = false;
        if self.json {
            self.out.push(b'"');
            self.out.extend_from_slice(key.as_bytes());
            self.out.extend_from_slice(b"\":");
        } else {
            self.out.extend_from_slice(key.as_bytes());
            self.out.push(b'=');
        }
    }

    /// A value that needs no quotes in the human form and no escapes in either.
    fn word(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        if self.json {
            self.out.push(b'"');
        }
        self.out.extend_from_slice(value);
        if self.json {
            self.out.push(b'"');
        }
    }

    fn text(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        self.escaped(value, MAX_VALUE);
        self.out.push(b'"');
    }

    fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn millis(&mut self, key: &str, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.number(key, micros / 1000);
        self.out.push(b'.');
        self.three_digits(micros % 1000);
    }

    fn three_digits(&mut self, value: u64) {
        let digit = |n: u64| b'0' + (n % 10) as u8;
        self.out.extend_from_slice(&[digit(value / 100), digit(value / 10), digit(value)]);
    }

    fn id(&mut self, key: &str, id: RequestId) {
        self.word(key, &id.hex());
    }

    /// RFC 3339 with milliseconds; the part down to the second is made once a second and thread.
    fn time(&mut self, key: &str, at: UnixMillis) {
        thread_local! {
            static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
        }
        self.key(key);
        let quote = if self.json { &b"\""[..] } else { b"" };
        self.out.extend_from_slice(quote);
        SECOND.with_borrow_mut(|(second, text)| {
            if *second != at.seconds() {
                *second = at.seconds();
                *text = Timestamp::from_second(*second)
                    .map_or_else(|_| "-".to_owned(), |t| t.strftime("%Y-%m-%dT%H:%M:%S").to_string());
            }
            self.out.extend_from_slice(text.as_bytes());
        });
        self.out.push(b'.');
        self.three_digits(at.0.rem_euclid(1000).unsigned_abs());
        self.out.push(b'Z');
        self.out.extend_from_slice(quote);
    }

    fn target(&mut self, key: &str, target: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        let (path, query) = path_of(target);
        // Nearly every path has neither a token nor an escape and is copied as it is.
        if path.first() == Some(&b'/')
            && memmem::find(path, b"/t/").is_none()
            && memchr::memchr(b'%', path).is_none()
        {
            self.escaped(path, MAX_PATH);
        } else {
            let text = String::from_utf8_lossy(&path[..path.len().min(MAX_PATH)]);
            // A slash in disguise must not hide the segment behind `t`.
            let text = text.replace("%2f", "/").replace("%2F", "/");
            self.escaped(mask_path(&text).as_bytes(), MAX_PATH);
        }
        if query {
            self.out.extend_from_slice(b"?***");
        }
        self.out.push(b'"');
    }

    fn escaped(&mut self, value: &[u8], max: usize) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let plain = |b: &u8| matches!(b, 0x20..=0x7e) && !matches!(b, b'"' | b'\\');
        let shown = &value[..value.len().min(max)];
        if shown.iter().all(plain) {
            self.out.extend_from_slice(shown);
        } else {
            for b in shown {
                if plain(b) {
                    self.out.push(*b);
                    continue;
                }
                // JSON knows no \x, so there the backslash itself is escaped.
                self.out.extend_from_slice(if self.json { b"\\\\x" } else { b"\\x" });
                self.out.extend_from_slice(&[HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
            }
        }
        if value.len() > max {
            self.out.extend_from_slice(b"...");
        }
    }
}

/// The path of a raw target, without scheme, authority and query; and whether there was a query.
fn path_of(target: &[u8]) -> (&[u8], bool) {
    let end = target.iter().position(|b| matches!(b, b'?' | b'#'));
    let shown = &target[..end.unwrap_or(target.len())];
    let path = if shown.first() == Some(&b'/') {
        shown
    } else if let Some(at) = memmem::find(shown, b"://") {
        let rest = &shown[at + 3..];
        rest.iter().position(|b| *b == b'/').map_or(&b"/"[..], |slash| &rest[slash..])
    } else {
        // `host:port` of CONNECT, or nonsense: whatever stands before an @ could be a password.
        memchr::memrchr(b'@', shown).map_or(shown, |at| &shown[at + 1..])
    };
    (path, end.is_some())
}

#[cfg(test)]
impl<'a> Line<'a> {
    /// A plain hit, for tests.
    pub(super) fn example(request: RequestId, target: &'a [u8]) -> Self {
        Self {
            at: UnixMillis(1_767_323_045_006),
            request,
            client: "10.0.0.1:5000",
            method: b"GET",
            target,
            host: None,
            status: 200,
            bytes: 2048,
            first_byte: Some(Duration::from_micros(412)),
            took: Duration::from_micros(1_200),
            outcome: Outcome::Hit,
            channel: Some("conda-forge"),
            user: Some("ada"),
            token: Some("t1"),
            agent: b"conda/26.5",
            end: End::Complete,
        }
    }
}
