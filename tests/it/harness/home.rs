//! A gate's directories: data, rules, configuration. Outlives the gate, so that it can be started again.
//!
//! Belongs here: paths, and what may be asserted about files at rest.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tempfile::TempDir;

use super::client::{Answer, Request};
use super::digest::sha256_hex;
use super::secrets;
use super::wait::{eventually, eventually_true};

/// Where a gate lives.
pub struct Home {
    dir: TempDir,
    tampered: AtomicBool,
    addresses: Mutex<Vec<String>>,
    may_hold: Mutex<Vec<(String, String)>>,
}

impl Home {
    /// Empty directories.
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("condagate-it-").expect("a temporary directory");
        fs::create_dir(dir.path().join("rules")).expect("a directory for rules");
        Self {
            dir,
            tampered: AtomicBool::new(false),
            addresses: Mutex::default(),
            may_hold: Mutex::default(),
        }
    }

    /// A path below.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `--data`.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// `--rules`.
    pub fn rules(&self) -> PathBuf {
        self.path("rules")
    }

    /// `--config`.
    pub fn config(&self) -> PathBuf {
        self.path("condagate.yaml")
    }

    /// Writes the one rules file, as an editor does: a new file under the old name.
    pub fn write_rules(&self, text: &str) {
        let temporary = self.path("rules.new");
        fs::write(&temporary, text).expect("writing rules");
        fs::rename(&temporary, self.rules().join("50-test.yaml")).expect("publishing rules");
    }

    /// Writes the configuration.
    pub fn write_config(&self, text: &str) {
        fs::write(self.config(), text).expect("writing the configuration");
    }

    /// Everything a gate printed here, access lines included.
    pub fn log(&self) -> String {
        ["stdout", "stderr"].map(|name| fs::read_to_string(self.path(name)).unwrap_or_default()).concat()
    }

    /// The access line with some text in it, once it was written.
    pub fn access_line(&self, text: &str) -> String {
        eventually(&format!("an access line with {text}"), || {
            self.log().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// Every blob file.
    pub fn blobs(&self) -> Vec<PathBuf> {
        let mut found = files_below(&self.data());
        found.retain(|p| p.components().any(|c| c.as_os_str() == "blobs"));
        found
    }

    /// The blob of some content; a client may have its last byte before the blob is in its place.
    pub fn blob_of(&self, content: &[u8]) -> PathBuf {
        let name = sha256_hex(content);
        eventually(&format!("the blob {name}"), || {
            self.blobs().into_iter().find(|p| p.file_name().is_some_and(|n| n == name.as_str()))
        })
    }

    /// Every file of a fill that is not finished.
    pub fn partials(&self) -> Vec<PathBuf> {
        let mut found = files_below(&self.data());
        found.retain(|p| p.components().any(|c| c.as_os_str() == "partial"));
        found
    }

    /// Says that the test spoils files itself, so [`Home`] must not complain about them.
    pub fn tampered(&self) {
        self.tampered.store(true, Ordering::SeqCst);
    }

    /// Says where a gate that lives here listens: what clients send there are secrets here.
    pub fn listens_at(&self, addresses: &[SocketAddr]) {
        self.addresses.lock().extend(addresses.iter().map(ToString::to_string));
    }

    /// Says that a file (`data/…`, `stdout`) may hold a secret.
    pub fn may_hold(&self, file: &str, secret: &str) {
        self.may_hold.lock().push((file.to_owned(), secret.to_owned()));
    }

    /// The code for the first administrator, once it is there.
    pub fn setup_code(&self) -> String {
        let code = eventually("a set-up code", || self.setup_code_now());
        secrets::learn(&self.data().display().to_string(), &code);
        code
    }

    fn setup_code_now(&self) -> Option<String> {
        let text = fs::read_to_string(self.data().join("setup-code")).ok()?;
        text.lines().next().map(str::to_owned)
    }

    /// Every secret that a gate left where it may not be, one sentence each.
    pub fn leaks(&self) -> Vec<String> {
        let mut places = self.addresses.lock().clone();
        places.push(self.data().display().to_string());
        let mut known = secrets::learned::of(&places);
        let code = self.setup_code_now();
        known.extend(code.clone());
        let may_hold = self.may_hold.lock();
        let may = |file: &Path| {
            let declared = may_hold.iter().filter(|(name, _)| file == Path::new(name));
            let code = code.iter().filter(|_| file == Path::new("data/setup-code"));
            declared.map(|(_, secret)| secret.clone()).chain(code.cloned()).collect()
        };
        let gates = |file: &Path| ["data", "stdout", "stderr"].iter().any(|name| file.starts_with(name));
        secrets::in_files(self.dir.path(), &known, &gates, &may)
    }

    /// Asserts that every blob is what its name says.
    pub fn check_blobs(&self) {
        for blob in self.blobs() {
            let content = fs::read(&blob).expect("reading a blob");
            let name = blob.file_name().and_then(|n| n.to_str()).expect("a name");
            assert_eq!(sha256_hex(&content), name, "the blob {} is not what it says", blob.display());
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.tampered.load(Ordering::SeqCst) {
            self.check_blobs();
        }
        if !std::thread::panicking() {
            let leaks = self.leaks();
            assert!(leaks.is_empty(), "secrets were left where they may not be: {leaks:#?}");
        }
    }
}

/// Gets a file until it comes out of the cache, with everything about it stored: a client may have its last byte
/// before that.
pub fn settle(home: &Home, gate: SocketAddr, path: &str) -> Answer {
    Request::get(path).send(gate);
    wait_until_quiet(gate);
    eventually(&format!("{path} out of the cache"), || {
        let answer = Request::get(path).send(gate);
        let line = home.access_line(answer.must("x-request-id"));
        line.contains("outcome=hit").then_some(answer)
    })
}

/// Waits until no download from upstream is under way.
pub fn wait_until_quiet(gate: SocketAddr) {
    eventually_true("no download is under way", || {
        let metrics = Request::get("/-/metrics").send(gate).text();
        metrics.lines().any(|line| line == "condagate_cache_fills_in_flight 0")
    });
}

/// All files below a directory; an empty list when there is none.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(dir) = todo.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => todo.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}
