//! Names of users and groups as they are compared: one key for every way to write a name.
//!
//! Belongs here: the key. Does not: which names may be given (`auth`, which makes its keys with this).

use precis_core::profile::PrecisFastInvocation;
use precis_profiles::UsernameCaseMapped;

/// Characters of a name, at most.
const MAX_CHARS: usize = 64;

/// The key of a name: in normal width, lower case and NFC, as RFC 8265 (`UsernameCaseMapped`) makes it, with one letter sigma.
/// `None` where nobody can have that name: empty, longer than 64 characters, with spaces, control characters or `:`.
#[must_use]
pub fn key(name: &str) -> Option<String> {
    if name.chars().nth(MAX_CHARS).is_some() || name.contains([':', '/', '*', ',']) {
        return None;
    }
    let key = UsernameCaseMapped::enforce(name).ok()?;
    // Some scripts have a lower case that may be in no name (Cherokee).
    UsernameCaseMapped::enforce(&*key).ok().filter(|again| *again == key)?;
    // The sigma at the end of a word is the same letter.
    Some(key.replace('ς', "σ")).filter(|key| !key.is_empty() && key.chars().nth(MAX_CHARS).is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::key;

    #[test]
    fn one_key_for_every_way_to_write_a_name() {
        for (name, expected) in [
            ("Alice", "alice"),
            ("ｃｉ", "ci"),
            ("Jose\u{301}", "josé"),
            ("ÅSA", "a\u{30a}sa"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("me@Example.org", "ME@example.org"),
        ] {
            assert_eq!(key(name), key(expected), "{name}");
            assert!(key(name).is_some(), "{name}");
        }
        assert_eq!(key("BUILD+bot_2").unwrap(), "build+bot_2");
        assert_ne!(key("alice"), key("аlice"), "the second begins with a Cyrillic letter");
    }

    #[test]
    fn what_nobody_is_called() {
        for bad in ["", "Ꭰ", "a b", " a", "a\n", "a:b", "a/b", "*", "a,b", "\u{200b}", &"a".repeat(65)] {
            assert_eq!(key(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(name in "\\PC{0,20}") {
            if let Some(found) = key(&name) {
                prop_assert_eq!(key(&found), Some(found));
            }
        }
    }
}
