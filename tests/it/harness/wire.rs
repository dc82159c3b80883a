//! The scripted upstream's side of one connection: requests in, well-formed or broken responses out.
//!
//! Belongs here: HTTP/1.1 framing, ranges, validators, and how each [`Act`] looks on the wire.

use std::io::Write as _;
use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::upstream::{Act, File, Seen, State};
use super::wait::Latch;

/// One connection.
pub struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
}

/// How a body goes out after its headers.
enum Flow {
    Whole,
    Hold(usize, Latch),
    Stall(usize),
    Reset(usize),
    Cut(usize),
    Throttle(usize, Duration),
}

/// A response before it is written.
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    framed: bool,
}

impl Wire {
    /// Wraps an accepted connection.
    pub fn new(stream: TcpStream) -> Self {
        let _best_effort = stream.set_nodelay(true);
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next request, or `None` when the other side is done.
    pub async fn request(&mut self) -> Option<Seen> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end;
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        };
        let head = self.buffer.split_to(end + 4);
        let text = String::from_utf8(head.to_vec()).expect("a request head in ASCII");
        let mut lines = text.split("\r\n");
        let mut first = lines.next().expect("a request line").split(' ');
        let method = first.next().expect("a method").to_owned();
        let target = first.next().expect("a target").to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let path = path_of(&target);
        Some(Seen { method, target, path, headers })
    }

    /// Plays one act; false when the connection is over.
    pub async fn answer(&mut self, state: &State, seen: &Seen, act: Act) -> bool {
        let mut flow = Flow::Whole;
        let response = match act {
            Act::StallHead => return self.wait_until_left().await,
            Act::ResetHead => return self.reset(),
            Act::HoldHead(latch) => {
                latch.pass().await;
                respond(state, seen, true)
            }
            Act::Answer(status, headers, body) => Response { status, headers, body, framed: true },
            Act::Swap(file) => {
                state.put(&seen.path, file);
                respond(state, seen, true)
            }
            Act::SwapDeaf(file) => {
                state.put(&seen.path, file);
                let deaf = without(seen, "if-range");
                respond(state, &deaf, true)
            }
            Act::IgnoreRange => respond(state, &without(seen, "range"), true),
            Act::Unframed => respond(state, seen, false),
            Act::CutUnframed(n) => {
                let mut response = respond(state, seen, false);
                response.body.truncate(n);
                response
            }
            Act::Other(bytes) => Response { body: bytes, ..respond(state, &without(seen, "range"), true) },
            Act::Gzip => gzipped(respond(state, &without(seen, "range"), true)),
            steady => {
                flow = flow_of(steady);
                respond(state, seen, true)
            }
        };
        self.send(seen, response, flow).await
    }

    async fn send(&mut self, seen: &Seen, response: Response, flow: Flow) -> bool {
        let mut head = Vec::new();
        let _infallible = write!(head, "HTTP/1.1 {} Scripted\r\n", response.status);
        for (name, value) in &response.headers {
            let _infallible = write!(head, "{name}: {value}\r\n");
        }
        if response.framed && response.status != 304 {
            let _infallible = write!(head, "Content-Length: {}\r\n", response.body.len());
        } else if !response.framed {
            head.extend_from_slice(b"Connection: close\r\n");
        }
        head.extend_from_slice(b"\r\n");
        if self.stream.write_all(&head).await.is_err() {
            return false;
        }
        if seen.method == "HEAD" || response.status == 304 {
            return response.framed;
        }
        self.body(&response.body, flow).await && response.framed
    }

    async fn body(&mut self, body: &Bytes, flow: Flow) -> bool {
        let stop = match &flow {
            Flow::Whole | Flow::Throttle(..) => body.len(),
            Flow::Hold(n, _) | Flow::Stall(n) | Flow::Reset(n) | Flow::Cut(n) => (*n).min(body.len()),
        };
        let (piece, pause) = match &flow {
            Flow::Throttle(piece, pause) => (*piece, Some(*pause)),
            _ => (16 * 1024, None),
        };
        for part in body[..stop].chunks(piece) {
            if self.stream.write_all(part).await.is_err() {
                return false;
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        match flow {
            Flow::Whole | Flow::Throttle(..) => self.stream.flush().await.is_ok(),
            Flow::Hold(_, latch) => {
                latch.pass().await;
                self.stream.write_all(&body[stop..]).await.is_ok()
            }
            Flow::Stall(_) => self.wait_until_left().await,
            Flow::Reset(_) => self.reset(),
            Flow::Cut(_) => {
                let _closed_anyway = self.stream.shutdown().await;
                false
            }
        }
    }

    async fn wait_until_left(&mut self) -> bool {
        while self.stream.read_buf(&mut self.buffer).await.is_ok_and(|n| n > 0) {}
        false
    }

    fn reset(&mut self) -> bool {
        let _best_effort = self.stream.set_zero_linger();
        false
    }
}

fn flow_of(act: Act) -> Flow {
    match act {
        Act::HoldBody(n, latch) => Flow::Hold(n, latch),
        Act::StallBody(n) => Flow::Stall(n),
        Act::ResetBody(n) => Flow::Reset(n),
        Act::CutBody(n) => Flow::Cut(n),
        Act::Throttle(piece, pause) => Flow::Throttle(piece, pause),
        _ => Flow::Whole,
    }
}

fn path_of(target: &str) -> String {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    path.split('?').next().unwrap_or(path).to_owned()
}

fn without(seen: &Seen, header: &str) -> Seen {
    let mut copy = seen.clone();
    copy.headers.retain(|(name, _)| name != header);
    copy
}

fn gzipped(mut response: Response) -> Response {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&response.body).expect("gzip into memory");
    response.body = encoder.finish().expect("gzip into memory").into();
    response.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
    response
}

/// What a good server answers.
fn respond(state: &State, seen: &Seen, framed: bool) -> Response {
    let Some(file) = state.file(&seen.path) else {
        return Response {
            status: 404,
            headers: Vec::new(),
            body: Bytes::from_static(b"no\n"),
            framed: true,
        };
    };
    if not_modified(&file, seen) {
        return Response { status: 304, headers: headers_of(&file), body: Bytes::new(), framed: true };
    }
    let mut headers = headers_of(&file);
    headers.push(("Accept-Ranges".to_owned(), "bytes".to_owned()));
    let asked = seen.header("range").filter(|_| if_range_holds(&file, seen));
    let Some(asked) = asked else {
        return Response { status: 200, headers, body: file.bytes, framed };
    };
    let len = file.bytes.len();
    let Some(range) = range_of(asked, len) else {
        headers.push(("Content-Range".to_owned(), format!("bytes */{len}")));
        return Response { status: 416, headers, body: Bytes::new(), framed: true };
    };
    headers.push(("Content-Range".to_owned(), format!("bytes {}-{}/{len}", range.start, range.end - 1)));
    Response { status: 206, headers, body: file.bytes.slice(range), framed }
}

fn headers_of(file: &File) -> Vec<(String, String)> {
    let mut headers = vec![("Content-Type".to_owned(), file.content_type.clone())];
    headers.extend(file.etag.iter().map(|e| ("ETag".to_owned(), e.clone())));
    headers.extend(file.last_modified.iter().map(|d| ("Last-Modified".to_owned(), d.clone())));
    headers.extend(file.extra.iter().cloned());
    headers
}

fn not_modified(file: &File, seen: &Seen) -> bool {
    if let Some(list) = seen.header("if-none-match") {
        return file.etag.as_deref().is_some_and(|etag| list.split(',').any(|e| e.trim() == etag));
    }
    seen.header("if-modified-since").is_some_and(|date| file.last_modified.as_deref() == Some(date))
}

fn if_range_holds(file: &File, seen: &Seen) -> bool {
    seen.header("if-range").is_none_or(|value| {
        file.etag.as_deref() == Some(value) || file.last_modified.as_deref() == Some(value)
    })
}

fn range_of(header: &str, len: usize) -> Option<Range<usize>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => first..(last + 1).min(len),
        (Ok(first), Err(_)) => first..len,
        (Err(_), Ok(suffix)) => len.saturating_sub(suffix)..len,
        (Err(_), Err(_)) => return None,
    };
    (range.start < range.end).then_some(range)
}
