//! A scripted upstream: a small HTTP/1.1 server on port 0 that serves files and misbehaves on command.
//!
//! Belongs here: the server, its files, its scripts, what it saw. Does not: conda (see `channel`), the wire
//! format of a response (see `wire`).

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

use super::digest::sha256_hex;
use super::secrets;
use super::wait::Latch;
use super::wire;

/// A file as the upstream has it.
#[derive(Clone, Debug)]
pub struct File {
    /// Its content.
    pub bytes: Bytes,
    /// `ETag`, quotes included.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
    /// `Content-Type`.
    pub content_type: String,
    /// Headers sent in addition.
    pub extra: Vec<(String, String)>,
}

impl File {
    /// A file with a strong `ETag` made from its content and a fixed `Last-Modified`.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let etag = format!("\"up-{}\"", &sha256_hex(&bytes)[..16]);
        Self {
            bytes,
            etag: Some(etag),
            last_modified: Some("Tue, 03 Nov 2026 10:00:00 GMT".to_owned()),
            content_type: "application/octet-stream".to_owned(),
            extra: Vec::new(),
        }
    }

    /// The same file without validators.
    pub fn bare(bytes: impl Into<Bytes>) -> Self {
        Self { etag: None, last_modified: None, ..Self::new(bytes) }
    }

    /// The same file with one more header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What the upstream does with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Serves the file as a good server does.
    Serve,
    /// Answers with this instead of the file: status, headers, body. `Content-Length` is added.
    Answer(u16, Vec<(String, String)>, Bytes),
    /// Waits at the latch before any header, then serves.
    HoldHead(Latch),
    /// Sends the headers and so many bytes, waits at the latch, then sends the rest.
    HoldBody(usize, Latch),
    /// Says nothing until the other side leaves.
    StallHead,
    /// Sends the headers and so many bytes, then nothing.
    StallBody(usize),
    /// Resets the connection before any header.
    ResetHead,
    /// Sends the headers and so many bytes, then resets the connection.
    ResetBody(usize),
    /// Sends the headers with the whole `Content-Length`, so many bytes, then closes.
    CutBody(usize),
    /// Sends so many bytes without `Content-Length`, then closes as if that were all.
    CutUnframed(usize),
    /// Sends the whole file without `Content-Length`.
    Unframed,
    /// The file's headers, but these bytes (and their length).
    Other(Bytes),
    /// `Content-Encoding: gzip`, whatever was asked.
    Gzip,
    /// The whole file with status 200, even when a range was asked.
    IgnoreRange,
    /// The file becomes another one, then it is served.
    Swap(File),
    /// The file becomes another one, and the range is answered 206 without looking at `If-Range`.
    SwapDeaf(File),
    /// Pieces of so many bytes with a pause after each.
    Throttle(usize, Duration),
}

impl Act {
    /// A status without a body worth reading.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), Bytes::from(format!("upstream says {status}\n")))
    }

    /// A status with one header.
    pub fn status_with(status: u16, name: &str, value: &str) -> Self {
        Self::Answer(status, vec![(name.to_owned(), value.to_owned())], Bytes::new())
    }

    /// A redirect.
    pub fn redirect(location: &str) -> Self {
        Self::status_with(302, "Location", location)
    }

    /// A page for humans where a file was asked.
    pub fn html() -> Self {
        let body = Bytes::from_static(b"<!doctype html><title>Sign in</title><p>Captive portal.</p>");
        Self::Answer(200, vec![("Content-Type".to_owned(), "text/html".to_owned())], body)
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Upper-case method.
    pub method: String,
    /// The request target as sent.
    pub target: String,
    /// The path of the target, absolute-form or not.
    pub path: String,
    /// All headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Seen {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What the server and the test share.
#[derive(Default)]
pub struct State {
    files: Mutex<HashMap<String, File>>,
    scripts: Mutex<HashMap<String, VecDeque<Act>>>,
    habits: Mutex<HashMap<String, Act>>,
    seen: Mutex<Vec<Seen>>,
    may_see: Mutex<Vec<String>>,
    panics: Mutex<Vec<String>>,
    active: AtomicUsize,
    max_active: AtomicUsize,
}

impl State {
    /// Notes a request and says what to do with it.
    pub fn take(&self, seen: Seen) -> Act {
        let path = seen.path.clone();
        self.seen.lock().push(seen);
        if let Some(act) = self.scripts.lock().get_mut(&path).and_then(VecDeque::pop_front) {
            return act;
        }
        self.habits.lock().get(&path).cloned().unwrap_or(Act::Serve)
    }

    /// The file at a path.
    pub fn file(&self, path: &str) -> Option<File> {
        self.files.lock().get(path).cloned()
    }

    /// Puts a file at a path.
    pub fn put(&self, path: &str, file: File) {
        self.files.lock().insert(path.to_owned(), file);
    }

    /// Counts a request in; the value counts it out when dropped.
    pub fn enter(self: &Arc<Self>) -> Active {
        let now = self.active.fetch_add(1, Ordering::SeqCst) + 1;
        self.max_active.fetch_max(now, Ordering::SeqCst);
        Active(Arc::clone(self))
    }
}

/// A request in progress.
pub struct Active(Arc<State>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The server. Dropping it stops it and fails the test if it panicked.
pub struct Upstream {
    state: Arc<State>,
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Upstream {
    /// Starts an empty upstream.
    pub fn start() -> Self {
        let mut upstream =
            Self { state: Arc::default(), address: SocketAddr::from(([127, 0, 0, 1], 0)), runtime: None };
        upstream.start_again();
        upstream
    }

    /// Listens again on the same port after [`Upstream::stop`].
    pub fn start_again(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("scripted-upstream")
            .enable_all()
            .build()
            .expect("a runtime for the upstream");
        let listener = runtime.block_on(TcpListener::bind(self.address)).expect("a port for the upstream");
        self.address = listener.local_addr().expect("the upstream's address");
        runtime.spawn(accept(listener, Arc::clone(&self.state)));
        self.runtime = Some(runtime);
    }

    /// Closes the listener and every connection: from now on connecting is refused.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts a file with validators of its own.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) -> &Self {
        self.put_file(path, File::new(bytes))
    }

    /// Puts a file.
    pub fn put_file(&self, path: &str, file: File) -> &Self {
        self.state.put(path, file);
        self
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) {
        self.state.files.lock().remove(path);
    }

    /// The content of a file.
    pub fn content(&self, path: &str) -> Bytes {
        self.state.file(path).unwrap_or_else(|| panic!("the upstream has no {path}")).bytes
    }

    /// All paths there are, sorted.
    pub fn paths(&self) -> Vec<String> {
        let mut paths: Vec<_> = self.state.files.lock().keys().cloned().collect();
        paths.sort();
        paths
    }

    /// What to do with the next requests to a path, one act each; afterwards files are served again.
    pub fn script(&self, path: &str, acts: impl IntoIterator<Item = Act>) -> &Self {
        self.state.scripts.lock().entry(path.to_owned()).or_default().extend(acts);
        self
    }

    /// What to do with every request to a path that no script covers.
    pub fn always(&self, path: &str, act: Act) -> &Self {
        self.state.habits.lock().insert(path.to_owned(), act);
        self
    }

    /// Ends what [`Upstream::always`] began.
    pub fn behave(&self, path: &str) {
        self.state.habits.lock().remove(path);
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().clone()
    }

    /// Every request to a path so far.
    pub fn seen_at(&self, path: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|s| s.path == path).collect()
    }

    /// Says that a secret is for this server.
    pub fn may_see(&self, secret: &str) -> &Self {
        self.state.may_see.lock().push(secret.to_owned());
        self
    }

    /// Every secret that was sent here and is not for this server, one sentence each.
    pub fn leaks(&self) -> Vec<String> {
        let allowed = self.state.may_see.lock();
        let leak = |seen: &Seen| {
            let lines = seen.headers.iter().map(|(name, value)| format!("{name}: {value}"));
            let text = lines.fold(format!("{} {}", seen.method, seen.target), |all, line| all + "\n" + &line);
            if let Some(found) = secrets::shapes().first(text.as_bytes(), &allowed) {
                return Some(format!("{} was sent to an upstream: {text}", found.what));
            }
            let sent = seen.headers.iter().flat_map(|(name, value)| secrets::of_header(name, value));
            let known = sent.chain(seen.target.split(['/', '?', '&', '=']).map(str::to_owned));
            let mut known = known.filter(|text| secrets::learned::is_known(text) && !allowed.contains(text));
            known
                .next()
                .map(|secret| format!("`{secret}`, a client's credential, was sent to an upstream: {text}"))
        };
        self.seen().iter().filter_map(leak).collect()
    }

    /// How many GETs a path got.
    pub fn gets(&self, path: &str) -> usize {
        self.state.seen.lock().iter().filter(|s| s.path == path && s.method == "GET").count()
    }

    /// How many requests of any kind arrived at all.
    pub fn total(&self) -> usize {
        self.state.seen.lock().len()
    }

    /// The most requests that were in progress at the same time.
    pub fn max_concurrent(&self) -> usize {
        self.state.max_active.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
        let panics = self.state.panics.lock();
        if !std::thread::panicking() {
            assert!(panics.is_empty(), "the scripted upstream panicked: {panics:?}");
            let leaks = self.leaks();
            assert!(leaks.is_empty(), "secrets were sent upstream: {leaks:#?}");
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let inner = tokio::spawn(connection(stream, Arc::clone(&state)));
            if let Err(error) = inner.await
                && error.is_panic()
            {
                state.panics.lock().push(error.to_string());
            }
        });
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    let mut wire = wire::Wire::new(stream);
    while let Some(seen) = wire.request().await {
        let _active = state.enter();
        let act = state.take(seen.clone());
        if !wire.answer(&state, &seen, act).await {
            break;
        }
    }
}
