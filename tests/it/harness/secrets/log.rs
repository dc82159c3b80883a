//! Listens to everything that is logged inside the test process, at the finest level, and remembers lines with a secret.
//!
//! Gates in one process share their log, so a line is no single test's: the next gate that ends fails its test with it.
//!
//! Belongs here: the listener. Does not: what a secret is (`super`).

use std::io;
use std::sync::Once;

use parking_lot::Mutex;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{learned, shapes};

/// Everything of the gate's own; of others what somebody may turn on to look for a fault.
const FILTER: &str = "debug,condagate=trace,h2=info,hyper=info,hyper_util=info,rustls=info,notify=info";

static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Begins to listen; once for the process.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = tracing_subscriber::EnvFilter::new(FILTER);
        let log = tracing_subscriber::fmt().with_ansi(false).with_env_filter(filter);
        let _another_listens = log.with_writer(|| Listener(&LEAKS)).finish().try_init();
    });
}

/// Fails the test when something was heard that may not be said.
pub fn must_be_clean() {
    let leaks = std::mem::take(&mut *LEAKS.lock());
    assert!(leaks.is_empty(), "the log has secrets: {leaks:#?}");
}

/// Takes lines and keeps the bad ones.
pub struct Listener<'a>(pub &'a Mutex<Vec<String>>);

impl io::Write for Listener<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=%".contains(c);
        let known = text.split(|c| !is_word(c)).find(|word| learned::is_known(word));
        if let Some(found) = shapes().first(line, &[]) {
            self.0.lock().push(format!("{} is in the line: {text}", found.what));
        } else if let Some(word) = known {
            self.0
                .lock()
                .push(format!("`{word}`, which a client sent as a credential, is in the line: {text}"));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
