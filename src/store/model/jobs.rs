//! Work to be done later, by whoever claims it.

use std::time::Duration;

use super::JobId;
use crate::clock::UnixMillis;
use crate::store::table::{Index, Record, Table, record};
use crate::store::value::field;

/// Where a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum JobState {
    /// To be claimed from `due` on.
    Waiting,
    /// Claimed; the lease ends at `due`.
    Running,
    /// Done.
    Done,
    /// Failed too often; waits for a person.
    Dead,
    /// A person stopped it.
    Cancelled,
}

impl JobState {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// What was written.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Running, Self::Done, Self::Dead, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

field!(JobState, Text, |v| v.as_str().to_owned(), |v| Self::read(&v));

record! {
    /// One piece of work.
    Job in JOBS {
        /// Never used twice.
        id: JobId,
        /// Which runner it is for.
        kind: String,
        /// A JSON object, opaque here; no secrets.
        input: String,
        /// Unique among jobs that wait or run; the id where nothing must be unique, and once the job has ended.
        only: String,
        /// Where it stands.
        state: JobState,
        /// Of a waiting job the earliest start, of a running one the end of its lease, of others when they ended.
        due: UnixMillis,
        /// How often it was claimed.
        attempts: u32,
        /// How often it may still be claimed.
        attempts_left: u32,
        /// Who claimed it; text that no other claim has.
        lease: Option<String>,
        /// Why it failed last; no secrets.
        error: Option<String>,
        /// When.
        created: UnixMillis,
    }
}

/// Of [`Job`].
pub static JOBS: Table = Table {
    name: "jobs",
    what: "job",
    taken: "a job with this id",
    key: &["id"],
    columns: Job::COLUMNS,
    indexes: &[
        Index { name: "jobs_only", columns: &["only"], unique: Some("a job like this that waits or runs") },
        Index { name: "jobs_due", columns: &["state", "due", "id"], unique: None },
        Index { name: "jobs_state", columns: &["state", "id"], unique: None },
    ],
    tracked: false,
    queue: true,
};

/// How long a job waits after its `attempts`-th failure: 10 s, doubled each time, at most an hour.
#[must_use]
pub fn back_off(attempts: u32) -> Duration {
    let doubled = 10_u64.saturating_mul(1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX));
    Duration::from_secs(doubled.min(3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour() {
        let waits = [0, 1, 2, 3, 9, 10, 64, u32::MAX].map(|n| back_off(n).as_secs());
        assert_eq!(waits, [10, 10, 20, 40, 2560, 3600, 3600, 3600]);
    }
}
