//! The lines of a request head: request line, header lines, and what they say together about framing and authority.
//!
//! Belongs here: the rules for one line and for the whole. Does not: finding the lines (`super`).

use std::ops::Range;

use super::{Framing, Head, HeadLimits, Refusal};

/// Where in a head a header line has its name and its value, blanks around it left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// As written: upper and lower case are the same.
    pub name: Range<usize>,
    /// May be empty.
    pub value: Range<usize>,
}

/// What has been learnt from the lines so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Where the request line ends, line end included; 0 before there was one.
    first_line: usize,
    target: Range<usize>,
    form: Form,
    minor: u8,
    /// See [`Head::is_plain`].
    plain: bool,
    lines: Vec<Line>,
    host: Option<(Range<usize>, Range<usize>)>,
    content_length: Option<u64>,
    chunked: bool,
}

/// The four forms of a request target (RFC 9112 section 3.2).
#[derive(Debug, Default)]
enum Form {
    /// `/path`, and `*` of OPTIONS
    #[default]
    Origin,
    /// `http://host/path`: where the authority is
    Absolute(Range<usize>),
    /// `host:port` of CONNECT: the whole target
    Authority(Range<usize>),
}

impl Fields {
    pub(super) fn has_request_line(&self) -> bool {
        self.first_line > 0
    }

    pub(super) fn request_line(
        &mut self,
        buf: &[u8],
        line: Range<usize>,
        limits: &HeadLimits,
    ) -> Result<(), Refusal> {
        let text = &buf[line.clone()];
        check_first_bytes(text)?;
        let method_end = memchr::memchr(b' ', text).ok_or_else(malformed_line)?;
        let version_at = memchr::memrchr(b' ', text).ok_or_else(malformed_line)?;
        if version_at == method_end {
            return Err(Refusal::new(
                400,
                "The request line names no HTTP version; HTTP/0.9 is not spoken here.",
            ));
        }
        let target = &text[method_end + 1..version_at];
        if target.len() > limits.max_url {
            return Err(url_too_long(limits));
        }
        if !text[..method_end].iter().copied().all(is_token) {
            return Err(malformed_line());
        }
        let harmless = is_harmless(target);
        if !harmless && !is_target(target) {
            return Err(Refusal::new(
                400,
                "The request target contains a blank or a byte that must be percent-encoded.",
            ));
        }
        self.minor = version(&text[version_at + 1..])?;
        let reads = matches!(&text[..method_end], b"GET" | b"HEAD");
        self.plain = reads && harmless && target[0] == b'/' && self.minor == 1;
        self.target = line.start + method_end + 1..line.start + version_at;
        self.lines.reserve(8);
        self.form = form(&text[..method_end], target, line.start + method_end + 1)?;
        self.first_line = line.end + 2;
        Ok(())
    }

    pub(super) fn header(
        &mut self,
        buf: &[u8],
        line: Range<usize>,
        limits: &HeadLimits,
    ) -> Result<(), Refusal> {
        if self.lines.len() >= limits.max_headers {
            let sentence = format!("The request has more than {} header lines.", limits.max_headers);
            return Err(Refusal { status: 431, sentence: sentence.into() });
        }
        let text = &buf[line.clone()];
        if matches!(text[0], b' ' | b'\t') {
            return Err(Refusal::new(400, "A header line is folded; send every header on one line."));
        }
        let colon = memchr::memchr(b':', text).unwrap_or(0);
        let (name, rest) = (&text[..colon], text.get(colon + 1..).unwrap_or_default());
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(Refusal::new(400, "A header line has no valid name before its colon."));
        }
        // No early exit: this way the compiler looks at many bytes at once.
        if !rest.iter().fold(true, |good, b| good & is_value(*b)) {
            return Err(Refusal::new(400, "A header value contains a control character."));
        }
        let value = rest.trim_ascii();
        let start = line.start + colon + 1 + rest.len() - rest.trim_ascii_start().len();
        let at = start..start + value.len();
        self.lines.push(Line { name: line.start..line.start + colon, value: at.clone() });
        self.known(name, line.start..line.end + 2, at, value)
    }

    /// Header lines that say something of the connection, of what follows the head, or of who is meant.
    fn known(
        &mut self,
        name: &[u8],
        line: Range<usize>,
        at: Range<usize>,
        value: &[u8],
    ) -> Result<(), Refusal> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => return self.host_line(line, at, value),
            14 if name.eq_ignore_ascii_case(b"content-length") => return self.length_line(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => return self.coding_line(value),
            6 if name.eq_ignore_ascii_case(b"expect") => self.plain = false,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.plain = false,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.plain &= value.eq_ignore_ascii_case(b"keep-alive");
            }
            _ => {}
        }
        Ok(())
    }

    fn host_line(&mut self, line: Range<usize>, at: Range<usize>, value: &[u8]) -> Result<(), Refusal> {
        if self.host.is_some() {
            return Err(Refusal::new(400, "The request has two Host headers."));
        }
        if !value.is_empty() && !is_authority(value) {
            return Err(Refusal::new(400, "The Host header is not a host name with an optional port."));
        }
        self.host = Some((line, at));
        Ok(())
    }

    fn length_line(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.content_length.is_some() {
            return Err(Refusal::new(400, "The request has two Content-Length headers."));
        }
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length =
            std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse::<u64>().ok());
        // One that does not fit the engine's signed arithmetic is as good as none.
        self.content_length = length.filter(|n| i64::try_from(*n).is_ok());
        if self.content_length.is_none() {
            return Err(Refusal::new(400, "The Content-Length header is not one decimal number."));
        }
        Ok(())
    }

    fn coding_line(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked {
            return Err(Refusal::new(400, "The request has two Transfer-Encoding headers."));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::new(501, "The only transfer coding this gateway takes is `chunked`."));
        }
        self.chunked = true;
        Ok(())
    }

    /// All lines together: one framing, one authority.
    pub(super) fn finish(&mut self, buf: &[u8], skip: usize, len: usize) -> Result<Head, Refusal> {
        let framing = self.framing()?;
        let authority = match std::mem::take(&mut self.form) {
            Form::Origin if self.minor == 1 && self.host.is_none() => {
                return Err(Refusal::new(400, "An HTTP/1.1 request must have a Host header."));
            }
            Form::Origin => None,
            Form::Absolute(at) | Form::Authority(at) => Some(at),
        };
        let same =
            |at: &Range<usize>| self.host.as_ref().is_some_and(|(_, v)| buf[v.clone()] == buf[at.clone()]);
        let authority = authority.filter(|at| !same(at));
        Ok(Head {
            skip,
            len,
            framing,
            is_plain: self.plain && skip == 0 && framing == Framing::Length(0),
            target: self.target.clone(),
            lines: std::mem::take(&mut self.lines),
            authority,
            host: self.host.take(),
            first_line: self.first_line,
        })
    }

    fn framing(&self) -> Result<Framing, Refusal> {
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(Refusal::new(
                400,
                "The request has both Content-Length and Transfer-Encoding, so its end is ambiguous.",
            )),
            (true, None) if self.minor == 0 => {
                Err(Refusal::new(400, "An HTTP/1.0 request can't have a Transfer-Encoding."))
            }
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// What the first bytes give away before the line is complete.
pub(super) fn check_first_bytes(line: &[u8]) -> Result<(), Refusal> {
    match line {
        [] => Ok(()),
        [0x16, ..] => Err(Refusal::new(
            400,
            "This port speaks plain HTTP, but the client began a TLS handshake; use an http:// URL.",
        )),
        [first, ..] if is_token(*first) || *first == b'\r' => Ok(()),
        _ => Err(malformed_line()),
    }
}

pub(super) fn url_too_long(limits: &HeadLimits) -> Refusal {
    let sentence = format!("The URL is longer than the {} bytes this gateway accepts.", limits.max_url);
    Refusal { status: 414, sentence: sentence.into() }
}

const fn malformed_line() -> Refusal {
    Refusal::new(400, "The first line is not `METHOD target HTTP/1.1`.")
}

/// The minor version of HTTP/1.
fn version(text: &[u8]) -> Result<u8, Refusal> {
    match text {
        b"HTTP/1.1" => Ok(1),
        b"HTTP/1.0" => Ok(0),
        b"HTTP/2.0" => Err(Refusal::new(505, "HTTP/2 is not spoken without TLS; use HTTP/1.1 on this port.")),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Refusal::new(505, "This HTTP version is not spoken here; use HTTP/1.1."))
        }
        _ => Err(malformed_line()),
    }
}

fn form(method: &[u8], target: &[u8], at: usize) -> Result<Form, Refusal> {
    if method == b"CONNECT" {
        if !is_authority(target) {
            return Err(Refusal::new(400, "The target of CONNECT is not `host:port`."));
        }
        return Ok(Form::Authority(at..at + target.len()));
    }
    if target[0] == b'/' || (target == b"*" && method == b"OPTIONS") {
        return Ok(Form::Origin);
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|s| target.get(..s.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(s)))
        .ok_or_else(|| Refusal::new(400, "The request target is neither a path nor an http:// URL."))?;
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    if !is_authority(&rest[..end]) {
        return Err(Refusal::new(
            400,
            "The URL's host is not a host name with an optional port; credentials belong into a header.",
        ));
    }
    let start = at + scheme.len();
    Ok(Form::Absolute(start..start + end))
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`: no user info, nothing two parsers could read differently.
fn is_authority(text: &[u8]) -> bool {
    let (host, rest) = if text.first() == Some(&b'[') {
        let Some(end) = memchr::memchr(b']', text) else { return false };
        let inner = &text[1..end];
        if inner.is_empty() || !inner.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')) {
            return false;
        }
        (inner, &text[end + 1..])
    } else {
        text.split_at(memchr::memchr(b':', text).unwrap_or(text.len()))
    };
    let host_ok = text.first() == Some(&b'[')
        || host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    let port_ok = match rest {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    // A name of these bytes is one to the engine's URL type too; addresses in brackets are left to it.
    !host.is_empty()
        && host_ok
        && port_ok
        && (text[0] != b'[' || ::http::uri::Authority::try_from(text).is_ok())
}

/// Visible ASCII that a URL may hold, none of it missing. What RFC 3986 does not allow is taken only as far as the engine's URL type
/// takes it.
fn is_target(target: &[u8]) -> bool {
    target.iter().all(|b| (0x21..=0x7e).contains(b)) && ::http::Uri::try_from(target).is_ok()
}

/// Bytes that mean the same to every parser; most targets have no others.
fn is_harmless(target: &[u8]) -> bool {
    !target.is_empty() && target.iter().all(|b| TABLE[*b as usize] & 2 != 0)
}

/// tchar of RFC 9110 section 5.6.2.
const fn is_token(b: u8) -> bool {
    TABLE[b as usize] & 1 != 0
}

/// What may stand in a header value: visible bytes, blank, tab, and bytes beyond ASCII.
const fn is_value(b: u8) -> bool {
    (b >= 0x20 && b != 0x7f) || b == b'\t'
}

/// Bit 0: tchar. Bit 1: a URL byte that no parser minds.
static TABLE: [u8; 256] = {
    let mut table = [0_u8; 256];
    let mut i = 0;
    while i < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 255")]
        let b = i as u8;
        let token = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        let url = b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/' | b'?' | b'%' | b'+' | b'=' | b'&');
        table[i] = token as u8 | ((url as u8) << 1);
        i += 1;
    }
    table
};
