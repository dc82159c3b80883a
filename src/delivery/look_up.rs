//! What is known of a package file: from the index in force, else from a shard, else from an index that is fetched for it.
//!
//! Belongs here: where a file's record is found. Does not: what becomes of the file then (`packages`), what rules say of it (`rulings`).

use std::sync::Arc;

use super::indexes::refusal_of;
use super::packages::{Last, PackageAsk};
use super::rulings::must_be_listed;
use super::{Delivery, Refusal};
use crate::cache::Fill;
use crate::conda::digest::Expected;
use crate::policy::Unlisted;
use crate::repodata::generation::Generation;
use crate::repodata::judging::KnownFile;
use crate::repodata::table::Entry;

impl Delivery {
    /// What the generation in force knows of a file, the rules having nothing against its record, if it has one.
    ///
    /// # Errors
    /// As [`Delivery::rule_listed`].
    pub(super) async fn last_of(&self, ask: &PackageAsk) -> Result<Last, Refusal> {
        let PackageAsk { channel, asked, subdir, archive } = ask;
        let current = self.trusted(&(channel.stored_as(asked), subdir.clone())).await;
        let Some(generation) = current else { return Ok(Last::default()) };
        let entry = generation.find(archive.as_str()).map_err(|error| refusal_of(&error))?;
        let Some(entry) = entry else { return Ok(Last::default()) };
        let last = Last::of(&entry);
        if last.has_record {
            self.rule_entry(ask.wanted(), &generation, &entry).await?;
        }
        Ok(last)
    }

    /// Finds the digest of a download that is under way: from a shard, else from a generation.
    pub(super) async fn find_digest(&self, ask: &PackageAsk, fill: &Fill) {
        let found = self.look_up_or_doubt(ask).await;
        match found {
            Ok(Some(expected)) if expected.has_digest() => fill.learn(expected),
            Ok(found) => fill.learn_none(found.and_then(|expected| expected.size)),
            Err(Refusal::Rule { rule, message, .. }) => fill.refuse(&rule, message),
            Err(refusal) => fill.unverifiable(format!(
                "no index of `{}/{}` could be had to verify `{}` against: {refusal}",
                ask.asked, ask.subdir, ask.archive
            )),
        }
    }

    /// The same as [`Delivery::look_up`]; where no index lists the file, only if neither rules nor the channel's `unlisted` refuse it.
    async fn look_up_or_doubt(&self, ask: &PackageAsk) -> Result<Option<Expected>, Refusal> {
        if let Some(expected) = self.look_up(ask).await? {
            return Ok(Some(expected));
        }
        let last = self.last_of(ask).await?;
        if !last.has_record {
            let unknown = KnownFile::unlisted(ask.archive.as_str(), Expected::default(), last.removed);
            self.rule_unlisted(ask.wanted(), &unknown)?;
        }
        if ask.channel.unlisted == Unlisted::Deny && !last.has_record {
            return Err(must_be_listed(ask.wanted()));
        }
        Ok(Some(last.expected).filter(Expected::has_digest))
    }

    /// The record of a package, asking upstream for a shard or the whole index where memory does not know it.
    ///
    /// # Errors
    /// [`Refusal::Rule`] where a rule refuses the file; else why no index could be had.
    pub(super) async fn look_up(&self, ask: &PackageAsk) -> Result<Option<Expected>, Refusal> {
        let PackageAsk { channel, asked, subdir, archive } = ask;
        let judged = |known: &KnownFile| self.rule_known(ask.wanted(), known).map(|()| Some(known.expected));
        if let Some(generation) = self.trusted(&(channel.stored_as(asked), subdir.clone())).await
            && let Some(expected) = self.listed_by(ask, &generation).await?
        {
            return Ok(Some(expected));
        }
        if let Some(known) = self.shard_memo(channel, asked, subdir, archive) {
            return judged(&known);
        }
        match self.known_from_shard(channel, asked, subdir, archive).await {
            Ok(Some(known)) => return judged(&known),
            // Without shards, or with shards that do not list it, the whole index has the last word.
            Ok(None) | Err(Refusal::NotFound(_)) => {}
            Err(refusal) => tracing::debug!(%refusal, "no shard could be had; asking for the whole index"),
        }
        match self.refresh(channel, asked, subdir).await {
            Ok(generation) => self.listed_by(ask, &generation).await,
            Err(Refusal::NotFound(_)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// What a generation promises of a file that it lists and no rule refuses.
    async fn listed_by(
        &self,
        ask: &PackageAsk,
        generation: &Arc<Generation>,
    ) -> Result<Option<Expected>, Refusal> {
        let entry = generation.find(ask.archive.as_str()).map_err(|error| refusal_of(&error))?;
        let Some(entry) = entry.filter(is_listed) else { return Ok(None) };
        self.rule_entry(ask.wanted(), generation, &entry).await?;
        Ok(Some(entry.expected))
    }
}

/// Whether upstream's index has it, shown or not.
pub(super) const fn is_listed(entry: &Entry<'_>) -> bool {
    !entry.standing.departed && entry.has_record()
}
