//! What administrators ask of a running gate: its cache, its rules, its settings, how it is.
//!
//! Belongs here: questions, answers, and the seam that the gate stands behind. Does not: carrying them out (`app`), pages (`web`), HTTP
//! (`api`), users and channels (`people`, `channel`).

mod recall;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::cache::{CacheStatus, Inventory};
use crate::delivery::Purged;
use crate::delivery::explain::Rehearsal;
use crate::delivery::explain::{ExplainError, Explanation, Question};
use crate::jobs;
use crate::people::By;
use crate::store::StoreError;
use crate::upstream::UpstreamSnapshot;

pub use recall::Recall;

/// The one file of the rules that is written by the gate. All others are for people to edit.
pub const OWN_FILE: &str = "90-ui.yaml";
/// The most bytes that it may have.
pub const LONGEST_FILE: usize = 256 * 1024;

/// What is to be taken out of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purge {
    /// A file, by its URL or path.
    Url(String),
    /// A channel: its files and indexes.
    Channel(String),
    /// The bytes with this SHA-256.
    Digest(String),
    /// Everything.
    All,
}

/// Indexes that are to be fetched before a client asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warm {
    /// The channel, a label perhaps behind it.
    pub channel: String,
    /// Such as `linux-64`.
    pub subdirs: Vec<String>,
}

/// A file of the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RulesFile {
    /// Its name in the directory.
    pub name: String,
    /// What is in it; passwords in URLs are masked.
    pub text: String,
    /// Whether it can be written here: [`OWN_FILE`] alone.
    pub writable: bool,
}

/// The rules as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RulesShown {
    /// Where the files are.
    pub directory: String,
    /// Of the rules in force, in hexadecimal digits.
    pub revision: String,
    /// In the order in which they are read.
    pub files: Vec<RulesFile>,
    /// What is wrong with the files, if the rules in force are older than they are.
    pub mistakes: Vec<String>,
    /// Of what is in [`OWN_FILE`]: changes when it does. Empty where there is none.
    #[serde(skip)]
    pub own: String,
}

impl RulesShown {
    /// What is in [`OWN_FILE`].
    #[must_use]
    pub fn own_text(&self) -> &str {
        self.files.iter().find(|file| file.writable).map_or("", |file| file.text.as_str())
    }

    /// The recalls in it: their ids, and the rules as they are written.
    #[must_use]
    pub fn recalls(&self) -> Vec<(String, String)> {
        recall::recalls(self.own_text())
    }
}

/// What became of rules that somebody looked through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Checked {
    /// Every mistake, with file and line.
    pub mistakes: Vec<String>,
    /// What may be meant and may be a mistake.
    pub notes: Vec<String>,
}

/// Answers of channels, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Served {
    /// How many.
    pub answers: u64,
    /// Those that waited for no upstream.
    pub from_here: u64,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SettingShown {
    /// `cache.size`
    pub key: String,
    /// As it would be written; empty where it is not set. No secrets.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// What was asked makes no sense; nothing was done.
    #[error("{0}")]
    Invalid(String),
    /// There is nothing of that name; nothing was done.
    #[error("{0}")]
    Missing(String),
    /// The rules have mistakes; nothing was changed.
    #[error("the rules have mistakes, so nothing was changed:\n{}", .0.join("\n"))]
    Mistakes(Vec<String>),
    /// Somebody else was faster.
    #[error(
        "the file was changed meanwhile; look at what is in it now, and decide again. Nothing was changed"
    )]
    Changed,
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// What a write to [`OWN_FILE`] takes for granted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Expected {
    /// Nothing.
    #[default]
    Anything,
    /// That it is as it was when this was [`RulesShown::own`].
    Own(String),
}

/// A running gate.
#[async_trait]
pub trait Gate: Send + Sync {
    /// What the cache holds.
    async fn cache(&self) -> Result<CacheStatus, ManageError>;
    /// What the cache is full of.
    async fn inventory(&self) -> Result<Arc<Inventory>, ManageError>;
    /// Answers since the start of the process.
    fn served(&self) -> Served;
    /// Takes something out of the cache; what that was.
    async fn purge(&self, by: &By, what: Purge) -> Result<Purged, ManageError>;
    /// Begins to fetch indexes, and does not wait for them.
    async fn warm(&self, by: &By, what: Warm) -> Result<(), ManageError>;
    /// The rules as they are.
    async fn rules(&self) -> RulesShown;
    /// What would be wrong with the rules, were this in [`OWN_FILE`]; `None`: were it not there.
    async fn check(&self, text: Option<String>) -> Checked;
    /// What would change, likewise.
    async fn rehearse(&self, text: Option<String>) -> Result<Rehearsal, ManageError>;
    /// Writes [`OWN_FILE`], or takes it away, and puts the rules in force: both or neither.
    async fn write(
        &self,
        by: &By,
        text: Option<String>,
        expected: Expected,
    ) -> Result<RulesShown, ManageError>;
    /// The queue, for somebody.
    async fn jobs(&self, by: &By) -> Result<jobs::Desk, StoreError>;
    /// Why something is as it is.
    async fn explain(&self, question: Question) -> Result<Explanation, ExplainError>;
    /// The settings in force.
    fn settings(&self) -> Vec<SettingShown>;
    /// How upstreams are.
    fn upstreams(&self) -> Vec<UpstreamSnapshot>;
    /// What `/-/readyz` says to insiders: whether all is well, and the document.
    fn health(&self) -> (bool, serde_json::Value);
}

/// See [`Gate`].
pub type AnyGate = Arc<dyn Gate>;

impl dyn Gate {
    /// Denies packages by one more rule in [`OWN_FILE`].
    ///
    /// # Errors
    /// As [`Gate::write`].
    pub async fn recall(&self, by: &By, recall: &Recall) -> Result<RulesShown, ManageError> {
        let shown = self.rules().await;
        let text = recall.added_to(shown.own_text())?;
        self.write(by, Some(text), Expected::Own(shown.own)).await
    }

    /// Takes a recall back.
    ///
    /// # Errors
    /// As [`Gate::write`]; [`ManageError::Missing`] where there is none with this id.
    pub async fn take_back(&self, by: &By, id: &str) -> Result<RulesShown, ManageError> {
        let shown = self.rules().await;
        let text = Recall::taken_from(shown.own_text(), id)?;
        self.write(by, text, Expected::Own(shown.own)).await
    }
}
