//! The real binary: started as a child, spoken to by signals, its output kept.
//!
//! Belongs here: processes. Does not: gates inside the test process (`gate`).

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use super::client::{Answer, Request};
use super::home::{Home, settle};
use super::secrets::Sieve;
use super::wait::eventually;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_condagate");

/// A running `condagate serve`.
pub struct Process {
    child: Running,
    addresses: Vec<SocketAddr>,
    home: Option<Home>,
}

impl Process {
    /// Starts `condagate serve` and waits until it answers.
    pub fn serve(home: Home) -> Self {
        Self::serve_with(home, &[])
    }

    /// The same with further arguments.
    pub fn serve_with(home: Home, arguments: &[&str]) -> Self {
        Self::serve_in(home, arguments, &[])
    }

    /// The same with further arguments and variables.
    pub fn serve_in(home: Home, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = command(&home);
        command.envs(variables.iter().copied());
        Self::spawn(home, command, arguments)
    }

    /// The same with so many file descriptors for the process.
    pub fn serve_with_files(home: Home, files: u32) -> Self {
        let plain = command(&home);
        let mut limited = bare_of("sh");
        limited.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\""));
        limited.arg(plain.get_program()).args(plain.get_args());
        Self::spawn(home, limited, &[])
    }

    fn spawn(home: Home, mut command: Command, arguments: &[&str]) -> Self {
        let ready = home.path("ready");
        let _not_there_at_first = fs::remove_file(&ready);
        let log =
            |name: &str| File::options().append(true).create(true).open(home.path(name)).expect("a log");
        let child = command
            .args(["--listen", "127.0.0.1:0", "--ready-file"])
            .arg(&ready)
            .args(arguments)
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .spawn()
            .expect("starting condagate");
        let mut child = Running(child);
        let addresses = eventually("the ready file", || {
            if let Some(status) = child.0.try_wait().expect("the child's state") {
                panic!("condagate ended with {status}: {}", home.log());
            }
            let text = fs::read_to_string(&ready).ok()?;
            let addresses: Result<Vec<_>, _> = text.split_whitespace().map(str::parse).collect();
            addresses.ok().filter(|a| !a.is_empty())
        });
        home.listens_at(&addresses);
        Self { child, addresses, home: Some(home) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Every address it listens on, in the order of the ready file.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Answer {
        Request::get(path).send(self.address())
    }

    /// Gets a file until it comes out of the cache: a client may have its last byte before the file is stored.
    pub fn settle(&self, path: &str) -> Answer {
        settle(self.home(), self.address(), path)
    }

    /// Its directories.
    pub fn home(&self) -> &Home {
        self.home.as_ref().expect("a home until stopped")
    }

    /// Sends a signal by name, as in `HUP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.0.id().to_string()).status();
        assert!(status.expect("the kill command").success(), "signal {name}");
    }

    /// Waits for the end.
    pub fn wait(mut self) -> (ExitStatus, Home) {
        let child = &mut self.child;
        let status = eventually("the end of the process", || child.0.try_wait().expect("the child's state"));
        (status, self.home.take().expect("a home"))
    }

    /// Stops it gracefully.
    pub fn stop(self) -> Home {
        super::client::look_at_metrics(self.address());
        self.signal("TERM");
        let (status, home) = self.wait();
        assert!(status.success(), "condagate ended with {status}: {}", home.log());
        home
    }

    /// Stops it as a power cut would.
    pub fn kill(self) -> Home {
        self.signal("KILL");
        self.wait().1
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.home.is_some() && !std::thread::panicking() {
            super::client::look_at_metrics(self.address());
        }
    }
}

fn command(home: &Home) -> Command {
    let mut command = bare();
    command.arg("serve").arg("--data").arg(home.data()).arg("--rules").arg(home.rules());
    if home.config().exists() {
        command.arg("--config").arg(home.config());
    }
    command
}

/// The binary without the variables of whoever runs the tests.
fn bare() -> Command {
    bare_of(BINARY)
}

/// The same of another program.
fn bare_of(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_lowercase();
        if text.starts_with("condagate") || text.ends_with("_proxy") || text.starts_with("xdg_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command of the binary to its end, with bounded patience and nothing to read.
pub fn run(arguments: &[&str]) -> Output {
    run_with_input(arguments, b"")
}

/// The same with something on its standard input.
pub fn run_with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut stdin = tempfile::tempfile().expect("a file");
    stdin.write_all(input).and_then(|()| stdin.rewind()).expect("an input");
    let (out, err) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
    let copy = |file: &File| file.try_clone().expect("a second handle");
    let child = bare().args(arguments).stdin(stdin).stdout(copy(&out)).stderr(copy(&err)).spawn();
    let mut child = Running(child.expect("running condagate"));
    let status = eventually(&format!("the end of {arguments:?}"), || child.0.try_wait().expect("its state"));
    let read = |mut file: File| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("its output");
        bytes
    };
    let output = Output { status, stdout: read(out), stderr: read(err) };
    look_at(arguments, input, &output);
    output
}

/// Commands that are asked for a secret and print it.
const TELLING: [[&str; 2]; 2] = [["token", "create"], ["token", "rotate"]];

/// No command repeats a password that it was given, and few print a secret.
fn look_at(arguments: &[&str], input: &[u8], output: &Output) {
    let given = arguments.contains(&"--password-stdin").then(|| String::from_utf8_lossy(input));
    let given: Vec<&str> = given.iter().flat_map(|text| text.lines()).filter(|line| line.len() > 7).collect();
    let sieve = Sieve::new(given);
    let tells = TELLING.iter().any(|words| arguments.starts_with(words));
    for (place, bytes) in [("output", &output.stdout), ("error output", &output.stderr)] {
        let found = sieve.first(bytes, &[]).filter(|_| !tells || place != "output");
        assert!(found.is_none(), "{found:?} is in the {place} of {arguments:?}");
    }
}

/// Ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _may_be_gone = self.0.kill();
        let _may_be_gone = self.0.wait();
    }
}

/// Standard output and standard error as one text.
pub fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
