//! HTTP/2, which clients get by ALPN inside TLS: the engine speaks it, its requests go the way of all others.
//!
//! Belongs here: the streams of one connection, and its end. Does not: answering them (`gateway`, `answers`).
//!
//! All streams of a connection run in its own task, on its own worker; the engine would spawn each on whatever runtime it finds.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use pingora::apps::HttpServerApp;
use pingora::http::ResponseHeader;
use pingora::protocols::Digest;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Accept, H2Options, HttpSession, handshake};
use pingora::protocols::raw_connect::ProxyDigest;
use tokio::time::{sleep, timeout};

use super::ctx::Connection;
use super::front::FrontApp;
use super::limits::pressure::{Room, UnderWay};
use super::pipe::Pipe;
use super::refusal;
use super::session::for_engine;
use crate::telemetry::metrics::Limit;

/// Requests at one time on a connection; conda asks for tens.
const STREAMS: u32 = 256;
/// What a client may send ahead, on one stream and on all: uploads need more than the 64 KiB of the standard.
const WINDOW: u32 = 1 << 20;
const WINDOW_OF_ALL: u32 = 4 << 20;
/// Requests that break the rules of HTTP/2 before a connection ends.
const PATIENCE: u32 = 32;

impl FrontApp {
    /// All that happens on a connection that speaks HTTP/2.
    pub(super) async fn http2(&self, pipe: Pipe, about: &Arc<Connection>, room: Room) {
        let settings = &self.settings;
        let opening = handshake(Box::new(pipe), Some(self.h2_options()));
        let Ok(Ok(mut h2)) = timeout(settings.header_timeout, opening).await else { return };
        let Some(digest) = digest(about) else { return };
        let mut stop = self.stop.clone();
        let (mut ending, mut broken) = (false, 0);
        let mut streams = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(()) = streams.next() => {}
                // An error means that nobody is left who could ask.
                _ = stop.wait_for(|stop| *stop), if !ending => {
                    ending = true;
                    h2.graceful_shutdown();
                }
                () = self.succession.begun(), if !ending => {
                    ending = true;
                    h2.graceful_shutdown();
                }
                next = HttpSession::from_h2_conn(&mut h2, Arc::clone(&digest)) => match next {
                    Ok(Some(H2Accept::Session(session))) => streams.push(self.stream(session, room)),
                    Ok(Some(H2Accept::Rejected)) if broken < PATIENCE => broken += 1,
                    _ => break,
                },
                () = sleep(settings.idle_timeout), if streams.is_empty() => {
                    if ending {
                        break;
                    }
                    ending = true;
                    h2.graceful_shutdown();
                }
            }
        }
        // What is still being answered notices that nobody listens any more, and is written down.
        drop(h2);
        while streams.next().await.is_some() {}
    }

    /// One request. Where there is no room, only what tells of the gate's health is answered.
    async fn stream(&self, mut session: HttpSession, room: Room) {
        if self.succession.is_closed() {
            return session.shutdown_with_reason(h2::Reason::REFUSED_STREAM);
        }
        let _in_flight = self.drain.enter();
        let mut session = ServerSession::new_http2(session);
        session.set_write_timeout(Some(self.settings.write_stall));
        let under_way = match room {
            Room::Enough => self.pressure.begun(),
            Room::Short(limit) | Room::Gone(limit) => Err(limit),
        };
        let tells_health = refusal::tells_health(session.req_header().uri.path().as_bytes());
        let _under_way = match under_way {
            Ok(under_way) => under_way,
            Err(_) if tells_health => UnderWay::uncounted(),
            Err(limit) => return self.turn_away(session, limit).await,
        };
        let _not_for_another = self.proxy.process_new_http(session, &self.stop).await;
    }

    async fn turn_away(&self, mut session: ServerSession, limit: Limit) {
        let refusal = self.full(limit);
        let (head, body) = refusal::whole(&refusal, self.next_id());
        let Ok(head) = for_engine(&head) else { return };
        // Its error says that the client has left.
        if session.write_response_header(head).await.is_ok() {
            let _left = session.write_response_body(body, true).await;
        }
    }

    fn h2_options(&self) -> H2Options {
        let mut options = H2Options::default();
        options
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(self.settings.limits.max_bytes).unwrap_or(u32::MAX))
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW_OF_ALL);
        options
    }
}

/// Carries what is known of the connection to its requests; the engine has no other place for it.
fn digest(about: &Arc<Connection>) -> Option<Arc<Digest>> {
    let nothing = ResponseHeader::build_no_case(200, None).ok()?;
    let carried = ProxyDigest::new(Box::new(nothing), Some(Box::new(Arc::clone(about))));
    Some(Arc::new(Digest { proxy_digest: Some(Arc::new(carried)), ..Digest::default() }))
}

/// What [`digest`] carries, for one request: its own moments.
pub(super) fn connection_of(digest: Option<&Digest>) -> Option<Arc<Connection>> {
    let carried = digest?.proxy_digest.as_ref()?.user_data.as_ref()?;
    let about = carried.downcast_ref::<Arc<Connection>>()?;
    Some(Arc::new(about.for_stream()))
}
