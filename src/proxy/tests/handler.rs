//! A handler that behaves as the path says.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora::{Error, ErrorType};
use tokio::sync::Semaphore;

use crate::proxy::message::Response;
use crate::proxy::{Ctx, Handler, Session, meant};
use crate::telemetry::{Metrics, Outcome, RouteKind};

/// What needs a second act waits for a permit.
pub(super) struct Scripted {
    pub(super) permits: Arc<Semaphore>,
    pub(super) ends: super::crossing::Ends,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl Handler for Scripted {
    async fn handle(&self, session: &mut Session<'_>, ctx: &mut Ctx) -> pingora::Result<()> {
        let named = meant(session.request());
        let (method, path, query) =
            (session.request().method.to_string(), named.path.to_owned(), named.query);
        let said = format!("{method} {:?} {query:?} {}", named.host, named.absolute);
        let query = query.unwrap_or_default().to_owned();
        ctx.kind = RouteKind::Package;
        match path.as_str() {
            "/hit" => {
                ctx.outcome = Outcome::Hit;
                ctx.channel = Some(self.metrics.channel("conda-forge"));
                write(session, 200, Length::Of(said.len()), &said).await
            }
            "/slow" => {
                write(session, 200, Length::Of(10), "first").await?;
                self.permits.acquire().await.unwrap().forget();
                session.write_response_body(Some(Bytes::from_static(b"later")), true).await
            }
            "/gone" => {
                // Only the end of the stream may wake this, never a pipelined request.
                let left = session.left().await;
                self.permits.add_permits(1);
                left
            }
            crossed if crossed.starts_with("/api/") => {
                super::crossing::answer(self, session, ctx, crossed).await
            }
            "/body" | "/refuse-body" | "/big" => bodies(session, &path).await,
            "/fail" => failures(session, &query).await,
            "/whole" => {
                let length = if query == "chunked" { Length::Chunked } else { Length::UntilClose };
                write(session, 200, length, "half").await?;
                session.write_response_body(Some(Bytes::from_static(b"behind")), true).await
            }
            "/not-modified" => session.write_response_header(Response::new(304), true).await,
            _ => write(session, 200, Length::Of(said.len()), &said).await,
        }
    }
}

async fn bodies(session: &mut Session<'_>, path: &str) -> pingora::Result<()> {
    match path {
        "/body" => {
            let mut length = 0;
            while let Some(part) = session.read_request_body().await? {
                length += part.len();
            }
            let text = length.to_string();
            write(session, 200, Length::Of(text.len()), &text).await
        }
        "/big" => {
            write(session, 200, Length::Of(64 << 20), "").await?;
            for _ in 0..64 {
                session.write_response_body(Some(vec![b'x'; 1 << 20].into()), false).await?;
            }
            Ok(())
        }
        _ => write(session, 405, Length::Of(2), "no").await,
    }
}

async fn failures(session: &mut Session<'_>, how: &str) -> pingora::Result<()> {
    match how {
        "panic" => panic!("on purpose"),
        "early" => return Error::e_explain(ErrorType::HTTPStatus(502), "upstream sent nonsense"),
        "chunked" => write(session, 200, Length::Chunked, "half").await?,
        "close" => write(session, 200, Length::UntilClose, "half").await?,
        _ => write(session, 200, Length::Of(10), "half").await?,
    }
    match how {
        "late-panic" => panic!("too late"),
        "short" => Ok(()),
        _ => Error::e_explain(ErrorType::InternalError, "the digest is wrong"),
    }
}

enum Length {
    Of(usize),
    Chunked,
    UntilClose,
}

async fn write(session: &mut Session<'_>, status: u16, length: Length, body: &str) -> pingora::Result<()> {
    let mut head = Response::new(status);
    match length {
        Length::Of(length) => head.set(CONTENT_LENGTH, length.into()),
        Length::Chunked => head.set_static(TRANSFER_ENCODING, "chunked"),
        Length::UntilClose => {}
    }
    session.write_response_header(head, false).await?;
    session.write_response_body(Some(Bytes::copy_from_slice(body.as_bytes())), false).await
}
