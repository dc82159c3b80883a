//! Entity tags (RFC 9110, 8.8.3).

use std::fmt;
use std::sync::Arc;

use ::http::HeaderValue;

use super::list::trim;

/// A strong entity tag, quotes included: one per representation, coding included. The gate never makes weak ones.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ETag {
    text: Arc<str>,
    /// The same, ready to be put into a head without a copy.
    value: HeaderValue,
}

impl ETag {
    /// Makes the tag `"<opaque>"`. Bytes that may not stand in a tag (quotes, controls, spaces, non-ASCII) become `-`.
    #[must_use]
    pub fn strong(opaque: &str) -> Self {
        let clean = opaque.bytes().map(|b| if is_tag_byte(b) && b.is_ascii() { char::from(b) } else { '-' });
        let mut quoted = String::with_capacity(opaque.len() + 2);
        quoted.push('"');
        quoted.extend(clean);
        quoted.push('"');
        Self::of_quoted(&quoted)
    }

    /// `quoted` has only bytes that may stand in a tag, so it is a header value too.
    fn of_quoted(quoted: &str) -> Self {
        let value = HeaderValue::from_str(quoted).unwrap_or(HeaderValue::from_static("\"-\""));
        Self { text: quoted.into(), value }
    }

    /// Takes over a strong tag as another server wrote it; `None` for weak and malformed ones.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut tags = EntityTags(value);
        let tag = tags.next()?;
        (!tag.weak && tags.next().is_none() && trim(value).len() == tag.quoted.len())
            .then(|| Self::of_quoted(tag.quoted))
    }

    /// The header value, quotes included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The header value; its clone costs no copy.
    #[must_use]
    pub const fn header(&self) -> &HeaderValue {
        &self.value
    }

    /// What stands between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &str {
        &self.text[1..self.text.len() - 1]
    }

    /// The tag of another coding of the same content: `"abc"` and `-gzip` make `"abc-gzip"`.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        if suffix.is_empty() {
            return self.clone();
        }
        let opaque = self.opaque();
        let mut longer = String::with_capacity(opaque.len() + suffix.len());
        longer.push_str(opaque);
        longer.push_str(suffix);
        Self::strong(&longer)
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `etagc` of RFC 9110: visible characters but the quote, and obs-text.
const fn is_tag_byte(byte: u8) -> bool {
    byte == 0x21 || (byte >= 0x23 && byte != 0x7f)
}

/// One member of an `If-Match` or `If-None-Match` list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EntityTag<'a> {
    /// Whether it is written `W/"…"`.
    pub(super) weak: bool,
    /// The tag with its quotes.
    pub(super) quoted: &'a str,
}

/// The well-formed members of a list of entity tags. A malformed member is skipped up to the next comma: what can't be
/// read never matches.
pub(super) struct EntityTags<'a>(pub(super) &'a str);

impl<'a> Iterator for EntityTags<'a> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<EntityTag<'a>> {
        loop {
            let rest = self.0.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                self.0 = rest;
                return None;
            }
            if let Some((tag, after)) = read(rest) {
                self.0 = after;
                return Some(tag);
            }
            self.0 = rest.find(',').map_or("", |comma| &rest[comma..]);
        }
    }
}

/// Reads one tag and the comma or end that must follow it.
fn read(text: &str) -> Option<(EntityTag<'_>, &str)> {
    let (weak, quoted) = text.strip_prefix("W/").map_or((false, text), |strong| (true, strong));
    let inner = quoted.strip_prefix('"')?;
    let close = inner.bytes().position(|b| !is_tag_byte(b))?;
    if inner.as_bytes()[close] != b'"' {
        return None;
    }
    let after = inner[close + 1..].trim_start_matches([' ', '\t']);
    (after.is_empty() || after.starts_with(','))
        .then_some((EntityTag { weak, quoted: &quoted[..close + 2] }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_only_valid_tags() {
        assert_eq!(ETag::strong("sha256-ab").as_str(), "\"sha256-ab\"");
        assert_eq!(ETag::strong("a\"b c\r\né").as_str(), "\"a-b-c----\"");
        assert_eq!(ETag::strong("abc").with_suffix("-gzip").as_str(), "\"abc-gzip\"");
        assert_eq!(ETag::strong("abc").with_suffix(""), ETag::strong("abc"));
    }

    #[test]
    fn takes_over_strong_tags_only() {
        assert_eq!(ETag::parse(" \"a,b\" "), Some(ETag::strong("a,b")));
        assert_eq!(ETag::parse("\"\"").unwrap().opaque(), "");
        for bad in ["", "W/\"a\"", "a", "\"a", "\"a\",\"b\"", "\"a\",", "\"a\" b", "*"] {
            assert_eq!(ETag::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn lists_skip_what_is_malformed() {
        let tags = |value| EntityTags(value).map(|t| (t.weak, t.quoted)).collect::<Vec<_>>();
        assert_eq!(tags(r#""a", W/"b,c" ,,"d""#), [(false, "\"a\""), (true, "\"b,c\""), (false, "\"d\"")]);
        assert_eq!(tags(r#"bare, w/"x", "open b, "ok""#), [(false, "\"ok\"")]);
        assert_eq!(tags(r#""a"x, "b""#), [(false, "\"b\"")]);
        assert_eq!(tags("*"), []);
        assert_eq!(tags(" ,, "), []);
    }
}
