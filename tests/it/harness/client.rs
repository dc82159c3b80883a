//! A raw HTTP/1.1 client that hides nothing: it can be slow, rude or wrong, and tells a complete body from a cut one.
//!
//! Belongs here: requests, answers, framing. Does not: conda, the gate.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::secrets;
use super::wait::PATIENCE;

/// How a body ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// As its framing promised.
    Complete,
    /// Before its framing was fulfilled: the client knows that bytes are missing.
    Cut,
}

/// Status line and headers.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// All headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A header that must be there.
    pub fn must(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no `{name}` in {self:?}"))
    }

    /// `Content-Length`.
    pub fn length(&self) -> Option<u64> {
        self.header("content-length").map(|v| v.parse().expect("a number as Content-Length"))
    }
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status line and headers.
    pub head: Head,
    /// What arrived of the body.
    pub body: Vec<u8>,
    /// Whether that was all.
    pub end: End,
}

impl std::ops::Deref for Answer {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text()))
    }

    /// Asserts status and a complete body, and hands the body on.
    pub fn expect(self, status: u16) -> Vec<u8> {
        assert_eq!(self.status, status, "{:?}: {}", self.head, self.text());
        assert_eq!(self.end, End::Complete, "cut after {} bytes: {:?}", self.body.len(), self.head);
        self.body
    }

    /// Asserts that this is a problem document with this status and a sentence in it.
    pub fn expect_problem(self, status: u16) -> serde_json::Value {
        assert_eq!(self.status, status, "{:?}: {}", self.head, self.text());
        assert_eq!(self.must("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        let detail = problem["detail"].as_str().expect("a `detail`");
        assert!(detail.len() > 10 && detail.contains(' '), "`detail` is not a sentence: {detail}");
        problem
    }

    /// Asserts that nobody could take this for a whole, good file: an error status or a visibly cut body.
    pub fn expect_visibly_bad(&self) {
        assert!(
            self.status >= 400 || self.end == End::Cut,
            "a complete {} with {} bytes: {:?}",
            self.status,
            self.body.len(),
            self.head
        );
    }
}

/// A request being made up.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    host: Option<String>,
    body: Vec<u8>,
}

impl Request {
    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A HEAD.
    pub fn head(target: &str) -> Self {
        Self::new("HEAD", target)
    }

    /// Any method.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            host: None,
            body: Vec::new(),
        }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With another `Host` than the address it is sent to.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// With a JSON document.
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = body.to_string().into_bytes();
        let length = self.body.len().to_string();
        self.header("Content-Type", "application/json").header("Content-Length", &length)
    }

    /// With a body of this length.
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// With a body in chunks, its length not said.
    pub fn chunked(mut self, body: &[u8]) -> Self {
        for piece in body.chunks(1000) {
            self.body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            self.body.extend_from_slice(piece);
            self.body.extend_from_slice(b"\r\n");
        }
        self.body.extend_from_slice(b"0\r\n\r\n");
        self.header("Transfer-Encoding", "chunked")
    }

    /// With a form: name, file name, content of each part.
    pub fn form(self, parts: &[(&str, Option<&str>, &[u8])]) -> Self {
        let mut form = Vec::new();
        for (name, file, content) in parts {
            let file = file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
            let head = format!("--part\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
            form.extend_from_slice(head.as_bytes());
            form.extend_from_slice(content);
            form.extend_from_slice(b"\r\n");
        }
        form.extend_from_slice(b"--part--\r\n");
        self.header("Content-Type", "multipart/form-data; boundary=part").body(&form)
    }

    /// Exactly as it goes over the wire.
    pub fn bytes(&self, to: SocketAddr) -> Vec<u8> {
        secrets::learn_request(&to.to_string(), &self.target, &self.headers, &self.body);
        let host = self.host.clone().unwrap_or_else(|| to.to_string());
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a connection of its own and reads the whole answer.
    pub fn send(&self, to: SocketAddr) -> Answer {
        let mut connection = Connection::open(to);
        connection.write(&self.bytes(to));
        let answer = connection.answer(&self.method);
        if self.method == "GET" && self.target.starts_with("/-/") {
            secrets::must_be_clean(&format!("the page {}", self.target), &answer.body);
        }
        answer
    }

    /// Sends it and leaves reading to the caller.
    pub fn begin(&self, to: SocketAddr) -> Connection {
        let mut connection = Connection::open(to);
        connection.write(&self.bytes(to));
        connection
    }
}

/// One connection to the gate.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    pub fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap_or_else(|e| panic!("connecting to {to}: {e}"));
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
        Self { reader: BufReader::with_capacity(64 * 1024, stream) }
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).expect("writing to the gate");
    }

    /// Writes bytes; the other side may have gone.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Sends another request; reading is left to the caller.
    pub fn send(&mut self, request: &Request) {
        let to = self.reader.get_ref().peer_addr().expect("a connected socket");
        self.write(&request.bytes(to));
    }

    /// This end's address.
    pub fn local_address(&self) -> SocketAddr {
        self.reader.get_ref().local_addr().expect("a connected socket")
    }

    /// Says that nothing more will be written.
    pub fn finish_writing(&mut self) {
        self.reader.get_mut().shutdown(Shutdown::Write).expect("half-closing");
    }

    /// Reads status line and headers, skipping interim responses.
    pub fn head(&mut self) -> Head {
        self.try_head().expect("reading a response head").expect("a response, not a closed connection")
    }

    /// Like [`Connection::head`]; `None` when the gate closed without a word.
    pub fn try_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            let first = self.line()?;
            if first.is_empty() {
                return Ok(None);
            }
            let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
            let status = status.unwrap_or_else(|| panic!("not a status line: {first:?}"));
            let mut headers = Vec::new();
            loop {
                let line = self.line()?;
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("bad header {line:?}"));
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            if status >= 200 {
                look_at_headers(&headers);
                return Ok(Some(Head { status, headers }));
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        let text = String::from_utf8_lossy(&line);
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Reads exactly so many raw bytes.
    pub fn exactly(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.reader.read_exact(&mut bytes).expect("the bytes that were announced");
        bytes
    }

    /// Reads the rest of a body whose head was read.
    pub fn body(&mut self, method: &str, head: &Head) -> (Vec<u8>, End) {
        if method == "HEAD" || head.status == 304 || head.status == 204 {
            return (Vec::new(), End::Complete);
        }
        if head.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            return self.chunked();
        }
        match head.length() {
            Some(length) => self.counted(length),
            None => self.until_closed(),
        }
    }

    /// Reads what follows `first` of a body with a `Content-Length`, and asserts that the whole is `expected`.
    pub fn must_become(&mut self, head: &Head, first: &[u8], expected: &[u8]) {
        let length = head.length().expect("a Content-Length");
        let missing = length - u64::try_from(first.len()).expect("a length");
        let (rest, end) = self.counted(missing);
        assert_eq!(end, End::Complete, "cut after {} of {length} bytes", first.len() + rest.len());
        assert!([first, &rest].concat() == expected, "wrong bytes");
    }

    /// A whole response.
    pub fn answer(&mut self, method: &str) -> Answer {
        let head = self.head();
        let (body, end) = self.body(method, &head);
        if head.status >= 400 {
            secrets::must_be_clean(&format!("an answer {}", head.status), &body);
        }
        Answer { head, body, end }
    }

    /// True when the gate closes (or resets) instead of sending anything more.
    pub fn is_closed_by_gate(&mut self) -> bool {
        let mut one = [0_u8; 1];
        match self.reader.read(&mut one) {
            Ok(n) => n == 0,
            Err(e) => matches!(e.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe),
        }
    }

    /// Reads the so many bytes that are still to come.
    pub fn counted(&mut self, length: u64) -> (Vec<u8>, End) {
        let mut body = Vec::new();
        let read = (&mut self.reader).take(length).read_to_end(&mut body);
        must_not_be_stuck(read.as_ref().err());
        let whole = u64::try_from(body.len()).is_ok_and(|n| n == length);
        (body, if whole { End::Complete } else { End::Cut })
    }

    fn until_closed(&mut self) -> (Vec<u8>, End) {
        let mut body = Vec::new();
        let read = self.reader.read_to_end(&mut body);
        must_not_be_stuck(read.as_ref().err());
        (body, if read.is_ok() { End::Complete } else { End::Cut })
    }

    fn chunked(&mut self) -> (Vec<u8>, End) {
        let mut body = Vec::new();
        loop {
            let line = match self.line() {
                Ok(line) if !line.is_empty() => line,
                other => {
                    must_not_be_stuck(other.as_ref().err());
                    return (body, End::Cut);
                }
            };
            let size = u64::from_str_radix(line.split(';').next().unwrap_or(""), 16).expect("a chunk size");
            let (chunk, end) = self.counted(size);
            body.extend_from_slice(&chunk);
            if end == End::Cut || self.line().is_err() {
                return (body, End::Cut);
            }
            if size == 0 {
                return (body, End::Complete);
            }
        }
    }
}

/// No header but the cookie of a session may have a secret.
fn look_at_headers(headers: &[(String, String)]) {
    for (name, value) in headers.iter().filter(|(name, _)| name != "set-cookie") {
        secrets::must_be_clean(&format!("the header `{name}`"), value.as_bytes());
    }
}

/// Asserts that a gate's metrics have no secret, if it still answers; nothing waits long for one that does not.
pub fn look_at_metrics(gate: SocketAddr) {
    let ask = || -> io::Result<Vec<u8>> {
        let patience = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&gate, patience)?;
        stream.set_read_timeout(Some(patience))?;
        let request = format!("GET /-/metrics HTTP/1.1\r\nHost: {gate}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let _what_came_counts = stream.read_to_end(&mut answer);
        Ok(answer)
    };
    if let Ok(answer) = ask() {
        let known = secrets::learned::of(&[gate.to_string()]);
        let found = secrets::Sieve::new(known.iter().map(String::as_str)).first(&answer, &[]);
        assert!(found.is_none(), "{found:?} is in the metrics: {}", String::from_utf8_lossy(&answer));
    }
}

fn must_not_be_stuck(error: Option<&io::Error>) {
    if let Some(error) = error {
        let stuck = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        assert!(!stuck, "the gate sent nothing for {PATIENCE:?} in the middle of a body");
    }
}
