//! Comma-separated header values whose members may hold commas themselves (RFC 9110, 5.6.1).
//!
//! Entity tags have a grammar of their own (`etag`): a backslash does not escape there.

/// What may hide a comma.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shelter {
    Quotes,
    Comments,
}

/// Members split at commas outside `"quoted strings"`; trimmed, empty ones left out.
pub(super) fn quoted(value: &str) -> impl Iterator<Item = &str> {
    Members { rest: Some(value), shelter: Shelter::Quotes }
}

/// Members split at commas outside `(comments (nested too))`; trimmed, empty ones left out.
pub(super) fn commented(value: &str) -> impl Iterator<Item = &str> {
    Members { rest: Some(value), shelter: Shelter::Comments }
}

struct Members<'a> {
    rest: Option<&'a str>,
    shelter: Shelter,
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        while let Some(rest) = self.rest.take() {
            let member = match comma(rest, self.shelter) {
                Some(at) => {
                    self.rest = Some(&rest[at + 1..]);
                    &rest[..at]
                }
                None => rest,
            };
            let member = trim(member);
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

/// Where the first comma stands that is in the open. An unclosed quote or comment shelters the rest.
fn comma(text: &str, shelter: Shelter) -> Option<usize> {
    let (mut depth, mut escaped) = (0_usize, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if depth > 0 => escaped = true,
            b'"' if shelter == Shelter::Quotes => depth = 1 - depth,
            b'(' if shelter == Shelter::Comments => depth += 1,
            b')' if shelter == Shelter::Comments => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// Strips optional whitespace (RFC 9110, 5.6.3: space and tab only).
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_and_comments_do_not_split() {
        let split = |value| quoted(value).collect::<Vec<_>>();
        assert_eq!(split(r#"a="1,\",2" , ,b,"#), [r#"a="1,\",2""#, "b"]);
        assert_eq!(split("a(1,b)"), ["a(1", "b)"]);
        assert_eq!(split(" , ,"), [""; 0]);
        let split = |value| commented(value).collect::<Vec<_>>();
        assert_eq!(split(r"1.1 a (x, (y,) \), z), 1.0 b"), [r"1.1 a (x, (y,) \), z)", "1.0 b"]);
        assert_eq!(split(r#"1.1 a (5" disk), 1.1 b"#), [r#"1.1 a (5" disk)"#, "1.1 b"]);
        assert_eq!(split("1.1 a (never closed, 1.1 b"), ["1.1 a (never closed, 1.1 b"]);
    }
}
