//! One request and the way its answer goes: straight to the connection, or through the engine.
//!
//! Belongs here: what handlers need of either way. Does not: how each works (`lean`, the engine).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora::proxy::Session as Engine;
use tokio::time::Instant;

use super::conn::Conn;
use super::ctx::Connection;
use super::lean::Lean;
use super::limits::pace::{Pacer, TURN};
use super::message::{Request, Response};

/// See the module's description.
pub struct Session<'a> {
    request: Request,
    /// Told when the answer begins, where the connection can't tell by itself: many share it.
    timed: Option<Arc<Connection>>,
    written: Option<Response>,
    continued: bool,
    spent: Spent,
    pacer: Option<Arc<Pacer>>,
    way: Way<'a>,
}

/// Where time went that is not the gate's own.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Spent {
    /// Waiting for the client to send its body.
    pub(super) receiving: Duration,
    /// Waiting for what the answer's body is made of, once it had begun.
    pub(super) waiting: Duration,
}

enum Way<'a> {
    Lean(Lean<'a>),
    Engine(&'a mut Engine),
}

impl<'a> Session<'a> {
    /// A plain request, whose answer is written to the connection it came on.
    pub(super) fn lean(conn: &'a mut Conn, request: Request) -> Self {
        let bodiless = request.method == http::Method::HEAD;
        Self::of(request, Way::Lean(Lean::new(conn, bodiless)))
    }

    /// Any request.
    pub(super) fn engine(engine: &'a mut Engine) -> Self {
        let request = Request::of_engine(engine.req_header());
        Self::of(request, Way::Engine(engine))
    }

    fn of(request: Request, way: Way<'a>) -> Self {
        let spent = Spent::default();
        Self { request, timed: None, written: None, continued: false, spent, pacer: None, way }
    }

    /// Has the connection told when the answer begins.
    pub(super) fn times(&mut self, connection: Option<&Arc<Connection>>) {
        self.timed = connection.cloned();
    }

    /// What was asked.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The next piece of the request's body; `None` behind its end.
    ///
    /// # Errors
    /// When the client left, or its framing is broken.
    pub async fn read_request_body(&mut self) -> pingora::Result<Option<Bytes>> {
        match &mut self.way {
            Way::Lean(_) => Ok(None),
            Way::Engine(engine) => {
                let begun = Instant::now();
                let piece = engine.downstream_session.read_request_body().await;
                self.spent.receiving += begun.elapsed();
                piece
            }
        }
    }

    /// Waits for what the answer's body is made of.
    pub(super) async fn wait_for<T>(&mut self, coming: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let come = coming.await;
        if self.written.is_some() {
            self.spent.waiting += begun.elapsed();
        }
        come
    }

    /// Where time went so far.
    pub(super) const fn spent(&self) -> Spent {
        self.spent
    }

    /// Whether there is nothing left to read of the request's body.
    pub fn is_body_done(&mut self) -> bool {
        match &mut self.way {
            Way::Lean(_) => true,
            Way::Engine(engine) => engine.is_body_done(),
        }
    }

    /// How long a client may send nothing of its body.
    pub fn set_read_timeout(&mut self, stall: Option<Duration>) {
        match &mut self.way {
            Way::Lean(_) => {}
            Way::Engine(engine) => engine.set_read_timeout(stall),
        }
    }

    /// Asks a client that waits for a word to send its body.
    ///
    /// # Errors
    /// When it has left.
    pub async fn write_continue_response(&mut self) -> pingora::Result<()> {
        let Way::Engine(engine) = &mut self.way else { return Ok(()) };
        // The engine takes this for an answer before the body's end, and would close the connection.
        let keepalive = engine.get_keepalive();
        engine.write_continue_response().await?;
        engine.set_keepalive(keepalive);
        self.continued = true;
        Ok(())
    }

    /// Whether it was asked to.
    pub(super) const fn has_continued(&self) -> bool {
        self.continued
    }

    /// Sends the answer's head; `end` says that no body follows. A second one is not sent.
    ///
    /// # Errors
    /// When the client has left.
    pub async fn write_response_header(&mut self, response: Response, end: bool) -> pingora::Result<()> {
        if self.written.is_some() {
            tracing::warn!("a second head of one answer was not sent");
            return Ok(());
        }
        if let Some(connection) = &self.timed {
            connection.answering();
        }
        match &mut self.way {
            Way::Lean(lean) => lean.head(&response).await?,
            Way::Engine(engine) => engine.write_response_header(for_engine(&response)?, end).await?,
        }
        self.written = Some(response);
        Ok(())
    }

    /// Sends a piece of its body; `end` says that it was the last.
    ///
    /// # Errors
    /// When the client has left, or takes no bytes for too long.
    pub async fn write_response_body(&mut self, piece: Option<Bytes>, end: bool) -> pingora::Result<()> {
        match (self.pacer.clone(), piece) {
            (Some(pacer), Some(piece)) => self.write_paced(&pacer, piece, end).await,
            (_, piece) => self.write_piece(piece, end).await,
        }
    }

    async fn write_piece(&mut self, piece: Option<Bytes>, end: bool) -> pingora::Result<()> {
        match &mut self.way {
            Way::Lean(lean) => lean.piece(piece.as_deref().unwrap_or_default(), end).await,
            Way::Engine(engine) => engine.write_response_body(piece, end).await,
        }
    }

    /// Small parts, each when it is its turn.
    async fn write_paced(&mut self, pacer: &Pacer, mut piece: Bytes, end: bool) -> pingora::Result<()> {
        loop {
            let part = piece.split_to(piece.len().min(TURN));
            pacer.wait(part.len()).await;
            self.write_piece(Some(part), end && piece.is_empty()).await?;
            if piece.is_empty() {
                return Ok(());
            }
        }
    }

    /// The answer's body goes out no faster than this lets it.
    pub(super) fn pace_by(&mut self, pacer: Arc<Pacer>) {
        self.pacer = Some(pacer);
    }

    /// Sends a body that lies in memory.
    ///
    /// # Errors
    /// As [`Self::write_response_body`].
    pub async fn write_whole_body(&mut self, body: &[u8]) -> pingora::Result<()> {
        if let Some(pacer) = self.pacer.clone() {
            return self.write_paced(&pacer, Bytes::copy_from_slice(body), true).await;
        }
        match &mut self.way {
            Way::Lean(lean) => lean.piece(body, true).await,
            Way::Engine(engine) => engine.write_response_body(Some(Bytes::copy_from_slice(body)), true).await,
        }
    }

    /// The answer's head, once it was sent.
    #[must_use]
    pub const fn response_written(&self) -> Option<&Response> {
        self.written.as_ref()
    }

    /// Bytes of the answer's body handed to the connection.
    #[must_use]
    pub fn body_bytes_sent(&self) -> u64 {
        match &self.way {
            Way::Lean(lean) => lean.sent,
            Way::Engine(engine) => engine.body_bytes_sent() as u64,
        }
    }

    /// The connection ends with this answer.
    pub fn close_after(&mut self) {
        match &mut self.way {
            Way::Lean(lean) => lean.stays = false,
            Way::Engine(engine) => engine.set_keepalive(None),
        }
    }

    /// Returns when the client has left, with an error.
    ///
    /// # Errors
    /// Always; only what it says differs.
    #[cfg(test)]
    pub(super) async fn left(&mut self) -> pingora::Result<()> {
        match &mut self.way {
            Way::Lean(lean) => lean.left().await,
            Way::Engine(engine) => engine.downstream_session.read_body_or_idle(true).await.map(drop),
        }
    }

    /// The bytes of the request's head, to be used again, if the connection is good for another one.
    ///
    /// # Errors
    /// When the client has left.
    pub(super) async fn finish(self) -> pingora::Result<Option<bytes::BytesMut>> {
        match self.way {
            Way::Lean(lean) => Ok(lean.finish().await?.then(|| self.request.into_bytes())),
            // The engine finishes its own.
            Way::Engine(_) => Ok(None),
        }
    }
}

pub(super) fn for_engine(response: &Response) -> pingora::Result<Box<ResponseHeader>> {
    let mut header = ResponseHeader::build_no_case(response.status, Some(response.headers().len()))?;
    for (name, value) in response.headers() {
        header.append_header(name, value)?;
    }
    Ok(Box::new(header))
}
