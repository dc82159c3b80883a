//! The door: takes a connection, reads one head after another under limits, and hands each to the engine.
//!
//! Belongs here: deadlines, limits, refusals and the keep-alive loop. Does not: judging bytes (`head`), answering
//! requests (`answers` and the handler behind it).
//!
//! Why the gate does this itself: the engine's header time-out is per read and ends after the first request, its limits are
//! wide and answered with a bare status and no log line, and a pipelined request is lost. Plain requests do not need the engine at all.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep, timeout, timeout_at};
use tokio_rustls::server::TlsStream;

use super::answers::{Answers, Shared};
use super::conn::{Conn, Patience};
use super::ctx::{Connection, How};
use super::drain::{Busy, Drain};
use super::forwarded::{self, Forwarded};
use super::gateway::Gateway;
use super::head::{Head, HeadLimits, Refusal, Scan, Scanner};
use super::limits::pressure::{Pressure, Room, UnderWay};
use super::message::Request;
use super::pipe::Pipe;
use super::refusal;
use super::session::Session;
use super::succession::Succession;
use super::tls::Tls;
use crate::id::RequestId;
use crate::policy::network::Network;
use crate::telemetry::access::{End, Line};
use crate::telemetry::metrics::Limit;
use crate::telemetry::{Outcome, RouteKind};

/// What a connection may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrontSettings {
    /// Sizes of request heads.
    pub limits: HeadLimits,
    /// From the connection (or, later on, from the first byte) to the end of a head; then 408.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request; then it is closed without a word, as clients expect.
    pub idle_timeout: Duration,
    /// How long a client may take no bytes at all before its answer is cut. Not a minimum rate: the kernel reports room only when
    /// about a third of its send buffer (up to some megabytes) is free again, so this must be minutes, or
    /// slow but honest clients are cut. A client that reads a byte a second costs a connection this long, no more.
    pub write_stall: Duration,
    /// How long a client may go on sending after an answer that closes the connection, so that it gets to read it.
    pub linger: Duration,
    /// Proxies whose connections begin with a header of the PROXY protocol; from anybody else there is none.
    pub announced_by: Vec<Network>,
}

impl Default for FrontSettings {
    fn default() -> Self {
        Self {
            limits: HeadLimits::default(),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            write_stall: Duration::from_mins(10),
            linger: Duration::from_secs(2),
            announced_by: Vec::new(),
        }
    }
}

/// What serves every connection.
pub(super) struct FrontApp {
    answers: Arc<Answers>,
    pub(super) proxy: Arc<HttpProxy<Gateway>>,
    shared: Arc<Shared>,
    pub(super) settings: FrontSettings,
    pub(super) drain: Arc<Drain>,
    /// The engine ends keep-alive once it says so.
    pub(super) stop: ShutdownWatch,
    pub(super) pressure: Arc<Pressure>,
    pub(super) succession: Arc<Succession>,
    /// Says that this request is a connection's last one.
    last: ShutdownWatch,
}

/// What came of waiting for a request.
enum Next<'a> {
    /// A head and its bytes, held as in flight from its first byte on.
    Request(Head, BytesMut, (Busy<'a>, UnderWay<'a>)),
    /// The client is gone, or idle for too long.
    Closed,
    /// To be answered by another process.
    PassedOn(Busy<'a>),
    /// To be answered here.
    Refused(Refusal, Busy<'a>),
}

impl FrontApp {
    pub(super) fn new(
        answers: Arc<Answers>,
        shared: Arc<Shared>,
        settings: FrontSettings,
        drain: Arc<Drain>,
        stop: ShutdownWatch,
        succession: Arc<Succession>,
        pressure: Arc<Pressure>,
    ) -> Self {
        let proxy = Arc::new(Gateway::proxy(Arc::clone(&answers), settings.limits));
        let last = tokio::sync::watch::channel(true).1;
        Self { answers, proxy, shared, settings, drain, stop, pressure, succession, last }
    }

    /// All that happens on one connection; `tls` answers its handshake, if it is to begin with one.
    pub(super) async fn connection(&self, mut stream: TcpStream, peer: SocketAddr, tls: Option<&Tls>) {
        let (_open, room) = self.pressure.connected();
        // Answers leave in as few writes as they can; none should wait for another's acknowledgement.
        let (_without_it_slower, local) = (stream.set_nodelay(true), stream.local_addr().ok());
        let Some(told) = self.announced(&mut stream, peer).await else { return };
        let (peer, local) = told.addresses.map_or((peer, local), |(client, gate)| (client, Some(gate)));
        let encrypted = tls.is_some();
        let how = How { encrypted, secure: told.secure || encrypted, hidden: told.hidden };
        let about = Arc::new(Connection::new(peer, local, how));
        let pipe = match (tls, room) {
            (None, _) => Pipe::Plain(stream),
            // A handshake costs more than the refusal is worth.
            (Some(_), Room::Gone(limit)) => {
                self.full(limit);
                return;
            }
            (Some(tls), _) => match Box::pin(self.shake_hands(tls, stream)).await {
                Some(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    return Box::pin(self.http2(Pipe::Tls(stream), &about, room)).await;
                }
                Some(stream) => Pipe::Tls(stream),
                None => return,
            },
        };
        let patience = Patience { write_stall: self.settings.write_stall, linger: self.settings.linger };
        let conn = Box::new(Conn::new(pipe, Arc::clone(&about), patience));
        match room {
            Room::Enough => self.serve(conn, &about, (None, false)).await,
            Room::Short(limit) => self.serve(conn, &about, (Some(limit), false)).await,
            Room::Gone(limit) => self.refuse(conn, &about, &self.full(limit)).await,
        }
    }

    /// A connection that another process passes on: its next request, and no other. There is room for it: it was let in there.
    pub(super) async fn inherited(&self, mut stream: UnixStream) {
        let (_open, _had_room) = self.pressure.connected();
        let Ok(Ok(told)) = timeout(self.settings.header_timeout, forwarded::take_over(&mut stream)).await
        else {
            return;
        };
        let Some((client, gate)) = told.addresses else { return };
        let how = How { encrypted: false, secure: told.secure, hidden: told.hidden };
        let about = Arc::new(Connection::new(client, Some(gate), how));
        let patience = Patience { write_stall: self.settings.write_stall, linger: self.settings.linger };
        let conn = Box::new(Conn::new(Pipe::Passed(stream), Arc::clone(&about), patience));
        self.serve(conn, &about, (None, true)).await;
    }

    /// Has the successor answer what has arrived.
    async fn pass_on(&self, conn: &mut Conn, about: &Connection) {
        let passed = async {
            let mut heir = self.succession.connect().await?;
            heir.write_all(&forwarded::hand_over(about)).await?;
            conn.pass_on(heir).await
        };
        if let Err(error) = passed.await {
            tracing::debug!(%error, "a connection that was passed on ended");
        }
    }

    /// What a proxy says of a connection in front of it; `None` when it should and does not.
    async fn announced(&self, stream: &mut TcpStream, peer: SocketAddr) -> Option<Forwarded> {
        let ip = peer.ip().to_canonical();
        if !self.settings.announced_by.iter().any(|network| network.contains(ip)) {
            return Some(Forwarded::default());
        }
        match timeout(self.settings.header_timeout, forwarded::read(stream)).await {
            Ok(Ok(told)) => Some(told),
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "a connection of a proxy was closed");
                None
            }
            Err(_) => None,
        }
    }

    async fn shake_hands(&self, tls: &Tls, stream: TcpStream) -> Option<Box<TlsStream<TcpStream>>> {
        match timeout(self.settings.header_timeout, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => Some(Box::new(stream)),
            failed => {
                self.shared.eyes.metrics.handshakes_failed.inc();
                if let Ok(Err(error)) = failed {
                    tracing::debug!(%error, "a TLS handshake failed");
                }
                None
            }
        }
    }

    /// Too much is going on; and counts that.
    pub(super) fn full(&self, limit: Limit) -> Refusal {
        let metrics = &self.shared.eyes.metrics;
        metrics.limits.refused(limit);
        if limit == Limit::Connections {
            metrics.over_limit.inc();
        }
        refusal::full(limit)
    }

    /// For a request that does not reach the answers.
    pub(super) fn next_id(&self) -> RequestId {
        self.shared.ids.next()
    }

    /// Request after request, until the connection ends. With `full` there is room for one only, and that for the gate's health; with
    /// `last` the answer to the next one says that it was the last.
    async fn serve(&self, mut conn: Box<Conn>, about: &Arc<Connection>, (full, last): (Option<Limit>, bool)) {
        let mut first = true;
        // One alarm for all requests: moving it is cheaper than a new one each time.
        let mut alarm = std::pin::pin!(sleep(self.settings.header_timeout));
        loop {
            let (head, bytes, in_flight) =
                match self.next(&mut conn, about, (first, full), alarm.as_mut()).await {
                    Next::Request(head, bytes, in_flight) => (head, bytes, in_flight),
                    Next::Closed => return,
                    Next::PassedOn(in_flight) => {
                        Box::pin(self.pass_on(&mut conn, about)).await;
                        drop(in_flight);
                        return;
                    }
                    Next::Refused(refusal, in_flight) => {
                        self.refuse(conn, about, &refusal).await;
                        drop(in_flight);
                        return;
                    }
                };
            // A gate that is about to stop lets the engine say so.
            let kept = if last {
                self.through_engine(conn, about, bytes, &self.last).await
            } else if head.is_plain && !*self.stop.borrow() {
                self.plain(&mut conn, about, head, bytes, full.is_some()).await.then_some(conn)
            } else {
                self.through_engine(conn, about, bytes, &self.stop).await
            };
            drop(in_flight);
            let Some(same) = kept.filter(|_| full.is_none()) else { return };
            conn = same;
            first = false;
        }
    }

    /// Answers a plain request; whether the connection is good for another one. The `last` one ends it.
    async fn plain(
        &self,
        conn: &mut Conn,
        about: &Arc<Connection>,
        head: Head,
        bytes: BytesMut,
        last: bool,
    ) -> bool {
        let mut ctx = self.answers.begin();
        ctx.connection = Some(Arc::clone(about));
        let mut session = Session::lean(conn, Request::of_plain(head, bytes));
        if last {
            session.close_after();
        }
        if self.answers.serve(&mut session, &mut ctx).await.is_err() {
            return false;
        }
        let Ok(Some(bytes)) = session.finish().await else { return false };
        conn.reuse(bytes);
        true
    }

    /// Has the engine answer any other request; the connection, if it is good for another one.
    async fn through_engine(
        &self,
        conn: Box<Conn>,
        about: &Arc<Connection>,
        head: BytesMut,
        stop: &ShutdownWatch,
    ) -> Option<Box<Conn>> {
        let mut session = ServerSession::new_http1(conn);
        session.set_pipelined_prefix(head);
        session.set_connection_user_context(Some(Box::new(Arc::clone(about))));
        let reused = self.proxy.process_new_http(session, stop).await?;
        // The settings that come along are the engine's keep-alive, which it reads from each head anew.
        let (stream, _settings) = reused.consume();
        stream.into_any().downcast::<Conn>().ok()
    }

    /// Waits for the next head, which has one deadline however its bytes trickle in.
    async fn next(
        &self,
        conn: &mut Conn,
        about: &Connection,
        (first, full): (bool, Option<Limit>),
        mut alarm: Pin<&mut Sleep>,
    ) -> Next<'_> {
        if conn.arrived().is_empty() {
            let patience = if first { self.settings.header_timeout } else { self.settings.idle_timeout };
            alarm.as_mut().reset(Instant::now() + patience);
            let more = tokio::select! {
                biased;
                filled = conn.fill() => filled.is_ok_and(|bytes| bytes > 0),
                () = alarm => false,
            };
            if !more {
                return Next::Closed;
            }
        }
        let in_flight = self.drain.enter();
        let begun = if first { about.opened } else { Instant::now() };
        let mut scanner = Scanner::new(self.settings.limits);
        loop {
            match scanner.feed(conn.arrived()) {
                Scan::Complete(_) if self.succession.is_passing() && self.succession.is_given().await => {
                    return Next::PassedOn(in_flight);
                }
                Scan::Complete(head) => {
                    let tells_health = || refusal::tells_health(&conn.arrived()[head.target.clone()]);
                    let under_way = match (full, self.pressure.begun()) {
                        (None, Ok(under_way)) => under_way,
                        (Some(_), _) | (_, Err(_)) if tells_health() => UnderWay::uncounted(),
                        (Some(limit), _) | (_, Err(limit)) => {
                            return Next::Refused(self.full(limit), in_flight);
                        }
                    };
                    let bytes = conn.take(&head);
                    return Next::Request(head, bytes, (in_flight, under_way));
                }
                Scan::Refuse(refusal) => return Next::Refused(refusal, in_flight),
                Scan::NeedMore => {}
            }
            match timeout_at(begun + self.settings.header_timeout, conn.fill()).await {
                Ok(Ok(1..)) => {}
                Ok(_) => return Next::Closed,
                Err(_) => {
                    let refusal = Refusal::new(408, "The request head did not arrive in time.");
                    return Next::Refused(refusal, in_flight);
                }
            }
        }
    }

    /// Answers with a problem document, lets the client read it, and writes the access line.
    async fn refuse(&self, mut conn: Box<Conn>, about: &Connection, refusal: &Refusal) {
        let (started, at) = (Instant::now(), self.shared.clock.now());
        let request = self.shared.ids.next();
        let arrived = conn.arrived();
        // Enough for the log; the rest of an endless line is not kept.
        let shown = arrived[..arrived.len().min(4096)].to_vec();
        let (method, target) = refusal::first_line(&shown);
        let answer = refusal::answer(refusal, request, method == b"HEAD");
        conn.give_up_reading();
        let written = conn.write_all(&answer).await;
        let took = started.elapsed();
        self.shared.eyes.metrics.head_refused(refusal.status);
        self.shared.eyes.metrics.request(RouteKind::Unknown, refusal.status, 0);
        self.shared.eyes.access.write(&Line {
            at,
            request,
            client: &about.shown,
            method,
            target,
            host: None,
            status: refusal.status,
            bytes: 0,
            first_byte: None,
            took,
            outcome: Outcome::None,
            channel: None,
            user: None,
            token: None,
            agent: b"",
            end: if written.is_ok() { End::Complete } else { End::ClientLeft },
        });
        if written.is_ok() {
            // Its error would say that the client has gone already.
            let _closed = AsyncWriteExt::shutdown(&mut *conn).await;
        }
    }
}
