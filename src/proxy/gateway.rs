//! The engine's view of the gate: every request goes to the one handler, and ends in one access line.
//!
//! Belongs here: calling the handler so that nothing it does can take more than its own request down, the last-resort answers,
//! accounting. Does not: deciding anything about the request (the handler).

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use pingora::apps::HttpServerOptions;
use pingora::http::ResponseHeader;
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, Session, http_proxy};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use super::ctx::{Connection, Ctx};
use super::{Handler, host, refusal};
use crate::clock::SharedClock;
use crate::id::RequestIds;
use crate::telemetry::Eyes;
use crate::telemetry::access::{End, Line};

/// What access lines and metrics say when the client left before there was an answer (nginx's habit).
const CLIENT_LEFT: u16 = 499;
const PANICKED: &str =
    "The gateway failed while answering this request; its log has the details under the request id.";
const FAILED: &str =
    "The gateway could not answer this request; its log has the details under the request id.";

/// What the door and the gateway both need.
pub(super) struct Shared {
    pub(super) eyes: Eyes,
    pub(super) clock: SharedClock,
    pub(super) ids: Arc<RequestIds>,
}

/// See the module's description.
pub(super) struct Gateway {
    handler: Arc<dyn Handler>,
    shared: Arc<Shared>,
}

impl Gateway {
    /// The engine's proxy around the handler; CONNECT reaches it too, so that it can say what to set instead.
    pub(super) fn proxy(handler: Arc<dyn Handler>, shared: Arc<Shared>) -> HttpProxy<Self> {
        let mut proxy = http_proxy(&Arc::default(), Self { handler, shared });
        let mut options = HttpServerOptions::default();
        options.allow_connect_method_proxying = true;
        proxy.server_options = Some(options);
        proxy
    }

    /// A panic costs its request only: 500 where nothing was sent yet, else the connection is cut.
    async fn after_panic(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        message: String,
    ) -> pingora::Result<bool> {
        self.shared.eyes.metrics.panics.inc();
        tracing::error!(request = %ctx.request, "panic while answering a request: {message}");
        if answered(session).is_some() {
            return Err(Error::explain(ErrorType::InternalError, "panic after the answer had begun"));
        }
        self.problem(session, ctx, 500, PANICKED).await?;
        Ok(true)
    }

    async fn problem(
        &self,
        session: &mut Session,
        ctx: &Ctx,
        status: u16,
        sentence: &str,
    ) -> pingora::Result<()> {
        session.set_keepalive(None);
        let body = refusal::document(status, sentence, ctx.request);
        let header = refusal::header(status, body.len(), ctx.request)?;
        session.write_response_header(Box::new(header), false).await?;
        session.write_response_body(Some(body), true).await
    }

    fn account(&self, session: &Session, ctx: &Ctx, error: Option<&Error>) {
        // A `100 Continue` is no answer.
        let header = answered(session);
        let bytes = session.body_bytes_sent() as u64;
        let end = match error {
            Some(_) if ctx.excused => End::Complete,
            Some(error) if client_left(error) => End::ClientLeft,
            Some(_) => End::Cut,
            None if header.is_some_and(|h| is_short(session, h, bytes)) => End::Cut,
            None => End::Complete,
        };
        let status = header.map_or(CLIENT_LEFT, |h| h.status.as_u16());
        let metrics = &self.shared.eyes.metrics;
        metrics.request(ctx.kind, status, bytes);
        if let Some(channel) = &ctx.channel {
            channel.answered(ctx.outcome, bytes);
        }
        if end != End::Complete {
            metrics.cut.inc();
            if let (Some(header), Some(connection)) = (header, &ctx.connection)
                && ends_by_closing(header)
            {
                connection.reset_at_end();
            }
        }
        let request = session.req_header();
        let target = request.raw_path();
        let named = || host::meant(request).host;
        self.shared.eyes.access.write(&Line {
            at: ctx.at,
            request: ctx.request,
            client: ctx.client_text(),
            method: request.method.as_str().as_bytes(),
            target,
            host: ctx.host.as_deref().or_else(|| if target.first() == Some(&b'/') { None } else { named() }),
            status,
            bytes,
            first_byte: ctx.first_byte(),
            took: ctx.started.elapsed(),
            outcome: ctx.outcome,
            channel: ctx.channel.as_ref().map(|c| c.name()),
            user: ctx.principal.as_ref().map(|principal| &*principal.name),
            token: ctx.principal.as_ref().and_then(|principal| Some(principal.token.as_ref()?.as_str())),
            agent: session.get_header_bytes(::http::header::USER_AGENT),
            end,
        });
    }
}

/// The head of the answer, if it has gone out.
fn answered(session: &Session) -> Option<&ResponseHeader> {
    session.response_written().filter(|header| !header.status.is_informational())
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

/// Whether fewer bytes went out than the answer's head had promised.
fn is_short(session: &Session, header: &ResponseHeader, bytes: u64) -> bool {
    let bodiless =
        session.req_header().method == ::http::Method::HEAD || matches!(header.status.as_u16(), 204 | 304);
    let promised =
        header.headers.get(::http::header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    !bodiless && promised.is_some_and(|promised| bytes < promised)
}

/// Whether only the end of the connection tells the end of the body (HTTP/1.0 without a length).
fn ends_by_closing(header: &ResponseHeader) -> bool {
    use ::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
    !header.headers.contains_key(CONTENT_LENGTH) && !header.headers.contains_key(TRANSFER_ENCODING)
}

/// Whether the error is about the client's connection and not about the answer.
fn client_left(error: &Error) -> bool {
    let on_connection = matches!(
        error.etype(),
        ErrorType::WriteError
            | ErrorType::WriteTimedout
            | ErrorType::ReadError
            | ErrorType::ReadTimedout
            | ErrorType::ConnectionClosed
    );
    on_connection && !matches!(error.esource(), ErrorSource::Upstream | ErrorSource::Internal)
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::new(self.shared.ids.next(), self.shared.clock.now())
    }

    /// None: answers are encoded ahead, and the engine's compression would cost every request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn on_connection_reuse(&self, _session: &mut Session, ctx: &mut Ctx, about: Box<dyn Any + Send + Sync>) {
        ctx.connection = about.downcast::<Arc<Connection>>().ok().map(|about| *about);
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<bool> {
        let handled = AssertUnwindSafe(self.handler.handle(session, ctx)).catch_unwind().await;
        match handled {
            Ok(result) => result.map(|()| true),
            Err(panic) => self.after_panic(session, ctx, panic_message(&*panic)).await,
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut Ctx) -> pingora::Result<Box<HttpPeer>> {
        // `request_filter` has answered every request.
        Err(Error::explain(ErrorType::InternalError, "no request is forwarded by the engine"))
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
        let mut error_code = 0;
        if client_left(error) {
            tracing::debug!(request = %ctx.request, "the client left: {error}");
        } else {
            tracing::warn!(request = %ctx.request, "an answer failed: {error}");
            if answered(session).is_none() {
                error_code = if let ErrorType::HTTPStatus(code) = error.etype() { *code } else { 500 };
                match self.problem(session, ctx, error_code, FAILED).await {
                    Ok(()) => ctx.excused = true,
                    Err(unsent) => tracing::debug!(request = %ctx.request, "the client left: {unsent}"),
                }
            }
        }
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// `fail_to_proxy` has said it, at its own level.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Ctx) {
        self.account(session, ctx, error);
    }
}
