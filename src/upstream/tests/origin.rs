//! A scripted HTTP server: reads heads, does what the script says, byte by byte as wrong as wanted.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// `GET /x HTTP/1.1`
    pub(super) line: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    pub(super) fn target(&self) -> &str {
        self.line.split(' ').nth(1).expect("a request line has a target")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// What the server does with a request.
#[derive(Clone)]
pub(super) enum Act {
    /// Write this and read the next request.
    Say(Vec<u8>),
    /// Write this and close.
    SayAndClose(Vec<u8>),
    /// Write this and do nothing more.
    SayAndStall(Vec<u8>),
    /// Write this and reset the connection.
    SayAndReset(Vec<u8>),
    /// Wait until told, then write this.
    Held(Arc<Notify>, Vec<u8>),
}

impl Act {
    pub(super) fn say(text: impl Into<Vec<u8>>) -> Self {
        Self::Say(text.into())
    }
}

/// A server on a loopback port; it ends with the test's runtime.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Origin {
    /// A server whose n-th request (from 0) gets what the script says.
    pub(super) async fn start(script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&script)));
            }
        });
        Self { address, seen }
    }

    /// A server that always does the same.
    pub(super) async fn always(act: Act) -> Self {
        Self::start(move |_, _| act.clone()).await
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.seen.lock().len()
    }
}

/// A port nobody listens on.
pub(super) async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    format!("http://{}/", listener.local_addr().expect("it is bound"))
}

async fn serve<F>(mut stream: TcpStream, log: Arc<Mutex<Vec<Seen>>>, script: Arc<F>)
where
    F: Fn(usize, &Seen) -> Act + Send + Sync,
{
    while let Some(seen) = read_head(&mut stream).await {
        let n = {
            let mut log = log.lock();
            log.push(seen.clone());
            log.len() - 1
        };
        let (bytes, then) = match script(n, &seen) {
            Act::Say(bytes) => (bytes, 'n'),
            Act::SayAndClose(bytes) => (bytes, 'c'),
            Act::SayAndStall(bytes) => (bytes, 's'),
            Act::SayAndReset(bytes) => (bytes, 'r'),
            Act::Held(notify, bytes) => {
                notify.notified().await;
                (bytes, 'n')
            }
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        match then {
            'n' => {}
            's' => std::future::pending().await,
            'r' => return stream.set_zero_linger().expect("the socket is open"),
            _ => return,
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).expect("heads are ASCII");
    let mut lines = text.lines();
    let line = lines.next().expect("a head has a line").to_owned();
    let headers = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned()));
    Some(Seen { line, headers: headers.collect() })
}
