//! What one request's handling leaves behind for its access line and the metrics.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::Places;
use crate::cache::{BodyMode, Fill};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::http::traceparent::TraceSpan;
use crate::id::RequestId;
use crate::identity::SessionState;
use crate::snapshot::people::Principal;
use crate::telemetry::metrics::ChannelSeries;
use crate::telemetry::{Outcome, RouteKind};

/// Filled while a request is handled. The handler sets what it learns; the rest is known from the connection.
pub struct Ctx {
    /// The id for `X-Request-Id`, problem documents and the log.
    pub request: RequestId,
    /// When the head was complete, for durations.
    pub started: Instant,
    /// The same on the calendar.
    pub at: UnixMillis,
    /// Where the bytes came from.
    pub outcome: Outcome,
    /// What was asked for.
    pub kind: RouteKind,
    /// Whose file it was: `metrics.channel(name)` of a channel that exists.
    pub channel: Option<Arc<ChannelSeries>>,
    /// A host other than the gate's own that decided the route (the `hosts:` table); absolute-form hosts are logged anyway.
    pub host: Option<String>,
    /// Who is asking, if they showed it.
    pub principal: Option<Arc<Principal>>,
    /// From where; behind a trusted proxy the address that it names.
    pub address: Option<IpAddr>,
    /// Whether it came through somebody else, who says so.
    pub(super) relay: Relay,
    /// The package file that is asked for: `channel/subdir/file`.
    pub package: Option<Box<str>>,
    /// Its digest, where it is sent from the cache.
    pub(super) digest: Option<Sha256>,
    /// The download it comes from, where one is under way.
    pub(super) fill: Option<Fill>,
    /// The upstream that the answer had to wait for; empty where it is not one alone.
    pub(super) asked: Option<Box<str>>,
    /// When it was known whose credential came along.
    pub(super) let_in: Option<Instant>,
    /// What of the caller's share it takes up, until its end.
    pub(super) places: Places,
    /// Its span, if it is traced.
    pub(super) span: Option<TraceSpan>,
    /// Some credential came along, good or not.
    pub(super) offered: bool,
    /// What became of the cookie of somebody who signed in to the pages.
    pub(super) session: SessionState,
    /// What is asked for is not for everybody: caches on the way must not share the answer.
    pub(super) gated: bool,
    pub(super) connection: Option<Arc<Connection>>,
    /// The handler failed before it had answered, and a whole problem document went out instead.
    pub(super) excused: bool,
}

/// Whether a request came from its peer, or through it. A header that says so makes it a relayed one whoever sent it: nobody gains by that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Relay {
    /// From the peer, as far as can be seen.
    None,
    /// Through a trusted proxy: its word on the caller counts.
    Trusted,
    /// Through somebody whose word does not count: the caller can be anybody.
    Unknown,
}

impl Ctx {
    pub(super) fn new(request: RequestId, at: UnixMillis) -> Self {
        Self {
            request,
            started: Instant::now(),
            at,
            outcome: Outcome::None,
            kind: RouteKind::Unknown,
            channel: None,
            host: None,
            principal: None,
            address: None,
            relay: Relay::None,
            package: None,
            digest: None,
            fill: None,
            asked: None,
            let_in: None,
            places: Places::default(),
            span: None,
            offered: false,
            session: SessionState::None,
            gated: false,
            connection: None,
            excused: false,
        }
    }

    /// Who is asking: the address of the peer of the connection.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.connection.as_ref().map(|c| c.peer)
    }

    /// Whether the caller is on this machine; what strangers may see depends on it. Somebody on this machine who passes on what others
    /// ask for, as a web server in front does, is not meant.
    #[must_use]
    pub fn from_loopback(&self) -> bool {
        self.relay == Relay::None && self.client().is_some_and(|peer| peer.ip().to_canonical().is_loopback())
    }

    /// As [`Self::from_loopback`], and what comes over no connection is from here too.
    pub(super) fn is_here(&self) -> bool {
        self.connection.is_none() || self.from_loopback()
    }

    /// Whether the request came by TLS, to the gate or to a trusted proxy that tells.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.connection.as_ref().is_some_and(|c| c.how.secure)
    }

    /// Whether it came through a trusted proxy that does not say for whom.
    pub(super) fn is_hidden(&self) -> bool {
        self.connection.as_ref().is_some_and(|c| c.how.hidden)
    }

    /// How files may be handed to the connection: what encrypts them looks at every byte.
    pub(super) fn body_mode(&self) -> BodyMode {
        let encrypted = self.connection.as_ref().is_some_and(|c| c.how.encrypted);
        if encrypted { BodyMode::Read } else { BodyMode::Mapped }
    }

    /// The address of the gate that the client connected to.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.connection.as_ref().and_then(|c| c.local)
    }

    /// From the complete head to the first byte handed to the connection, if there was one.
    #[must_use]
    pub fn first_byte(&self) -> Option<Duration> {
        self.connection.as_ref()?.first_byte().map(|at| at.saturating_duration_since(self.started))
    }

    /// The caller as access lines show it: address and port of the peer, or the address that a trusted proxy names.
    pub(super) fn client_text(&self) -> Cow<'_, str> {
        match (self.relay, self.address) {
            (Relay::Trusted, Some(address)) => Cow::Owned(address.to_string()),
            _ => Cow::Borrowed(self.connection.as_ref().map_or("-", |c| &c.shown)),
        }
    }
}

/// By which way a connection's requests come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct How {
    /// TLS ends in this process.
    pub(super) encrypted: bool,
    /// Nobody on the way to the gate, or to the proxy that tells, could read along.
    pub(super) secure: bool,
    /// A trusted proxy does not say whom it speaks for: the caller can be anybody.
    pub(super) hidden: bool,
}

/// What is known about a connection; shared between its stream and its requests.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    pub(super) local: Option<SocketAddr>,
    pub(super) how: How,
    /// The peer as access lines show it.
    pub(super) shown: String,
    pub(super) opened: Instant,
    /// Nanoseconds from `opened` to the first byte of the current answer, plus one; 0 before it.
    first_byte: AtomicU64,
    reset: AtomicBool,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr, local: Option<SocketAddr>, how: How) -> Self {
        Self {
            peer,
            local,
            how,
            shown: peer.to_string(),
            opened: Instant::now(),
            first_byte: AtomicU64::new(0),
            reset: AtomicBool::new(false),
        }
    }

    /// The same for one of many requests at a time.
    pub(super) fn for_stream(&self) -> Self {
        Self::new(self.peer, self.local, self.how)
    }

    /// The next answer has not begun.
    pub(super) fn expect_answer(&self) {
        self.first_byte.store(0, Ordering::Relaxed);
    }

    /// Bytes of the answer were handed over.
    pub(super) fn answering(&self) {
        if self.first_byte.load(Ordering::Relaxed) == 0 {
            let nanos = u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX - 1);
            self.first_byte.store(nanos + 1, Ordering::Relaxed);
        }
    }

    /// The end of this connection must not look like the end of an answer.
    pub(super) fn reset_at_end(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    pub(super) fn ends_with_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    fn first_byte(&self) -> Option<Instant> {
        let nanos = self.first_byte.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.opened + Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_of_each_answer_is_timed() {
        let connection = Arc::new(Connection::new(([127, 0, 0, 1], 9).into(), None, How::default()));
        for wait in [5, 0] {
            let mut ctx = Ctx::new(crate::id::RequestIds::new(1).next(), UnixMillis(0));
            ctx.connection = Some(Arc::clone(&connection));
            connection.expect_answer();
            assert_eq!(ctx.first_byte(), None);
            tokio::time::advance(Duration::from_millis(wait)).await;
            connection.answering();
            tokio::time::advance(Duration::from_millis(7)).await;
            connection.answering();
            assert_eq!(ctx.first_byte(), Some(Duration::from_millis(wait)));
            assert!(ctx.from_loopback());
            assert_eq!(ctx.client_text(), "127.0.0.1:9");
            (ctx.relay, ctx.address) = (Relay::Trusted, Some([203, 0, 113, 9].into()));
            assert_eq!(ctx.client_text(), "203.0.113.9");
            assert!(!ctx.from_loopback(), "a proxy on this machine speaks for others");
        }
    }
}
