//! What a token is good for, and how people write it: `read:*`, `write:team`, `write:team,lab/*:acme-*`.
//!
//! Belongs here: the value, its text form. Does not: how it is kept (`store`), how it cuts down what the token's owner may do
//! (its judge).

use std::fmt;
use std::str::FromStr;

use super::{Globs, Right};

/// What a token is good for; everything its owner may do, cut down to this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The most that it may do.
    pub right: Right,
    /// Channels; empty for none.
    pub channels: Globs,
    /// Packages; empty for all. Limits files of packages only: an index is shown as a whole.
    pub packages: Globs,
}

/// Why a text is no scope. The text is repeated only behind a right: what stands there in its place may be a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScopeError {
    /// No right, or no channel.
    #[error(
        "a scope is written RIGHT:CHANNELS or RIGHT:CHANNELS:PACKAGES, and RIGHT is `read`, `write` or `manage`; \
         such as `read:*`, `write:team` or `write:team:acme-*`"
    )]
    Shape,
    /// A pattern that matches nothing.
    #[error("`{glob}` in the scope {why}")]
    Glob {
        /// Which, made safe to print.
        glob: String,
        /// A clause that completes "it …".
        why: String,
    },
    /// Packages beside `manage`.
    #[error(
        "the right `manage` is about whole channels: take the packages out of the scope, or write `write:`"
    )]
    ManageOfPackages,
}

impl Scope {
    /// Reading all that the owner may read.
    #[must_use]
    pub fn read_all() -> Self {
        let all = Globs::channels(vec!["*".to_owned()]);
        Self { right: Right::Read, channels: all, packages: Globs::packages(Vec::new()) }
    }

    /// Reads `RIGHT:CHANNELS[:PACKAGES]`. Both lists have commas between their globs; commas in braces belong to the glob.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let mut parts = text.split(':');
        let right = parts.next().and_then(Right::read).ok_or(ScopeError::Shape)?;
        let channels = parts.next().filter(|text| !text.is_empty()).ok_or(ScopeError::Shape)?;
        let packages = parts.next();
        if parts.next().is_some() || packages.is_some_and(str::is_empty) {
            return Err(ScopeError::Shape);
        }
        if right == Right::Manage && packages.is_some() {
            return Err(ScopeError::ManageOfPackages);
        }
        let channels = Globs::channels(split(channels));
        let packages = Globs::packages(packages.map(split).unwrap_or_default());
        check(&channels)?;
        check(&packages)?;
        Ok(Self { right, channels, packages })
    }
}

fn check(globs: &Globs) -> Result<(), ScopeError> {
    globs.check().map_err(|(at, why)| {
        let text = globs.texts().get(at).map_or("", String::as_str);
        ScopeError::Glob { glob: text.chars().take(60).flat_map(char::escape_debug).collect(), why }
    })
}

/// The globs of a list.
fn split(text: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let between = |c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    text.split(between).map(str::to_owned).collect()
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::parse(text)
    }
}

/// As [`Scope::parse`] reads it.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.right, self.channels.texts().join(","))?;
        if self.packages.is_empty() { Ok(()) } else { write!(f, ":{}", self.packages.texts().join(",")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scopes_read_back() {
        for text in
            ["read:*", "write:team", "manage:team/*", "read:a/b,c:acme-*,x{y,z}", "read:{a,b},c", "read:**"]
        {
            assert_eq!(Scope::parse(text).unwrap().to_string(), text);
        }
        let scope: Scope = "write:team,lab:acme-*".parse().unwrap();
        assert_eq!((scope.right, scope.channels.texts().len()), (Right::Write, 2));
        assert!(scope.channels.is_match("lab") && scope.packages.is_match("acme-x"));
        assert_eq!(Scope::read_all(), Scope::parse("read:*").unwrap());
    }

    #[test]
    fn what_is_no_scope() {
        for (text, said) in [
            ("", "a scope is written RIGHT:CHANNELS"),
            ("read", "a scope is written RIGHT:CHANNELS"),
            ("read:", "a scope is written RIGHT:CHANNELS"),
            ("admin:team", "RIGHT is `read`, `write` or `manage`"),
            ("read:a:b:c", "a scope is written RIGHT:CHANNELS"),
            ("read:a:", "a scope is written RIGHT:CHANNELS"),
            ("read:a,,b", "`` in the scope has characters that no name of a channel has"),
            (
                "read:team/label/dev",
                "`team/label/dev` in the scope names a label, and labels belong to their channel: write `team`",
            ),
            ("read:x[", "`x[` in the scope is not a valid pattern: unclosed character class; missing ']'"),
            ("read:a:x/y", "`x/y` in the scope has characters that no name of a package has"),
            ("manage:a:x", "the right `manage` is about whole channels"),
        ] {
            let error = Scope::parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        let secret = "cg-0123456789";
        assert!(!Scope::parse(secret).unwrap_err().to_string().contains(secret));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,40}", more in "(read|write):[a-c*?,{}\\[\\]:/]{0,12}") {
            for text in [&text, &more] {
                if let Ok(scope) = Scope::parse(text) {
                    prop_assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
                }
            }
        }
    }
}
