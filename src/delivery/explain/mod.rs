//! Why things are as they are: what a file or a package comes to under the rules in force, and which rule says so.
//!
//! Belongs here: answering a [`Question`] from what is on disk, as plain values that can be printed or sent. Does not: fetching
//! (nothing is asked of an upstream for an explanation), the sentences of single rules (`policy`), printing (`cli`).
//!
//! | file | what |
//! |---|---|
//! | `question` | what can be asked, and what a URL or spec means |
//! | `file`, `of_virtual` | one file of a channel, of a virtual channel |
//! | `records` | the records of some packages in one index, with who hides them |
//! | `search` | the same over all indexes here, for a spec |
//! | `rehearse` | what other rules would change |
//! | `hosted` | indexes that are made when they are asked for |
//! | `access` | whether a user may have it |
//! | `values` | the answers |

mod access;
mod file;
mod hosted;
mod of_virtual;
mod question;
mod records;
mod rehearse;
mod search;
mod values;

use std::sync::Arc;

use super::Delivery;
use crate::clock::UnixMillis;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::url::PathError;
use crate::policy::judge::audience::AudienceSet;
use crate::repodata::BuildError;
use crate::repodata::store::GenerationStore;
use crate::snapshot::{Place, View};

pub use question::{OwnAddress, Question};
pub use rehearse::{Change, Rehearsal};
pub use values::{
    AccessExplained, Counts, Download, Explanation, FileExplained, FirstSeen, IndexExplained,
    MemberExplained, Outcome, Package, PatchExplained, RecordExplained, RuleExplained, RuleNamed,
    SpecExplained, State,
};

/// Why nothing could be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Neither a URL nor a spec was given, or both.
    #[error("say what to explain: a `url` or a `spec`, one of them")]
    OneThing,
    /// A channel or subdir beside a URL.
    #[error("`channel` and `subdir` go with a `spec`; a `url` names both already")]
    MisplacedPlace,
    /// The path can't be read.
    #[error("the URL can't be used: {0}")]
    Path(#[from] PathError),
    /// It is something else than a package file.
    #[error(
        "this is not the URL or path of a package file (`/<channel>/<subdir>/<name>-<version>-<build>.conda`)"
    )]
    NoPackage,
    /// Not a spec.
    #[error("the spec can't be used: {0}")]
    Spec(String),
    /// Not the name of a channel.
    #[error("`{0}` is not the name of a channel")]
    ChannelName(String),
    /// Not the name of a subdir.
    #[error("`{0}` is not a subdir such as `linux-64` or `noarch`")]
    Subdir(String),
    /// Nobody answers for that channel.
    #[error("no rule places the channel `{0}`; add it under `channels:` in the rules")]
    NoChannel(String),
    /// Nobody knows yet whether it is hosted.
    #[error(
        "the store can't be read, and `{0}` may be a channel that is hosted here; nothing sure can be said of it"
    )]
    NotKnownYet(String),
    /// A label of a channel that has none.
    #[error("`{0}` is a virtual channel, which has no labels; ask about a member with its label")]
    NoLabels(String),
    /// It would be too long.
    #[error("the spec fits packages with more than {0} records; name a package")]
    TooMany(usize),
    /// An index can't be read.
    #[error("an index on disk can't be read: {0}")]
    Disk(#[from] BuildError),
    /// The user that was asked about.
    #[error("{0}")]
    User(String),
    /// Users can't be looked up.
    #[error("users can't be looked up: {0}")]
    Store(String),
    /// A thread ended early.
    #[error("explaining failed inside; see the log")]
    Inside,
}

impl ExplainError {
    /// Whether it is the question that is wrong.
    #[must_use]
    pub const fn is_askers(&self) -> bool {
        !matches!(self, Self::Disk(_) | Self::Store(_) | Self::NotKnownYet(_) | Self::Inside)
    }
}

/// Explains by one set of rules and the indexes on disk. It reads files and belongs on a blocking thread.
#[derive(Clone, Copy)]
pub struct Explainer<'a> {
    /// The rules.
    pub view: &'a View,
    /// The indexes.
    pub store: &'a GenerationStore,
    /// This gate's own address.
    pub own: &'a OwnAddress,
    /// The moment to judge at.
    pub now: UnixMillis,
    /// Whose rules count.
    pub audience: AudienceSet,
}

impl Explainer<'_> {
    /// Answers.
    ///
    /// # Errors
    /// The question can't be understood, or the disk is in trouble.
    pub fn answer(&self, question: &Question) -> Result<Explanation, ExplainError> {
        match question.parse()? {
            question::Asked::Url(text) => {
                let file = self.find_file(text)?;
                self.file(&file.place, &file.asked, &file.subdir, &file.archive).map(Explanation::file)
            }
            question::Asked::Spec(wanted) => self.search(&wanted).map(Explanation::Spec),
        }
    }

    /// A channel by its name, as the audience sees it.
    fn place(&self, name: &ChannelName) -> Option<Place> {
        self.view.place(name).map(|place| place.for_audience(self.audience))
    }

    /// Why a channel's name means nothing.
    fn nowhere(&self, asked: &ChannelRef) -> ExplainError {
        let name = asked.to_string();
        if self.view.waits_for_store(&asked.name) {
            ExplainError::NotKnownYet(name)
        } else {
            ExplainError::NoChannel(name)
        }
    }

    /// One file of any channel.
    fn file(
        &self,
        place: &Place,
        asked: &ChannelRef,
        subdir: &crate::conda::subdir::Subdir,
        archive: &crate::conda::archive::ArchiveName,
    ) -> Result<FileExplained, ExplainError> {
        match place {
            Place::Source(channel) => self.proxied_file(channel, asked, subdir, archive),
            Place::Virtual(channel) if asked.label.is_some() => {
                Err(ExplainError::NoLabels(channel.label.to_string()))
            }
            Place::Virtual(channel) => self.virtual_file(channel, subdir, archive),
        }
    }
}

impl Delivery {
    /// Explains by the rules of `view` and the indexes in force. Nothing is fetched.
    ///
    /// # Errors
    /// As [`Explainer::answer`].
    pub async fn explain(
        &self,
        view: Arc<View>,
        own: Arc<OwnAddress>,
        question: Question,
        audience: AudienceSet,
    ) -> Result<Explanation, ExplainError> {
        let (store, now) = (Arc::clone(&self.inner.generations), self.inner.clock.now());
        let explainer = Explainer { view: &view, store: &store, own: &own, now, audience };
        self.bring_hosted_up(explainer, &question).await;
        let work =
            move || Explainer { view: &view, store: &store, own: &own, now, audience }.answer(&question);
        self.inner.runtime.spawn_blocking(work).await.unwrap_or(Err(ExplainError::Inside))
    }
}
