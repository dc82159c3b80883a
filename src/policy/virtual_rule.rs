//! A channel that is made of others, as rules say it: its members, who comes first, who owns which names, as of when.
//!
//! Belongs here: the compiled rule and questions about one name. Does not: how it is written ([`super::rule`]), merging
//! the members' indexes (`repodata`), finding the members (`snapshot`).

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use sha2::{Digest, Sha256};

use crate::clock::UnixMillis;
use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::channel::ChannelRef;

/// The most members a virtual channel has.
pub const MAX_MEMBERS: usize = 16;
/// How many virtual channels may stand on one another.
pub const MAX_DEPTH: usize = 4;
/// The most patterns one list of names has.
pub const MAX_GLOBS: usize = 256;
/// The longest pattern, in bytes.
pub const MAX_GLOB: usize = 128;

/// Which members' records are shown where several have a package of one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Priority {
    /// Only those of the first member that has any, as conda's `channel_priority: strict`.
    #[default]
    Strict,
    /// Those of all members; of files with one name, the first member's.
    Flexible,
}

/// A channel that is made of others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualRule {
    /// The members, best first; 1 to [`MAX_MEMBERS`] different ones, each placed by a rule.
    pub members: Vec<ChannelRef>,
    /// Who is shown.
    pub priority: Priority,
    /// Names that only the owners answer for; may be empty.
    pub owns: NameGlobs,
    /// Places of the owners in `members`; empty only where `owns` is.
    pub owners: Vec<usize>,
    /// Only what the gate had seen by then is shown.
    pub as_of: Option<UnixMillis>,
}

impl VirtualRule {
    /// Whether the member at this place may answer for packages of this name.
    #[must_use]
    pub fn may_answer(&self, member: usize, name: &str) -> bool {
        self.owners.contains(&member) || !self.owns.contains(name)
    }

    /// Whether the member at this place may answer for this file: neither its name nor the name its record gives itself (where
    /// there is one) belongs to others.
    #[must_use]
    pub fn may_answer_file(&self, member: usize, file: &str, record_name: Option<&str>) -> bool {
        self.owners.contains(&member)
            || (!record_name.is_some_and(|name| self.owns.contains(name)) && !self.owns_file(file))
    }

    /// Whether a file's name begins with a name that is owned.
    fn owns_file(&self, file: &str) -> bool {
        if self.owns.is_empty() {
            return false;
        }
        let Some(archive) = ArchiveName::parse(file) else { return false };
        if archive.kind() == ArchiveKind::Wheel {
            // Wheels write the name up to the first hyphen, with `_` for every `-`, `_` and `.` in it.
            let name = file.split('-').next().unwrap_or(file);
            return self.owns.contains(name) || self.owns.contains(&name.replace('_', "-"));
        }
        archive.parts().is_some_and(|(name, ..)| self.owns.contains(name))
    }

    /// A number made from what decides about the merged index: equal rules and equal members give equal indexes.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let digest: [u8; 32] = Sha256::digest(format!("{self:?}").as_bytes()).into();
        // 53 bits, as the revision of all rules: it stands in JSON.
        u64::from_be_bytes(std::array::from_fn(|i| digest[i])) >> 11
    }
}

/// Patterns over package names: `*`, `?`, `[…]` and `{…}` as in shells. Upper and lower case count as the same, because clients
/// look names up in lower case.
#[derive(Clone, Default)]
pub struct NameGlobs {
    texts: Vec<String>,
    set: GlobSet,
}

impl NameGlobs {
    /// Compiles patterns. Matching takes time in proportion to the name, whatever they are.
    ///
    /// # Errors
    /// The first pattern that is none, and why.
    pub fn new(texts: Vec<String>) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        for text in &texts {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-*?[]{},!^".contains(&b);
            if text.is_empty() || text.len() > MAX_GLOB || !text.bytes().all(plain) {
                return Err("it has characters no package name has, or is longer than 128 bytes".to_owned());
            }
            let glob = GlobBuilder::new(text).case_insensitive(true).build();
            set.add(glob.map_err(|error| error.kind().to_string())?);
        }
        let set = set.build().map_err(|error| error.kind().to_string())?;
        Ok(Self { texts, set })
    }

    /// Whether one of them matches.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.set.is_match(name)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

impl PartialEq for NameGlobs {
    fn eq(&self, other: &Self) -> bool {
        // The set is made from these.
        self.texts == other.texts
    }
}

impl Eq for NameGlobs {}

impl fmt::Debug for NameGlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.texts.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conda::channel::ChannelName;

    fn rule(owns: &[&str]) -> VirtualRule {
        let member = |name| ChannelRef { name: ChannelName::parse(name).unwrap(), label: None };
        VirtualRule {
            members: vec![member("team"), member("conda-forge")],
            priority: Priority::Strict,
            owns: NameGlobs::new(owns.iter().map(|&text| text.to_owned()).collect()).unwrap(),
            owners: vec![0],
            as_of: None,
        }
    }

    #[test]
    fn owned_names_come_from_their_owners_only() {
        let rule = rule(&["acme-*", "in[_-]house"]);
        for name in ["acme-x", "ACME-x", "in-house", "in_house"] {
            assert!(rule.may_answer(0, name) && !rule.may_answer(1, name), "{name}");
        }
        for name in ["acme", "xacme-x", "numpy"] {
            assert!(rule.may_answer(1, name), "{name}");
        }
        for file in ["acme-x-1.0-0.conda", "Acme-x-1.0-0.tar.bz2", "acme_x-1.0-py3-none-any.whl"] {
            assert!(rule.may_answer_file(0, file, None) && !rule.may_answer_file(1, file, None), "{file}");
        }
        assert!(!rule.may_answer_file(1, "harmless-1.0-0.conda", Some("acme-x")));
        assert!(rule.may_answer_file(1, "acme-1.0-0.conda", Some("acme")));
    }

    #[test]
    fn patterns_that_are_none() {
        for bad in ["", "a b", "a/b", "x[", &"x".repeat(200)] {
            assert!(NameGlobs::new(vec![bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn fingerprints_follow_what_decides() {
        let base = rule(&["acme-*"]);
        assert_eq!(base.fingerprint(), rule(&["acme-*"]).fingerprint());
        assert_ne!(base.fingerprint(), rule(&["acme-?"]).fingerprint());
        let frozen = VirtualRule { as_of: Some(UnixMillis(1)), ..base.clone() };
        assert_ne!(base.fingerprint(), frozen.fingerprint());
    }
}
