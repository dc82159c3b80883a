//! Names of users and groups: one spelling for the eye, one key for comparing.
//!
//! Belongs here: PRECIS (RFC 8265), look-alikes (UTS 39), what a name may contain. Does not: whether the name is taken.

use std::fmt;

use precis_core::profile::PrecisFastInvocation;
use precis_profiles::{UsernameCaseMapped, UsernameCasePreserved};
use unicode_security::confusable_detection::skeleton;
use unicode_security::{GeneralSecurityProfile, MixedScript};

/// Characters of a name, at most.
const MAX_CHARS: usize = 64;
/// What a name may have between letters and digits. No `:` (it ends the name in Basic, RFC 7617), nothing that means
/// something in paths, lists or globs.
const MARKS: [char; 5] = ['.', '_', '-', '+', '@'];

/// A user's name: 1 to 64 characters.
///
/// Names that differ in case, width or composition only have the same key; a name that looks like another one in
/// other letters is refused. Equality is that of keys.
#[derive(Clone, Debug)]
pub struct UserName {
    shown: String,
    key: String,
}

/// Why a text can't be a name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name can't be empty; give 1 to {MAX_CHARS} characters")]
    Empty,
    /// Too long, before or after it was normalised.
    #[error("the name is longer than {MAX_CHARS} characters; choose a shorter one")]
    TooLong,
    /// A character that no name has.
    #[error(
        "a name can't contain {}; use letters, digits and {}",
        shown_char(*.0), MARKS.map(String::from).join(" ")
    )]
    Character(char),
    /// Begins or ends with a mark.
    #[error("a name must begin and end with a letter or a digit")]
    Ends,
    /// As in `a@b@c`.
    #[error("a name can contain `@` only once, as in an e-mail address")]
    TwoAts,
    /// PRECIS has no such name, for a reason that is not in one character.
    #[error(
        "the name mixes characters in a way that can't be compared safely (RFC 8265); write it in one direction, without combining characters at the beginning"
    )]
    Uncomparable,
    /// Letters of several scripts.
    #[error("the name mixes letters of several scripts, which can look like another name; use one script")]
    MixedScripts,
    /// Other letters that look like ASCII ones.
    #[error(
        "the name looks like one in plain Latin letters but is not; write it in those, or choose another one"
    )]
    LooksLatin,
}

fn shown_char(c: char) -> String {
    let code = u32::from(c);
    if c.is_ascii_graphic() || c.is_alphanumeric() {
        format!("`{c}` (U+{code:04X})")
    } else {
        format!("U+{code:04X}")
    }
}

impl UserName {
    /// Reads a name as a person typed it; no spaces are cut off.
    ///
    /// # Errors
    /// A sentence on what to choose instead.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.chars().nth(MAX_CHARS).is_some() {
            return Err(NameError::TooLong);
        }
        let shown = UsernameCasePreserved::enforce(text).map_err(|e| refused(&e))?.into_owned();
        let key = UsernameCaseMapped::enforce(text).map_err(|e| refused(&e))?.into_owned();
        // Some scripts have a lower case that may be in no name (Cherokee).
        if UsernameCaseMapped::enforce(&*key).map_err(|e| refused(&e))? != key {
            return Err(NameError::Uncomparable);
        }
        // The sigma at the end of a word is the same letter.
        let key = key.replace('ς', "σ");
        for form in [&shown, &key] {
            check(form)?;
        }
        Ok(Self { shown, key })
    }

    /// As the person wrote it, composed (NFC) and in normal width: for people to read.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// In lower case: for comparing, storing and looking up. It is a name itself, with itself as its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for UserName {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for UserName {}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The key of a group's name; the rules are those of [`UserName`].
///
/// # Errors
/// As for [`UserName::parse`].
pub fn group_name(text: &str) -> Result<String, NameError> {
    UserName::parse(text).map(|name| name.key)
}

fn refused(error: &precis_core::Error) -> NameError {
    match error {
        precis_core::Error::BadCodepoint(info) => {
            char::from_u32(info.cp).map_or(NameError::Uncomparable, NameError::Character)
        }
        precis_core::Error::Invalid | precis_core::Error::Unexpected(_) => NameError::Uncomparable,
    }
}

fn check(form: &str) -> Result<(), NameError> {
    if form.chars().count() > MAX_CHARS {
        return Err(NameError::TooLong);
    }
    if let Some(c) = form.chars().find(|c| !may_contain(*c)) {
        return Err(NameError::Character(c));
    }
    if form.starts_with(MARKS) || form.ends_with(MARKS) {
        return Err(NameError::Ends);
    }
    if form.matches('@').count() > 1 {
        return Err(NameError::TwoAts);
    }
    if !form.is_single_script() {
        return Err(NameError::MixedScripts);
    }
    if !form.is_ascii() && skeleton(form).all(|c| c.is_ascii()) {
        return Err(NameError::LooksLatin);
    }
    Ok(())
}

/// Outside ASCII: what UTS 39 calls allowed in identifiers (living scripts, nothing invisible).
fn may_contain(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || MARKS.contains(&c) } else { c.identifier_allowed() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_are_the_same_have_the_same_key() {
        let same = [
            ("Alice", "alice"),
            ("ｃｉ", "ci"),
            ("Jose\u{301}", "josé"),
            ("ÅSA", "a\u{30a}sa"),
            ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
            ("me@Example.org", "me@example.org"),
            ("build+bot_2", "BUILD+bot_2"),
            ("Юля", "юля"),
            ("山田たろう", "山田たろう"),
        ];
        for (left, right) in same {
            let (left, right) = (UserName::parse(left).unwrap(), UserName::parse(right).unwrap());
            assert_eq!(left.key(), right.key());
            assert_eq!(left, right);
        }
        let name = UserName::parse("Jose\u{301}").unwrap();
        assert_eq!((name.shown(), name.key()), ("José", "josé"));
        assert_eq!(group_name("Team-A").unwrap(), "team-a");
    }

    #[test]
    fn what_can_not_be_a_name_is_refused_with_a_sentence() {
        let refused = [
            ("", NameError::Empty),
            (&"a".repeat(65), NameError::TooLong),
            ("a b", NameError::Character(' ')),
            (" a", NameError::Character(' ')),
            ("a\n", NameError::Character('\n')),
            ("a\0", NameError::Character('\0')),
            ("a:b", NameError::Character(':')),
            ("a/b", NameError::Character('/')),
            ("a／b", NameError::Character('/')),
            ("a*", NameError::Character('*')),
            ("a,b", NameError::Character(',')),
            ("a\u{200b}b", NameError::Character('\u{200b}')),
            ("a\u{202e}b", NameError::Character('\u{202e}')),
            ("ﬁn", NameError::Character('ﬁ')),
            ("@home", NameError::Ends),
            ("-rf", NameError::Ends),
            ("..", NameError::Ends),
            ("a.", NameError::Ends),
            ("a@b@c", NameError::TwoAts),
            ("аdmin", NameError::MixedScripts),
            ("сосо", NameError::LooksLatin),
            ("АВС", NameError::LooksLatin),
        ];
        for (text, why) in refused {
            assert_eq!(UserName::parse(text).map(|n| n.key), Err(why), "{text:?}");
        }
        let sentence = UserName::parse("a\u{202e}b").unwrap_err().to_string();
        assert_eq!(sentence, "a name can't contain U+202E; use letters, digits and . _ - + @");
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(text in "\\PC{1,20}|[a-zA-Zа-яά-ώéß.@-]{1,70}|.{0,300}") {
            if let Ok(name) = UserName::parse(&text) {
                let again = UserName::parse(name.key()).unwrap();
                prop_assert_eq!(again.key(), name.key());
                prop_assert_eq!(again.shown(), name.key());
                let shown = UserName::parse(name.shown()).unwrap();
                prop_assert_eq!(shown.shown(), name.shown());
                prop_assert_eq!(shown.key(), name.key());
                prop_assert!(!name.key().contains(['/', ':', ' ', '%', '*', ',']));
            }
        }
    }
}
