//! What names, versions and build strings packages may have (CEP 26). Channels of others have older ones; nothing new is published so.
//!
//! Belongs here: that grammar, as pure functions. Does not: file names (`conda::archive`), which also have to take what there is.

use super::error::InspectError;

/// Longest of each, in bytes.
const LONGEST: usize = 64;
/// Longest file name, in bytes.
const LONGEST_FILE: usize = 211;

/// Checks all three and the length of the file's name.
pub(super) fn check(file: &str, name: &str, version: &str, build: &str) -> Result<(), InspectError> {
    rule(
        "name",
        name,
        is_name(name),
        "lower-case letters, digits, and single `-`, `_` and `.` between them, at most 64",
    )?;
    let allowed = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase() || b"._+!".contains(&b);
    let fits = is_short(version) && version.bytes().all(allowed);
    rule("version", version, fits, "digits, lower-case letters, `.`, `_`, `+` and `!`, at most 64")?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._+".contains(&b);
    let fits = is_short(build) && build.bytes().all(allowed);
    rule("build string", build, fits, "letters, digits, `.`, `_` and `+`, at most 64")?;
    rule("file name", file, file.len() <= LONGEST_FILE, "at most 211 characters")
}

fn rule(what: &'static str, text: &str, fits: bool, rule: &'static str) -> Result<(), InspectError> {
    if fits {
        return Ok(());
    }
    Err(InspectError::NotCep26 { what, text: super::error::shown(text.as_bytes()), rule })
}

fn is_short(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
}

/// `^(([a-z0-9])|([a-z0-9_](?!_)))[._-]?([a-z0-9]+(\.|-|_|$))*$`
fn is_name(name: &str) -> bool {
    let is_separator = |b: u8| b"-_.".contains(&b);
    let begins = name.bytes().next().is_some_and(|b| b == b'_' || !is_separator(b));
    let allowed = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase() || is_separator(b);
    let doubled = name.as_bytes().windows(2).any(|pair| pair.iter().all(|b| is_separator(*b)));
    is_short(name) && begins && name.bytes().all(allowed) && !doubled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "7zip", "_libgcc_mutex", "r-base", "ruamel.yaml", "backports.zstd", "foo-"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", "Foo", "__glibc", "-a", ".a", "a--b", "a._b", "é", "a b", "a+b", &long] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn versions_and_builds() {
        let check = |version: &str, build: &str| check("a-1-0.conda", "a", version, build).is_ok();
        assert!(check("1!2024a.0_1+cu12", "py39H1.2+x_0"));
        for (version, build) in
            [("1.0RC1", "0"), ("", "0"), ("1", ""), ("1-2", "0"), ("1", "a-b"), ("1", "ä")]
        {
            assert!(!check(version, build), "{version} {build}");
        }
    }
}
