//! From the path as it came to one safe spelling: decoded once, without empty segments, token taken out.
//!
//! Everything here is about safety and knows nothing of conda but the token.

use std::borrow::Cow;
use std::sync::Arc;

use super::PathError;
use crate::secret::Secret;

/// A path in its one spelling.
pub(super) struct Normal {
    /// Begins with `/`; ends with it where the request did.
    pub(super) path: String,
    /// What stood behind the first `/t/`.
    pub(super) token: Option<Secret<Arc<str>>>,
    /// How long the path was when the token was found.
    pub(super) token_at: usize,
}

/// Decodes, checks and takes the token out.
pub(super) fn normalise(raw: &str) -> Result<Normal, PathError> {
    if is_normal(raw.as_bytes()) {
        return Ok(Normal { path: raw.to_owned(), token: None, token_at: 0 });
    }
    let text = decode(raw)?;
    check_characters(&text)?;
    let normal = walk(&text)?;
    check_decoding_again(&text)?;
    Ok(normal)
}

/// Whether there is nothing to do, which is so for nearly every request: a shortcut that must agree with the long way.
fn is_normal(raw: &[u8]) -> bool {
    // No early exit: this way the compiler looks at many bytes at once.
    let special = |b: u8| !(0x20..0x7f).contains(&b) || b == b'%' || b == b'\\';
    if raw.first() != Some(&b'/') || raw.iter().fold(false, |found, b| found | special(*b)) {
        return false;
    }
    memchr::memchr_iter(b'/', raw)
        .all(|slash| !matches!(raw[slash + 1..], [b'/' | b'.', ..] | [b't', b'/', ..]))
}

/// Percent-decodes once. An encoded slash is refused, so that segments are the same before and after.
fn decode(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let bytes = raw.as_bytes();
    let Some(first) = memchr::memchr(b'%', bytes) else { return Ok(Cow::Borrowed(raw)) };
    let mut decoded = Vec::with_capacity(bytes.len());
    decoded.extend_from_slice(&bytes[..first]);
    let mut rest = &bytes[first..];
    while let [byte, tail @ ..] = rest {
        if *byte != b'%' {
            decoded.push(*byte);
            rest = tail;
            continue;
        }
        let [high, low, tail @ ..] = tail else { return Err(PathError::BadEscape) };
        match hex_digit(*high).zip(hex_digit(*low)) {
            None => return Err(PathError::BadEscape),
            Some((2, 15)) => return Err(PathError::EncodedSlash),
            Some((high, low)) => decoded.push(high << 4 | low),
        }
        rest = tail;
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| PathError::NotUtf8)
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// No controls (C0, DEL, C1) and no backslash, which Windows and some servers take for a slash.
fn check_characters(text: &str) -> Result<(), PathError> {
    let bad = text.bytes().any(|b| b < 0x20 || b == 0x7f || b == b'\\')
        || (!text.is_ascii() && text.chars().any(char::is_control));
    if bad { Err(PathError::Forbidden) } else { Ok(()) }
}

/// A server behind the gate that decodes once more must not find anything either that is refused here.
fn check_decoding_again(text: &str) -> Result<(), PathError> {
    if !text.contains('%') {
        return Ok(());
    }
    for segment in text.split('/') {
        let again: Cow<'_, [u8]> = percent_encoding::percent_decode_str(segment).into();
        if matches!(&*again, b"." | b"..") {
            return Err(PathError::Traversal);
        }
        for byte in &*again {
            match byte {
                b'/' => return Err(PathError::EncodedSlash),
                0..0x20 | 0x7f | b'\\' => return Err(PathError::Forbidden),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Puts the segments together again: empty ones collapse, dot segments are refused, the first `t/<token>` is taken out.
///
/// conda finds tokens anywhere in a path (`conda/common/url.py`), so the prefix may be anything but the control plane,
/// whose root is no channel component. `/t//x` is how clients spell "no token"; a `t` at the very end is a name.
fn walk(text: &str) -> Result<Normal, PathError> {
    let mut path = String::with_capacity(text.len() + 1);
    let (mut token, mut token_at) = (None, 0);
    let mut may_hold_token = true;
    let mut segments = text.split('/');
    while let Some(segment) = segments.next() {
        match segment {
            "" => continue,
            "." | ".." => return Err(PathError::Traversal),
            "-" => may_hold_token = false,
            "t" if may_hold_token => {
                let mut ahead = segments.clone();
                match (ahead.next(), ahead.next()) {
                    (None, _) | (Some(""), None) => {}
                    (Some("." | ".."), _) => return Err(PathError::Traversal),
                    (Some(found), _) => {
                        if !found.is_empty() {
                            token = Some(Secret::new(found.into()));
                            token_at = path.len();
                            may_hold_token = false;
                        }
                        segments.next();
                        continue;
                    }
                }
            }
            _ => {}
        }
        path.push('/');
        path.push_str(segment);
    }
    if path.is_empty() || text.ends_with('/') {
        path.push('/');
    }
    Ok(Normal { path, token, token_at })
}

/// Takes `base` (the path of `public_url`, any spelling of its outer slashes) off the front, where it is there.
pub(super) fn strip_base(path: &mut String, base: &str) {
    let base = base.trim_matches('/');
    let below = path[1..].strip_prefix(base).filter(|_| !base.is_empty());
    if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        path.drain(..=base.len());
        if path.is_empty() {
            path.push('/');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_shortcut_agrees_with_the_long_way(raw in "(/?(t|-|noarch|[a-zt.%\\\\\\x00-\\x20é\\x7f]{1,3}|)){0,6}/?") {
            if is_normal(raw.as_bytes()) {
                prop_assert_eq!(&decode(&raw).unwrap(), &raw);
                prop_assert_eq!(check_characters(&raw), Ok(()));
                prop_assert_eq!(check_decoding_again(&raw), Ok(()));
                let long = walk(&raw).unwrap();
                prop_assert_eq!(&long.path, &raw);
                prop_assert!(long.token.is_none());
            }
        }
    }

    #[test]
    fn ordinary_paths_take_the_shortcut() {
        for raw in
            ["/", "/conda-forge/linux-64/tensorflow-2-0.conda", "/a/t", "/a/tt/b/", "/pkgs/main/noarch/"]
        {
            assert!(is_normal(raw.as_bytes()), "{raw}");
        }
        for raw in
            ["", "a", "//", "/a//b", "/t/x", "/a/t/", "/.a", "/a/..", "/a%20", "/\\", "/\0", "/é", "/\x7f"]
        {
            assert!(!is_normal(raw.as_bytes()), "{raw}");
        }
    }
}
