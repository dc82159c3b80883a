//! The door as clients meet it: raw TCP against a real server with a small handler.

mod crossing;
mod ending;
mod handler;
mod limits;
mod requests;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::front::FrontSettings;
use super::limits::pressure::{Pressure, PressureSettings};
use super::listen;
use super::server::{self, ServerParts, Stopped, Stopper};
use crate::clock::SystemClock;
use crate::id::RequestIds;
use crate::telemetry::access::{AccessLog, Target};
use crate::telemetry::{Eyes, Health, Metrics, Slow, Traces, log};
use crossing::Ends;
use handler::Scripted;

/// Longer than anything takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
struct Gate {
    address: SocketAddr,
    stopper: Stopper,
    thread: JoinHandle<Stopped>,
    permits: Arc<Semaphore>,
    ends: Ends,
    eyes: Eyes,
    dir: tempfile::TempDir,
}

/// Small enough for tests, long enough for a busy machine.
fn settings() -> FrontSettings {
    FrontSettings { header_timeout: PATIENCE, idle_timeout: PATIENCE, ..FrontSettings::default() }
}

impl Gate {
    fn start(front: FrontSettings) -> Self {
        Self::start_with(front, Duration::from_hours(1))
    }

    fn start_with(front: FrontSettings, grace: Duration) -> Self {
        Self::start_as(front, grace, PressureSettings::default())
    }

    fn start_under(front: FrontSettings, pressure: PressureSettings) -> Self {
        Self::start_as(front, Duration::from_hours(1), pressure)
    }

    fn start_as(front: FrontSettings, grace: Duration, pressure: PressureSettings) -> Self {
        log::init(log::Format::Human, "warn").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new());
        let target = Target::File(dir.path().join("access.log"));
        let access = AccessLog::open(&target, log::Format::Human, metrics.access_lines_lost.clone()).unwrap();
        let eyes = Eyes {
            access,
            metrics: Arc::clone(&metrics),
            health: Arc::new(Health::default()),
            slow: Slow::OFF,
            traces: Traces::off(),
        };
        let bound = listen::bind_all(&["127.0.0.1:0"]).unwrap();
        let address = bound[0].address();
        let permits = Arc::new(Semaphore::new(0));
        let ends = Ends::default();
        let (stopper, stop) = server::stop_pair();
        let (ready, told) = oneshot::channel();
        let parts = ServerParts {
            bound,
            tls: None,
            inherited: None,
            succession: Arc::default(),
            handler: Arc::new(Scripted { permits: Arc::clone(&permits), ends: Arc::clone(&ends), metrics }),
            front,
            threads: 2,
            blocking_threads: 1,
            grace,
            pressure: Pressure::new(pressure, None, Arc::clone(&eyes.metrics)),
            stop,
            ready: Some(ready),
            eyes: eyes.clone(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RequestIds::new(1)),
        };
        let thread = std::thread::spawn(move || server::run(parts).unwrap());
        told.blocking_recv().unwrap();
        Self { address, stopper, thread, permits, ends, eyes, dir }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    /// Sends one request on a connection of its own.
    fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.send(request);
        client.answer()
    }

    fn metric(&self, line: &str) -> bool {
        self.eyes.metrics.encode().lines().any(|l| l == line)
    }

    /// Stops, and gives all access lines.
    fn finish(self) -> (Stopped, Vec<String>) {
        self.stopper.stop();
        let stopped = self.thread.join().unwrap();
        assert!(self.eyes.access.flush(PATIENCE));
        let log = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap();
        (stopped, log.lines().map(str::to_owned).collect())
    }
}

struct Client(TcpStream);

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads one head, and the body that it announces.
    fn answer(&mut self) -> Answer {
        let (status, head) = self.head();
        let length = header(&head, "content-length").map_or(0, |v| v.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Answer { status, head, body: String::from_utf8(body).unwrap() }
    }

    fn head(&mut self) -> (u16, String) {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            let read = self.0.read(&mut byte).unwrap();
            assert_eq!(read, 1, "the connection ended after {:?}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
    }

    /// Everything until the other side closes; a reset counts as an end too.
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => rest,
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => rest,
            Err(e) => panic!("{e}"),
        }
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (n, value) = line.split_once(':')?;
        n.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
