//! JSON strings as bytes: finding their end fast, undoing escapes, finding what no client can read.
//!
//! Belongs here: what is true of one string. Does not: where strings stand in a document (`value`, `scan`).

use std::borrow::Cow;

/// Where [`skip`] stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// At the closing quote.
    Quote,
    /// The bytes ran out; go on at the same place when there are more.
    More,
    /// At a byte or an escape that JSON does not allow.
    Bad(&'static str),
}

/// Things seen inside strings that need a closer look, because a client may not be able to read them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Suspects {
    /// A byte above 0x7F: maybe not UTF-8.
    pub non_ascii: bool,
    /// A `\uD8xx`–`\uDFxx` escape: maybe half of a pair.
    pub surrogate: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// The index of the first byte at or after `pos` that ends a run of plain ASCII text: a quote, a backslash, a control
/// character or a byte above 0x7F. Eight bytes at a time: most of a repodata document is short strings, where a call into
/// a vectorised search costs more than it saves.
pub(crate) fn plain_end(buf: &[u8], mut pos: usize) -> usize {
    while let Some(eight) = buf.get(pos..pos + 8) {
        let Ok(eight) = <[u8; 8]>::try_from(eight) else { break };
        let word = u64::from_le_bytes(eight);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        // A subtraction may borrow into bytes above a hit, never below: the lowest mark is always right.
        let low = word.wrapping_sub(ONES * 0x20) & !word;
        let zero = (quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash);
        let hits = (low | zero | word) & TOPS;
        if hits != 0 {
            return pos + (hits.trailing_zeros() / 8) as usize;
        }
        pos += 8;
    }
    while let Some(&b) = buf.get(pos) {
        if b == b'"' || b == b'\\' || !(0x20..0x80).contains(&b) {
            break;
        }
        pos += 1;
    }
    pos
}

/// Moves `pos` (inside a string) to its closing quote.
pub(super) fn skip(buf: &[u8], pos: &mut usize, suspects: &mut Suspects) -> Stop {
    loop {
        *pos = plain_end(buf, *pos);
        match buf.get(*pos) {
            None => return Stop::More,
            Some(b'"') => return Stop::Quote,
            Some(b'\\') => match escape_len(&buf[*pos..], suspects) {
                Ok(Some(len)) => *pos += len,
                Ok(None) => return Stop::More,
                Err(what) => return Stop::Bad(what),
            },
            Some(0x80..) => {
                suspects.non_ascii = true;
                *pos += 1;
            }
            Some(_) => return Stop::Bad("a control character inside a string"),
        }
    }
}

/// Length of the escape that `at` begins with; `None` when it is cut.
fn escape_len(at: &[u8], suspects: &mut Suspects) -> Result<Option<usize>, &'static str> {
    match at.get(1) {
        None => Ok(None),
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(Some(2)),
        Some(b'u') => {
            let digits = &at[2..at.len().min(6)];
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return Err("a \\u escape without four hex digits");
            }
            if digits.len() < 4 {
                return Ok(None);
            }
            suspects.surrogate |= digits[0].eq_ignore_ascii_case(&b'd') && digits[1] >= b'8';
            Ok(Some(6))
        }
        Some(_) => Err("an unknown escape in a string"),
    }
}

/// The text of a string's raw bytes (without its quotes). `None` when it is not UTF-8 or has half a surrogate pair.
pub(crate) fn unescape(raw: &[u8]) -> Option<Cow<'_, str>> {
    if !raw.contains(&b'\\') {
        return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
    }
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    serde_json::from_slice::<String>(&quoted).ok().map(Cow::Owned)
}

/// Whether every `\uD8xx` escape in well-formed JSON `text` is followed by its other half, and no half stands alone.
pub(super) fn surrogates_pair_up(text: &[u8]) -> bool {
    let unit = |at: usize| {
        let hex = std::str::from_utf8(text.get(at + 2..at + 6)?).ok()?;
        (text.get(at..at + 2)? == b"\\u").then(|| u32::from_str_radix(hex, 16).ok())?
    };
    let mut pos = 0;
    while let Some(step) = memchr::memchr(b'\\', &text[pos..]) {
        let at = pos + step;
        pos = match unit(at) {
            None => at + 2,
            Some(0xD800..=0xDBFF) => match unit(at + 6) {
                Some(0xDC00..=0xDFFF) => at + 12,
                _ => return false,
            },
            Some(0xDC00..=0xDFFF) => return false,
            Some(_) => at + 6,
        };
        if pos >= text.len() {
            break;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_end_finds_every_kind_at_every_place() {
        for stop in [b'"', b'\\', 0, 0x1f, 0x80, 0xff] {
            for at in 0..40 {
                let mut text = vec![b'~'; 45];
                text[at] = stop;
                text[44] = b'"';
                assert_eq!(plain_end(&text, 0), at, "{stop:#x} at {at}");
                assert_eq!(plain_end(&text[..at], 0), at);
            }
        }
    }

    #[test]
    fn escapes_cut_anywhere_ask_for_more() {
        let text = b"a\\u00e9b\\n\"";
        for cut in 0..text.len() - 1 {
            let mut pos = 0;
            assert_eq!(skip(&text[..cut], &mut pos, &mut Suspects::default()), Stop::More, "{cut}");
            assert_eq!(skip(text, &mut pos, &mut Suspects::default()), Stop::Quote, "{cut}");
            assert_eq!(pos, text.len() - 1);
        }
        for bad in [&b"\\x\""[..], b"\\u12g4\"", b"\\u12\"", b"\n\""] {
            assert!(matches!(skip(bad, &mut 0, &mut Suspects::default()), Stop::Bad(_)));
        }
    }

    #[test]
    fn half_pairs_are_seen() {
        for (text, whole) in [
            (r"\ud83d\ude00", true),
            (r"\\ud83d", true),
            (r"\ud83d", false),
            (r"\ude00", false),
            (r"\ud83d\u0041", false),
            (r"\u0041\", true),
        ] {
            assert_eq!(surrogates_pair_up(text.as_bytes()), whole, "{text}");
        }
        assert_eq!(unescape(br"a\u0041").as_deref(), Some("aA"));
        assert_eq!(unescape(b"\xff"), None);
    }
}
