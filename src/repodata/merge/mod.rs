//! One index out of several: the generation of a virtual channel, built from the generations of its members.
//!
//! Belongs here: which member's records are shown (`choose`), putting them together (`document`, `exports`). Does not: finding the
//! members' generations, and when to do it again (`delivery`).
//!
//! Members are read through their package tables: the tables are mapped, and records are copied one by one from the members'
//! `repodata.json`. What stays in memory is one byte of choice for each record, the package names (strict priority only) and the
//! entries of the new table.
//!
//! The same members and the same rule give the same bytes: records are sorted by file name in each group.

mod choose;
mod document;
mod exports;
mod records;

use std::path::Path;
use std::sync::Arc;

use sha2::Digest as _;

use super::build::{self, Built, Head, Limits, Made, Staging};
use super::error::BuildError;
use super::files::Written;
use super::generation::Generation;
use super::manifest::{Judged, Report, Source};
use super::names::TABLE;
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::policy::VirtualRule;
use choose::Choice;
use records::Records;

/// One member's part in a merge.
#[derive(Clone, Debug)]
pub struct MergeMember {
    /// Its place in the rule.
    pub place: usize,
    /// Under which name its generations are kept.
    pub stored: ChannelRef,
    /// Its index of this subdir; `None` when it has no such subdir.
    pub generation: Option<Arc<Generation>>,
}

/// What a merged generation is to be built from.
#[derive(Clone, Copy, Debug)]
pub struct MergeInput<'a> {
    /// Under which name the virtual channel's generations are kept.
    pub channel: &'a ChannelRef,
    /// Which subdir.
    pub subdir: &'a Subdir,
    /// What the rules say of the channel.
    pub rule: &'a VirtualRule,
    /// All members, in the order of the rule.
    pub members: &'a [MergeMember],
    /// The merged generation in force, whose parts may be used again.
    pub before: Option<&'a Generation>,
    /// When this happens.
    pub now: UnixMillis,
    /// What is too much.
    pub limits: Limits,
    /// Where to work: [`GenerationStore::staging`](super::store::GenerationStore::staging).
    pub out_dir: &'a Path,
}

/// What a merged generation is made from, as one digest: equal digests mean that there is nothing to do. `members` are the
/// stored names and generation ids in the order of the rule, `fingerprint` is the rule's.
pub fn source_digest<'a>(
    fingerprint: u64,
    members: impl Iterator<Item = (&'a ChannelRef, Option<&'a str>)>,
) -> Sha256 {
    let mut hasher = sha2::Sha256::new();
    hasher.update(b"condagate merge 1");
    hasher.update(fingerprint.to_le_bytes());
    for (stored, id) in members {
        // Neither names nor ids have a line break.
        hasher.update(stored.path().as_bytes());
        hasher.update(b"\n");
        hasher.update(id.unwrap_or("-").as_bytes());
        hasher.update(b"\n");
    }
    Sha256(hasher.finalize().into())
}

/// Builds the merged generation. Without any member that has the subdir it is an empty index.
///
/// # Errors
/// Trouble with the disk, a damaged member, or more records than the limit.
pub fn merge(input: &MergeInput<'_>) -> Result<Built, BuildError> {
    let staging = Staging::create(input.out_dir)?;
    let present: Vec<_> = input
        .members
        .iter()
        .filter_map(|member| Records::open(member).transpose())
        .collect::<Result<_, _>>()?;
    let choice = Choice::make(&present, input.rule)?;
    let done = document::write(staging.path(), input, &present, &choice)?;
    let modified_at = present.iter().map(Records::modified_at).max().unwrap_or(input.now);
    let mut made = Made::new(staging.path(), modified_at);
    let json_len = done.written.json.len;
    made.add_out(done.written)?;
    made.add(TABLE, Written { len: done.table.len, sha256: done.table.sha256 });
    made.pack("repodata.json", json_len, None, input.limits.bz2)?;
    let report = Report {
        records: done.table.entries as u64,
        files: done.table.entries as u64,
        edited: true,
        removed_at: Some(done.removed_at),
        ..Report::default()
    };
    let head = Head {
        channel: input.channel,
        subdir: input.subdir,
        now: input.now,
        rules_revision: input.rule.fingerprint(),
    };
    let files = made.files;
    // Read from end to end, and nothing has changed meanwhile.
    for member in &present {
        member.check_unchanged()?;
    }
    build::finish(staging, &head, Some(source(input)), report, Judged::default(), files)
}

fn source(input: &MergeInput<'_>) -> Source {
    let id = |member: &MergeMember| member.generation.as_ref().map(|g| g.id().to_owned());
    let ids: Vec<_> = input.members.iter().map(|member| (&member.stored, id(member))).collect();
    let digest =
        source_digest(input.rule.fingerprint(), ids.iter().map(|(stored, id)| (*stored, id.as_deref())));
    Source {
        packing: "members".to_owned(),
        sha256: Some(digest.to_hex()),
        members: ids.iter().filter_map(|(stored, id)| Some(format!("{stored}@{}", id.as_ref()?))).collect(),
        ..Source::default()
    }
}

/// The document that records are read from.
const JSON: IndexFile = IndexFile::Repodata(Packing::Json);
