//! `condagate serve`: signals, the ready-file, and waiting for the end.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::data_dir::DataDir;
use super::line::{Hello, Line, Word};
use super::operator::GateOperator;
use super::runtimes::Runtimes;
use super::{Core, Gate, GateOptions, Origin, Program, StartError, Tuning, convert, systemd, tls};
use crate::api::{OperateError, Operator, PurgeRequest};
use crate::cli::{CacheRequest, PurgeTarget};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::policy::Rules;
use crate::proxy::listen::Bound;
use crate::telemetry::log;

/// Runs a gate until SIGTERM or SIGINT, or until another process has taken over. The bound addresses are written to `ready_file`, one a
/// line, once requests are answered. Sockets that the service manager passed are used; it is told how things stand. With `take_over`, the
/// gate takes over from the process that started this one.
///
/// # Errors
/// As [`StartError`]; nothing is left running.
pub fn serve(
    config: Config,
    rules: Rules,
    ready_file: Option<PathBuf>,
    take_over: bool,
) -> Result<ExitCode, StartError> {
    log::init(convert::log_format(config.log.format), &config.log.level)?;
    let program = Program::of_process();
    raise_open_files();
    let (line, config, sockets, inherited) = if take_over {
        let (line, config, sockets, inherited) = taken_over(config).map_err(StartError::TakeOver)?;
        (Some(line), config, sockets, Some(inherited))
    } else {
        let sockets = systemd::sockets().map_err(StartError::Listen)?;
        (None, with_sockets(config, &sockets, false), sockets, None)
    };
    let clock = Arc::new(SystemClock);
    let signals =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    // Before anything answers: a SIGHUP that came too early would end the process.
    let mut heard = signals.block_on(async { Signals::listen() }).map_err(StartError::Runtime)?;
    let origin = Origin { sockets, inherited, program };
    let gate = Gate::start(GateOptions { config, rules, origin, clock, tuning: Tuning::default() })?;
    let addresses: Vec<String> = gate.addresses().iter().map(ToString::to_string).collect();
    tracing::info!(listen = %addresses.join(", "), "condagate answers requests");
    if let Some(path) = ready_file {
        write_whole(&path, &(addresses.join("\n") + "\n"))
            .map_err(|source| StartError::Directory { path, source })?;
    }
    let status = format!("answers requests on {}", addresses.join(", "));
    systemd::ready(&status);
    if let Some(line) = line {
        line.say_now(&Word::Serving).map_err(StartError::TakeOver)?;
    }
    if let (Some(Runtimes { background: runtime, .. }), Some(pulse)) =
        (&gate.runtimes, gate.core.takeover.pulse())
    {
        systemd::keep_alive(runtime, pulse.clone());
    }
    let code = signals.block_on(until_stopped(&mut heard, &gate, &status));
    gate.stop();
    Ok(code)
}

/// The new process's side of an upgrade, up to where the data directory is its own. What can go wrong is done before the other process
/// has given up anything: reading certificates, opening addresses that it does not have.
fn taken_over(config: Config) -> Result<(Line, Config, Vec<Bound>, UnixListener), String> {
    let line = Line::of_stdin().map_err(|error| {
        format!("--take-over is for `condagate upgrade`; no process speaks on the standard input ({error})")
    })?;
    let (sockets, inherited) = line.take_now(HAND_OVER)?;
    tls::check_certificates(&config)?;
    let config = with_sockets(config, &sockets, true);
    let sockets = super::bind(sockets, &config).map_err(|error| error.to_string())?;
    line.say_now(&Word::Hello(Hello::own()))?;
    match line.hear_now(HAND_OVER)? {
        Word::Yours => Ok((line, config, sockets, inherited)),
        other => Err(format!("the other process said {other:?} instead of handing over")),
    }
}

/// Does what signals ask for; returns when the gate is to stop.
async fn until_stopped(heard: &mut Signals, gate: &Gate, status: &str) -> ExitCode {
    let Some(Runtimes { background: runtime, .. }) = &gate.runtimes else { return ExitCode::SUCCESS };
    let mut leaving = gate.core.takeover.leaving();
    loop {
        let next = tokio::select! {
            next = heard.next() => next,
            // The sender lives as long as the gate.
            _ = leaving.wait_for(Option::is_some) => Heard::Left,
        };
        let core = Arc::clone(&gate.core);
        match next {
            Heard::Stop => break,
            Heard::Left if *leaving.borrow() == Some(true) => {
                // Another process is the service now; what it is told comes from there.
                tokio::select! {
                    () = gate.empty() => {}
                    () = core.keep_writing() => {}
                    () = tokio::time::sleep(core.config.timeouts.upgrade) => {}
                    () = heard.stop() => {}
                }
                return ExitCode::SUCCESS;
            }
            Heard::Left => return ExitCode::FAILURE,
            // How it ends is in the log.
            Heard::Upgrade => drop(runtime.spawn(async move { core.upgrade().await })),
            Heard::Reload => {
                systemd::reloading();
                // The gate's own runtime runs it; its outcome is logged there.
                let reload = runtime.spawn(async move { core.reload().await });
                let done = tokio::select! {
                    done = reload => done,
                    () = heard.stop() => break,
                };
                let is_kept = !matches!(done, Ok(Ok(())));
                let what = if is_kept { "; what was read has mistakes, the old stays in force" } else { "" };
                systemd::ready(&format!("{status}{what}"));
            }
        }
    }
    systemd::stopping("requests under way may finish");
    tracing::info!("stopping: requests under way may finish");
    ExitCode::SUCCESS
}

/// Where sockets were passed and nobody named addresses, the passed ones are all.
fn with_sockets(mut config: Config, sockets: &[Bound], take_over: bool) -> Config {
    if take_over {
        // The other process has found free ports already.
        config.listen.retain(|address| address.port() != 0);
        config.tls.listen.retain(|address| address.port() != 0);
    }
    let is_said = config.origins.iter().any(|setting| setting.key == "listen" && setting.origin != "default");
    if !sockets.is_empty() && !is_said {
        config.listen.clear();
    }
    config
}

/// Every open blob and every client takes a descriptor; the soft limit of 1,024 that shells give is too low for a gate, the hard one
/// is what the administrator allows.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open files can't be raised; fewer blobs are kept open");
    }
}

/// Whoever waits for the file never sees half of it.
fn write_whole(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("partial");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

/// How long the other process may take to get ready to hand over.
const HAND_OVER: Duration = Duration::from_mins(2);

enum Heard {
    Reload,
    Upgrade,
    /// Another process has taken over, or failed to.
    Left,
    Stop,
}

struct Signals {
    hangup: Signal,
    upgrade: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns when a stop was asked for; a reload that is asked for meanwhile stays to be heard.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.hangup.recv() => Heard::Reload,
            _ = self.upgrade.recv() => Heard::Upgrade,
            _ = self.terminate.recv() => Heard::Stop,
            _ = self.interrupt.recv() => Heard::Stop,
        }
    }
}

/// What `condagate cache …` does while no gate runs: the same operations on the same directories, which are held for as long.
///
/// # Errors
/// As [`StartError`], or the operation's own sentence.
pub fn offline(
    config: &Config,
    rules: &Rules,
    request: &CacheRequest,
) -> Result<serde_json::Value, OfflineError> {
    let clock: SharedClock = Arc::new(SystemClock);
    let _held = DataDir::claim(config, &*clock).map_err(StartError::from)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let (config, rules) = (config.clone(), rules.clone());
    let core = Core::open(config, rules, &clock, Tuning::default(), &runtime, &convert::pseudonym())?;
    core.live.set_hosted(super::society::channels_in_store(&core.config, &runtime));
    let core = Arc::new(core);
    let operator = GateOperator(Arc::clone(&core));
    let done = runtime.block_on(async {
        match request {
            CacheRequest::Status => operator.status().await,
            CacheRequest::Verify => operator.verify().await,
            CacheRequest::Gc => operator.collect().await,
            CacheRequest::Purge(target) => operator.purge(purge(target)).await,
        }
    });
    core.cache.stop();
    runtime.shutdown_timeout(Duration::from_secs(2));
    Ok(done?)
}

/// Why an operation without a running gate did not happen.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The directories can't be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The operation failed.
    #[error(transparent)]
    Operate(#[from] OperateError),
}

fn purge(target: &PurgeTarget) -> PurgeRequest {
    match target {
        PurgeTarget::Url(url) => PurgeRequest::Url(url.clone()),
        PurgeTarget::Channel(name) => PurgeRequest::Channel(name.clone()),
        PurgeTarget::Digest(hex) => PurgeRequest::Digest(hex.clone()),
        PurgeTarget::All => PurgeRequest::All(true),
    }
}
