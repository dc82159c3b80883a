//! The stream of one client connection, between the socket and the engine's HTTP/1.1.
//!
//! Belongs here: what the engine lacks on sockets. It gives the engine one request at a time and keeps what came
//! behind it (pipelining), sends an answer's head together with the first bytes behind it, ends a client that takes
//! no bytes at all for too long without touching slow ones, lets a client that is still sending read its answer before
//! the connection goes (RFC 9112 section 9.6), notes when an answer began, and resets the connection where a cut
//! answer would look whole. Does not: reading heads (`front`).

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt as _, BufReader, ReadBuf, copy, copy_buf, sink, split,
};
use tokio::net::UnixStream;
use tokio::time::{Sleep, sleep, timeout};

use super::ctx::Connection;
use super::head::{Framing, Head};
use super::pipe::Pipe;

/// What is copied at a time of an answer that another process gives.
const PASSED: usize = 64 * 1024;
/// What an idle connection reserves for the next head; most conda requests fit.
const FIRST_READ: usize = 1024;
/// By what a head's buffer grows.
const NEXT_READ: usize = 8 * 1024;
/// How much of a refused upload is read away.
const LINGER_BYTES: usize = 2 * 1024 * 1024;
/// How much of following requests is taken in while one is being answered.
const AHEAD: usize = 16 * 1024;

/// The largest head that waits for its body.
const MAX_HELD: usize = 8 * 1024;

/// Time limits of a connection's writing side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long a write may stand still.
    pub(super) write_stall: Duration,
    /// How long a client may go on sending after its answer.
    pub(super) linger: Duration,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Conn {
    inner: Pipe,
    digest: Arc<SocketDigest>,
    about: Arc<Connection>,
    patience: Patience,
    /// Bytes that arrived and belong to heads not yet handed on.
    rest: BytesMut,
    /// Body bytes of the current request that the engine may still read.
    allowance: u64,
    /// The next write is an answer's head.
    head_due: bool,
    /// An answer's head that waits for its body's first bytes; most answers are then one packet and one system call.
    held: BytesMut,
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Conn {
    pub(super) fn new(inner: Pipe, about: Arc<Connection>, patience: Patience) -> Self {
        Self {
            digest: Arc::new(SocketDigest::from_raw_fd(inner.as_raw_fd())),
            inner,
            about,
            patience,
            rest: BytesMut::new(),
            allowance: 0,
            head_due: false,
            held: BytesMut::new(),
            stalled: None,
            lingering: None,
        }
    }

    /// What has arrived of the next head.
    pub(super) fn arrived(&self) -> &[u8] {
        &self.rest
    }

    /// Reads more of it; 0 at the end of the stream.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        if self.rest.capacity() == self.rest.len() {
            self.rest.reserve(if self.rest.is_empty() { FIRST_READ } else { NEXT_READ });
        }
        self.inner.read_buf(&mut self.rest).await
    }

    /// Takes a complete head out; what follows is its body as far as its framing says.
    pub(super) fn take(&mut self, head: &Head) -> BytesMut {
        self.allowance = match head.framing {
            Framing::Length(length) => length,
            // The end is the engine's to find. What it reads beyond can't be given back, so it then closes the connection.
            Framing::Chunked => u64::MAX,
        };
        self.about.expect_answer();
        self.head_due = true;
        let bytes = if head.len == self.rest.len() {
            std::mem::take(&mut self.rest)
        } else {
            self.rest.split_to(head.len)
        };
        head.normalise(bytes)
    }

    /// Where bytes of an answer wait for those that follow them; they are sent together.
    pub(super) fn hold(&mut self) -> &mut BytesMut {
        self.about.answering();
        self.head_due = false;
        &mut self.held
    }

    /// Takes the bytes of a head back that was answered: the next one may lie there.
    pub(super) fn reuse(&mut self, mut bytes: BytesMut) {
        if self.rest.is_empty() && bytes.capacity() <= NEXT_READ {
            bytes.clear();
            self.rest = bytes;
        }
    }

    /// Passes on what has arrived and all that follows, both ways, until the answer ends.
    pub(super) async fn pass_on(&mut self, heir: UnixStream) -> io::Result<()> {
        let (from_heir, mut to_heir) = heir.into_split();
        to_heir.write_all(&std::mem::take(&mut self.rest)).await?;
        let (mut from_client, mut to_client) = split(&mut self.inner);
        let onwards = async {
            // Where it fails, the way back does too, or the answer is there already.
            let _ended = copy(&mut from_client, &mut to_heir).await;
            let _ended = to_heir.shutdown().await;
            std::future::pending::<()>().await;
        };
        let back = async {
            copy_buf(&mut BufReader::with_capacity(PASSED, from_heir), &mut to_client).await?;
            to_client.shutdown().await
        };
        tokio::select! {
            done = back => done?,
            () = onwards => {}
        }
        // A client that is still sending reads its answer first.
        let _late = timeout(self.patience.linger, copy(&mut from_client, &mut sink())).await;
        Ok(())
    }

    /// No further request will be read; whatever still arrives is read away when the connection shuts down.
    pub(super) fn give_up_reading(&mut self) {
        self.allowance = u64::MAX;
        self.about.expect_answer();
    }

    /// Sends what is held.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let polled = Pin::new(&mut self.inner).poll_write(cx, &self.held);
            let written = ready!(self.watch(cx, polled))?;
            self.sent_held(written)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Forgets what of `held` was sent, and gives how many bytes were sent beyond it.
    fn sent_held(&mut self, written: usize) -> io::Result<usize> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_held = written.min(self.held.len());
        self.held.advance(of_held);
        Ok(written - of_held)
    }

    /// Ends a write that has stood still for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let stall = self.patience.write_stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client took no bytes for too long")))
    }

    /// Nothing of this request is left to read: bytes that arrive belong to the next one, only the end of the stream is told.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 512];
        while self.rest.len() < AHEAD {
            let mut ahead = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut ahead))?;
            if ahead.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.rest.extend_from_slice(ahead.filled());
        }
        // Enough: whoever waits for the end is not woken by this side any more.
        Poll::Pending
    }

    /// Reads away what the client still sends.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((timer, left)) = &mut self.lingering else { return Poll::Ready(Ok(())) };
        let mut space = [0; 4096];
        loop {
            let mut junk = ReadBuf::new(&mut space);
            match Pin::new(&mut self.inner).poll_read(cx, &mut junk) {
                Poll::Pending => return timer.as_mut().poll(cx).map(Ok),
                Poll::Ready(Ok(())) if !junk.filled().is_empty() && junk.filled().len() <= *left => {
                    *left -= junk.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.allowance == 0 {
            return this.poll_end(cx);
        }
        let most = usize::try_from(this.allowance).unwrap_or(usize::MAX).min(buf.remaining());
        let read = if this.rest.is_empty() {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
            let read = part.filled().len();
            buf.advance(read);
            read
        } else {
            let most = most.min(this.rest.len());
            buf.put_slice(&this.rest[..most]);
            this.rest.advance(most);
            most
        };
        if this.allowance != u64::MAX {
            this.allowance -= read as u64;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.about.answering();
        if std::mem::take(&mut self.head_due) && buf.len() <= MAX_HELD {
            self.held.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        let this = &mut *self;
        while !this.held.is_empty() {
            let both = [io::IoSlice::new(&this.held), io::IoSlice::new(buf)];
            let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, &both);
            let written = ready!(this.watch(cx, polled))?;
            let beyond = this.sent_held(written)?;
            if beyond > 0 {
                return Poll::Ready(Ok(beyond));
            }
        }
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.watch(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx))?;
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(self.poll_held(cx))?;
            let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
            ready!(self.watch(cx, polled))?;
            // Closing with bytes unread would reset the connection and could take the answer along.
            if self.allowance == 0 && self.rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.lingering = Some((Box::pin(sleep(self.patience.linger)), LINGER_BYTES));
        }
        self.poll_linger(cx)
    }
}

#[async_trait]
impl Shutdown for Conn {
    async fn shutdown(&mut self) {
        // The connection is over either way.
        let _closed = tokio::io::AsyncWriteExt::shutdown(self).await;
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.about.ends_with_reset() {
            // If the system refuses, the connection ends as any other.
            let _refused = rustix::net::sockopt::set_socket_linger(&self.inner, Some(Duration::ZERO));
        }
    }
}

impl UniqueID for Conn {
    fn id(&self) -> UniqueIDType {
        self.inner.as_raw_fd()
    }
}

impl Ssl for Conn {}

impl GetTimingDigest for Conn {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        // Asked for every request, used by nobody here.
        Vec::new()
    }
}

impl GetProxyDigest for Conn {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Conn {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

#[async_trait]
impl Peek for Conn {}
