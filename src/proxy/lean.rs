//! Answers to plain requests, written straight to the connection.
//!
//! Nearly all requests are GET or HEAD of HTTP/1.1 with nothing behind the head ([`super::head::Head::is_plain`]). Their answers need
//! none of what the engine has for the rest (bodies of requests, `Expect`, upgrades, HTTP/1.0, HTTP/2), and half of a hit's time went there.
//! What is sent is byte for byte what the engine would send; a test holds that, and names the two exceptions.
//!
//! Belongs here: framing an answer (RFC 9112 section 6). Does not: what it says (`respond`), when the socket takes it (`conn`).

use bytes::BufMut;
use http::header::{self, HeaderName};
use pingora::{ErrorType, OrErr};
use tokio::io::AsyncWriteExt;

use super::conn::Conn;
use super::date;
use super::message::Response;

/// How an answer's body is framed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Body {
    /// The head has not been sent.
    NotYet,
    /// So many bytes are to come; 0 also where there must not be any.
    Length(u64),
    Chunked,
    /// Up to the connection's end.
    UntilClose,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Lean<'a> {
    conn: &'a mut Conn,
    /// The request was HEAD.
    bodiless: bool,
    /// The connection is for further requests.
    pub(super) stays: bool,
    body: Body,
    /// Body bytes handed to the connection, framing left out.
    pub(super) sent: u64,
}

impl<'a> Lean<'a> {
    pub(super) fn new(conn: &'a mut Conn, bodiless: bool) -> Self {
        Self { conn, bodiless, stays: true, body: Body::NotYet, sent: 0 }
    }

    /// Sends the head, at the latest together with the first bytes of the body.
    pub(super) async fn head(&mut self, response: &Response) -> pingora::Result<()> {
        let length = response.content_length();
        self.body = if self.bodiless || matches!(response.status, 204 | 304) {
            Body::Length(0)
        } else if response.get(&header::TRANSFER_ENCODING).is_some() {
            Body::Chunked
        } else {
            length.map_or(Body::UntilClose, Body::Length)
        };
        self.stays &= self.body != Body::UntilClose;
        put_head(self.conn.hold(), response, self.stays);
        // A body of unknown length comes as it grows, so its head does not wait for it.
        if self.body == Body::Length(0) || length.is_none() {
            self.flush("sending the head").await
        } else {
            Ok(())
        }
    }

    /// Sends a piece of the body; after the `last` nothing stays behind.
    pub(super) async fn piece(&mut self, piece: &[u8], last: bool) -> pingora::Result<()> {
        match self.body {
            // Nobody would know what it is.
            Body::NotYet => return Ok(()),
            Body::Length(left) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                self.write(&piece[..most]).await?;
                self.body = Body::Length(left - most as u64);
            }
            Body::UntilClose => self.write(piece).await?,
            Body::Chunked if piece.is_empty() => {}
            Body::Chunked => {
                let held = self.conn.hold();
                held.put_slice(format!("{:X}\r\n", piece.len()).as_bytes());
                self.write(piece).await?;
                // Goes out with what comes next: without it, the chunk is complete to whoever reads it.
                self.conn.hold().put_slice(b"\r\n");
            }
        }
        if last { self.end().await } else { Ok(()) }
    }

    /// Sends what has not been sent. Whether the connection is good for another request.
    pub(super) async fn finish(mut self) -> pingora::Result<bool> {
        self.end().await?;
        if matches!(self.body, Body::NotYet | Body::Length(1..)) {
            return Ok(false);
        }
        if !self.stays {
            // The connection is over either way.
            let _closed = AsyncWriteExt::shutdown(self.conn).await;
        }
        Ok(self.stays)
    }

    async fn end(&mut self) -> pingora::Result<()> {
        if self.body == Body::Chunked {
            self.conn.hold().put_slice(b"0\r\n\r\n");
            self.body = Body::Length(0);
        }
        self.flush("sending the end of the body").await
    }

    async fn write(&mut self, bytes: &[u8]) -> pingora::Result<()> {
        self.conn.write_all(bytes).await.or_err(ErrorType::WriteError, "sending the body")?;
        self.sent += bytes.len() as u64;
        Ok(())
    }

    async fn flush(&mut self, doing: &'static str) -> pingora::Result<()> {
        self.conn.flush().await.or_err(ErrorType::WriteError, doing)
    }

    /// Returns when the client has left, with an error.
    #[cfg(test)]
    pub(super) async fn left(&mut self) -> pingora::Result<()> {
        let read = tokio::io::AsyncReadExt::read(self.conn, &mut [0]).await;
        read.or_err(ErrorType::ReadError, "waiting for the client to leave")?;
        // Nothing of the request is left to be read, so it was the end.
        pingora::Error::e_explain(ErrorType::ConnectionClosed, "the client left before its answer ended")
    }
}

/// Appends a head as it is sent.
fn put_head(out: &mut bytes::BytesMut, response: &Response, stays: bool) {
    out.reserve(512);
    out.put_slice(b"HTTP/1.1 ");
    put_status(out, response.status);
    let mut dated = false;
    for (name, value) in response.headers() {
        dated |= name == header::DATE;
        put(out, spelling(name), value.as_bytes());
    }
    if !dated {
        put(out, "Date", date::now().as_bytes());
    }
    put(out, "Connection", if stays { b"keep-alive" } else { b"close" });
    out.put_slice(b"\r\n");
}

fn put_status(out: &mut bytes::BytesMut, status: u16) {
    let Ok(status) = http::StatusCode::from_u16(status) else { return };
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
}

fn put(out: &mut bytes::BytesMut, name: &str, value: &[u8]) {
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// A header's name as the engine spells it.
fn spelling(name: &HeaderName) -> &str {
    match *name {
        header::ACCEPT_RANGES => "Accept-Ranges",
        header::AGE => "Age",
        header::CACHE_CONTROL => "Cache-Control",
        header::CONNECTION => "Connection",
        header::CONTENT_ENCODING => "Content-Encoding",
        header::CONTENT_LENGTH => "Content-Length",
        header::CONTENT_TYPE => "Content-Type",
        header::DATE => "Date",
        header::SERVER => "Server",
        header::SET_COOKIE => "Set-Cookie",
        header::TRANSFER_ENCODING => "Transfer-Encoding",
        ref other => other.as_str(),
    }
}
