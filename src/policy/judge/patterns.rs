//! A list of names and globs as one question: does any of them match?
//!
//! Globs are compiled to automata that run in time linear in the text, so none can explode; plain words are a hash look-up.
//!
//! Belongs here: compiling within limits, matching, which list takes all that another takes. Does not: whose names they are.

use ahash::AHashSet;
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// The longest pattern, in bytes.
pub const MAX_LEN: usize = 256;
/// Globs in one list; plain words are not limited by this.
pub const MAX_GLOBS: usize = 512;

/// How patterns of a list are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// ASCII case does not count; `*` matches anything. Package names, licenses.
    AnyCase,
    /// Case counts; `*` matches anything. File names, subdirs.
    Exact,
    /// ASCII case does not count, because there are upstreams to which it does not matter, and a rule must not be got round by
    /// capitals; `*` stays within one component, but `*` alone matches all. Channel names.
    Path,
}

/// Names and globs.
#[derive(Clone, Debug)]
pub struct Patterns {
    kind: Kind,
    any: bool,
    words: AHashSet<Box<str>>,
    globs: Vec<String>,
    set: GlobSet,
}

impl Patterns {
    /// Compiles a list.
    ///
    /// # Errors
    /// The position of the bad pattern (0 for the list as a whole), and a clause that completes "it …".
    pub fn compile<S: AsRef<str>>(kind: Kind, texts: &[S]) -> Result<Self, (usize, String)> {
        let mut words = AHashSet::new();
        let (mut any, mut globs, mut set) = (false, Vec::new(), GlobSetBuilder::new());
        for (at, text) in texts.iter().map(AsRef::as_ref).enumerate() {
            if text.is_empty() || text.len() > MAX_LEN {
                return Err((at, format!("must have 1 to {MAX_LEN} characters")));
            }
            let text = kind.fold(text);
            if text == "*" || text == "**" {
                any = true;
            } else if !is_glob(&text) {
                words.insert(text.into_boxed_str());
            } else {
                set.add(
                    kind.glob(&text)
                        .map_err(|error| (at, format!("is not a valid pattern: {}", error.kind())))?,
                );
                globs.push(text);
            }
            if globs.len() > MAX_GLOBS {
                return Err((at, format!("is one pattern too many: at most {MAX_GLOBS} in one list")));
            }
        }
        let set = set.build().map_err(|_| (0, "has patterns that are too large together".to_owned()))?;
        Ok(Self { kind, any, words, globs, set })
    }

    /// Whether any of them matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        if self.any {
            return true;
        }
        let folded;
        let text = if self.kind != Kind::Exact && text.bytes().any(|b| b.is_ascii_uppercase()) {
            folded = text.to_ascii_lowercase();
            folded.as_str()
        } else {
            text
        };
        self.words.contains(text) || (!self.globs.is_empty() && self.set.is_match(text))
    }

    /// The words, when there is nothing but words.
    #[must_use]
    pub fn only_words(&self) -> Option<&AHashSet<Box<str>>> {
        (!self.any && self.globs.is_empty()).then_some(&self.words)
    }

    /// The words, globs left out.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|word| &**word)
    }

    /// What texts begin with that a glob takes: of each glob the letters before its first sign, in lower case.
    pub fn heads(&self) -> impl Iterator<Item = String> + '_ {
        let head = |glob: &String| glob.split(['*', '?', '[', '{', '\\']).next().map(str::to_ascii_lowercase);
        self.globs.iter().filter_map(head)
    }

    /// Whether everything matches.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.any
    }

    /// Whether certainly everything that `other` matches is matched here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.any
            || (!other.any
                && other.words.iter().all(|word| self.is_match(word))
                && other.globs.iter().all(|glob| self.globs.contains(glob)))
    }

    /// Whether certainly nothing is matched by both.
    #[must_use]
    pub fn is_apart(&self, other: &Self) -> bool {
        match (self.only_words(), other.only_words()) {
            (Some(words), _) => !words.iter().any(|word| other.is_match(word)),
            (_, Some(words)) => !words.iter().any(|word| self.is_match(word)),
            (None, None) => false,
        }
    }
}

/// Whether a text has signs that make it a pattern.
#[must_use]
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{', '\\'])
}

impl Kind {
    fn fold(self, text: &str) -> String {
        if self == Self::Exact { text.to_owned() } else { text.to_ascii_lowercase() }
    }

    fn glob(self, text: &str) -> Result<Glob, globset::Error> {
        // Folding is done on both sides already: the automaton stays small.
        GlobBuilder::new(text).literal_separator(self == Self::Path).build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(kind: Kind, texts: &[&str]) -> Patterns {
        Patterns::compile(kind, texts).unwrap()
    }

    #[test]
    fn matching() {
        let names = list(Kind::AnyCase, &["Xz", "lib*", "py?"]);
        for (text, expected) in [
            ("xz", true),
            ("XZ", true),
            ("libz", true),
            ("LIB", true),
            ("pyx", true),
            ("pyxx", false),
            ("", false),
        ] {
            assert_eq!(names.is_match(text), expected, "{text}");
        }
        assert!(!list(Kind::Exact, &["a*"]).is_match("A"));
        assert!(!list(Kind::Path, &["pkgs/*"]).is_match("pkgs/a/b"));
        assert!(list(Kind::Path, &["*"]).is_match("pkgs/a/b"));
        assert!(list(Kind::AnyCase, &["GPL-3.0-*", "{a,b}c"]).is_match("BC"));
    }

    #[test]
    fn relations() {
        let l = |texts: &[&str]| list(Kind::AnyCase, texts);
        assert!(l(&["*"]).covers(&l(&["a*", "b"])));
        assert!(l(&["a*"]).covers(&l(&["ab", "a*"])));
        assert!(!l(&["a*"]).covers(&l(&["ab*"])) && !l(&["a"]).covers(&l(&["*"])));
        assert!(l(&["a", "b"]).is_apart(&l(&["c", "d*"])));
        assert!(!l(&["a*"]).is_apart(&l(&["b*"])) && !l(&["ax"]).is_apart(&l(&["a*"])));
    }

    #[test]
    fn limits() {
        assert!(Patterns::compile(Kind::Exact, &["a".repeat(10 << 20)]).is_err());
        assert!(Patterns::compile(Kind::Exact, &[""]).is_err());
        assert!(Patterns::compile(Kind::Exact, &["[a"]).is_err());
        let many: Vec<_> = (0..=MAX_GLOBS).map(|n| format!("{n}*")).collect();
        assert_eq!(Patterns::compile(Kind::Exact, &many).unwrap_err().0, MAX_GLOBS);
        let nested = "{".repeat(120) + &"}".repeat(120);
        let _answered = Patterns::compile(Kind::Exact, &[nested]);
        let stars = list(Kind::Exact, &["*a*a*a*a*a*a*a*a*a*a*a*a*b"]);
        assert!(!stars.is_match(&"a".repeat(100_000)));
    }
}
