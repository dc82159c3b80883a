//! `condagate serve`: signals, the ready-file, and waiting for the end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::data_dir::DataDir;
use super::operator::GateOperator;
use super::{Core, Gate, GateOptions, StartError, Tuning, convert, systemd};
use crate::api::{OperateError, Operator, PurgeRequest};
use crate::cli::{CacheRequest, PurgeTarget};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::policy::Rules;
use crate::proxy::listen::Bound;
use crate::telemetry::log;

/// Runs a gate until SIGTERM or SIGINT. The bound addresses are written to `ready_file`, one a line, once requests are answered.
/// Sockets that the service manager passed are used; it is told how things stand.
///
/// # Errors
/// As [`StartError`]; nothing is left running.
pub fn serve(config: Config, rules: Rules, ready_file: Option<PathBuf>) -> Result<ExitCode, StartError> {
    log::init(convert::log_format(config.log.format), &config.log.level)?;
    let sockets = systemd::sockets().map_err(StartError::Listen)?;
    raise_open_files();
    let config = with_sockets(config, &sockets);
    let clock = Arc::new(SystemClock);
    let signals =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    // Before anything answers: a SIGHUP that came too early would end the process.
    let mut heard = signals.block_on(async { Signals::listen() }).map_err(StartError::Runtime)?;
    let gate = Gate::start(GateOptions { config, rules, sockets, clock, tuning: Tuning::default() })?;
    let addresses: Vec<String> = gate.addresses().iter().map(ToString::to_string).collect();
    tracing::info!(listen = %addresses.join(", "), "condagate answers requests");
    if let Some(path) = ready_file {
        write_whole(&path, &(addresses.join("\n") + "\n"))
            .map_err(|source| StartError::Directory { path, source })?;
    }
    let status = format!("answers requests on {}", addresses.join(", "));
    systemd::ready(&status);
    if let Some(runtime) = &gate.runtime {
        systemd::keep_alive(runtime, gate.pulse.clone());
    }
    signals.block_on(until_stopped(&mut heard, &gate, &status));
    systemd::stopping("requests under way may finish");
    tracing::info!("stopping: requests under way may finish");
    gate.stop();
    Ok(ExitCode::SUCCESS)
}

/// Does what signals ask for; returns when it is to stop.
async fn until_stopped(heard: &mut Signals, gate: &Gate, status: &str) {
    let Some(runtime) = &gate.runtime else { return };
    while let Heard::Reload = heard.next().await {
        systemd::reloading();
        // The gate's own runtime runs it; its outcome is logged there.
        let core = Arc::clone(&gate.core);
        let reload = runtime.spawn(async move { core.reload().await });
        let done = tokio::select! {
            done = reload => done,
            () = heard.stop() => return,
        };
        let is_kept = !matches!(done, Ok(Ok(())));
        let what = if is_kept { "; what was read has mistakes, the old stays in force" } else { "" };
        systemd::ready(&format!("{status}{what}"));
    }
}

/// Where sockets were passed and nobody named addresses, the passed ones are all.
fn with_sockets(mut config: Config, sockets: &[Bound]) -> Config {
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

enum Heard {
    Reload,
    Stop,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
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
