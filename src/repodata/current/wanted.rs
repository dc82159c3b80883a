//! A dependency as a question about records.
//!
//! Belongs here: reading a match spec under limits and asking it. rattler's parser and matcher decide what it means; a channel,
//! a subdir or a URL in it is not looked at, as there. Does not: which records are asked (`choose`).

use rattler_conda_types::{MatchSpec, Matches as _, PackageRecord, ParseMatchSpecOptions, Version};

/// Longest spec that is read. Honest ones have less than 100 bytes.
pub(super) const LONGEST: usize = 1024;

/// Most opening parentheses: the parser goes down a level for each.
const DEEPEST: usize = 8;

/// What one record's dependency asks for.
#[derive(Debug)]
pub(super) struct Wanted(MatchSpec);

impl Wanted {
    /// `None`: no client understands it, or it is longer or deeper than any honest one.
    pub fn parse(spec: &str) -> Option<Self> {
        let is_sane = spec.len() <= LONGEST && spec.bytes().filter(|b| *b == b'(').count() <= DEEPEST;
        let parsed = is_sane.then(|| MatchSpec::from_str(spec, ParseMatchSpecOptions::lenient()));
        parsed?.ok().map(Self)
    }

    /// The package's name in lower case.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_exact().map(rattler_conda_types::PackageName::as_normalized)
    }

    /// Whether a version fits; `None` stands for a string that is no version, which only fits where none is asked.
    pub fn fits_version(&self, version: Option<&Version>) -> bool {
        self.0.version.as_ref().is_none_or(|spec| version.is_some_and(|version| spec.matches(version)))
    }

    /// Whether a build fits.
    pub fn fits_build(&self, build: &str, number: u64) -> bool {
        self.0.build.as_ref().is_none_or(|spec| spec.matches(build))
            && self.0.build_number.as_ref().is_none_or(|spec| spec.matches(&number))
    }

    /// Whether it asks for more than name, version and build.
    pub fn is_deep(&self) -> bool {
        let spec = &self.0;
        spec.md5.is_some()
            || spec.sha256.is_some()
            || spec.license.is_some()
            || spec.license_family.is_some()
            || spec.track_features.is_some()
            || spec.flags.is_some()
    }

    /// Whether a whole record fits.
    pub fn fits(&self, record: &[u8]) -> bool {
        serde_json::from_slice::<PackageRecord>(record).is_ok_and(|record| self.0.matches(&record))
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    #[test]
    fn what_fits() {
        for (spec, version, build, fits) in [
            ("a", "1", "0", true),
            ("a >=1,<2.0a0", "1.5", "0", true),
            ("a >=1,<2.0a0", "2.0", "0", false),
            ("a 1.*", "1.5", "0", true),
            ("a 1.5 py39_*", "1.5", "py39_0", true),
            ("a 1.5 py39_*", "1.5", "py38_0", false),
            ("a=1.5=0", "1.5", "0", true),
            ("A[version='>1', build_number='>2']", "1.5", "0", true),
        ] {
            let wanted = Wanted::parse(spec).unwrap();
            assert_eq!(wanted.name(), Some("a"));
            let version = Version::from_str(version).unwrap();
            let does = wanted.fits_version(Some(&version)) && wanted.fits_build(build, 3);
            assert_eq!(does, fits, "{spec}");
            assert!(!wanted.is_deep());
        }
        assert!(Wanted::parse("a").unwrap().fits_version(None));
        assert!(!Wanted::parse("a >0").unwrap().fits_version(None));
        assert!(!Wanted::parse("a[build_number=4]").unwrap().fits_build("0", 3));
    }

    #[test]
    fn what_is_refused() {
        let (long, deep) = (format!("a {}", "1".repeat(LONGEST)), format!("a {}1", "(".repeat(100_000)));
        for bad in ["", "*", "a >=", "a [", &long, &deep] {
            assert!(Wanted::parse(bad).is_none(), "{bad:.20}");
        }
    }

    #[test]
    fn the_rest_is_asked_of_the_whole_record() {
        let record =
            br#"{"name":"a","version":"1","build":"0","build_number":0,"subdir":"noarch","license":"MIT"}"#;
        for (spec, fits) in [("a[license=MIT]", true), ("a[license=BSD]", false), ("b[license=MIT]", false)] {
            let wanted = Wanted::parse(spec).unwrap();
            assert!(wanted.is_deep());
            assert_eq!(wanted.fits(record), fits, "{spec}");
        }
        assert!(!Wanted::parse("a[license=MIT]").unwrap().fits(b"{}"));
    }
}
