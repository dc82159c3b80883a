//! What can be told.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::UnixMillis;

/// What an event is about; receivers choose among these.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// A package was published to a hosted channel.
    Publish,
    /// A rule that denies packages is newly in force.
    Recall,
    /// A token ends soon.
    Token,
    /// The disk is nearly full, or no longer.
    Disk,
    /// An upstream can't be reached, or can again.
    Upstream,
    /// A job failed for the last time.
    Job,
    /// A certificate of the gate ends soon, or has ended.
    Certificate,
    /// Somebody tries the settings.
    Test,
}

impl Topic {
    /// Those that receivers may choose, with the words for them.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("publish", Self::Publish),
        ("recall", Self::Recall),
        ("token", Self::Token),
        ("disk", Self::Disk),
        ("upstream", Self::Upstream),
        ("job", Self::Job),
        ("certificate", Self::Certificate),
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, topic)| *topic == self).map_or("test", |(word, _)| word)
    }
}

/// Something happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// What it is about.
    pub topic: Topic,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// A line.
    pub title: String,
    /// A paragraph: what happened and what to do.
    pub text: String,
    /// The same for programs; no secrets.
    pub detail: Value,
    /// What several gates, or one gate again, may tell and is told once; `None` for what is told each time.
    #[serde(skip)]
    pub once: Option<String>,
}

impl Event {
    /// An event that is told each time.
    #[must_use]
    pub fn new(topic: Topic, at: UnixMillis, title: String, text: String, detail: Value) -> Self {
        Self { topic, at: at.0, title, text, detail, once: None }
    }
}
