//! What a path in a package may look like, and where a link may lead.
//!
//! Belongs here: the grammar that every name in an archive or in `paths.json` must fit, as a pure function. Does not: which paths
//! there are already (`seen`).

use super::error::{MemberFlaw, shown};

/// Deepest path, in components.
const DEPTH: usize = 128;

/// The path in one form for one place: relative, `/` between parts, nothing before or behind. A leading `./`, which `tar .` writes,
/// is taken off; the top itself is the empty path. `limit` is the longest, in bytes.
pub(super) fn clean(raw: &[u8], limit: usize) -> Result<&str, MemberFlaw> {
    let text = text(raw)?;
    if text.len() > limit {
        return Err(MemberFlaw::TooLong { limit });
    }
    if text == "." {
        return Ok("");
    }
    let path = text.strip_prefix("./").unwrap_or(text);
    if path.starts_with('/') {
        return Err(MemberFlaw::Absolute);
    }
    if has_drive(path) {
        return Err(MemberFlaw::Drive);
    }
    let mut depth = 0;
    for part in path.split('/') {
        match part {
            ".." => return Err(MemberFlaw::Parent),
            "" | "." => return Err(MemberFlaw::EmptyPart),
            _ => depth += 1,
        }
    }
    if depth > DEPTH { Err(MemberFlaw::TooDeep { limit: DEPTH }) } else { Ok(path) }
}

/// Whether the symbolic link at `path` stays in the package, whatever other links it meets on its way.
///
/// Nothing lies below a link, so the link's own directory is a real one. From there the target may go up, not above the top, and then
/// down. It may not go up again: what it went down through may be a link, and then "up" is somewhere else.
pub(super) fn check_target(path: &str, target: &[u8]) -> Result<(), MemberFlaw> {
    let text = text(target)?;
    let leaves = || MemberFlaw::LinkLeaves { target: shown(target) };
    if text.is_empty() {
        return Err(MemberFlaw::NoTarget);
    }
    if text.starts_with('/') || has_drive(text) {
        return Err(leaves());
    }
    let (mut up, mut down) = (0, false);
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if down => return Err(MemberFlaw::LinkDetour { target: shown(target) }),
            ".." => up += 1,
            _ => down = true,
        }
    }
    if up > path.matches('/').count() { Err(leaves()) } else { Ok(()) }
}

fn text(raw: &[u8]) -> Result<&str, MemberFlaw> {
    let text = std::str::from_utf8(raw).map_err(|_| MemberFlaw::NotText)?;
    if text.chars().any(char::is_control) {
        return Err(MemberFlaw::NotText);
    }
    if text.contains('\\') { Err(MemberFlaw::Backslash) } else { Ok(text) }
}

/// `C:…`
fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        for (raw, path) in [
            ("info/index.json", "info/index.json"),
            ("./info/index.json", "info/index.json"),
            (".", ""),
            (".hidden/..a/b..", ".hidden/..a/b.."),
            ("share/man/man3/A::B.3", "share/man/man3/A::B.3"),
            ("déjà/vu", "déjà/vu"),
        ] {
            assert_eq!(clean(raw.as_bytes(), 100), Ok(path), "{raw}");
        }
        for (raw, flaw) in [
            ("", MemberFlaw::EmptyPart),
            ("/etc/passwd", MemberFlaw::Absolute),
            (".//etc/passwd", MemberFlaw::Absolute),
            ("..", MemberFlaw::Parent),
            ("a/../../b", MemberFlaw::Parent),
            ("./..", MemberFlaw::Parent),
            ("a//b", MemberFlaw::EmptyPart),
            ("a/./b", MemberFlaw::EmptyPart),
            ("././a", MemberFlaw::EmptyPart),
            ("a/", MemberFlaw::EmptyPart),
            ("a\\b", MemberFlaw::Backslash),
            ("C:evil", MemberFlaw::Drive),
            ("a\0b", MemberFlaw::NotText),
            ("a\nb", MemberFlaw::NotText),
        ] {
            assert_eq!(clean(raw.as_bytes(), 100), Err(flaw), "{raw}");
        }
        assert_eq!(clean(b"caf\xe9", 100), Err(MemberFlaw::NotText));
        assert_eq!(clean(&[b'a'; 101], 100), Err(MemberFlaw::TooLong { limit: 100 }));
        assert!(clean("a/".repeat(128).trim_end_matches('/').as_bytes(), 1000).is_ok());
        assert!(clean("a/".repeat(129).trim_end_matches('/').as_bytes(), 1000).is_err());
    }

    #[test]
    fn links_stay_inside() {
        for (path, target) in [
            ("lib/libz.so", "libz.so.1"),
            ("lib/libz.so", "./libz.so.1"),
            ("lib/a/b", "../../share/x"),
            ("lib64", "lib/"),
            ("a/b", ".."),
        ] {
            assert_eq!(check_target(path, target.as_bytes()), Ok(()), "{path} -> {target}");
        }
        for (path, target) in [
            ("a", ".."),
            ("a/b", "../.."),
            ("a/b", "../../etc/passwd"),
            ("a", "/etc/passwd"),
            ("a", "C:/x"),
            ("a", "b/../.."),
            ("a/b", "c/../d"),
            ("a", "b\\c"),
            ("a", ""),
        ] {
            assert!(check_target(path, target.as_bytes()).is_err(), "{path} -> {target}");
        }
    }
}
