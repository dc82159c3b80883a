//! Subdirs (platforms): `noarch` or `<os>-<arch>` (CEP 26, CEP 36).

use std::fmt;
use std::sync::Arc;

/// The subdirs clients know (`KNOWN_SUBDIRS` in conda's `base/constants.py`). The grammar alone can't tell a subdir
/// from a channel: `conda-forge` fits it too.
pub const KNOWN: [&str; 20] = [
    "noarch",
    "emscripten-wasm32",
    "wasi-wasm32",
    "freebsd-64",
    "linux-32",
    "linux-64",
    "linux-aarch64",
    "linux-armv6l",
    "linux-armv7l",
    "linux-ppc64",
    "linux-ppc64le",
    "linux-riscv64",
    "linux-s390x",
    "osx-64",
    "osx-arm64",
    "win-32",
    "win-64",
    "win-arm64",
    "zos-z",
    "linux-riscv32",
];

/// A channel's subdirectory, for example `linux-64` or `noarch`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subdir(Arc<str>);

impl Subdir {
    /// `noarch` or `^[a-z0-9]+-[a-z0-9]+$`, at most 32 characters; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::is_valid(text).then(|| Self(text.into()))
    }

    /// Whether [`Subdir::parse`] would accept `text`.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        if text == "noarch" {
            return true;
        }
        let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        text.len() <= 32 && text.split_once('-').is_some_and(|(os, arch)| word(os) && word(arch))
    }

    /// Whether `text` is one of [`KNOWN`].
    #[must_use]
    pub fn is_known(text: &str) -> bool {
        KNOWN.contains(&text)
    }

    /// The `noarch` subdir, which every channel has.
    #[must_use]
    pub fn noarch() -> Self {
        Self("noarch".into())
    }

    /// Whether this is `noarch`.
    #[must_use]
    pub fn is_noarch(&self) -> bool {
        &*self.0 == "noarch"
    }

    /// The name as it stands in URLs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subdir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Subdir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for good in ["noarch", "linux-64", "osx-arm64", "emscripten-wasm32", "zos-z"] {
            assert!(Subdir::is_valid(good), "{good}");
        }
        for bad in ["", "linux", "Linux-64", "linux-64-x", "-64", "linux-", "a-b/", &"a-b".repeat(20)] {
            assert!(!Subdir::is_valid(bad), "{bad}");
        }
    }
}
