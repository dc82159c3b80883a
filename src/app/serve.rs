//! `condagate serve`: signals, the ready-file, and waiting for the end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::data_dir::DataDir;
use super::operator::GateOperator;
use super::{Core, Gate, GateOptions, StartError, Tuning, convert};
use crate::api::{OperateError, Operator, PurgeRequest};
use crate::cli::{CacheRequest, PurgeTarget};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::policy::Rules;
use crate::telemetry::log;

/// Runs a gate until SIGTERM or SIGINT. The bound addresses are written to `ready_file`, one a line, once requests are answered.
///
/// # Errors
/// As [`StartError`]; nothing is left running.
pub fn serve(config: Config, rules: Rules, ready_file: Option<PathBuf>) -> Result<ExitCode, StartError> {
    log::init(convert::log_format(config.log.format), &config.log.level)?;
    raise_open_files();
    let clock = Arc::new(SystemClock);
    let signals =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    // Before anything answers: a SIGHUP that came too early would end the process.
    let mut heard = signals.block_on(async { Signals::listen() }).map_err(StartError::Runtime)?;
    let gate = Gate::start(GateOptions { config, rules, clock, tuning: Tuning::default() })?;
    let addresses: Vec<String> = gate.addresses().iter().map(ToString::to_string).collect();
    tracing::info!(listen = %addresses.join(", "), "condagate answers requests");
    if let Some(path) = ready_file {
        write_whole(&path, &(addresses.join("\n") + "\n"))
            .map_err(|source| StartError::Directory { path, source })?;
    }
    signals.block_on(async {
        while let Heard::Reload = heard.next().await {
            // The gate's own runtime runs it; its outcome is logged there.
            if let Some(runtime) = &gate.runtime {
                let core = Arc::clone(&gate.core);
                drop(runtime.spawn(async move { core.reload().await }));
            }
        }
    });
    tracing::info!("stopping: requests under way may finish");
    gate.stop();
    Ok(ExitCode::SUCCESS)
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
