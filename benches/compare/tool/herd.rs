//! Many clients that ask for one file at the same moment and throw the bytes away in the kernel, so that the clients are not what is measured.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use crate::http::{discard, read_head};
use crate::{Args, now};

struct Outcome {
    status: u16,
    first: u128,
    end: u128,
    bytes: u64,
    promised: Option<u64>,
}

/// Prints one line of JSON: `{"start": ns, "clients": [{"status", "first", "end", "bytes", "promised"}, …]}`. Times are nanoseconds since 1970; `first`
/// is the first body byte. A client that could not connect or was cut has what it got.
pub fn run(args: &Args) -> Result<(), String> {
    let clients = args.number("clients", 100)?;
    let limit = Duration::from_secs(args.number("seconds", 60)?);
    let address = args.text("addr")?;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n", args.text("path")?);
    let barrier = Arc::new(Barrier::new(usize::try_from(clients).unwrap_or(1)));
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let (barrier, address, request) = (Arc::clone(&barrier), address.to_owned(), request.clone());
            thread::spawn(move || {
                let stream = TcpStream::connect(&address);
                barrier.wait();
                let start = now();
                (start, stream.map(|s| one(s, &request, limit)))
            })
        })
        .collect();
    let mut start = u128::MAX;
    let mut rows = Vec::new();
    for thread in threads {
        let (began, outcome) = thread.join().map_err(|_| "a client panicked")?;
        start = start.min(began);
        let o = outcome.map_err(|e| format!("{address}: {e}"))?;
        let promised = o.promised.map_or("null".to_owned(), |n| n.to_string());
        rows.push(format!(
            r#"{{"status":{},"first":{},"end":{},"bytes":{},"promised":{promised}}}"#,
            o.status, o.first, o.end, o.bytes
        ));
    }
    println!(r#"{{"start":{start},"clients":[{}]}}"#, rows.join(","));
    Ok(())
}

fn one(mut stream: TcpStream, request: &str, limit: Duration) -> Outcome {
    let mut outcome = Outcome { status: 0, first: 0, end: 0, bytes: 0, promised: None };
    let deadline = now() + limit.as_nanos();
    let _ = stream.set_read_timeout(Some(limit));
    let mut rest = Vec::new();
    if stream.write_all(request.as_bytes()).is_ok()
        && let Ok(Some(head)) = read_head(&mut stream, &mut rest)
    {
        outcome.status = head.status();
        outcome.promised = head.length();
        outcome.bytes = rest.len() as u64;
        if outcome.bytes > 0 {
            outcome.first = now();
        }
        let mut scratch = vec![0_u8; 1 << 20];
        while outcome.promised.is_none_or(|n| outcome.bytes < n) && now() < deadline {
            match discard(&stream, &mut scratch, outcome.promised.map_or(u64::MAX, |n| n - outcome.bytes)) {
                Ok(0) | Err(_) => break,
                Ok(n) => outcome.bytes += n,
            }
            if outcome.first == 0 {
                outcome.first = now();
            }
        }
    }
    outcome.end = now();
    outcome
}
