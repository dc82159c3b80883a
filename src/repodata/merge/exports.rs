//! `run_exports.json` (CEP 12) of a merged index: from each member's own, for the files that the index has from that member.

use std::sync::Arc;

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::conda::url::Packing;
use crate::repodata::build::Limits;
use crate::repodata::error::BuildError;
use crate::repodata::exports::{Draft, EXPORTS};
use crate::repodata::generation::Generation;
use crate::repodata::read::read_file;
use crate::repodata::scan::{Group, Record, Shape, Sink};
use crate::repodata::store::GenerationStore;

impl GenerationStore {
    /// Makes `run_exports.json` part of a merged generation, in every packing. `members` are the places and generations of the
    /// members that have one.
    ///
    /// # Errors
    /// Trouble with the disk, or a damaged member.
    pub fn attach_merged_exports(
        &self,
        merged: &Generation,
        members: &[(usize, Arc<Generation>)],
        limits: &Limits,
    ) -> Result<(), BuildError> {
        let variants = members.iter().filter_map(|(place, member)| Some((*place, member.variant(EXPORTS)?)));
        let variants: Vec<_> = variants.collect();
        let mut draft = Draft::begin(self, &merged.manifest().subdir)?;
        draft.groups(|draft, group| {
            variants.iter().try_for_each(|(place, variant)| {
                let mut pick = Pick { draft: &mut *draft, merged, group, place: *place };
                read_file(&variant.path, Packing::Json, Shape::Records, limits, &mut pick).map(drop)
            })
        })?;
        let modified_at = variants.iter().map(|(_, variant)| variant.last_modified).max();
        let modified_at = modified_at.unwrap_or(UnixMillis(merged.manifest().built_at));
        draft.attach(self, merged, modified_at, limits)
    }
}

/// Copies the records of one group that the merged index has from one member.
struct Pick<'a> {
    draft: &'a mut Draft,
    merged: &'a Generation,
    group: Group,
    place: usize,
}

impl Sink for Pick<'_> {
    type Error = BuildError;

    fn record(&mut self, record: &Record<'_>) -> Result<(), BuildError> {
        if record.group() != self.group {
            return Ok(());
        }
        // A flawed one was left out when the member's document was made; what came in between is left out here.
        let Ok(good) = record.judge() else { return Ok(()) };
        if self.merged.member_of(&good.file) != Some(self.place) {
            return Ok(());
        }
        self.draft.add(&[Value::from(&*good.file).to_string().as_bytes(), b":", record.value()])
    }
}
