//! Hands an upstream answer through, uncached.

use http::header::{self, HeaderName};

use super::message::Response;
use super::refuse;
use super::request::Asked;
use super::respond::{self, Stamp};
use super::{Ctx, Session};
use crate::delivery::{Delivery, Outcome, PassConditions};
use crate::secret::Secret;
use crate::snapshot::HostTarget;

/// What goes on of upstream's headers: what describes the body, nothing that sets state.
const KEPT: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
];

/// Answers with what upstream says at `path`, which holds the caller's own token.
pub(super) async fn answer(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    delivery: &Delivery,
    host: &HostTarget,
    path: Secret<String>,
) -> pingora::Result<()> {
    let asked = Asked::of(session);
    ctx.asked = Some(host.upstream.name().into());
    let conditions = PassConditions {
        if_none_match: asked.if_none_match,
        if_modified_since: asked.if_modified_since,
        head: asked.head,
    };
    let mut passed = match delivery.pass(&host.upstream, path, conditions).await {
        Ok(passed) => passed,
        Err(refusal) => return respond::problem(session, ctx, stamp, refuse::problem_of(refusal)).await,
    };
    let mut head = Response::new(passed.status);
    for name in KEPT {
        if let Some(value) = passed.headers.get(&name) {
            head.set(name, value.clone());
        }
    }
    head.set_static(header::CACHE_CONTROL, "private, no-cache");
    respond::stamp_on(&mut head, ctx, stamp);
    ctx.outcome = Outcome::Pass;
    let bodiless = asked.head || passed.status == 304;
    respond::send_head(session, head, bodiless).await?;
    if bodiless {
        return Ok(());
    }
    while let Some(chunk) = session.wait_for(passed.body.recv()).await {
        let chunk = chunk.map_err(|why| pingora::Error::explain(pingora::ErrorType::ReadError, why))?;
        session.write_response_body(Some(chunk), false).await?;
    }
    session.write_response_body(None, true).await
}
