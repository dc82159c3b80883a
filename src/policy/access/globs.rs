//! A list of globs as access rules, grants and tokens have it: over channels, over packages, over prefixes of files.
//!
//! Upper and lower case count as the same everywhere: clients look packages up in lower case, and a channel must not get out of
//! a rule by being asked for in capitals. Nothing is compiled before the first question, so that a store may hold many
//! lists that nobody asks.
//!
//! Belongs here: matching, and what no glob can be. Does not: the automata ([`crate::policy::judge::patterns`]).

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::conda::channel::ChannelName;
use crate::policy::judge::patterns::{Kind, Patterns, is_glob};

/// What a list of globs is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum About {
    /// Channels, label excluded: `*` and `?` stay within one component, `**` crosses `/`, `*` alone is every channel.
    Channels,
    /// Package names: `*` matches anything.
    Packages,
    /// Prefixes of `files:`, as channels; a slash at either end does not count.
    Prefixes,
}

/// Names and globs. Equal when the same was written.
#[derive(Clone)]
pub struct Globs {
    about: About,
    texts: Vec<String>,
    compiled: OnceLock<Option<Arc<Patterns>>>,
}

impl Globs {
    /// Globs over channel names.
    #[must_use]
    pub const fn channels(texts: Vec<String>) -> Self {
        Self { about: About::Channels, texts, compiled: OnceLock::new() }
    }

    /// Globs over package names.
    #[must_use]
    pub const fn packages(texts: Vec<String>) -> Self {
        Self { about: About::Packages, texts, compiled: OnceLock::new() }
    }

    /// Globs over prefixes of files.
    #[must_use]
    pub const fn prefixes(texts: Vec<String>) -> Self {
        Self { about: About::Prefixes, texts, compiled: OnceLock::new() }
    }

    /// As written.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Whether one of them matches. A list that [`Globs::check`] refuses matches nothing.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        let patterns = self.compiled.get_or_init(|| self.compile().ok().map(Arc::new));
        patterns.as_ref().is_some_and(|patterns| {
            let text = self.about.bare(text);
            if text.bytes().any(|b| b.is_ascii_uppercase()) {
                patterns.is_match(&text.to_ascii_lowercase())
            } else {
                patterns.is_match(text)
            }
        })
    }

    /// Whether everything matches, whatever is asked.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.texts.iter().any(|text| text == "*" || text == "**")
    }

    /// The words in lower case, when there are no globs among them.
    #[must_use]
    pub fn only_words(&self) -> Option<Vec<String>> {
        let plain = !self.texts.iter().any(|text| is_glob(text));
        plain.then(|| self.texts.iter().map(|text| self.about.bare(text).to_ascii_lowercase()).collect())
    }

    /// Refuses what can match nothing.
    ///
    /// # Errors
    /// The position of the first bad one, and a clause that completes "it …".
    pub fn check(&self) -> Result<(), (usize, String)> {
        for (at, text) in self.texts.iter().enumerate() {
            self.about.check(text).map_err(|why| (at, why))?;
        }
        self.compile().map(drop)
    }

    fn compile(&self) -> Result<Patterns, (usize, String)> {
        let kind = if self.about == About::Packages { Kind::AnyCase } else { Kind::Path };
        let folded: Vec<_> =
            self.texts.iter().map(|text| self.about.bare(text).to_ascii_lowercase()).collect();
        Patterns::compile(kind, &folded)
    }
}

impl About {
    fn bare(self, text: &str) -> &str {
        if self == Self::Prefixes { text.trim_matches('/') } else { text }
    }

    fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Channels => check_channel(text),
            Self::Packages => check_characters(text, "_.-", "package"),
            Self::Prefixes => check_characters(text, "_.-/+ ", "prefix"),
        }
    }
}

fn check_channel(text: &str) -> Result<(), String> {
    if let Some((channel, _)) = text.split_once("/label/") {
        return Err(format!("names a label, and labels belong to their channel: write `{channel}`"));
    }
    check_characters(text, "_.-/", "channel")?;
    if !is_glob(text) && !ChannelName::is_valid(text) {
        return Err(
            "is no name of a channel: its parts are joined by `/`, and none is `label`, `t` or a subdir \
                    such as `noarch`"
                .to_owned(),
        );
    }
    Ok(())
}

/// Names have letters, digits and `more`; the rest are the signs of globs.
fn check_characters(text: &str, more: &str, what: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || more.contains(c) || "*?[]{},!^\\".contains(c);
    if text.is_empty() || !text.chars().all(good) {
        return Err(format!("has characters that no name of a {what} has"));
    }
    Ok(())
}

impl PartialEq for Globs {
    fn eq(&self, other: &Self) -> bool {
        // The automaton is made from these.
        self.about == other.about && self.texts == other.texts
    }
}

impl Eq for Globs {}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.texts.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn what_matches() {
        let channels = Globs::channels(texts(&["Team", "pkgs/*", "deep/**", "a{b,c}"]));
        for (name, expected) in [
            ("team", true),
            ("TEAM", true),
            ("teams", false),
            ("pkgs/main", true),
            ("Pkgs/Main", true),
            ("pkgs/a/b", false),
            ("deep/a/b", true),
            ("ac", true),
            ("ad", false),
            ("", false),
        ] {
            assert_eq!(channels.is_match(name), expected, "{name}");
        }
        assert!(Globs::channels(texts(&["*"])).is_match("a/b/c"));
        assert!(Globs::packages(texts(&["acme-*"])).is_match("ACME-x"));
        let prefixes = Globs::prefixes(texts(&["/miniconda/", "static/*"]));
        assert!(prefixes.is_match("miniconda/") && prefixes.is_match("static/extras/"));
        assert!(!prefixes.is_match("static/a/b/") && !prefixes.is_match("archive/"));
        assert!(!Globs::channels(Vec::new()).is_match("x"));
    }

    #[test]
    fn what_can_match_nothing_is_refused_and_matches_nothing() {
        for (text, why) in [
            ("", "has characters that no name of a channel has"),
            ("a b", "has characters that no name of a channel has"),
            ("a:b", "has characters that no name of a channel has"),
            ("team/label/dev", "names a label, and labels belong to their channel: write `team`"),
            ("team/noarch", "is no name of a channel"),
            ("t/x", "is no name of a channel"),
            ("x[", "is not a valid pattern: unclosed character class"),
        ] {
            let globs = Globs::channels(texts(&["good", text]));
            let (at, said) = globs.check().unwrap_err();
            assert!(at == 1 && said.starts_with(why), "{text}: {said}");
        }
        assert!(!Globs::channels(texts(&["x["])).is_match("x["));
        assert!(Globs::packages(texts(&["a/b"])).check().is_err());
        assert!(Globs::packages(texts(&["*a*a*a*a*a*a*b"])).check().is_ok());
        let stars = Globs::packages(texts(&["*a*a*a*a*a*a*a*a*a*a*a*a*b"]));
        assert!(!stars.is_match(&"a".repeat(100_000)));
    }

    #[test]
    fn equal_when_the_same_was_written() {
        let globs = Globs::channels(texts(&["a*"]));
        assert!(globs.is_match("ab"));
        assert_eq!(globs, Globs::channels(texts(&["a*"])));
        assert_ne!(globs, Globs::packages(texts(&["a*"])));
        assert_eq!(format!("{globs:?}"), "[\"a*\"]");
        assert!(Globs::channels(texts(&["a", "**"])).is_any() && !globs.is_any());
    }
}
