//! Writes bodies: slices of files, downloads while they run, indexes while they are built.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use super::message::Response;
use super::refuse;
use super::request::Asked;
use super::respond::{self, Stamp};
use super::{Ctx, Session};
use crate::cache::{BodyMode, FillError, Follower};
use crate::delivery::{Answer, Body, ColdReader, NamedBy, Refusal, package_etag, place_etag};
use crate::http::coding::Coding;
use crate::http::problem::Problem;
use crate::telemetry::RouteKind;

/// How long the head of a cold package waits for its digest, which is its ETag: an index that is near is asked faster than this, a
/// far one is not waited for.
const DIGEST_PATIENCE: Duration = Duration::from_millis(100);

/// Sends `span` of a body that lies in a file or in memory.
pub(super) async fn body(
    session: &mut Session<'_>,
    body: &Body,
    span: Range<u64>,
    mode: BodyMode,
) -> pingora::Result<()> {
    let mut reader = match body {
        Body::Bytes(bytes) => {
            let part = bytes.slice(place(&span, bytes.len()));
            return session.write_response_body(Some(part), true).await;
        }
        Body::Blob(blob) => match blob.small_here() {
            Some(bytes) => {
                let part = &bytes[place(&span, bytes.len())];
                return session.write_whole_body(part).await;
            }
            None => blob.reader(span.clone(), mode),
        },
        Body::File(file) => file.reader(span.clone(), mode),
        Body::Fill(_) | Body::Cold(_) => return Err(cut("a download was handed to the file writer")),
    };
    let mut left = span.end - span.start;
    while left > 0 {
        let chunk = match session.wait_for(reader.next()).await {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Err(cut(&format!("reading the cached file failed: {error}"))),
            None => return Err(cut("the cached file is shorter than it was a moment ago")),
        };
        left = left.saturating_sub(chunk.len() as u64);
        session.write_response_body(Some(chunk), left == 0).await?;
    }
    Ok(())
}

fn place(span: &Range<u64>, len: usize) -> Range<usize> {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(len);
    at(span.start)..at(span.end)
}

/// An error that makes the engine cut the connection, so that nobody takes a short body for a whole one.
#[expect(clippy::unnecessary_box_returns, reason = "the engine's results hold boxed errors")]
fn cut(why: &str) -> Box<pingora::Error> {
    pingora::Error::explain(pingora::ErrorType::InternalError, why.to_owned())
}

/// Sends what is not complete yet: a download while it runs, an index while it is built. Headers wait for the first byte (or the end)
/// of the body, so that what fails at once is a problem document and not a cut connection.
pub(super) async fn growing(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    asked: &Asked,
    answer: Answer,
) -> pingora::Result<()> {
    let total = answer.facts.len;
    let is_index = matches!(answer.body, Body::Cold(_));
    if is_index && asked.http10 && total.is_none() {
        // Without a length the end of the connection would look like the end of the index.
        let problem = Problem::upstream_unavailable(STILL_BUILDING).with_retry_after(10);
        return respond::problem(session, ctx, stamp, problem).await;
    }
    // An index is read along with from its beginning only.
    let wanted = if is_index { None } else { respond::wanted_range(asked, &answer.facts) };
    let (status, span) = match (wanted, total) {
        (Some(wanted), Some(total)) => match wanted.resolve(total) {
            Some(span) => (206, Some(span)),
            None => return respond::unsatisfiable(session, ctx, stamp, total).await,
        },
        // A range of a body whose length nobody knows yet: the whole is a right answer (RFC 9110 section 14.2).
        (_, total) => (200, total.map(|total| 0..total)),
    };
    let len = total.unwrap_or(0);
    let header = respond::head(status, ctx, stamp, Coding::Identity, &answer, span.as_ref(), len)?;
    if asked.head {
        return respond::send_head(session, header, true).await;
    }
    let coming = match answer.body {
        Body::Fill(fill) => {
            let follower = fill.follow(span.as_ref().map_or(0, |s| s.start), span.as_ref().map(|s| s.end));
            Coming::Download(follower.mode(ctx.body_mode()))
        }
        Body::Cold(reader) => Coming::Index(reader),
        Body::Blob(_) | Body::File(_) | Body::Bytes(_) => return Err(cut("nothing to wait for")),
    };
    follow(session, ctx, stamp, header, coming, span.is_some_and(|s| s.is_empty())).await
}

/// Completes the facts of a download with what upstream's head says; waits for the end where the client could not see a cut.
pub(super) async fn prepare(asked: &Asked, answer: &mut Answer) -> Result<(), FillError> {
    let Body::Fill(fill) = &answer.body else { return Ok(()) };
    let fill = fill.clone();
    let head = fill.head().await?;
    if answer.facts.etag.is_none() {
        match answer.facts.named_by {
            NamedBy::Validators => answer.facts.etag = place_etag(&head.validators),
            NamedBy::Digest => {
                let learned = fill.learned(DIGEST_PATIENCE).await;
                answer.facts.etag = learned.as_ref().and_then(package_etag);
                answer.facts.len = answer.facts.len.or_else(|| learned.and_then(|expected| expected.size));
            }
        }
    }
    if answer.facts.last_modified.is_none() {
        answer.facts.last_modified =
            head.validators.last_modified.as_deref().and_then(crate::http::date::parse);
    }
    if let Some(content_type) = head.content_type.filter(|_| &*answer.facts.content_type == "*/*") {
        answer.facts.content_type = content_type.into();
    }
    answer.facts.len = answer.facts.len.or(head.total);
    if answer.facts.len.is_none() && (asked.http10 || asked.head) {
        answer.facts.len = Some(fill.done().await?.len());
    }
    Ok(())
}

const STILL_BUILDING: &str =
    "the index is being built for the first time; ask again shortly, or speak HTTP/1.1 to get it as it grows";

/// Bytes that come while they are sent.
enum Coming {
    Download(Follower),
    Index(Box<ColdReader>),
}

impl Coming {
    async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        match self {
            Self::Download(follower) => {
                follower.next().await.map(|came| came.map_err(|error| Refusal::of_fill(&error)))
            }
            Self::Index(reader) => reader.next().await,
        }
    }

    const fn failed(&self) -> &'static str {
        match self {
            Self::Download(_) => "the download failed half-way",
            Self::Index(_) => "building the index failed half-way",
        }
    }
}

async fn follow(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    header: Response,
    mut coming: Coming,
    empty: bool,
) -> pingora::Result<()> {
    let first = if empty { None } else { coming.next().await };
    let mut next = match first {
        Some(Ok(chunk)) => Some(chunk),
        Some(Err(refusal)) => {
            // Its index came while it was being fetched, and rules are against it.
            if let (Refusal::Rule { .. }, RouteKind::Package, Some(channel)) =
                (&refusal, ctx.kind, &ctx.channel)
            {
                channel.refused();
            }
            return respond::problem(session, ctx, stamp, refuse::problem_of(refusal)).await;
        }
        None => None,
    };
    respond::send_head(session, header, next.is_none() && empty).await?;
    while let Some(chunk) = next {
        session.write_response_body(Some(chunk), false).await?;
        next = match session.wait_for(coming.next()).await {
            Some(Ok(chunk)) => Some(chunk),
            Some(Err(refusal)) => return Err(cut(&format!("{}: {refusal}", coming.failed()))),
            None => None,
        };
    }
    if empty { Ok(()) } else { session.write_response_body(None, true).await }
}
