//! The compare bench's own tool: an origin that can be throttled, a client that discards bodies in the kernel, and a generator of large
//! index documents. `benches/compare/run` compiles it with plain `rustc`, so it uses nothing but the standard library.
//!
//! ```text
//! tool origin --root DIR --log FILE --ready FILE [--rate BYTES_PER_SECOND]
//! tool herd   --addr HOST:PORT --path PATH --clients N --seconds LIMIT
//! tool fetch  --addr HOST:PORT --count N --connections N
//! tool synth  --records N --out FILE
//! ```

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

mod herd;
mod http;
mod origin;
mod synth;
mod tiny;

/// Flags as written: `--name value` pairs.
pub struct Args(HashMap<String, String>);

impl Args {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut map = HashMap::new();
        while let Some(flag) = words.next() {
            let name = flag.strip_prefix("--").ok_or_else(|| format!("{flag}: expected a --flag"))?;
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            map.insert(name.to_owned(), value);
        }
        Ok(Self(map))
    }

    /// The value of a flag that must be there.
    pub fn text(&self, name: &str) -> Result<&str, String> {
        self.0.get(name).map(String::as_str).ok_or_else(|| format!("--{name} is missing"))
    }

    /// The value of a flag as a number, or `default` if the flag is not there.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        match self.0.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("--{name} {text}: not a number")),
        }
    }
}

/// Nanoseconds since 1970: a clock that the origin and the clients share.
pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos())
}

fn run() -> Result<(), String> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().ok_or("which mode? origin, herd, fetch or synth")?;
    let args = Args::parse(words)?;
    match mode.as_str() {
        "origin" => origin::run(&args),
        "herd" => herd::run(&args),
        "fetch" => tiny::fetch(&args),
        "synth" => synth::run(&args),
        other => Err(format!("{other}: no such mode")),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("tool: {message}");
            ExitCode::FAILURE
        }
    }
}
