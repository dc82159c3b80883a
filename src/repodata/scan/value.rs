//! One JSON value, checked and measured as its bytes arrive.
//!
//! Belongs here: the grammar of values (RFC 8259) and noting where a record's few interesting fields stand. Does not:
//! what the fields mean (`record`), where the value stands in the document (`scan`).

use super::text::{self, Stop, Suspects};

/// Deepest nesting inside a value that may pass; one bit of a word each.
pub(super) const MAX_DEPTH: u32 = 64;

/// Deepest nesting that is followed to its end, so that only the record is lost.
const DEEPEST: u32 = 1 << 20;

/// Longest number or literal; honest ones have at most a few dozen digits.
const MAX_SCALAR: usize = 1024;

/// The fields of a record that the gate itself needs, those that rules look at, and those that clients insist on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// `name`
    Name,
    /// `sha256`
    Sha256,
    /// `md5`
    Md5,
    /// `size`
    Size,
    /// `url`
    Url,
    /// `fn`
    Fn,
    /// `version`
    Version,
    /// `build`
    Build,
    /// `build_number`
    BuildNumber,
    /// `license`
    License,
    /// `license_family`
    LicenseFamily,
    /// `depends`
    Depends,
    /// `timestamp`
    Timestamp,
    /// `indexed_timestamp` (CEP 47)
    IndexedTimestamp,
    /// `run_exports` (CEP 21)
    RunExports,
    /// `constrains`
    Constrains,
    /// `noarch`
    Noarch,
    /// `subdir`
    Subdir,
    /// `track_features`
    TrackFeatures,
    /// `features`
    Features,
    /// `arch`
    Arch,
    /// `platform`
    Platform,
    /// `legacy_bz2_md5`
    LegacyMd5,
    /// `legacy_bz2_size`
    LegacySize,
    /// `python_site_packages_path`
    SitePackages,
    /// `attestations_sha256`
    AttestationsSha256,
    /// `extra_depends`
    ExtraDepends,
    /// `flags`
    Flags,
    /// `purls`
    Purls,
}

/// How many [`Field`]s there are.
pub(super) const FIELDS: usize = 29;

impl Field {
    fn of(raw_key: &[u8]) -> Option<Self> {
        match raw_key {
            b"name" => Some(Self::Name),
            b"sha256" => Some(Self::Sha256),
            b"md5" => Some(Self::Md5),
            b"size" => Some(Self::Size),
            b"url" => Some(Self::Url),
            b"fn" => Some(Self::Fn),
            b"version" => Some(Self::Version),
            b"build" => Some(Self::Build),
            b"build_number" => Some(Self::BuildNumber),
            b"license" => Some(Self::License),
            b"license_family" => Some(Self::LicenseFamily),
            b"depends" => Some(Self::Depends),
            b"timestamp" => Some(Self::Timestamp),
            b"indexed_timestamp" => Some(Self::IndexedTimestamp),
            b"run_exports" => Some(Self::RunExports),
            b"constrains" => Some(Self::Constrains),
            b"noarch" => Some(Self::Noarch),
            b"subdir" => Some(Self::Subdir),
            b"track_features" => Some(Self::TrackFeatures),
            b"features" => Some(Self::Features),
            b"arch" => Some(Self::Arch),
            b"platform" => Some(Self::Platform),
            b"legacy_bz2_md5" => Some(Self::LegacyMd5),
            b"legacy_bz2_size" => Some(Self::LegacySize),
            b"python_site_packages_path" => Some(Self::SitePackages),
            b"attestations_sha256" => Some(Self::AttestationsSha256),
            b"extra_depends" => Some(Self::ExtraDepends),
            b"flags" => Some(Self::Flags),
            b"purls" => Some(Self::Purls),
            // A key may be spelt with escapes; every client undoes them.
            escaped if escaped.contains(&b'\\') => match text::unescape(escaped)?.as_ref() {
                plain if plain.contains('\\') => None,
                plain => Self::of(plain.as_bytes()),
            },
            _ => None,
        }
    }
}

/// Where the value of a [`Field`] stands, relative to the record's value.
pub(super) type Spans = [Option<(usize, usize)>; FIELDS];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expect {
    Value,
    ValueOrEnd,
    KeyOrEnd,
    Key,
    Colon,
    CommaOrEnd,
    InKey,
    InString,
}

/// Whether the value is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// `pos` is just behind the value.
    Done,
    /// All bytes given belong to it, and it goes on.
    More,
}

/// Why a value was refused, at `pos`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BadValue {
    Malformed(&'static str),
    TooDeep,
}

/// The state between two pieces of one value. [`ValueScan::run`] may be called with more bytes any number of times; work is
/// never done twice, so a huge value in tiny pieces costs no more than in one.
#[derive(Debug)]
pub(super) struct ValueScan {
    start: usize,
    expect: Expect,
    depth: u32,
    /// Bit n: level n is an object.
    objects: u64,
    /// The same of levels beyond [`MAX_DEPTH`].
    deeper: Vec<bool>,
    text_start: usize,
    pending: Option<Field>,
    pending_start: usize,
    pub suspects: Suspects,
    pub spans: Spans,
    /// An interesting field stands twice.
    pub repeated: bool,
    /// It is nested deeper than [`MAX_DEPTH`].
    pub too_deep: bool,
}

impl ValueScan {
    /// For a value that begins at `start` of the buffer.
    pub fn new(start: usize) -> Self {
        Self {
            start,
            expect: Expect::Value,
            depth: 0,
            objects: 0,
            deeper: Vec::new(),
            text_start: 0,
            pending: None,
            pending_start: 0,
            suspects: Suspects::default(),
            spans: [None; FIELDS],
            repeated: false,
            too_deep: false,
        }
    }

    /// Where the value begins in the buffer.
    pub const fn start(&self) -> usize {
        self.start
    }

    /// The buffer lost its first `n` bytes. Offsets of a value that is sent on piecemeal may fall off the front; they are not
    /// used then.
    pub fn shift(&mut self, n: usize) {
        self.start = self.start.saturating_sub(n);
        self.text_start = self.text_start.saturating_sub(n);
        self.pending_start = self.pending_start.saturating_sub(n);
    }

    /// Goes on at `pos`; afterwards `pos` is behind the value, at the first byte not understood yet, or at the mistake.
    pub fn run(&mut self, buf: &[u8], pos: &mut usize) -> Result<Progress, BadValue> {
        loop {
            let in_text = matches!(self.expect, Expect::InKey | Expect::InString);
            if !in_text {
                skip_space(buf, pos);
            }
            let Some(&byte) = buf.get(*pos) else { return Ok(Progress::More) };
            let go_on = match self.expect {
                Expect::InKey | Expect::InString => self.text(buf, pos)?,
                Expect::Colon => {
                    self.punctuation(byte, b':', "a key without its colon")?;
                    *pos += 1;
                    self.expect = Expect::Value;
                    true
                }
                Expect::KeyOrEnd if byte == b'}' => self.close(pos),
                Expect::ValueOrEnd if byte == b']' => self.close(pos),
                Expect::KeyOrEnd | Expect::Key => {
                    self.punctuation(byte, b'"', "something that is not a key in an object")?;
                    *pos += 1;
                    self.text_start = *pos;
                    self.expect = Expect::InKey;
                    true
                }
                Expect::CommaOrEnd => self.comma_or_end(byte, pos)?,
                Expect::Value | Expect::ValueOrEnd => self.value(buf, byte, pos)?,
            };
            if !go_on {
                return Ok(if self.is_done() { Progress::Done } else { Progress::More });
            }
        }
    }

    const fn is_done(&self) -> bool {
        self.depth == 0 && matches!(self.expect, Expect::CommaOrEnd)
    }

    #[expect(clippy::unused_self, reason = "reads as one of the grammar's steps")]
    fn punctuation(&self, found: u8, wanted: u8, what: &'static str) -> Result<(), BadValue> {
        if found == wanted { Ok(()) } else { Err(BadValue::Malformed(what)) }
    }

    fn in_object(&self) -> bool {
        match self.deeper.last() {
            Some(is_object) => *is_object,
            None => self.objects >> (self.depth - 1) & 1 == 1,
        }
    }

    fn text(&mut self, buf: &[u8], pos: &mut usize) -> Result<bool, BadValue> {
        match text::skip(buf, pos, &mut self.suspects) {
            Stop::More => return Ok(false),
            Stop::Bad(what) => return Err(BadValue::Malformed(what)),
            Stop::Quote => *pos += 1,
        }
        if self.expect == Expect::InKey {
            // Keys further inside belong to the value of the field that is waiting for its end.
            if self.depth == 1 {
                self.pending = Field::of(&buf[self.text_start..*pos - 1]);
            }
            self.expect = Expect::Colon;
            return Ok(true);
        }
        Ok(self.ended(*pos))
    }

    /// A value inside (or the whole value) ended just before `pos`. Whether to go on.
    fn ended(&mut self, pos: usize) -> bool {
        self.expect = Expect::CommaOrEnd;
        if self.depth == 1
            && let Some(field) = self.pending.take()
        {
            let span = Some((self.pending_start - self.start, pos - self.start));
            self.repeated |= self.spans[field as usize].is_some();
            self.spans[field as usize] = span;
        }
        self.depth > 0
    }

    fn close(&mut self, pos: &mut usize) -> bool {
        *pos += 1;
        self.depth -= 1;
        self.deeper.pop();
        self.ended(*pos)
    }

    fn comma_or_end(&mut self, byte: u8, pos: &mut usize) -> Result<bool, BadValue> {
        let in_object = self.in_object();
        match (byte, in_object) {
            (b',', _) => {
                *pos += 1;
                self.expect = if in_object { Expect::Key } else { Expect::Value };
                Ok(true)
            }
            (b'}', true) | (b']', false) => Ok(self.close(pos)),
            _ => Err(BadValue::Malformed("something between two values that is not a comma")),
        }
    }

    fn value(&mut self, buf: &[u8], byte: u8, pos: &mut usize) -> Result<bool, BadValue> {
        if self.depth == 1 {
            self.pending_start = *pos;
        }
        match byte {
            b'"' => {
                *pos += 1;
                self.text_start = *pos;
                self.expect = Expect::InString;
                Ok(true)
            }
            b'{' | b'[' => {
                if self.depth >= MAX_DEPTH {
                    if self.depth == DEEPEST {
                        return Err(BadValue::TooDeep);
                    }
                    self.too_deep = true;
                    self.deeper.push(byte == b'{');
                } else {
                    let bit = 1 << self.depth;
                    self.objects = if byte == b'{' { self.objects | bit } else { self.objects & !bit };
                }
                self.depth += 1;
                *pos += 1;
                self.expect = if byte == b'{' { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
                Ok(true)
            }
            _ => self.scalar(buf, pos),
        }
    }

    fn scalar(&mut self, buf: &[u8], pos: &mut usize) -> Result<bool, BadValue> {
        let is_end = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | b'"' | b':');
        let rest = &buf[*pos..];
        let within = &rest[..rest.len().min(MAX_SCALAR)];
        let Some(len) = within.iter().position(is_end) else {
            return if within.len() == MAX_SCALAR {
                Err(BadValue::Malformed("a number or word of more than 1,024 characters"))
            } else {
                Ok(false)
            };
        };
        let token = &within[..len];
        if !matches!(token, b"true" | b"false" | b"null") && !is_number(token) {
            return Err(BadValue::Malformed("something that is not a JSON value"));
        }
        *pos += len;
        Ok(self.ended(*pos))
    }
}

/// Whether `token` is a JSON number: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
fn is_number(token: &[u8]) -> bool {
    let digits = |t: &[u8]| t.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut rest = token.strip_prefix(b"-").unwrap_or(token);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let n = digits(fraction);
        if n == 0 {
            return false;
        }
        rest = &fraction[n..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

/// Moves `pos` over JSON white space.
#[inline]
pub(super) fn skip_space(buf: &[u8], pos: &mut usize) {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = buf.get(*pos) {
        *pos += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for good in ["0", "-0", "10", "1.5", "-1.5e10", "1E+2", "1e-2"] {
            assert!(is_number(good.as_bytes()), "{good}");
        }
        for bad in ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "1a"] {
            assert!(!is_number(bad.as_bytes()), "{bad}");
        }
    }
}
