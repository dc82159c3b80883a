//! Refusals become problem documents here and nowhere else on the data plane.

use std::time::Duration;

use super::respond::{self, Stamp};
use super::{Ctx, Session};
use crate::cache::FillError;
use crate::delivery::Refusal;
use crate::http::problem::Problem;

/// The problem that tells a client why a delivery did not happen.
#[must_use]
pub(super) fn problem_of(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound(detail) => Problem::not_found(detail),
        Refusal::Forbidden(detail) => Problem::forbidden(detail),
        Refusal::Unavailable { message, retry_after } => Problem::upstream_unavailable(message)
            .with_retry_after(seconds(retry_after.unwrap_or(Duration::from_secs(5)))),
        Refusal::BadUpstream(detail) => Problem::bad_gateway(detail),
        Refusal::Rule { rule, message, at } => {
            Problem { at, ..Problem::denied_by_rule(message).with_rule(rule) }
        }
        Refusal::Internal(detail) => Problem::internal(detail),
    }
}

/// The same, for a shard index: there a 404 is believed for ever and a 502 is fatal, so all trouble is a 503
/// (PROTOCOL rule 9).
#[must_use]
pub(super) fn shard_index_problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::BadUpstream(message) | Refusal::Internal(message) | Refusal::Forbidden(message) => {
            problem_of(Refusal::Unavailable { message, retry_after: None })
        }
        other => problem_of(other),
    }
}

/// Whole seconds, at least one: `Retry-After` has no fractions.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().max(1)
}

/// Answers with what a failed download means, while nothing has been sent yet.
pub(super) async fn fill_error(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    error: &FillError,
) -> pingora::Result<()> {
    respond::problem(session, ctx, stamp, problem_of(Refusal::of_fill(error))).await
}
