//! Which paths a package has had so far: each only once, and none below a file or a link.
//!
//! Only digests of the paths are kept, under keys of this process: 24 bytes a path, so memory follows their number (which is limited)
//! and not their length.
//!
//! Belongs here: paths against each other. Does not: a path for itself (`path`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::error::MemberFlaw;

/// What lies at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A directory.
    Dir,
    /// A file with contents of its own, or a hard link to one.
    File,
    /// A symbolic link.
    Symlink,
}

/// See the module.
pub(super) struct Seen {
    keys: [ahash::RandomState; 2],
    paths: HashMap<[u64; 2], Kind, ahash::RandomState>,
    /// The directory of the last path: the next one is often in it too.
    parent: String,
}

impl Seen {
    /// Nothing yet.
    pub fn new() -> Self {
        let keys = [ahash::RandomState::new(), ahash::RandomState::new()];
        Self { keys, paths: HashMap::default(), parent: String::new() }
    }

    /// Adds a clean path, and the directories it lies in. Directories may come again.
    pub fn add(&mut self, path: &str, kind: Kind) -> Result<(), MemberFlaw> {
        self.imply(path)?;
        match self.paths.entry(Self::digest(&self.keys, path)) {
            Entry::Vacant(place) => {
                place.insert(kind);
                Ok(())
            }
            Entry::Occupied(place) => match (*place.get(), kind) {
                (Kind::Dir, Kind::Dir) => Ok(()),
                (Kind::Dir, _) => Err(MemberFlaw::BelowFile),
                _ => Err(MemberFlaw::Twice),
            },
        }
    }

    /// How many paths there are, directories included.
    pub fn len(&self) -> u64 {
        self.paths.len() as u64
    }

    /// What lies at a clean path.
    pub fn get(&self, path: &str) -> Option<Kind> {
        self.paths.get(&Self::digest(&self.keys, path)).copied()
    }

    fn imply(&mut self, path: &str) -> Result<(), MemberFlaw> {
        let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
        if parent == self.parent {
            return Ok(());
        }
        let ends = parent.match_indices('/').map(|(at, _)| at).chain([parent.len()]);
        for end in ends {
            let kind = self.paths.entry(Self::digest(&self.keys, &parent[..end])).or_insert(Kind::Dir);
            if *kind != Kind::Dir {
                return Err(MemberFlaw::BelowFile);
            }
        }
        parent.clone_into(&mut self.parent);
        Ok(())
    }

    fn digest(keys: &[ahash::RandomState; 2], path: &str) -> [u64; 2] {
        [keys[0].hash_one(path), keys[1].hash_one(path)]
    }
}
