//! One rule of `policy:`, ready to be asked.
//!
//! Belongs here: what a rule is and whether it applies to a record. Does not: which of several rules decides
//! ([`super::bench`]).

use std::sync::Arc;

use super::case::Case;
use super::hotfix::Hotfix;
use super::matcher::Matcher;
use super::patterns::Patterns;
use crate::clock::UnixMillis;
use crate::policy::access::who::Who;
use crate::policy::verdict::{Patch, RuleRef, Verdict};

/// A rule.
#[derive(Debug)]
pub struct Statement {
    /// Who people are told decided.
    pub source: Arc<RuleRef>,
    /// Source channels it is about; label excluded.
    pub channels: Patterns,
    /// Subdirs it is about.
    pub subdirs: Patterns,
    /// For whom it counts; everybody where it does not say.
    pub audience: Option<Who>,
    /// Which records it means.
    pub matcher: Matcher,
    /// Which of those it does not mean.
    pub unless: Option<Matcher>,
    /// What becomes of them.
    pub effect: Effect,
    /// Whether it only counts.
    pub dry_run: bool,
    /// A digest of what it says, without its place, its channels, subdirs and audience.
    pub fingerprint: [u8; 32],
    /// A digest of its channels, subdirs and audience.
    pub scope: [u8; 32],
}

/// What a rule does.
#[derive(Debug)]
pub enum Effect {
    /// `hide`
    Hide {
        /// `download: keep`
        keep_download: bool,
    },
    /// `deny`
    Deny,
    /// `allow`
    Allow,
    /// `patch`
    Patch(Arc<Patch>),
    /// `patch: {instructions: FILE}`
    Hotfix(Box<Hotfix>),
}

impl Effect {
    /// The key that says it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Hide { .. } => "hide",
            Self::Deny => "deny",
            Self::Allow => "allow",
            Self::Patch(_) | Self::Hotfix(_) => "patch",
        }
    }
}

/// How a rule relates to a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applies {
    /// It means it.
    Yes,
    /// Its `unless` takes the record out.
    Excepted,
    /// It does not mean it.
    No,
}

impl Statement {
    /// Whether it is about a channel and subdir at all.
    #[must_use]
    pub fn concerns(&self, channel: &str, subdir: &str) -> bool {
        self.channels.is_match(channel) && self.subdirs.is_match(subdir)
    }

    /// Whether it means a record at `now`.
    #[must_use]
    pub fn applies(&self, case: &Case<'_>, now: UnixMillis) -> Applies {
        let strict = matches!(self.effect, Effect::Deny);
        let meant = match &self.effect {
            Effect::Hotfix(hotfix) => hotfix.knows(case.subject.file),
            _ => self.matcher.is_match(case, now, strict),
        };
        if !meant {
            return Applies::No;
        }
        let excepted = self.unless.as_ref().is_some_and(|unless| unless.is_match(case, now, false));
        if excepted { Applies::Excepted } else { Applies::Yes }
    }

    /// The verdict on a record it means, when it gives one; rules on trial give theirs too.
    #[must_use]
    pub fn verdict(&self, file: &str) -> Option<Verdict> {
        let rule = || Arc::clone(&self.source);
        match &self.effect {
            Effect::Hide { keep_download } => {
                Some(Verdict::Hide { rule: rule(), keep_download: *keep_download })
            }
            Effect::Deny => Some(Verdict::Deny { rule: rule() }),
            Effect::Allow => Some(Verdict::Show),
            Effect::Patch(_) => None,
            Effect::Hotfix(hotfix) => hotfix
                .removes(file)
                .then(|| Verdict::Hide { rule: rule(), keep_download: hotfix.keep_download() }),
        }
    }

    /// Whether it decides about a record it means, trial or not.
    #[must_use]
    pub fn decides(&self, file: &str) -> bool {
        match &self.effect {
            Effect::Hide { .. } | Effect::Deny | Effect::Allow => true,
            Effect::Patch(_) => false,
            Effect::Hotfix(hotfix) => hotfix.removes(file),
        }
    }

    /// Whether it changes a record it means.
    #[must_use]
    pub fn changes(&self, file: &str) -> bool {
        match &self.effect {
            Effect::Patch(_) => true,
            Effect::Hotfix(hotfix) => hotfix.changes(file),
            Effect::Hide { .. } | Effect::Deny | Effect::Allow => false,
        }
    }

    /// Its changes to a record it means.
    #[must_use]
    pub fn patch(&self, file: &str) -> Option<Arc<Patch>> {
        match &self.effect {
            Effect::Patch(patch) => Some(Arc::clone(patch)),
            Effect::Hotfix(hotfix) => hotfix.patch(file, &self.source).map(Arc::new),
            Effect::Hide { .. } | Effect::Deny | Effect::Allow => None,
        }
    }

    /// Whether the passing of time can change its answer.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.matcher.is_timed() || self.unless.as_ref().is_some_and(Matcher::is_timed)
    }
}
