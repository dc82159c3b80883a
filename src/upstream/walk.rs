//! What one round over the mirrors amounts to.
//!
//! Belongs here: whose refusal counts, which error is told, whether another round may help. Does not: asking (`fetch`).

use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;

use super::attempt::Head;
use super::error::FetchError;
use super::health::Pass;
use super::mirror::Mirror;
use super::settings::Missing;

/// How a round over the mirrors ended.
pub(super) enum Round {
    Answer(Box<Head>),
    /// With the last error; `again` if another round may help.
    Failed {
        error: FetchError,
        again: bool,
    },
    /// All circuits are open by now; nobody was asked.
    Skipped,
}

/// What was seen on the way down the list of mirrors.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing seen on the way; they combine freely")]
pub(super) struct Walk {
    /// A mirror further up could not be asked or failed: refusals further down prove nothing.
    doubt: bool,
    asked: bool,
    /// The mirror whose circuit closes first, with its place in the list.
    open: Option<(Duration, usize, Arc<Mirror>)>,
    rest: Option<Duration>,
    /// The first refusal, and how many there were.
    refusal: Option<Box<Head>>,
    refusals: usize,
    /// The first refusal counts, whatever became of the mirrors further down.
    settled: bool,
    error: Option<FetchError>,
    retry: bool,
}

impl Walk {
    pub(super) fn pass_over(&mut self, index: usize, mirror: &Arc<Mirror>, left: Duration) {
        self.doubt = true;
        if self.open.as_ref().is_none_or(|(least, ..)| left < *least) {
            self.open = Some((left, index, Arc::clone(mirror)));
        }
    }

    pub(super) fn resting(&mut self, left: Duration) {
        self.doubt = true;
        self.rest = Some(self.rest.map_or(left, |least| least.min(left)));
    }

    pub(super) const fn nobody_asked(&self) -> bool {
        !self.asked
    }

    pub(super) fn least_bad(&mut self) -> Option<(Arc<Mirror>, Pass)> {
        let (_, index, mirror) = self.open.take()?;
        self.doubt = index > 0;
        let pass = mirror.health.last_resort();
        Some((mirror, pass))
    }

    /// Takes note of one mirror's outcome; `Some` if it ends the round.
    pub(super) fn take(&mut self, outcome: Result<Head, FetchError>, missing: Missing) -> Option<Round> {
        self.asked = true;
        match outcome {
            Ok(head) if is_refusal(head.response.status()) => self.refused(head, missing),
            Ok(head) => Some(Round::Answer(Box::new(head))),
            Err(error) if error.is_mirror_fault() => {
                self.doubt = true;
                self.retry |= error.is_retryable();
                self.error = Some(error);
                None
            }
            Err(FetchError::RateLimited { retry_after, .. }) => {
                self.resting(retry_after);
                None
            }
            Err(error) => Some(Round::Failed { error, again: false }),
        }
    }

    /// The mirror of last resort failed: another round would only meet open circuits.
    pub(super) const fn give_up(&mut self) {
        self.retry = false;
    }

    fn refused(&mut self, head: Head, missing: Missing) -> Option<Round> {
        match missing {
            Missing::AnyDecides => return Some(Round::Answer(Box::new(head))),
            Missing::PrimaryDecides if !self.doubt => return Some(Round::Answer(Box::new(head))),
            Missing::FirstUnlessFound if !self.doubt || self.refusal.is_some() => {
                self.refusals += 1;
                self.settled = true;
                self.refusal.get_or_insert_with(|| Box::new(head));
            }
            Missing::AllDecide => {
                self.refusals += 1;
                self.refusal.get_or_insert_with(|| Box::new(head));
            }
            Missing::PrimaryDecides | Missing::FirstUnlessFound => {
                let (mirror, status) = (head.mirror.shown.clone(), head.response.status().as_u16());
                self.error = Some(FetchError::Doubtful { mirror, status });
            }
        }
        None
    }

    pub(super) fn end(self, upstream: &str, mirrors: usize) -> Round {
        if let Some(head) = self.refusal {
            if self.settled || self.refusals == mirrors {
                return Round::Answer(head);
            }
            let (mirror, status) = (head.mirror.shown.clone(), head.response.status().as_u16());
            return Round::Failed { error: FetchError::Doubtful { mirror, status }, again: self.retry };
        }
        match (self.error, self.rest) {
            (Some(error), _) => Round::Failed { error, again: self.retry },
            (None, Some(retry_after)) => {
                let error = FetchError::RateLimited { mirror: upstream.to_owned(), retry_after };
                Round::Failed { error, again: false }
            }
            (None, None) => Round::Skipped,
        }
    }
}

/// Answers that say "not for you": what a mirror that lags behind would say, too.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403 | 404 | 410)
}
