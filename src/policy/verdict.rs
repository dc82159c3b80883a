//! What rules may look at in a record, and what they can say about it: the vocabulary between rules and indexes.
//!
//! Belongs here: plain values and the [`Judge`] seam. Does not: how a rule is written or matched, how a decision is
//! carried out (`repodata`, `delivery`).

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::judge::explain::Explained;
use super::node::At;
use crate::clock::UnixMillis;
use crate::conda::digest::{Md5, Sha256};

/// One record of an index, as rules see it. What a record lacks, or has in another type, is absent.
#[derive(Clone, Debug, Default)]
pub struct Subject<'a> {
    /// The source channel under the name rules use, label excluded: `conda-forge`.
    pub channel: &'a str,
    /// `linux-64`
    pub subdir: &'a str,
    /// File name.
    pub file: &'a str,
    /// Package name; from the file name where the record has none.
    pub name: Option<Cow<'a, str>>,
    /// `version`
    pub version: Option<Cow<'a, str>>,
    /// `build`, the build string.
    pub build: Option<Cow<'a, str>>,
    /// `build_number`
    pub build_number: Option<u64>,
    /// `license`: an SPDX expression in good records, any text in others.
    pub license: Option<Cow<'a, str>>,
    /// `license_family`
    pub license_family: Option<Cow<'a, str>>,
    /// Bytes.
    pub size: Option<u64>,
    /// Digest of the file.
    pub sha256: Option<Sha256>,
    /// Digest of the file.
    pub md5: Option<Md5>,
    /// `depends`, as written.
    pub depends: Vec<Cow<'a, str>>,
    /// When the gate first saw this file in this channel; `None` for a file that no index lists.
    pub first_seen: Option<UnixMillis>,
    /// Whether the index lists the file under `removed` only.
    pub removed: bool,
}

/// A rule as people are told about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleRef {
    /// `id` of the rule; unique in one set of rules.
    pub id: String,
    /// File and line; only for those who may see the gate's insides.
    pub at: At,
    /// `reason`, for everybody.
    pub reason: Option<String>,
}

/// What becomes of a record.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Verdict {
    /// It is shown and its file is served.
    #[default]
    Show,
    /// It stands in no index; its file is refused unless `keep_download`.
    Hide {
        /// Who says so.
        rule: Arc<RuleRef>,
        /// The file stays downloadable (lock files).
        keep_download: bool,
    },
    /// It stands in no index and its file is refused, also one that no index lists and one that is cached already.
    Deny {
        /// Who says so.
        rule: Arc<RuleRef>,
    },
}

impl Verdict {
    /// Whether indexes list the record.
    #[must_use]
    pub const fn listed(&self) -> bool {
        matches!(self, Self::Show)
    }

    /// The rule that refuses the file, if one does.
    #[must_use]
    pub const fn refuses_file(&self) -> Option<&Arc<RuleRef>> {
        match self {
            Self::Deny { rule } | Self::Hide { rule, keep_download: false } => Some(rule),
            Self::Show | Self::Hide { keep_download: true, .. } => None,
        }
    }
}

/// Changes to a record, in the manner of conda's repodata patches.
#[derive(Clone, PartialEq, Debug)]
pub struct Patch {
    /// Who says so.
    pub rule: Arc<RuleRef>,
    /// Fields to replace; `null` takes a field out. Never `name`, `version`, `build`, `build_number`, digests, `size`, `url`, `fn`.
    pub set: Map<String, Value>,
    /// Put behind the others unless there already.
    pub add_depends: Vec<String>,
    /// Taken out where an entry is exactly this, or names this package alone.
    pub remove_depends: Vec<String>,
    /// As for `depends`.
    pub add_constrains: Vec<String>,
    /// As for `depends`.
    pub remove_constrains: Vec<String>,
}

/// What the rules say about one record at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Decision {
    /// What becomes of it.
    pub verdict: Verdict,
    /// When time alone changes the verdict (a cooldown ends): the record must be judged again then.
    pub until: Option<UnixMillis>,
    /// In the order in which they are applied; only of use for a record that is shown.
    pub patches: Vec<Arc<Patch>>,
    /// Rules on trial (`dry_run: true`) that would have hidden, denied or changed it.
    pub trial: Vec<Arc<RuleRef>>,
}

/// Judges the records of one channel. A judge is a pure function of the rules it was made from.
pub trait Judge: Send + Sync {
    /// Whether no rule can ever touch a record of this channel and subdir: then nobody needs to ask.
    fn is_idle(&self) -> bool;

    /// Whether any rule goes by digests: then a file is to be judged by the digest of its bytes, too.
    fn asks_digest(&self) -> bool;

    /// What the rules say about `subject` at `now`.
    fn decide(&self, subject: &Subject<'_>, now: UnixMillis) -> Decision;

    /// A number made from the rules that this judge asks: equal numbers, equal decisions.
    fn revision(&self) -> u64;

    /// The rule that might refuse a file that no index lists, if more were known of it than `subject` says: its license, its
    /// size. `None` when what is known decides.
    fn undecidable(&self, subject: &Subject<'_>, now: UnixMillis) -> Option<Arc<RuleRef>>;

    /// Every rule that matches a record, or is kept from it by its `unless`, in order.
    fn explain(&self, subject: &Subject<'_>, now: UnixMillis) -> Vec<Explained>;
}

/// A judge without rules: everything is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lenient;

impl Judge for Lenient {
    fn is_idle(&self) -> bool {
        true
    }

    fn asks_digest(&self) -> bool {
        false
    }

    fn decide(&self, _: &Subject<'_>, _: UnixMillis) -> Decision {
        Decision::default()
    }

    fn revision(&self) -> u64 {
        0
    }

    fn undecidable(&self, _: &Subject<'_>, _: UnixMillis) -> Option<Arc<RuleRef>> {
        None
    }

    fn explain(&self, _: &Subject<'_>, _: UnixMillis) -> Vec<Explained> {
        Vec::new()
    }
}
