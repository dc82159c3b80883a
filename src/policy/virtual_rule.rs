//! A channel that is made of others, as rules say it: its members, who comes first, who owns which names, as of when.
//!
//! Belongs here: the compiled rule and questions about one name. Does not: how it is written ([`super::rule`]), merging
//! the members' indexes (`repodata`), finding the members (`snapshot`).

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use sha2::{Digest, Sha256};

use super::lookalike;
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
    /// What hosted channels among the members own, directly or through another virtual channel. The rules alone don't know these: a
    /// hosted channel may be made in the store.
    pub claims: Vec<Claim>,
}

/// Names that belong to some members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Of packages.
    pub names: NameGlobs,
    /// Places of the owners among the members.
    pub owners: Vec<usize>,
}

impl VirtualRule {
    /// Whether any name belongs to somebody.
    #[must_use]
    pub fn has_owners(&self) -> bool {
        self.ownership().any(|(names, _)| !names.is_empty())
    }

    /// Names and the places of their owners: what the rule says itself, then what members claim.
    fn ownership(&self) -> impl Iterator<Item = (&NameGlobs, &[usize])> {
        let claims = self.claims.iter().map(|claim| (&claim.names, claim.owners.as_slice()));
        std::iter::once((&self.owns, self.owners.as_slice())).chain(claims)
    }

    /// Whether nobody else owns any of these spellings of a name. One that several own is answered for by each of them; one that nobody owns,
    /// and that looks like an owned one, is answered for by the owners of that.
    fn may(&self, member: usize, spellings: &[&str]) -> bool {
        let may = |owned: fn(&NameGlobs, &str) -> bool| {
            self.claimed(member, |names| spellings.iter().any(|name| owned(names, name)))
        };
        may(NameGlobs::contains).or_else(|| may(NameGlobs::has_like)).unwrap_or(true)
    }

    /// Whether the member is among the owners of what `is_owned` finds; `None` where nobody owns it.
    fn claimed(&self, member: usize, is_owned: impl Fn(&NameGlobs) -> bool) -> Option<bool> {
        let mut claimed = false;
        for (_, owners) in self.ownership().filter(|(names, _)| is_owned(names)) {
            if owners.contains(&member) {
                return Some(true);
            }
            claimed = true;
        }
        claimed.then_some(false)
    }

    /// Whether the member at this place may answer for packages of this name.
    #[must_use]
    pub fn may_answer(&self, member: usize, name: &str) -> bool {
        self.may(member, &[name])
    }

    /// Whether the member at this place may answer for this file: neither its name nor the name its record gives itself (where
    /// there is one) belongs to others.
    #[must_use]
    pub fn may_answer_file(&self, member: usize, file: &str, record_name: Option<&str>) -> bool {
        record_name.is_none_or(|name| self.may_answer(member, name)) && self.may_answer_named(member, file)
    }

    /// The same by the name that the file's name begins with.
    fn may_answer_named(&self, member: usize, file: &str) -> bool {
        if !self.has_owners() {
            return true;
        }
        let Some(archive) = ArchiveName::parse(file) else { return true };
        if archive.kind() == ArchiveKind::Wheel {
            // Wheels write the name up to the first hyphen, with `_` for every `-`, `_` and `.` in it.
            let name = file.split('-').next().unwrap_or(file);
            let hyphened = name.replace('_', "-");
            return self.may(member, &[name, &hyphened]);
        }
        archive.parts().is_none_or(|(name, ..)| self.may_answer(member, name))
    }

    /// Whether nobody owns a name, and it looks like one that somebody does.
    #[must_use]
    pub fn is_lookalike(&self, name: &str) -> bool {
        let any = |is: fn(&NameGlobs, &str) -> bool| self.ownership().any(|(names, _)| is(names, name));
        !any(NameGlobs::contains) && any(NameGlobs::has_like)
    }

    /// The places of those who own a name, or the name that it looks like; nobody where it is anybody's.
    #[must_use]
    pub fn owners_of(&self, name: &str) -> Vec<usize> {
        let is_like = self.is_lookalike(name);
        let is_owned = |names: &NameGlobs| if is_like { names.has_like(name) } else { names.contains(name) };
        let owned = self.ownership().filter(|(names, _)| is_owned(names));
        let mut owners: Vec<_> = owned.flat_map(|(_, owners)| owners.iter().copied()).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
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
    /// The same over folded names.
    folded: GlobSet,
}

impl NameGlobs {
    /// Compiles patterns. Matching takes time in proportion to the name, whatever they are.
    ///
    /// # Errors
    /// The first pattern that is none, and why.
    pub fn new(texts: Vec<String>) -> Result<Self, String> {
        let (mut set, mut folded) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for text in &texts {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-*?[]{},!^".contains(&b);
            if text.is_empty() || text.len() > MAX_GLOB || !text.bytes().all(plain) {
                return Err("it has characters no package name has, or is longer than 128 bytes".to_owned());
            }
            let glob = GlobBuilder::new(text).case_insensitive(true).build();
            set.add(glob.map_err(|error| error.kind().to_string())?);
            if let Some(glob) =
                lookalike::fold_glob(text).and_then(|folded| GlobBuilder::new(&folded).build().ok())
            {
                folded.add(glob);
            }
        }
        let set = set.build().map_err(|error| error.kind().to_string())?;
        let folded = folded.build().map_err(|error| error.kind().to_string())?;
        Ok(Self { texts, set, folded })
    }

    /// Whether a name that none of them matches looks like one that they do (`policy::lookalike`).
    #[must_use]
    pub fn has_like(&self, name: &str) -> bool {
        !self.folded.is_empty() && !self.contains(name) && self.folded.is_match(lookalike::fold(name))
    }

    /// The pattern that a name looks like without being matched by any.
    #[must_use]
    pub fn like(&self, name: &str) -> Option<&str> {
        let is_like = |text: &&String| Self::new(vec![(*text).clone()]).is_ok_and(|one| one.has_like(name));
        self.has_like(name).then(|| self.texts.iter().find(is_like)).flatten().map(String::as_str)
    }

    /// Whether one of them matches.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.set.is_match(name)
    }

    /// As they are written.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
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
            claims: Vec::new(),
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
    fn what_hosted_members_claim_adds_up() {
        let globs = |text: &str| NameGlobs::new(vec![text.to_owned()]).unwrap();
        let claim = |text: &str, owners: &[usize]| Claim { names: globs(text), owners: owners.to_vec() };
        let claims = vec![claim("team-*", &[1]), claim("*-x", &[2])];
        let rule = VirtualRule { claims, ..rule(&["acme-*"]) };
        let answers = |name: &str| (0..4).filter(|at| rule.may_answer(*at, name)).collect::<Vec<_>>();
        assert_eq!(answers("acme-a"), [0]);
        assert_eq!(answers("team-a"), [1]);
        assert_eq!((answers("team-x"), rule.owners_of("team-x")), (vec![1, 2], vec![1, 2]));
        assert_eq!((answers("numpy"), rule.owners_of("numpy")), (vec![0, 1, 2, 3], vec![]));
        assert!(!rule.may_answer_file(0, "numpy-1-0.conda", Some("team-a")));
        assert!(!rule.may_answer_file(1, "team-a-1-0.conda", Some("acme-a")));
        assert!(rule.may_answer_file(1, "team_a-1-py3-none-any.whl", None));
        assert!(!rule.may_answer_file(3, "team_a-1-py3-none-any.whl", None));
        assert!(rule.has_owners() && !super::tests::rule(&[]).has_owners());
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
