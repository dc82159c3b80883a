//! What rules say of a file that somebody wants to download: at the moment of asking, whatever the index in force was built under.
//!
//! Belongs here: when the package table's word is enough, asking the rules where it is not, the sentence of a refusal. Does not: what
//! rules are (`policy`), which bytes are delivered (`packages`).

use std::sync::Arc;
use std::time::Duration;

use super::refusal::UNLISTED;
use super::{Delivery, Refusal};
use crate::clock::UnixMillis;
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::policy::Unlisted;
use crate::policy::notices::rfc3339;
use crate::policy::verdict::{Decision, Judge, RuleRef, Subject, Verdict};
use crate::repodata::generation::Generation;
use crate::repodata::judging::KnownFile;
use crate::repodata::outline::Timing;
use crate::repodata::table::{Entry, Stance};
use crate::snapshot::Channel;

/// How often an index is built again at most because time has changed what rules say of it.
const TURNS_EVERY: Duration = Duration::from_mins(10);

/// What was decided about files of generations, for those that are asked again: generation, file, revision of the rules.
pub(super) type Rulings = moka::sync::Cache<(Arc<str>, ArchiveName, u64), Ruled>;

/// A decision that was made at a request.
#[derive(Clone)]
pub(super) struct Ruled {
    refusal: Option<Refusal>,
    until: Option<UnixMillis>,
}

/// One file, as somebody asks for it.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) channel: &'a Channel,
    pub(super) asked: &'a ChannelRef,
    pub(super) subdir: &'a Subdir,
    pub(super) archive: &'a ArchiveName,
}

impl Wanted<'_> {
    pub(super) fn place(&self) -> String {
        format!("`{}` of `{}/{}`", self.archive, self.asked, self.subdir)
    }
}

impl Delivery {
    /// Whether a generation says what the rules say now.
    pub(super) fn is_ruled(&self, channel: &Channel, subdir: &Subdir, generation: &Generation) -> bool {
        is_ruled(channel, subdir, generation, self.inner.clock.now())
    }

    /// Whether a generation has to be built again for the rules' sake. What the clock alone changes waits for a while after the last
    /// build: in a busy channel something turns at every moment.
    pub(super) fn is_due(&self, channel: &Channel, subdir: &Subdir, built: Timing) -> bool {
        let now = self.inner.clock.now();
        let rests = || now.since(built.built_at) < channel.ttl.min(TURNS_EVERY);
        built.rules_revision != channel.rules_revision(subdir) || (has_turned(built, now) && !rests())
    }

    /// What the package table's word on a file is worth at this moment; `None`: the rules have to be asked. Never waits.
    pub(super) fn stance_now(
        &self,
        channel: &Channel,
        subdir: &Subdir,
        generation: &Generation,
        entry: &Entry<'_>,
    ) -> Option<Stance> {
        if channel.is_unruled() {
            return Some(Stance::Open);
        }
        let judge = channel.judge(subdir);
        if judge.is_idle() {
            return Some(Stance::Open);
        }
        let standing = &entry.standing;
        let holds = standing.until.is_none_or(|until| self.inner.clock.now() < until);
        (holds && generation.rules_revision() == judge.revision()).then_some(standing.stance)
    }

    /// Asks about a file of a generation, the rules only where the table's word is not enough.
    ///
    /// # Errors
    /// The refusal, if a rule refuses the file.
    pub(super) async fn rule_entry(
        &self,
        wanted: Wanted<'_>,
        generation: &Arc<Generation>,
        entry: &Entry<'_>,
    ) -> Result<(), Refusal> {
        match self.stance_now(wanted.channel, wanted.subdir, generation, entry) {
            Some(Stance::Open | Stance::Kept) => Ok(()),
            Some(Stance::Refused) | None => self.rule_listed(wanted, generation).await,
        }
    }

    /// Asks the rules about a file of a generation.
    ///
    /// # Errors
    /// The refusal, if a rule refuses the file.
    pub(super) async fn rule_listed(
        &self,
        wanted: Wanted<'_>,
        generation: &Arc<Generation>,
    ) -> Result<(), Refusal> {
        let judge = wanted.channel.judge(wanted.subdir);
        let key = (generation.key(), wanted.archive.clone(), judge.revision());
        let now = self.inner.clock.now();
        if let Some(known) = self.inner.rulings.get(&key)
            && known.until.is_none_or(|until| now < until)
        {
            return known.refusal.map_or(Ok(()), Err);
        }
        let (from, file) = (Arc::clone(generation), wanted.archive.clone());
        let known = self.blocking(move || from.known_file(file.as_str())).await?;
        let known =
            known.unwrap_or_else(|| KnownFile::unlisted(wanted.archive.as_str(), <_>::default(), false));
        let decision = self.decide(wanted, &*judge, &known);
        let ruled = Ruled { refusal: refusal_of(wanted, &decision), until: decision.until };
        self.inner.rulings.insert(key, ruled.clone());
        ruled.refusal.map_or(Ok(()), Err)
    }

    /// Asks the rules about a file whose record is at hand.
    ///
    /// # Errors
    /// As [`Delivery::rule_listed`].
    pub(super) fn rule_known(&self, wanted: Wanted<'_>, known: &KnownFile) -> Result<(), Refusal> {
        let judge = wanted.channel.judge(wanted.subdir);
        if judge.is_idle() {
            return Ok(());
        }
        refusal_of(wanted, &self.decide(wanted, &*judge, known)).map_or(Ok(()), Err)
    }

    /// Asks the rules about a file that no index lists, of which at most a digest is known. A rule that would need more refuses it,
    /// unless the channel's rule says `unlisted: allow`; a file that nobody has seen counts as young, with the same exception.
    ///
    /// # Errors
    /// As [`Delivery::rule_listed`].
    pub(super) fn rule_unlisted(&self, wanted: Wanted<'_>, known: &KnownFile) -> Result<(), Refusal> {
        let lenient = wanted.channel.unlisted == Unlisted::Allow;
        against_unlisted(wanted, known, lenient, self.inner.clock.now()).map_or(Ok(()), Err)
    }

    /// The same for a file of which nobody knows at the moment whether an index lists it: nothing is lenient then.
    ///
    /// # Errors
    /// As [`Delivery::rule_listed`].
    pub(super) fn rule_unheard(&self, wanted: Wanted<'_>, known: &KnownFile) -> Result<(), Refusal> {
        against_unlisted(wanted, known, false, self.inner.clock.now()).map_or(Ok(()), Err)
    }

    fn decide(&self, wanted: Wanted<'_>, judge: &dyn Judge, known: &KnownFile) -> Decision {
        let now = self.inner.clock.now();
        known.with_subject(wanted.channel.source(), wanted.subdir.as_str(), |subject| {
            judge.decide(subject, now)
        })
    }
}

/// Whether a generation says what the rules say at `now`.
pub(super) fn is_ruled(channel: &Channel, subdir: &Subdir, generation: &Generation, now: UnixMillis) -> bool {
    let built = generation.timing();
    built.rules_revision == channel.rules_revision(subdir) && !has_turned(built, now)
}

/// Whether time has changed what the rules say of it.
fn has_turned(built: Timing, now: UnixMillis) -> bool {
    built.next_turn.is_some_and(|turn| now >= turn)
}

/// See [`Delivery::rule_unlisted`].
pub(super) fn against_unlisted(
    wanted: Wanted<'_>,
    known: &KnownFile,
    lenient: bool,
    now: UnixMillis,
) -> Option<Refusal> {
    let judge = wanted.channel.judge(wanted.subdir);
    if judge.is_idle() {
        return None;
    }
    known.with_subject(wanted.channel.source(), wanted.subdir.as_str(), |subject| {
        // Whatever its age is: as if it had been there for ever.
        let seen = if lenient { Some(UnixMillis(0)) } else { subject.first_seen };
        let subject = Subject { first_seen: seen, ..subject.clone() };
        refusal_of(wanted, &judge.decide(&subject, now)).or_else(|| {
            let rule = judge.undecidable(&subject, now).filter(|_| !lenient)?;
            Some(undecidable(wanted, &rule))
        })
    })
}

/// The refusal that a decision comes to, if it refuses the file.
pub(super) fn refusal_of(wanted: Wanted<'_>, decision: &Decision) -> Option<Refusal> {
    let rule = decision.verdict.refuses_file()?;
    let place = wanted.place();
    let reason = rule.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    let message = match (&decision.verdict, decision.until) {
        (Verdict::Deny { .. }, _) => format!("{place} is denied by the rule `{}`{reason}", rule.id),
        (_, Some(until)) => {
            let until = rfc3339(until);
            format!("{place} is held back by the rule `{}` until {until}{reason}", rule.id)
        }
        (_, None) => format!("{place} is hidden by the rule `{}`{reason}", rule.id),
    };
    let message = format!("{message}. Take another version, or ask those who run this gateway");
    Some(Refusal::Rule { rule: rule.id.clone(), message, at: Some(rule.at.to_string()) })
}

fn undecidable(wanted: Wanted<'_>, rule: &RuleRef) -> Refusal {
    Refusal::Rule {
        rule: rule.id.clone(),
        message: format!(
            "{} is in no index, so the rule `{}` can't be asked about it; `unlisted: allow` for the channel would let it pass",
            wanted.place(),
            rule.id
        ),
        at: Some(rule.at.to_string()),
    }
}

/// The refusal of a file that the channel's rule wants listed.
pub(super) fn must_be_listed(wanted: Wanted<'_>) -> Refusal {
    Refusal::rule(
        UNLISTED,
        format!(
            "`{}` is not in the index of `{}/{}`, and the channel's rule says `unlisted: deny`",
            wanted.archive, wanted.asked, wanted.subdir
        ),
    )
}
