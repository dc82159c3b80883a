//! A new process takes over from this one, without a refused connection or a failed request (`condagate upgrade`, SIGUSR2).
//!
//! ```text
//!  old                                           new
//!  starts the program anew, its standard input   reads settings and rules
//!  is one end of a socket pair
//!  sockets (SCM_RIGHTS)                   ─────▶ reads certificates, opens addresses that are new
//!                                         ◀───── hello: version, layouts of cache.db and of the store
//!  ends its chores; takes no connections and no requests any more: they wait
//!  waits for builds, uploads and requests that wait for something
//!  closes cache.db, ends what writes, unlocks
//!  yours                                  ─────▶ locks, opens, accepts
//!  passes on what waits and still comes   ◀───── serving
//!  ends the answers it has begun, and goes
//! ```
//!
//! Up to `yours` everything can be undone: the old process just goes on. Belongs here: the old process's side of this conversation. Does
//! not: how requests are passed on (`proxy::succession`), the other side, and which signal asks for it (`serve`).

use std::ffi::OsString;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::line::{Hello, Line, Word};
use super::{Core, systemd};
use crate::proxy::server::Pulse;
use crate::proxy::succession::Succession;

/// How long the new process may take to read its settings, and then to open everything.
const HELLO: Duration = Duration::from_mins(1);
const OPEN: Duration = Duration::from_mins(2);
/// How long chores may take to end, and how long a quiet moment is waited for, before anybody has to wait.
const CHORES: Duration = Duration::from_mins(1);
const MOMENT: Duration = Duration::from_secs(10);
/// How long builds, uploads and requests that wait may hold it up; new clients wait as long. conda gives up after 60 s.
const QUIET: Duration = Duration::from_secs(20);
/// Between two looks. Streams of HTTP/2 that a client opens before it hears of the end are answered in that time.
const LOOK: Duration = Duration::from_millis(100);
/// How often what the last answers leave behind is written down.
const WRITE: Duration = Duration::from_secs(5);
/// How many requests may wait for the new process to accept them; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// What this process was started as.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// The flag that makes a process take over.
const TAKE_OVER: &str = "--take-over";

impl Program {
    /// As typed, so that a link leads to the new version; else the file itself. Call it before that is replaced.
    #[must_use]
    pub fn of_process() -> Option<Self> {
        let mut arguments = std::env::args_os();
        let typed = arguments.next().map(PathBuf::from).filter(|path| path.components().count() > 1);
        let typed = typed.and_then(|path| std::path::absolute(path).ok());
        let path = typed.or_else(|| std::env::current_exe().ok())?;
        Some(Self { path, arguments: arguments.filter(|argument| argument != TAKE_OVER).collect() })
    }

    fn start(&self, line: UnixStream) -> std::io::Result<Child> {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).arg(TAKE_OVER).stdin(Stdio::from(std::os::fd::OwnedFd::from(line)));
        // These name this process.
        command.env_remove("WATCHDOG_PID").env_remove("LISTEN_PID").spawn()
    }
}

/// What a gate needs to be followed by another process.
#[derive(Default)]
pub(super) struct Takeover {
    pub(super) succession: Arc<Succession>,
    /// None for a gate that is part of something else.
    pub(super) program: Option<Program>,
    /// Once the door is open.
    pub(super) pulse: OnceLock<Pulse>,
    /// Another process has taken over (true), or was to and could not (false).
    leaving: watch::Sender<Option<bool>>,
}

impl Takeover {
    pub(super) fn pulse(&self) -> Option<&Pulse> {
        self.pulse.get()
    }

    pub(super) fn leaving(&self) -> watch::Receiver<Option<bool>> {
        self.leaving.subscribe()
    }

    /// Whether the data are no longer this process's.
    pub(super) fn is_over(&self) -> bool {
        self.leaving.borrow().is_some()
    }
}

/// The new process, until it serves.
struct Heir {
    child: Child,
    socket: PathBuf,
}

impl Heir {
    /// Why it is not to be, after it has gone.
    fn dismiss(mut self, why: &str) -> String {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let _not_there = std::fs::remove_file(&self.socket);
        format!("{why} (the new process: {status}; its log has more). This one goes on as before")
    }
}

enum Failure {
    /// Nothing was given away.
    Undone(String),
    /// The new process has, or may have, what was this one's.
    Over(String),
}

impl Core {
    /// Has the program as it is on disk now take over. On success this process has nothing left to do but to end its answers. What it
    /// gives is the new process's number and version.
    ///
    /// # Errors
    /// Why not, as a sentence; this process goes on, unless the sentence says that it ends.
    pub(super) async fn upgrade(self: &Arc<Self>) -> Result<(u32, String), String> {
        let _alone =
            self.reloading.try_lock().map_err(|_| "a reload or an upgrade is under way; try again")?;
        if self.takeover.is_over() {
            return Err("another process has taken over from this one already".to_owned());
        }
        let program =
            self.takeover.program.as_ref().ok_or("this gate is part of another program; start that anew")?;
        tracing::info!(program = %program.path.display(), "starting the process that takes over");
        let started = self.start_heir(program);
        let (heir, line, listener) = started.map_err(|error| {
            format!("`{}` can't be started: {error}; this process goes on", program.path.display())
        })?;
        let pid = heir.child.id();
        match self.hand_over(line, listener, &heir).await {
            Ok(version) => {
                tracing::info!(
                    pid,
                    version,
                    "another process has taken over; answers under way are finished here"
                );
                self.takeover.leaving.send_replace(Some(true));
                Ok((pid, version))
            }
            Err(Failure::Undone(why)) => {
                self.delivery.resume();
                self.takeover.succession.give_up();
                self.start_chores(&Handle::current());
                let said = heir.dismiss(&why);
                tracing::error!("{said}");
                Err(said)
            }
            Err(Failure::Over(why)) => {
                let said = format!("{why}; the data directory was handed over already, so this process ends");
                tracing::error!("{said}");
                self.takeover.leaving.send_replace(Some(false));
                Err(said)
            }
        }
    }

    fn heir_socket(&self) -> PathBuf {
        self.config.data.join("run").join(format!("heir-{}.sock", std::process::id()))
    }

    fn start_heir(&self, program: &Program) -> std::io::Result<(Heir, Line, UnixListener)> {
        let (ours, theirs) = UnixStream::pair()?;
        let socket = self.heir_socket();
        let _not_there = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket)?;
        rustix::net::listen(&listener, BACKLOG)?;
        let child = program.start(theirs)?;
        Ok((Heir { child, socket }, Line::new(ours), listener))
    }

    async fn hand_over(
        self: &Arc<Self>,
        line: Line,
        listener: UnixListener,
        heir: &Heir,
    ) -> Result<String, Failure> {
        let succession = &self.takeover.succession;
        let sockets = succession.sockets().map_err(|error| Failure::Undone(error.to_string()))?;
        let line = line.give(sockets, listener).await.map_err(Failure::Undone)?;
        let (line, word) = line.hear(HELLO).await.map_err(Failure::Undone)?;
        let Word::Hello(hello) = word else { return Err(Failure::Undone("it said something else".into())) };
        hello.fits(&Hello::own()).map_err(Failure::Undone)?;
        self.fall_silent()
            .await
            .map_err(|what| Failure::Undone(format!("{what} did not end in time; try again later")))?;
        self.release().await?;
        systemd::main_process(heir.child.id());
        let line = line.say(Word::Yours).await.map_err(Failure::Over)?;
        // From here on; earlier, requests would fail with a new process that does.
        succession.give(heir.socket.clone());
        match line.hear(OPEN).await.map_err(Failure::Over)? {
            (_, Word::Serving) => Ok(hello.version),
            _ => Err(Failure::Over("the new process said something else".to_owned())),
        }
    }

    /// Comes to where nothing is built and nobody waits for this process, and stays there; what did not end, if it can't.
    async fn fall_silent(&self) -> Result<(), &'static str> {
        if !self.end_chores(CHORES).await {
            return Err("what the gate does by itself (sweeping hosted channels, reading rules)");
        }
        // Better before anybody has to wait for it.
        let until = Instant::now() + MOMENT;
        while Instant::now() < until && !self.is_calm().await {
            sleep(LOOK).await;
        }
        let succession = &self.takeover.succession;
        succession.begin();
        let until = Instant::now() + QUIET;
        let mut calm = 0;
        while Instant::now() < until {
            calm = if self.is_calm().await { calm + 1 } else { 0 };
            if calm >= 2 {
                // Nothing comes in any more: what was let in before is seen now.
                succession.close();
                if self.is_calm().await && self.delivery.cease() {
                    return Ok(());
                }
            }
            sleep(LOOK).await;
        }
        Err("builds, uploads or requests that wait for something")
    }

    /// Whether nobody waits for this process.
    async fn is_calm(&self) -> bool {
        // Each worker has had a turn: whoever was let in before has come to where it is counted.
        if let Some(pulse) = self.takeover.pulse() {
            let _late = timeout(LOOK, pulse.beat()).await;
        }
        self.takeover.succession.waiting() == 0 && !self.delivery.is_building()
    }

    /// Lets go of what two processes must not have.
    async fn release(&self) -> Result<(), Failure> {
        if let Some(society) = &self.society {
            society.end().await;
            society.trail.give_away();
        }
        self.cache.settle(Duration::from_secs(1)).await;
        let cache = self.cache.clone();
        let released = tokio::task::spawn_blocking(move || cache.release()).await;
        let released = released.map_err(|error| Failure::Over(error.to_string()))?;
        released.map_err(|error| Failure::Over(error.to_string()))?;
        drop(self.data.lock().take());
        Ok(())
    }

    /// Writes down what the last answers leave behind, for ever.
    pub(super) async fn keep_writing(&self) {
        loop {
            sleep(WRITE).await;
            if let Some(society) = &self.society {
                society.trail.write_rest(&self.store).await;
            }
        }
    }

    /// Writes it down once more, at the end.
    pub(super) async fn write_rest(&self) {
        let Some(society) = &self.society else { return };
        match timeout(Duration::from_secs(3), society.trail.write_rest(&self.store)).await {
            Ok(0) => {}
            Ok(lost) => {
                tracing::warn!(lost, "the store did not take the last events and counters; they are lost");
            }
            Err(_) => {
                tracing::warn!("the store did not take the last events and counters in time; they are lost");
            }
        }
    }

    /// Where the one who takes over listens for what is passed on.
    pub(super) fn forget_heir(&self) {
        let _not_there = std::fs::remove_file(self.heir_socket());
    }
}
