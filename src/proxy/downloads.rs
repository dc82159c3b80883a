//! Tells the trail who got what: after a recall that is the first question.
//!
//! Belongs here: what counts as a download. Does not: keeping it (`trail`).

use std::sync::Arc;

use http::header;

use super::{Ctx, Session};
use crate::conda::digest::Sha256;
use crate::store::model::TokenId;
use crate::trail::{Got, Trail, day_of};

/// Notes that a token was used and, if a package was sent from its beginning, who got it. One that was cut counts: enough of it may
/// be on the other side.
pub(super) fn note(trail: &Arc<Trail>, session: &Session<'_>, ctx: &mut Ctx) {
    let token = ctx.principal.as_ref().and_then(|principal| Some((principal, principal.token.as_ref()?)));
    if let Some((principal, token)) = token
        && principal.is_news(ctx.at)
    {
        trail.used(token, ctx.at);
    }
    let Some(file) = ctx.package.take() else { return };
    if !trail.counts_downloads() || session.body_bytes_sent() == 0 || !is_from_the_beginning(session) {
        return;
    }
    match (ctx.digest.or_else(|| named(session)), ctx.fill.clone()) {
        (Some(sha256), _) => trail.downloaded(&got(ctx, &file, &sha256)),
        // The index knows it by MD5 only; the digest is known once the file is stored.
        (None, Some(under_way)) => {
            let (trail, principal) = (Arc::clone(trail), ctx.principal.clone());
            let mut late = Ctx::new(ctx.request, ctx.at);
            (late.principal, late.address) = (principal, ctx.address);
            drop(tokio::spawn(async move {
                if let Some(sha256) =
                    under_way.done().await.ok().and_then(|blob| Sha256::from_hex(blob.etag().opaque()))
                {
                    trail.downloaded(&got(&late, &file, &sha256));
                }
            }));
        }
        (None, None) => {}
    }
}

/// The digest that the answer's ETag names.
fn named(session: &Session<'_>) -> Option<Sha256> {
    let etag = session.response_written()?.get(&header::ETAG)?.to_str().ok()?;
    Sha256::from_hex(etag.trim_matches('"'))
}

fn got<'a>(ctx: &'a Ctx, file: &'a str, sha256: &'a Sha256) -> Got<'a> {
    let principal = ctx.principal.as_ref();
    Got {
        sha256,
        file,
        day: day_of(ctx.at),
        actor: principal.map_or("anonymous", |who| who.actor()),
        token: principal.and_then(|who| who.token.as_ref()).map_or("", TokenId::as_str),
        address: ctx.address,
    }
}

fn is_from_the_beginning(session: &Session<'_>) -> bool {
    let Some(head) = session.response_written() else { return false };
    match head.status {
        200 => true,
        206 => {
            let range = head.get(&header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
            range.is_some_and(|range| range.starts_with("bytes 0-"))
        }
        _ => false,
    }
}
