//! Package specs as people write them (`xz >=5.6.0,<5.6.2`): conda's MatchSpec (CEP 29), read by rattler's parser.
//!
//! Belongs here: the one use of that parser, what of a spec can be asked of a record. Does not: which rule has a spec
//! (`policy`), solving.

use std::cell::OnceCell;

use rattler_conda_types::{
    BuildNumberSpec, MatchSpec, PackageNameMatcher, ParseMatchSpecOptions, ParseStrictness, StringMatcher,
    VersionSpec,
};

use super::digest::{Md5, Sha256};

/// Longer specs, versions and build strings are not looked at: real ones stay below 100 bytes.
const MAX_LEN: usize = 512;
/// Groups within groups of a version constraint; the parser recurses.
const MAX_PARENTHESES: usize = 16;

/// A parsed spec. Equal texts give equal specs.
#[derive(Clone, Debug)]
pub struct Spec {
    text: String,
    name: SpecName,
    version: Option<VersionSpec>,
    build: Option<StringMatcher>,
    build_number: Option<BuildNumberSpec>,
    file: Option<String>,
    md5: Option<Md5>,
    sha256: Option<Sha256>,
}

/// Which packages a spec is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpecName {
    /// This one, in lower case.
    Exact(String),
    /// A glob over lower-case names.
    Glob(String),
}

/// What a spec is held against. The name is compared by the caller, who may have an index of them.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// The record's version, parsed at most once.
    pub version: LazyVersion<'a>,
    /// Build string.
    pub build: Option<&'a str>,
    /// Build number.
    pub build_number: Option<u64>,
    /// File name.
    pub file: &'a str,
    /// Digest of the file.
    pub md5: Option<Md5>,
    /// Digest of the file.
    pub sha256: Option<Sha256>,
}

/// Whether a record is what a spec says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// All but the version fits, and the record's version is missing or is no version.
    Unknown,
}

impl Spec {
    /// Parses a spec leniently: a name or a glob of names, with a version constraint, a build string, and
    /// `[build_number=, fn=, md5=, sha256=]`.
    ///
    /// # Errors
    /// A clause that completes "… can't be used: ": what is wrong, or which part can't be asked of a record here (channel,
    /// subdir, URL, regular expressions, features).
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(format!("it is longer than {MAX_LEN} characters"));
        }
        if text.matches('(').count() > MAX_PARENTHESES {
            return Err("it has too many parentheses".to_owned());
        }
        let options = ParseMatchSpecOptions::new(ParseStrictness::Lenient).with_exact_names_only(false);
        let spec = MatchSpec::from_str(text, options)
            .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
        refuse_the_rest(&spec)?;
        let name = match &spec.name {
            PackageNameMatcher::Exact(name) => SpecName::Exact(name.as_normalized().to_owned()),
            PackageNameMatcher::Glob(glob) => SpecName::Glob(glob.as_str().to_ascii_lowercase()),
            PackageNameMatcher::Regex(_) => return Err("its name is a regular expression".to_owned()),
        };
        if matches!(spec.build, Some(StringMatcher::Regex(_))) {
            return Err("its build string is a regular expression".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            name,
            version: spec.version.filter(|version| *version != VersionSpec::Any),
            build: spec.build.filter(|build| !matches!(build, StringMatcher::Any)),
            build_number: spec.build_number,
            file: spec.file_name,
            md5: spec.md5.and_then(|md5| md5.as_slice().try_into().ok().map(Md5)),
            sha256: spec.sha256.and_then(|sha256| sha256.as_slice().try_into().ok().map(Sha256)),
        })
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Which packages it is about.
    #[must_use]
    pub const fn name(&self) -> &SpecName {
        &self.name
    }

    /// Whether it says nothing but the name.
    #[must_use]
    pub const fn is_name_only(&self) -> bool {
        self.version.is_none() && self.build.is_none() && self.is_beyond_build_free()
    }

    /// Whether a file name alone, with its three parts, is enough to answer.
    #[must_use]
    pub const fn fits_file_names(&self) -> bool {
        self.build_number.is_none() && self.md5.is_none() && self.sha256.is_none()
    }

    const fn is_beyond_build_free(&self) -> bool {
        self.fits_file_names() && self.file.is_none()
    }

    /// The one version it names (`xz 5.6.0`, `xz ==5.6.0`), when it says nothing else.
    #[must_use]
    pub fn one_version(&self) -> Option<Version> {
        let nothing_else = self.build.is_none() && self.is_beyond_build_free();
        match &self.version {
            Some(VersionSpec::Exact(rattler_conda_types::EqualityOperator::Equals, version))
                if nothing_else =>
            {
                Some(Version(version.clone()))
            }
            _ => None,
        }
    }

    /// Whether `version` is within the version constraint; the rest is not looked at.
    #[must_use]
    pub fn admits(&self, version: &Version) -> bool {
        self.version.as_ref().is_none_or(|spec| spec.matches(&version.0))
    }

    /// Everything but the name. What the record lacks, except a version, does not fit.
    #[must_use]
    pub fn fits(&self, record: &Candidate<'_>) -> Fit {
        let rest = self.build.as_ref().is_none_or(|spec| record.build.is_some_and(|b| matches(spec, b)))
            && self
                .build_number
                .as_ref()
                .is_none_or(|spec| record.build_number.is_some_and(|n| spec.matches(&n)))
            && self.file.as_ref().is_none_or(|file| file == record.file)
            && self.md5.is_none_or(|md5| record.md5 == Some(md5))
            && self.sha256.is_none_or(|sha256| record.sha256 == Some(sha256));
        match (&self.version, rest) {
            (_, false) => Fit::No,
            (None, true) => Fit::Yes,
            (Some(spec), true) => match record.version.get() {
                None => Fit::Unknown,
                Some(version) if spec.matches(&version.0) => Fit::Yes,
                Some(_) => Fit::No,
            },
        }
    }
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Spec {}

fn matches(spec: &StringMatcher, build: &str) -> bool {
    build.len() <= MAX_LEN && spec.matches(build)
}

/// Parts of a spec that a record can't be asked for, or that a rule has keys of its own for.
fn refuse_the_rest(spec: &MatchSpec) -> Result<(), String> {
    let misplaced = [
        (spec.channel.is_some(), "a channel"),
        (spec.subdir.is_some(), "a subdir"),
        (spec.namespace.is_some(), "a namespace"),
        (spec.url.is_some(), "a URL"),
        (spec.license.is_some() || spec.license_family.is_some(), "a license"),
        (spec.extras.is_some(), "extras"),
        (spec.flags.is_some(), "flags"),
        (spec.condition.is_some(), "a condition"),
        (spec.track_features.is_some(), "track_features"),
    ];
    match misplaced.iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => Err(format!("it names {what}, which a spec can't do here")),
        None => Ok(()),
    }
}

/// A conda version; newer ones are greater.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version(rattler_conda_types::Version);

impl Version {
    /// Parses a version; `None` for text that is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        text.parse().ok().map(Self)
    }
}

/// A version that is parsed when somebody first asks.
#[derive(Debug)]
pub struct LazyVersion<'a> {
    text: Option<&'a str>,
    parsed: OnceCell<Option<Version>>,
}

impl<'a> LazyVersion<'a> {
    /// From a record's `version`.
    #[must_use]
    pub const fn new(text: Option<&'a str>) -> Self {
        Self { text, parsed: OnceCell::new() }
    }

    fn get(&self) -> Option<&Version> {
        self.parsed.get_or_init(|| self.text.and_then(Version::parse)).as_ref()
    }
}

/// The package name at the start of a dependency (`python >=3.9`, `conda-forge::zlib`), as written; empty when there is
/// none. Much cheaper than parsing the dependency.
#[must_use]
pub fn dependency_name(dependency: &str) -> &str {
    let text = without_channel(dependency);
    let stops = |c: char| c.is_whitespace() || "=<>!~[,;(".contains(c);
    text.find(stops).map_or(text, |at| &text[..at])
}

/// A dependency without the channel in front of it.
#[must_use]
pub fn without_channel(dependency: &str) -> &str {
    let text = dependency.trim_start();
    // Only in front of the name: `::` behind `[` is part of a value.
    let head = text.find(|c: char| c.is_whitespace() || c == '[').map_or(text, |at| &text[..at]);
    head.rfind("::").map_or(text, |at| &text[at + 2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(spec: &str, version: Option<&str>, build: &str) -> Fit {
        Spec::parse(spec).unwrap().fits(&Candidate {
            version: LazyVersion::new(version),
            build: Some(build),
            build_number: Some(3),
            file: "xz-5.6.1-h1_3.conda",
            md5: Some(Md5([1; 16])),
            sha256: None,
        })
    }

    #[test]
    fn what_fits() {
        for (spec, expected) in [
            ("xz", Fit::Yes),
            ("xz >=5.6.0,<5.6.2", Fit::Yes),
            ("xz>=5.6.0,<5.6.1", Fit::No),
            ("xz 5.6.*", Fit::Yes),
            ("xz 5.6.1 h1_3", Fit::Yes),
            ("xz 5.6.1 h2*", Fit::No),
            ("xz 5.6.1 H1*", Fit::Yes),
            ("xz[build_number='>2']", Fit::Yes),
            ("xz[build_number=4]", Fit::No),
            ("xz[md5=01010101010101010101010101010101]", Fit::Yes),
            ("xz[fn=other-1-0.conda]", Fit::No),
            ("*", Fit::Yes),
        ] {
            assert_eq!(fit(spec, Some("5.6.1"), "h1_3"), expected, "{spec}");
        }
        assert_eq!(fit("xz >=5", Some("not a version!"), "h1_3"), Fit::Unknown);
        assert_eq!(fit("xz >=5", None, "h1_3"), Fit::Unknown);
        assert_eq!(fit("xz >=5 h2", None, "h1_3"), Fit::No);
        assert_eq!(fit("xz", None, "h1_3"), Fit::Yes);
    }

    #[test]
    fn names() {
        let name = |text: &str| Spec::parse(text).unwrap().name().clone();
        assert_eq!(name("XZ >=5"), SpecName::Exact("xz".into()));
        assert_eq!(name("lib* >=5"), SpecName::Glob("lib*".into()));
        assert!(Spec::parse("xz").unwrap().is_name_only());
        assert!(Spec::parse("xz *").unwrap().is_name_only());
        assert!(!Spec::parse("xz 5.*").unwrap().is_name_only());
        assert!(Spec::parse("xz 5.* h1").unwrap().fits_file_names());
        let one = |text: &str| Spec::parse(text).unwrap().one_version();
        assert_eq!(one("xz ==5.6.0"), Version::parse("5.6.0"));
        assert_eq!(one("xz >=5.6.0"), None);
        assert!(Spec::parse("xz >=5.6").unwrap().admits(&Version::parse("5.6.0").unwrap()));
    }

    #[test]
    fn what_is_refused() {
        let nested = format!("xz {}>=1{}", "(".repeat(200), ")".repeat(200));
        let long = format!("xz {}", "1.".repeat(600));
        for (text, says) in [
            ("", "package name"),
            ("xz >=", "version"),
            ("^(a+)+$", "regular expression"),
            ("xz 1 ^(a+)+$", "regular expression"),
            ("conda-forge::xz", "channel"),
            ("xz[subdir=linux-64]", "subdir"),
            ("xz[license=MIT]", "license"),
            ("https://example.org/linux-64/xz-1-0.conda", ""),
            (&nested, "parentheses"),
            (&long, "longer"),
        ] {
            let said = Spec::parse(text).expect_err(text);
            assert!(said.contains(says) && !said.contains('\n'), "{text}: {said}");
        }
    }

    #[test]
    fn names_of_dependencies() {
        for (text, name) in [
            ("python", "python"),
            ("python >=3.9,<3.10.0a0", "python"),
            ("python>=3.9", "python"),
            (" zlib=1.2", "zlib"),
            ("conda-forge::zlib 1.*", "zlib"),
            ("__glibc >=2.17", "__glibc"),
            ("foo[version='>=1', channel=a::b]", "foo"),
            ("c::foo[build=x]", "foo"),
            ("", ""),
        ] {
            assert_eq!(dependency_name(text), name, "{text}");
        }
    }
}
