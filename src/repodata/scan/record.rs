//! One record of an index document, as bytes with a few fields found.

use std::borrow::Cow;

use super::text;
use super::value::{Field, Progress, Spans, ValueScan};
use crate::conda::archive::ArchiveName;
use crate::conda::digest::{Expected, Md5, Sha256};

/// Which top-level object a record stands in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Group {
    /// `packages`: `.tar.bz2` by tradition.
    Packages,
    /// `packages.conda`
    PackagesConda,
    /// `packages.whl` (drafts of CEP 48)
    PackagesWhl,
    /// `v3` / `tar.bz2`; keys have no extension (CEP 48)
    V3TarBz2,
    /// `v3` / `conda`
    V3Conda,
    /// `v3` / `whl`
    V3Whl,
    /// `v3` / anything else: passed on, in no table.
    V3Other,
}

impl Group {
    /// The group of a top-level key.
    pub(super) fn of_top(key: &str) -> Option<Self> {
        match key {
            "packages" => Some(Self::Packages),
            "packages.conda" => Some(Self::PackagesConda),
            "packages.whl" => Some(Self::PackagesWhl),
            _ => None,
        }
    }

    /// The group of a key inside `v3`.
    pub(super) fn of_v3(key: &str) -> Self {
        match key {
            "tar.bz2" => Self::V3TarBz2,
            "conda" => Self::V3Conda,
            "whl" => Self::V3Whl,
            _ => Self::V3Other,
        }
    }

    /// What a key of this group lacks to be a file name.
    const fn extension(self) -> &'static str {
        match self {
            Self::V3TarBz2 => ".tar.bz2",
            Self::V3Conda => ".conda",
            Self::V3Whl => ".whl",
            Self::Packages | Self::PackagesConda | Self::PackagesWhl | Self::V3Other => "",
        }
    }

    /// Whether a client follows the `url` of this group's records. In the two classic groups conda, mamba and rattler all
    /// make the URL themselves from the channel and the file name.
    const fn follows_url(self) -> bool {
        !matches!(self, Self::Packages | Self::PackagesConda)
    }
}

/// What is wrong with a single record. It is left out of what clients see, and counted; the rest of the document stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// Not an object.
    NotAnObject,
    /// Bytes that are not UTF-8, or half a surrogate pair.
    NotText,
    /// A file name that is empty, has a slash, a backslash or a control character, or is `.` or `..`.
    UnsafeName,
    /// `sha256` or `md5` is not a hex string of the right length.
    BadDigest,
    /// `size` is not a whole number from 0 to 2^63.
    BadSize,
    /// `name` is not a string.
    BadName,
    /// One of the fields that decide stands twice; clients would not agree on which one counts.
    RepeatedField,
    /// A wheel's absolute `url`, which would lead clients past the gate.
    ForeignUrl,
    /// A field that every client reads is of another type than clients take: one such record makes some of them give up on the
    /// whole index.
    WrongType,
    /// No `name`.
    NoName,
    /// No `version`, `build` or `build_number`, or no `url` of a wheel: without these some clients give up on the whole index.
    MissingField,
    /// The index has a record for this file already; clients would not agree on which one counts.
    RepeatedFile,
    /// Larger than any honest record by far.
    TooLong,
    /// Nested deeper than any honest record by far.
    TooDeep,
}

/// Longest value of a record, in bytes: the largest of conda-forge's have a hundredth of that.
const LONGEST: usize = 1 << 20;

/// A record and its surroundings, exactly as upstream sent them.
#[derive(Debug)]
pub struct Record<'a> {
    pub(super) group: Group,
    pub(super) whole: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) value_at: usize,
    pub(super) spans: Spans,
    pub(super) repeated: bool,
    pub(super) too_deep: bool,
    /// Has bytes or escapes that need a closer look.
    pub(super) suspect: bool,
}

impl<'a> Record<'a> {
    /// Where it stands.
    pub const fn group(&self) -> Group {
        self.group
    }

    /// From behind the previous record to the end of this one: white space, a comma unless it is the first of its group, key,
    /// colon and value.
    pub const fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// [`Record::whole`] as it must stand when nothing of its group was written before: without its comma.
    pub fn lead_without_comma(&self) -> (&'a [u8], &'a [u8]) {
        match self.whole.iter().position(|b| matches!(b, b',' | b'"')) {
            Some(at) if self.whole[at] == b',' => (&self.whole[..at], &self.whole[at + 1..]),
            _ => (&[], self.whole),
        }
    }

    /// The key between its quotes, escapes and all.
    pub const fn raw_key(&self) -> &'a [u8] {
        self.key
    }

    /// The value's bytes.
    pub fn value(&self) -> &'a [u8] {
        &self.whole[self.value_at..]
    }

    /// Offset of the value in [`Record::whole`].
    pub const fn value_at(&self) -> usize {
        self.value_at
    }

    /// A record that stands alone, as a generation keeps it: its value without key. `None` for anything but one whole object.
    pub fn alone(group: Group, value: &'a [u8]) -> Option<Self> {
        let (mut scan, mut pos) = (ValueScan::new(0), 0);
        match scan.run(value, &mut pos) {
            Ok(Progress::Done) if pos == value.len() && value.first() == Some(&b'{') => {}
            _ => return None,
        }
        let suspect = scan.suspects.non_ascii || scan.suspects.surrogate;
        let (spans, repeated, too_deep) = (scan.spans, scan.repeated, scan.too_deep);
        Some(Self { group, whole: value, key: b"", value_at: 0, spans, repeated, too_deep, suspect })
    }

    /// Where a field's value stands in [`Record::value`].
    pub fn span(&self, field: Field) -> Option<(usize, usize)> {
        self.spans[field as usize]
    }

    /// A field's value as it stands; `None` where it is absent or `null`.
    pub fn field(&self, field: Field) -> Option<&'a [u8]> {
        let (from, to) = self.spans[field as usize]?;
        self.value().get(from..to).filter(|raw| *raw != b"null")
    }

    /// A field that is a string; anything else counts as absent.
    pub fn text(&self, field: Field) -> Option<Cow<'a, str>> {
        self.string(field, Flaw::NotText).ok().flatten()
    }

    /// A field that must be a string where it is present.
    fn string(&self, field: Field, flaw: Flaw) -> Result<Option<Cow<'a, str>>, Flaw> {
        let Some(raw) = self.field(field) else { return Ok(None) };
        let inner = raw.strip_prefix(b"\"").and_then(|r| r.strip_suffix(b"\"")).ok_or(flaw)?;
        text::unescape(inner).map(Some).ok_or(Flaw::NotText)
    }

    /// The package name the record gives itself.
    ///
    /// # Errors
    /// It is there, but not a string.
    pub fn name(&self) -> Result<Option<Cow<'a, str>>, Flaw> {
        self.string(Field::Name, Flaw::BadName)
    }

    /// The file name: the key, plus the extension where the group's keys have none.
    ///
    /// # Errors
    /// A name that must not be handed to anyone.
    pub fn file_name(&self) -> Result<Cow<'a, str>, Flaw> {
        let key = text::unescape(self.key).ok_or(Flaw::NotText)?;
        let dots = matches!(key.as_ref(), "" | "." | "..");
        if dots || key.chars().any(|c| c == '/' || c == '\\' || c.is_control()) {
            return Err(Flaw::UnsafeName);
        }
        Ok(match self.group.extension() {
            "" => key,
            extension => Cow::Owned(format!("{key}{extension}")),
        })
    }

    /// What the record promises about its file.
    ///
    /// # Errors
    /// A digest or a size that is there and is not one.
    pub fn expected(&self) -> Result<Expected, Flaw> {
        let bad = Flaw::BadDigest;
        let hex = |field| self.string(field, bad);
        let sha256 = hex(Field::Sha256)?.map(|text| unhex(&text).map(Sha256).ok_or(bad)).transpose()?;
        let md5 = hex(Field::Md5)?.map(|text| unhex(&text).map(Md5).ok_or(bad)).transpose()?;
        let size = self.field(Field::Size).map(parse_size).transpose()?;
        Ok(Expected { sha256, md5, size })
    }

    /// Everything that the gate needs of a good record.
    ///
    /// # Errors
    /// The first flaw found.
    pub fn judge(&self) -> Result<Good<'a>, Flaw> {
        if !self.value().starts_with(b"{") {
            return Err(Flaw::NotAnObject);
        }
        if self.suspect && !self.is_text() {
            return Err(Flaw::NotText);
        }
        if self.repeated {
            return Err(Flaw::RepeatedField);
        }
        if self.too_deep {
            return Err(Flaw::TooDeep);
        }
        if self.value().len() > LONGEST {
            return Err(Flaw::TooLong);
        }
        let file = self.file_name()?;
        let (name, expected) = (self.name()?, self.expected()?);
        if self.group.follows_url() {
            self.check_url()?;
        }
        let listed = self.group != Group::V3Other && ArchiveName::parse(&file).is_some();
        Ok(Good { file, name, expected, listed })
    }

    /// Where the member with an absolute `url` stands in a classic record's value, with one comma: clients make these URLs
    /// themselves, but a record must not name another host to anyone who looks.
    pub fn foreign_url(&self) -> Option<(usize, usize)> {
        if self.group.follows_url() {
            return None;
        }
        let url = self.string(Field::Url, Flaw::ForeignUrl).ok()??;
        if !is_absolute(&url) {
            return None;
        }
        let (from, to) = self.spans[Field::Url as usize]?;
        let value = self.value();
        let closing = value.get(..from)?.iter().rposition(|b| *b == b'"')?;
        let opening = value.get(..closing)?.iter().rposition(|b| *b == b'"')?;
        let behind = value.get(to..)?.iter().position(|b| !b.is_ascii_whitespace())?;
        if value.get(to + behind) == Some(&b',') {
            return Some((opening, to + behind + 1));
        }
        let before = value.get(..opening)?.iter().rposition(|b| !b.is_ascii_whitespace())?;
        let start = if value.get(before) == Some(&b',') { before } else { opening };
        Some((start, to))
    }

    fn is_text(&self) -> bool {
        std::str::from_utf8(self.whole).is_ok() && text::surrogates_pair_up(self.whole)
    }

    /// A URL is foreign when it names a host: `scheme://…`, `//host/…`, or any scheme at all.
    fn check_url(&self) -> Result<(), Flaw> {
        for field in [Field::Url, Field::Fn] {
            let Some(url) = self.string(field, Flaw::ForeignUrl)? else { continue };
            if is_absolute(&url) {
                return Err(Flaw::ForeignUrl);
            }
        }
        Ok(())
    }
}

/// What [`Record::judge`] found.
#[derive(Debug)]
pub struct Good<'a> {
    /// File name.
    pub file: Cow<'a, str>,
    /// Package name, where the record has one.
    pub name: Option<Cow<'a, str>>,
    /// What its file must be.
    pub expected: Expected,
    /// Whether its file has a URL at this gate, and so a line in the package table.
    pub listed: bool,
}

/// Whether a client that resolves `url` may end up on another host or at the server's root.
pub(crate) fn is_absolute(url: &str) -> bool {
    // URL parsers drop control characters and spaces, and read a backslash as a slash.
    let mut plain =
        url.chars().filter(|c| !c.is_control() && *c != ' ').map(|c| if c == '\\' { '/' } else { c });
    let plain: String = plain.by_ref().take(64).collect();
    let scheme_end = plain.find(|c: char| !(c.is_ascii_alphanumeric() || "+.-".contains(c)));
    plain.starts_with('/') || scheme_end.is_some_and(|at| at > 0 && plain[at..].starts_with(':'))
}

/// Value of each byte as a hex digit; 0xFF where it is none.
const NIBBLES: [u8; 256] = {
    let mut table = [0xFF; 256];
    let mut n = 0u8;
    while n < 16 {
        table[b"0123456789abcdef"[n as usize] as usize] = n;
        table[b"0123456789ABCDEF"[n as usize] as usize] = n;
        n += 1;
    }
    table
};

/// Hex digits as bytes. A million digests stand in a large document: done with the general decoder they cost as much as the
/// whole scan.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let (mut bytes, mut seen) = ([0; N], 0);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | (low & 0x0F);
    }
    (seen < 16).then_some(bytes)
}

fn parse_size(raw: &[u8]) -> Result<u64, Flaw> {
    let text = std::str::from_utf8(raw).map_err(|_| Flaw::BadSize)?;
    let size: u64 = text.parse().map_err(|_| Flaw::BadSize)?;
    if i64::try_from(size).is_err() || text.starts_with('+') { Err(Flaw::BadSize) } else { Ok(size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_urls() {
        for url in ["http://h/x", "HTTPS:x", "//h/x", "\\\\h", "/x", " \thttp://h", "file:x", "data:x"] {
            assert!(is_absolute(url), "{url:?}");
        }
        for url in ["x.whl", "./x.whl", "../noarch/x-1.0.whl", "a/b:c", "", ":x"] {
            assert!(!is_absolute(url), "{url:?}");
        }
    }

    #[test]
    fn digests_as_the_general_decoder_reads_them() {
        for text in ["", "0", "00ff", "00FF", "0g11", "zz00", "/0:9", "@A`a", "\u{e9}11", "12345"] {
            assert_eq!(
                unhex::<2>(text).map(Vec::from),
                hex::decode(text).ok().filter(|b| b.len() == 2),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size(b"0"), Ok(0));
        assert_eq!(parse_size(b"9223372036854775807"), Ok(u64::MAX >> 1));
        for bad in [&b"9223372036854775808"[..], b"-1", b"1.0", b"1e3", b"\"5\"", b"true", b"{}"] {
            assert_eq!(parse_size(bad), Err(Flaw::BadSize));
        }
    }
}
