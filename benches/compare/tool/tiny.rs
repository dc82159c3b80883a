//! A channel of very many very small packages, `/many/linux-64/tiny<i/10>-1.0-<i%10>.conda`: what the origin serves, and the client that
//! asks for every one of them once. `lab/channel.py` writes the index of the same files.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::Args;
use crate::http::read_head;

fn path(i: u64) -> String {
    format!("/many/linux-64/tiny{}-1.0-{}.conda", i / 10, i % 10)
}

fn body(i: u64) -> Vec<u8> {
    format!("condagate bench payload {i}\n").into_bytes()
}

/// The bytes behind a path of this channel; `None` for any other path.
pub fn body_of(text: &str) -> Option<Vec<u8>> {
    let (name, build) =
        text.strip_prefix("/many/linux-64/tiny")?.strip_suffix(".conda")?.split_once("-1.0-")?;
    let i = name.parse::<u64>().ok()? * 10 + build.parse::<u64>().ok()?;
    (path(i) == text).then(|| body(i))
}

/// Asks for files `0..count` over keep-alive connections and prints `{"right": n, "wrong": n, "seconds": s}`.
pub fn fetch(args: &Args) -> Result<(), String> {
    let count = args.number("count", 100_000)?;
    let address: Arc<str> = args.text("addr")?.into();
    let (next, right) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now();
    let threads: Vec<_> = (0..args.number("connections", 64)?)
        .map(|_| {
            let (next, right, address) = (Arc::clone(&next), Arc::clone(&right), Arc::clone(&address));
            thread::spawn(move || {
                let mut line = None;
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        return;
                    }
                    right.fetch_add(u64::from(one(&mut line, &address, i).is_some()), Ordering::Relaxed);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a client panicked")?;
    }
    let right = right.load(Ordering::Relaxed);
    println!(
        r#"{{"right":{right},"wrong":{},"seconds":{:.3}}}"#,
        count - right,
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// `Some` if the answer is a 200 with exactly the right bytes. After anything else the connection is given up.
fn one(line: &mut Option<TcpStream>, address: &str, i: u64) -> Option<()> {
    let mut stream = match line.take() {
        Some(stream) => stream,
        None => TcpStream::connect(address).ok()?,
    };
    let request = format!("GET {} HTTP/1.1\r\nHost: {address}\r\n\r\n", path(i));
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    let head = read_head(&mut stream, &mut bytes).ok()??;
    let missing = usize::try_from(head.length()?).ok()?.checked_sub(bytes.len())?;
    let at = bytes.len();
    bytes.resize(at + missing, 0);
    stream.read_exact(&mut bytes[at..]).ok()?;
    *line = Some(stream);
    (head.status() == 200 && bytes == body(i)).then_some(())
}
