//! Where everything lies below the package directory.
//!
//! Belongs here: names and paths. Does not: touching them.

use std::path::{Path, PathBuf};

use sha2::Digest;

use crate::conda::digest::Sha256;

/// Paths below the package directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Held locked for as long as a process uses the directory.
    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("cache.db")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    /// `blobs/sha256/ab/abcd…`.
    pub(super) fn blob(&self, digest: &Sha256) -> PathBuf {
        let hex = digest.to_hex();
        let mut path = self.blobs();
        path.push(&hex[..2]);
        path.push(hex);
        path
    }

    pub(super) fn hosted_root(&self) -> PathBuf {
        self.root.join("hosted").join("sha256")
    }

    /// `hosted/sha256/ab/abcd…`.
    pub(super) fn hosted(&self, digest: &Sha256) -> PathBuf {
        let hex = digest.to_hex();
        let mut path = self.hosted_root();
        path.push(&hex[..2]);
        path.push(hex);
        path
    }

    pub(super) fn contents(&self) -> PathBuf {
        self.root.join("hosted").join("contents.db")
    }

    /// On the same volume as both: files are moved and linked.
    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join("hosted").join("incoming")
    }

    /// On the same volume, too.
    pub(super) fn staged(&self) -> PathBuf {
        self.root.join("hosted").join("staged")
    }

    pub(super) fn partials(&self) -> PathBuf {
        self.root.join("partial")
    }

    /// The file a fill of `key` writes; the name says nothing about the key, which may be long or odd.
    pub(super) fn partial(&self, key: &str) -> PathBuf {
        let digest = Sha256(sha2::Sha256::digest(key.as_bytes()).into());
        self.partials().join(format!("{digest}.part"))
    }

    pub(super) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }
}

/// The state file beside a partial file.
pub(super) fn sidecar(partial: &Path) -> PathBuf {
    partial.with_extension("state")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let layout = Layout::new("/p".into());
        let digest = Sha256([0xab; 32]);
        assert_eq!(layout.blob(&digest), Path::new(&format!("/p/blobs/sha256/ab/{}", "ab".repeat(32))));
        let partial = layout.partial("../../etc/passwd");
        assert_eq!(partial.parent(), Some(Path::new("/p/partial")));
        assert_eq!(sidecar(Path::new("/p/partial/x.part")), Path::new("/p/partial/x.state"));
    }
}
