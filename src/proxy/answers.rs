//! Every request goes to the one handler, and ends in one access line.
//!
//! Belongs here: calling the handler so that nothing it does can take more than its own request down, the last-resort answers,
//! accounting. Does not: deciding anything about the request (the handler).

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING, USER_AGENT};
use pingora::{Error, ErrorSource, ErrorType};

use super::ctx::Ctx;
use super::head::Refusal;
use super::message::Response;
use super::session::Session;
use super::{Handler, host, inflow, refusal};
use crate::cache::Fill;
use crate::clock::SharedClock;
use crate::http::traceparent::TraceSpan;
use crate::id::RequestIds;
use crate::store::model::TokenId;
use crate::telemetry::access::{End, Line};
use crate::telemetry::slow::SlowRequest;
use crate::telemetry::traces::RequestSpan;
use crate::telemetry::{Eyes, RouteKind};

/// W3C Trace Context.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What access lines and metrics say when the client left before there was an answer (nginx's habit).
const CLIENT_LEFT: u16 = 499;
const PANICKED: &str =
    "The gateway failed while answering this request; its log has the details under the request id.";
const FAILED: &str =
    "The gateway could not answer this request; its log has the details under the request id.";

/// What the door and the answers both need.
pub(super) struct Shared {
    pub(super) eyes: Eyes,
    pub(super) clock: SharedClock,
    pub(super) ids: Arc<RequestIds>,
}

/// See the module's description.
pub(super) struct Answers {
    handler: Arc<dyn Handler>,
    shared: Arc<Shared>,
}

impl Answers {
    pub(super) fn new(handler: Arc<dyn Handler>, shared: Arc<Shared>) -> Self {
        Self { handler, shared }
    }

    /// What is known of a request whose head is complete.
    pub(super) fn begin(&self) -> Ctx {
        Ctx::new(self.shared.ids.next(), self.shared.clock.now())
    }

    /// Answers and writes it down.
    ///
    /// # Errors
    /// When the answer is not complete or was the last resort: the connection must not be used further.
    pub(super) async fn serve(&self, session: &mut Session<'_>, ctx: &mut Ctx) -> pingora::Result<()> {
        if self.shared.eyes.traces.is_on() {
            let parent = session.request().text(&TRACEPARENT);
            ctx.span = self.shared.eyes.traces.begin(parent, ctx.request);
        }
        let handled = AssertUnwindSafe(self.handler.handle(session, ctx)).catch_unwind().await;
        let done = match handled {
            Ok(done) => done,
            Err(panic) => self.after_panic(session, ctx, panic_message(&*panic)).await,
        };
        if let Err(error) = &done {
            self.failed(session, ctx, error).await;
        }
        self.account(session, ctx, done.as_ref().err().map(|error| &**error));
        if done.is_ok() {
            inflow::linger(session).await;
        }
        done
    }

    /// Answers what the handler must not see, and writes it down.
    ///
    /// # Errors
    /// When the client has left.
    pub(super) async fn refuse(
        &self,
        session: &mut Session<'_>,
        ctx: &mut Ctx,
        refusal: &Refusal,
    ) -> pingora::Result<()> {
        self.shared.eyes.metrics.head_refused(refusal.status);
        let done = self.problem(session, ctx, refusal.status, &refusal.sentence).await;
        self.account(session, ctx, done.as_ref().err().map(|error| &**error));
        done
    }

    /// A panic costs its request only: 500 where nothing was sent yet, else the connection is cut.
    async fn after_panic(
        &self,
        session: &mut Session<'_>,
        ctx: &mut Ctx,
        message: String,
    ) -> pingora::Result<()> {
        self.shared.eyes.metrics.panics.inc();
        tracing::error!(request = %ctx.request, "panic while answering a request: {message}");
        if session.response_written().is_some() {
            return Err(Error::explain(ErrorType::InternalError, "panic after the answer had begun"));
        }
        self.problem(session, ctx, 500, PANICKED).await
    }

    /// Says what went wrong, to the client where it has heard nothing yet.
    async fn failed(&self, session: &mut Session<'_>, ctx: &mut Ctx, error: &Error) {
        if client_left(error) {
            tracing::debug!(request = %ctx.request, "the client left: {error}");
            return;
        }
        tracing::warn!(request = %ctx.request, "an answer failed: {error}");
        if session.response_written().is_some() {
            return;
        }
        let status = if let ErrorType::HTTPStatus(code) = error.etype() { *code } else { 500 };
        match self.problem(session, ctx, status, FAILED).await {
            Ok(()) => ctx.excused = true,
            Err(unsent) => tracing::debug!(request = %ctx.request, "the client left: {unsent}"),
        }
    }

    async fn problem(
        &self,
        session: &mut Session<'_>,
        ctx: &Ctx,
        status: u16,
        sentence: &str,
    ) -> pingora::Result<()> {
        session.close_after();
        let body = refusal::document(status, sentence, ctx.request);
        let header = refusal::header(status, body.len(), ctx.request);
        session.write_response_header(header, false).await?;
        session.write_response_body(Some(body), true).await
    }

    fn account(&self, session: &Session<'_>, ctx: &Ctx, error: Option<&Error>) {
        let header = session.response_written();
        let bytes = session.body_bytes_sent();
        let end = match error {
            Some(_) if ctx.excused => End::Complete,
            Some(error) if client_left(error) => End::ClientLeft,
            Some(_) => End::Cut,
            None if header.is_some_and(|h| is_short(session, h, bytes)) => End::Cut,
            None => End::Complete,
        };
        let status = header.map_or(CLIENT_LEFT, |h| h.status);
        let metrics = &self.shared.eyes.metrics;
        metrics.request(ctx.kind, status, bytes);
        if let Some(channel) = &ctx.channel {
            // What was to be downloaded may not be there.
            let kind = if status < 400 { ctx.kind } else { RouteKind::Unknown };
            channel.answered(kind, ctx.outcome, bytes);
        }
        if end != End::Complete {
            metrics.cut.inc();
            if let (Some(header), Some(connection)) = (header, &ctx.connection)
                && ends_by_closing(header)
            {
                connection.reset_at_end();
            }
        }
        let took = ctx.started.elapsed();
        self.write_line(session, ctx, status, end, took);
        if let Some(span) = ctx.span {
            self.trace(session, ctx, (span, status, end, took));
        }
        if self.shared.eyes.slow.is_slow_request(took) {
            self.tell_if_slow(session, ctx, status, end, took);
        }
    }

    fn trace(
        &self,
        session: &Session<'_>,
        ctx: &Ctx,
        (span, status, end, took): (TraceSpan, u16, End, Duration),
    ) {
        self.shared.eyes.traces.request(&RequestSpan {
            span,
            at: ctx.at,
            took,
            method: session.request().method.as_str(),
            kind: ctx.kind,
            channel: ctx.channel.as_ref().map(|channel| channel.name()),
            status,
            bytes: session.body_bytes_sent(),
            outcome: ctx.outcome,
            end,
            request: ctx.request,
            upstream: ctx.asked.as_deref().filter(|name| !name.is_empty()),
        });
    }

    /// What a client takes its time for is not slow: sending its body, taking the bytes of an answer.
    fn tell_if_slow(&self, session: &Session<'_>, ctx: &Ctx, status: u16, end: End, took: Duration) {
        let (spent, first_byte) = (session.spent(), ctx.first_byte());
        let before = first_byte.unwrap_or(took).saturating_sub(spent.receiving);
        let held_up = before + spent.waiting;
        if !self.shared.eyes.slow.is_slow_request(held_up) {
            return;
        }
        let let_in = ctx.let_in.map_or(Duration::ZERO, |at| at.saturating_duration_since(ctx.started));
        let from = ctx.fill.as_ref().and_then(Fill::from);
        SlowRequest {
            request: ctx.request,
            kind: ctx.kind,
            channel: ctx.channel.as_ref().map(|channel| channel.name()),
            status,
            bytes: session.body_bytes_sent(),
            outcome: ctx.outcome,
            end,
            upstream: ctx.asked.as_deref().filter(|name| !name.is_empty()),
            from: from.as_deref(),
            let_in,
            upstream_wait: ctx.asked.as_ref().map(|_| held_up.saturating_sub(let_in)),
            first_byte,
            took,
        }
        .log();
    }

    fn write_line(&self, session: &Session<'_>, ctx: &Ctx, status: u16, end: End, took: Duration) {
        let request = session.request();
        let target = request.target();
        let named = || host::meant(request).host;
        let token = || ctx.principal.as_ref()?.token.as_ref();
        self.shared.eyes.access.write(&Line {
            at: ctx.at,
            request: ctx.request,
            client: &ctx.client_text(),
            method: request.method.as_str().as_bytes(),
            target,
            host: ctx.host.as_deref().or_else(|| if target.first() == Some(&b'/') { None } else { named() }),
            status,
            bytes: session.body_bytes_sent(),
            first_byte: ctx.first_byte(),
            took,
            outcome: ctx.outcome,
            channel: ctx.channel.as_ref().map(|c| c.name()),
            user: ctx.principal.as_ref().map(|principal| &*principal.name),
            token: token().map(TokenId::as_str),
            agent: request.get(&USER_AGENT).unwrap_or_default(),
            end,
        });
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

/// Whether fewer bytes went out than the answer's head had promised.
fn is_short(session: &Session<'_>, header: &Response, bytes: u64) -> bool {
    let bodiless = session.request().method == http::Method::HEAD || matches!(header.status, 204 | 304);
    !bodiless && header.content_length().is_some_and(|promised| bytes < promised)
}

/// Whether only the end of the connection tells the end of the body (HTTP/1.0 without a length).
fn ends_by_closing(header: &Response) -> bool {
    header.get(&CONTENT_LENGTH).is_none() && header.get(&TRANSFER_ENCODING).is_none()
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
            | ErrorType::H2Error
    );
    on_connection && !matches!(error.esource(), ErrorSource::Upstream | ErrorSource::Internal)
}
