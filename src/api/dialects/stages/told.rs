//! What is told of uploads that are not finished, and giving one up.
//!
//! Belongs here: looking at them from outside. Does not: how far one is (`stages`), who may look (`api::v1`).

use super::{Arriving, Assembly, LIFE, Stage, Stages, Step};
use crate::channel::{Author, HostError, Hosting};
use crate::clock::UnixMillis;
use crate::conda::url::dialect::Dist;

/// An upload that is announced and not finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::api) struct Told {
    /// Good for finishing it, by whoever announced it.
    pub(in crate::api) id: String,
    /// Whose it is, as audit events name users.
    pub(in crate::api) actor: String,
    pub(in crate::api) dist: Dist,
    pub(in crate::api) labels: Vec<String>,
    /// `announced`, `arriving`, `in_parts`, `arrived`
    pub(in crate::api) state: &'static str,
    /// How long it will be, if that was said.
    pub(in crate::api) size: Option<u64>,
    /// How much of it is here, if that is known.
    pub(in crate::api) here: Option<u64>,
    pub(in crate::api) begun: UnixMillis,
    pub(in crate::api) until: UnixMillis,
}

impl Told {
    fn of(id: &str, stage: &Stage) -> Option<Self> {
        let (word, here) = match &stage.step {
            Step::Announced => ("announced", Some(0)),
            Step::Arriving => ("arriving", None),
            Step::InParts(assembly) => ("in_parts", Some(assembly.here)),
            Step::Arrived(received) => ("arrived", Some(received.size)),
            Step::OnDisk => ("arrived", stage.what.expected.size),
            Step::Finished(_) => return None,
        };
        Some(Self {
            id: id.to_owned(),
            actor: stage.what.actor.clone(),
            dist: stage.what.dist.clone(),
            labels: stage.what.labels.clone(),
            state: word,
            size: stage.what.expected.size,
            here,
            begun: UnixMillis(stage.until.0 - i64::try_from(LIFE.as_millis()).unwrap_or_default()),
            until: stage.until,
        })
    }
}

impl Stages {
    /// Uploads that are not finished, of one caller or of all, in the order of their ids.
    pub(in crate::api) fn unfinished(&self, actor: Option<&str>) -> Vec<Told> {
        let (now, all) = (self.clock.now(), self.all.lock());
        let is_meant =
            |stage: &Stage| stage.until > now && actor.is_none_or(|actor| stage.what.actor == actor);
        let told = all.iter().filter(|(_, stage)| is_meant(stage));
        let mut told: Vec<_> = told.filter_map(|(id, stage)| Told::of(id, stage)).collect();
        told.sort_by(|a, b| a.id.cmp(&b.id));
        told
    }

    /// Gives one up, of a caller or whosever; what was here of it is gone when this returns. `false` where there is none.
    ///
    /// # Errors
    /// [`HostError::Unavailable`] where it can't be written down; it is gone all the same.
    pub(in crate::api) async fn give_up(
        &self,
        hosting: &Hosting,
        (author, id): (&Author, &str),
        actor: Option<&str>,
    ) -> Result<bool, HostError> {
        let Some(told) = self.unfinished(actor).into_iter().find(|told| told.id == id) else {
            return Ok(false);
        };
        // Whoever is sending bytes finds it gone at the next piece.
        let stage = self.all.lock().remove(id);
        if let Some(Stage { step: Step::InParts(assembly), .. }) = stage {
            assembly.abandon().await;
        }
        let target = format!("{}/{}", told.dist.owner, told.dist.archive);
        hosting.give_up_staged((author, id), &target, &told.actor).await?;
        Ok(true)
    }
}

impl Assembly {
    /// Has what came so far deleted.
    async fn abandon(self) {
        let Self { pieces, receiving, .. } = self;
        drop(pieces);
        // It fails, because its end is missing; the file goes with it.
        let _missing = receiving.await;
    }
}

impl Arriving<'_> {
    /// Whether anybody still waits for the bytes.
    ///
    /// # Errors
    /// [`HostError::Conflict`] where the upload was given up.
    pub(in super::super) fn is_wanted(&self) -> Result<(), HostError> {
        if self.stages.all.lock().contains_key(&self.id) {
            return Ok(());
        }
        Err(HostError::Conflict("this upload was given up meanwhile; announce it again".to_owned()))
    }
}
