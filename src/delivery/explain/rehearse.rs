//! What other rules would change about the packages that are here: tried on every index, carried out on none.
//!
//! Belongs here: judging each record twice and telling the differences. Does not: reading the other rules (`config`), virtual channels,
//! which show what their members show.

use std::sync::Arc;

use serde::Serialize;

use super::values::deciding;
use super::{ExplainError, Explainer, OwnAddress};
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::delivery::Delivery;
use crate::policy::AudienceSet;
use crate::policy::access::Caller;
use crate::policy::verdict::{Judge, Subject, Verdict};
use crate::snapshot::{Channel, Place, View};

/// Changes that are told one by one.
const TOLD: usize = 200;
/// Records that are judged at most; each costs a read.
const MOST: u64 = 2_000_000;

/// What would change.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Rehearsal {
    /// Indexes that the difference between the rules is about.
    pub indexes: u64,
    /// Records that were judged.
    pub records: u64,
    /// Whether all were; there are so many that the rest was left out.
    pub complete: bool,
    /// Files that are shown and would not be.
    pub disappear: u64,
    /// Files that are not shown and would be.
    pub appear: u64,
    /// Files that can be downloaded, shown or not, and could not be any more.
    pub refused: u64,
    /// Channels with an index here for which nobody would answer.
    pub channels_lost: Vec<String>,
    /// The first of the files, in the order of channels, subdirs and names.
    pub changes: Vec<Change>,
}

/// A file of which other things would be said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct Change {
    /// As rules name it.
    pub channel: String,
    /// `linux-64`
    pub subdir: String,
    /// File name.
    pub file: String,
    /// `shown`, `hidden` (lock files still get it) or `refused`
    pub now: &'static str,
    /// The same, under the other rules.
    pub then: &'static str,
    /// The rule that would decide; the one that decides now, where none would.
    pub rule: Option<String>,
    /// What it says.
    pub sentence: Option<String>,
}

impl Delivery {
    /// What `then` would change, for strangers.
    ///
    /// # Errors
    /// The disk is in trouble.
    pub async fn rehearse(&self, now: Arc<View>, then: Arc<View>) -> Result<Rehearsal, ExplainError> {
        let (store, moment) = (Arc::clone(&self.inner.generations), self.inner.clock.now());
        let work = move || {
            let own = OwnAddress::default();
            let strangers = |view: &View| view.rules().policy().audience_of(&Caller::ANONYMOUS);
            let audience: AudienceSet = strangers(&now);
            let explainer = Explainer { view: &now, store: &store, own: &own, now: moment, audience };
            explainer.rehearse(&then, strangers(&then))
        };
        self.inner.runtime.spawn_blocking(work).await.unwrap_or(Err(ExplainError::Inside))
    }
}

/// What two sets of rules say of one index.
struct Both<'a> {
    channel: &'a Channel,
    subdir: &'a Subdir,
    old: &'a dyn Judge,
    new: &'a dyn Judge,
}

const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Show => "shown",
        Verdict::Hide { keep_download: true, .. } => "hidden",
        Verdict::Hide { .. } | Verdict::Deny { .. } => "refused",
    }
}

impl Explainer<'_> {
    fn rehearse(&self, then: &View, audience: AudienceSet) -> Result<Rehearsal, ExplainError> {
        let mut found = Rehearsal { complete: true, ..Rehearsal::default() };
        let mut here = self.channels_here();
        here.sort_by_key(|(asked, _)| asked.to_string());
        for (asked, place) in here {
            let Place::Source(channel) = &place else { continue };
            let place = then.place(&asked.name).map(|place| place.for_audience(audience));
            let Some(Place::Source(later)) = place else {
                found.channels_lost.push(asked.to_string());
                continue;
            };
            for subdir in self.subdirs(&Place::Source(Arc::clone(channel)), &asked) {
                let (old, new) = (channel.judge(&subdir), later.judge(&subdir));
                if old.revision() != new.revision() {
                    let both = Both { channel, subdir: &subdir, old: &*old, new: &*new };
                    self.compare(&asked, &both, &mut found)?;
                }
            }
        }
        Ok(found)
    }

    fn compare(
        &self,
        asked: &ChannelRef,
        both: &Both<'_>,
        found: &mut Rehearsal,
    ) -> Result<(), ExplainError> {
        let Some(generation) = self.store.look(&both.channel.stored_as(asked), both.subdir) else {
            return Ok(());
        };
        found.indexes += 1;
        for entry in generation.table().iter() {
            if entry.standing.departed || entry.standing.removed {
                continue;
            }
            if found.records == MOST {
                found.complete = false;
                return Ok(());
            }
            found.records += 1;
            let known = generation.known(&entry)?;
            let change = known.with_subject(both.channel.source(), both.subdir.as_str(), |subject| {
                self.change(asked, both, subject)
            });
            found.count(change);
        }
        Ok(())
    }

    fn change(&self, asked: &ChannelRef, both: &Both<'_>, subject: &Subject<'_>) -> Option<Change> {
        let old = both.old.decide(subject, self.now).verdict;
        let new = both.new.decide(subject, self.now).verdict;
        let (now, then) = (word(&old), word(&new));
        if now == then {
            return None;
        }
        let judge = if new.listed() { both.old } else { both.new };
        let said = judge.explain(subject, self.now);
        let by = deciding(&said);
        Some(Change {
            channel: asked.to_string(),
            subdir: both.subdir.to_string(),
            file: subject.file.to_owned(),
            now,
            then,
            rule: by.map(|by| by.rule.id.clone()),
            sentence: by.map(|by| by.sentence.clone()),
        })
    }
}

impl Rehearsal {
    fn count(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        match (change.now, change.then) {
            ("shown", _) => self.disappear += 1,
            (_, "shown") => self.appear += 1,
            _ => {}
        }
        if change.then == "refused" {
            self.refused += 1;
        }
        if self.changes.len() < TOLD {
            self.changes.push(change);
        }
    }
}
