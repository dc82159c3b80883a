//! A static file server with a rate limit over all its connections and a log of what was asked.
//!
//! The log has a line `start <ns> <method> <path>` for each request when it arrives and `body <ns> <path>` when the first body byte was
//! written. [`tiny`](crate::tiny) files are made up, so a channel of 100,000 files needs none on disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Head, date, read_head};
use crate::{Args, now, tiny};

struct Origin {
    root: PathBuf,
    log: Mutex<File>,
    pace: Option<Pace>,
}

/// Hands out send times for chunks, so that all connections together stay at the rate.
struct Pace {
    rate: f64,
    next: Mutex<Instant>,
}

impl Pace {
    fn wait(&self, bytes: usize) {
        let due = {
            let mut next = self.next.lock().expect("no holder panics");
            // An idle line earns no credit beyond 20 ms; a sender that was late may catch up that much.
            let floor = Instant::now().checked_sub(Duration::from_millis(20)).unwrap_or(*next);
            let due = (*next).max(floor);
            *next = due + Duration::from_secs_f64(bytes as f64 / self.rate);
            due
        };
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

enum Content {
    Made(Vec<u8>),
    File(File),
}

/// Serves until it is killed.
pub fn run(args: &Args) -> Result<(), String> {
    let rate = args.number("rate", 0)?;
    let log = File::create(args.text("log")?).map_err(|e| format!("the log: {e}"))?;
    let pace = (rate > 0).then(|| Pace { rate: rate as f64, next: Mutex::new(Instant::now()) });
    let origin = Arc::new(Origin { root: args.text("root")?.into(), log: Mutex::new(log), pace });
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no port: {e}"))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?.to_string();
    let ready = args.text("ready")?;
    let draft = format!("{ready}.new");
    fs::write(&draft, address)
        .and_then(|()| fs::rename(&draft, ready))
        .map_err(|e| format!("{ready}: {e}"))?;
    for stream in listener.incoming().flatten() {
        let origin = Arc::clone(&origin);
        thread::spawn(move || origin.connection(stream));
    }
    Ok(())
}

impl Origin {
    fn connection(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut rest = Vec::new();
        while let Ok(Some(head)) = read_head(&mut stream, &mut rest) {
            if self.answer(&mut stream, &head).is_err() {
                return;
            }
        }
    }

    fn note(&self, line: &str) {
        let mut log = self.log.lock().expect("no holder panics");
        let _ = writeln!(log, "{line}");
    }

    fn find(&self, path: &str) -> Option<(Content, u64, String)> {
        if let Some(body) = tiny::body_of(path) {
            let etag = format!("\"{}\"", path.rsplit('/').next().unwrap_or_default());
            return Some((Content::Made(body.clone()), body.len() as u64, etag));
        }
        if path.contains("..") {
            return None;
        }
        let file = File::open(self.root.join(path.trim_start_matches('/'))).ok()?;
        let meta = file.metadata().ok().filter(fs::Metadata::is_file)?;
        let etag = format!("\"{:x}-{:x}\"", meta.len(), meta.mtime());
        Some((Content::File(file), meta.len(), etag))
    }

    fn answer(&self, stream: &mut TcpStream, head: &Head) -> io::Result<()> {
        let mut words = head.first.split(' ');
        let method = words.next().unwrap_or_default();
        let path = words.next().unwrap_or_default().split('?').next().unwrap_or_default();
        self.note(&format!("start {} {method} {path}", now()));
        let Some((content, size, etag)) = self.find(path) else {
            return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        };
        let today = date(u64::try_from(now() / 1_000_000_000).unwrap_or(0));
        let fresh = "Cache-Control: public, max-age=86400\r\nAccept-Ranges: bytes";
        let common = format!("Date: {today}\r\nETag: {etag}\r\n{fresh}\r\n");
        if head.field("if-none-match").is_some_and(|v| v.contains(&etag)) {
            return stream.write_all(format!("HTTP/1.1 304 Not Modified\r\n{common}\r\n").as_bytes());
        }
        let range = head.field("range").filter(|_| head.field("if-range").is_none_or(|v| v == etag));
        let (status, from, to) = match range.and_then(|r| parse_range(r, size)) {
            Some((from, to)) => ("206 Partial Content", from, to),
            None => ("200 OK", 0, size),
        };
        let partial = format!("Content-Range: bytes {from}-{}/{size}\r\n", to.saturating_sub(1));
        let partial = if status.starts_with("206") { partial } else { String::new() };
        let length = to - from;
        let kind = "Content-Type: application/octet-stream";
        let answer =
            format!("HTTP/1.1 {status}\r\n{common}{partial}{kind}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(answer.as_bytes())?;
        if method == "HEAD" {
            return Ok(());
        }
        self.send(stream, &content, from..to, path)
    }

    fn send(
        &self,
        out: &mut TcpStream,
        body: &Content,
        range: std::ops::Range<u64>,
        path: &str,
    ) -> io::Result<()> {
        let mut chunk = vec![0_u8; if self.pace.is_some() { 16 << 10 } else { 256 << 10 }];
        let (mut at, mut first) = (range.start, true);
        while at < range.end {
            let want = chunk.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
            let bytes = match body {
                Content::Made(bytes) => &bytes[at as usize..at as usize + want],
                Content::File(file) => {
                    file.read_exact_at(&mut chunk[..want], at)?;
                    &chunk[..want]
                }
            };
            if let Some(pace) = &self.pace {
                pace.wait(want);
            }
            out.write_all(bytes)?;
            if std::mem::take(&mut first) {
                self.note(&format!("body {} {path}", now()));
            }
            at += want as u64;
        }
        Ok(())
    }
}

/// `bytes=a-` and `bytes=a-b`, as a half-open range inside `size`.
fn parse_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let from: u64 = from.parse().ok()?;
    let to = if to.is_empty() { size } else { to.parse::<u64>().ok()?.saturating_add(1).min(size) };
    (from < to).then_some((from, to))
}
