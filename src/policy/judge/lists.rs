//! Lists of a matcher that are more than patterns: specs, dependencies, digests.
//!
//! Belongs here: compiling them so that one look-up by name finds the few that count. Does not: how keys are read
//! ([`super::read`]).

use ahash::{AHashMap, AHashSet};

use super::case::Case;
use super::patterns::{Kind, Patterns, is_glob};
use crate::conda::digest::{Md5, Sha256};
use crate::conda::spec::{Fit, Spec, SpecName, Version, dependency_name, without_channel};
use crate::policy::verdict::Subject;

/// `specs:`; a record matches when any of them fits.
#[derive(Debug)]
pub struct Specs {
    by_name: AHashMap<Box<str>, Vec<Spec>>,
    wild: Vec<(Patterns, Spec)>,
}

impl Specs {
    /// Compiles a list.
    ///
    /// # Errors
    /// The position of the bad entry, and a clause that completes "it …".
    pub fn compile(texts: &[String]) -> Result<Self, (usize, String)> {
        let mut specs = Self { by_name: AHashMap::new(), wild: Vec::new() };
        for (at, text) in texts.iter().enumerate() {
            let spec = Spec::parse(text).map_err(|why| (at, format!("can't be used as a spec: {why}")))?;
            match spec.name() {
                SpecName::Exact(name) => specs.by_name.entry(name.as_str().into()).or_default().push(spec),
                SpecName::Glob(glob) => {
                    let names = Patterns::compile(Kind::AnyCase, &[glob]).map_err(|(_, why)| (at, why))?;
                    specs.wild.push((names, spec));
                }
            }
            if specs.wild.len() > super::patterns::MAX_GLOBS {
                return Err((at, "is one pattern too many in one list".to_owned()));
            }
        }
        Ok(specs)
    }

    /// The best fit among them.
    #[must_use]
    pub fn fit(&self, case: &Case<'_>) -> Fit {
        self.find(case).map_or(Fit::No, |(fit, _)| fit)
    }

    /// The spec that fits best, if one does or might.
    #[must_use]
    pub fn find(&self, case: &Case<'_>) -> Option<(Fit, &Spec)> {
        let name = case.name.as_deref()?;
        let named = self.by_name.get(name).into_iter().flatten();
        let wild = self.wild.iter().filter(|(names, _)| names.is_match(name)).map(|(_, spec)| spec);
        let mut unknown = None;
        for spec in named.chain(wild) {
            match spec.fits(&case.candidate) {
                Fit::Yes => return Some((Fit::Yes, spec)),
                Fit::Unknown => unknown = unknown.or(Some((Fit::Unknown, spec))),
                Fit::No => {}
            }
        }
        unknown
    }

    /// Whether one of them is about a package of this name, in lower case.
    #[must_use]
    pub fn name(&self, name: &str) -> bool {
        self.by_name.contains_key(name) || self.wild.iter().any(|(names, _)| names.is_match(name))
    }

    /// The only names that can match, if they can be told.
    #[must_use]
    pub fn only_names(&self) -> Option<impl Iterator<Item = &str>> {
        self.wild.is_empty().then(|| self.by_name.keys().map(|name| &**name))
    }

    /// Whether all can be answered from a file name.
    #[must_use]
    pub fn fit_file_names(&self) -> bool {
        self.all().all(Spec::fits_file_names)
    }

    /// Whether these certainly take what `other` takes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.all().all(|theirs| {
            let name = match theirs.name() {
                SpecName::Exact(name) => Some(name.as_str()),
                SpecName::Glob(_) => None,
            };
            let named = name.and_then(|name| self.by_name.get(name)).into_iter().flatten();
            let mut wild = self.wild.iter().filter(|(names, spec)| {
                spec == theirs || (spec.is_name_only() && name.is_some_and(|name| names.is_match(name)))
            });
            named.into_iter().any(|ours| ours == theirs || ours.is_name_only()) || wild.next().is_some()
        })
    }

    /// Whether `names` certainly take what these take.
    #[must_use]
    pub fn are_covered_by(&self, names: &Patterns) -> bool {
        names.is_any() || (self.wild.is_empty() && self.by_name.keys().all(|name| names.is_match(name)))
    }

    /// Whether these certainly take all that has one of `names`.
    #[must_use]
    pub fn cover_names(&self, names: &Patterns) -> bool {
        names.only_words().is_some_and(|words| {
            words.iter().all(|word| {
                self.by_name.get(word).is_some_and(|specs| specs.iter().any(Spec::is_name_only))
                    || self.wild.iter().any(|(names, spec)| spec.is_name_only() && names.is_match(word))
            })
        })
    }

    fn all(&self) -> impl Iterator<Item = &Spec> {
        self.by_name.values().flatten().chain(self.wild.iter().map(|(_, spec)| spec))
    }
}

/// `depends_on:`; a record matches when one of its `depends` names one of these packages, or would be content with one of
/// these versions.
#[derive(Debug)]
pub struct Dependencies {
    written: AHashSet<Box<str>>,
    names: Patterns,
    versions: AHashMap<Box<str>, Vec<Version>>,
}

impl Dependencies {
    /// Compiles a list.
    ///
    /// # Errors
    /// As [`Specs::compile`].
    pub fn compile(texts: &[String]) -> Result<Self, (usize, String)> {
        let mut names = Vec::new();
        let mut versions: AHashMap<Box<str>, Vec<Version>> = AHashMap::new();
        for (at, text) in texts.iter().enumerate() {
            if is_glob(text) && !text.contains(char::is_whitespace) {
                Patterns::compile(Kind::AnyCase, &[text]).map_err(|(_, why)| (at, why))?;
                names.push(text.clone());
                continue;
            }
            let spec = Spec::parse(text).map_err(|why| (at, format!("can't be used as a spec: {why}")))?;
            match (spec.name(), spec.one_version()) {
                (SpecName::Exact(name), _) if spec.is_name_only() => names.push(name.clone()),
                (SpecName::Exact(name), Some(version)) => {
                    versions.entry(name.as_str().into()).or_default().push(version);
                }
                _ => {
                    return Err((
                        at,
                        "must be a name, or a name and one version such as `xz ==5.6.0`".to_owned(),
                    ));
                }
            }
        }
        let names = Patterns::compile(Kind::AnyCase, &names)?;
        Ok(Self { written: texts.iter().map(|t| t.as_str().into()).collect(), names, versions })
    }

    /// The dependency that makes the record match.
    #[must_use]
    pub fn find<'s>(&self, subject: &'s Subject<'_>) -> Option<&'s str> {
        subject.depends.iter().map(|depend| &**depend).find(|depend| {
            let name = dependency_name(depend);
            if name.is_empty() {
                return false;
            }
            self.names.is_match(name) || (!self.versions.is_empty() && self.admits(name, depend))
        })
    }

    fn admits(&self, name: &str, depend: &str) -> bool {
        let versions = self.versions.get(name.to_ascii_lowercase().as_str());
        versions.is_some_and(|versions| {
            Spec::parse(without_channel(depend))
                .is_ok_and(|spec| versions.iter().any(|version| spec.admits(version)))
        })
    }

    /// Whether these certainly take what `other` takes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.written.is_subset(&self.written)
    }
}

/// `digests:`; a record matches when one of its own is listed.
#[derive(Debug, Default)]
pub struct Digests {
    sha256: AHashSet<[u8; 32]>,
    md5: AHashSet<[u8; 16]>,
}

impl Digests {
    /// Compiles a list of hex digests, with `sha256:` or `md5:` before them or without.
    ///
    /// # Errors
    /// As [`Specs::compile`].
    pub fn compile(texts: &[String]) -> Result<Self, (usize, String)> {
        let mut digests = Self::default();
        for (at, text) in texts.iter().enumerate() {
            let as_sha256 = text.strip_prefix("sha256:").unwrap_or(text);
            let as_md5 = text.strip_prefix("md5:").unwrap_or(text);
            match (Sha256::from_hex(as_sha256), Md5::from_hex(as_md5)) {
                (Some(sha256), _) => drop(digests.sha256.insert(sha256.0)),
                (None, Some(md5)) => drop(digests.md5.insert(md5.0)),
                (None, None) => {
                    return Err((at, "must be a SHA-256 (64 hex digits) or an MD5 (32)".to_owned()));
                }
            }
        }
        Ok(digests)
    }

    /// Whether a digest of the record is listed.
    #[must_use]
    pub fn is_match(&self, subject: &Subject<'_>) -> bool {
        subject.sha256.is_some_and(|d| self.sha256.contains(&d.0))
            || subject.md5.is_some_and(|d| self.md5.contains(&d.0))
    }

    /// Whether a digest of the record is listed, or one of a listed kind is not known of it.
    #[must_use]
    pub fn might_match(&self, subject: &Subject<'_>) -> bool {
        self.is_match(subject)
            || (subject.sha256.is_none() && !self.sha256.is_empty())
            || (subject.md5.is_none() && !self.md5.is_empty())
    }

    /// Whether these take what `other` takes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.sha256.is_subset(&self.sha256) && other.md5.is_subset(&self.md5)
    }
}
