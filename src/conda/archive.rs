//! Package file names: `<name>-<version>-<build>.<ext>` (CEP 26).

use std::fmt;
use std::sync::Arc;

/// The two archive formats of conda packages, and wheels (CEP 48).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ArchiveKind {
    /// `.conda`
    Conda,
    /// `.tar.bz2`
    TarBz2,
    /// `.whl`
    Wheel,
}

impl ArchiveKind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Conda, Self::TarBz2, Self::Wheel];

    /// The kind that a file name ends in.
    #[must_use]
    pub fn of(file: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| file.ends_with(kind.extension()))
    }

    /// The file name's ending, dot included.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Conda => ".conda",
            Self::TarBz2 => ".tar.bz2",
            Self::Wheel => ".whl",
        }
    }
}

/// A package file name that is safe as one path segment, already percent-decoded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveName {
    file: Arc<str>,
    kind: ArchiveKind,
}

impl ArchiveName {
    /// The longest file name accepted, in bytes (CEP 26 allows 211 for conda archives; wheels run longer).
    pub const MAX_LEN: usize = 255;

    /// Parses a decoded file name. Conda archives need three `-`-separated parts; wheels only their ending. Allowed
    /// characters are ASCII letters, digits and `_.-+!~=:@` ; anything else, an over-long name or a missing part is `None`.
    #[must_use]
    pub fn parse(file: &str) -> Option<Self> {
        let kind = ArchiveKind::of(file)?;
        let stem = &file.as_bytes()[..file.len() - kind.extension().len()];
        let safe = |b: &u8| b.is_ascii_alphanumeric() || b"_.-+!~=:@".contains(b);
        let starts_well = stem.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if file.len() > Self::MAX_LEN || !starts_well || !stem.iter().all(safe) {
            return None;
        }
        let name = Self { file: file.into(), kind };
        (kind == ArchiveKind::Wheel || name.parts().is_some()).then_some(name)
    }

    /// The whole file name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.file
    }

    /// Which format the name says it is.
    #[must_use]
    pub const fn kind(&self) -> ArchiveKind {
        self.kind
    }

    /// `(name, version, build)`; `None` for wheels that do not have three parts.
    #[must_use]
    pub fn parts(&self) -> Option<(&str, &str, &str)> {
        split(self.file.strip_suffix(self.kind.extension())?)
    }
}

/// `(name, version, build)` of a file name without its ending.
#[must_use]
pub fn split(stem: &str) -> Option<(&str, &str, &str)> {
    let (rest, build) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    (!name.is_empty() && !version.is_empty() && !build.is_empty()).then_some((name, version, build))
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)
    }
}

impl fmt::Debug for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_from_the_right() {
        let name = ArchiveName::parse("py-rattler-0.28.0-py39h1.conda").unwrap();
        assert_eq!(name.parts(), Some(("py-rattler", "0.28.0", "py39h1")));
        let epoch = ArchiveName::parse("x264-1!164.3095-h166bdaf_2.tar.bz2").unwrap();
        assert_eq!(epoch.parts(), Some(("x264", "1!164.3095", "h166bdaf_2")));
    }

    #[test]
    fn refuses_what_is_not_a_package() {
        let long = format!("a-1-{}.conda", "x".repeat(300));
        for bad in [
            "",
            ".conda",
            "a-1.conda",
            "a--b.conda",
            "../a-1-0.conda",
            "a/b-1-0.conda",
            "a-1-0.zip",
            "é-1-0.conda",
            &long,
        ] {
            assert_eq!(ArchiveName::parse(bad), None, "{bad}");
        }
    }
}
