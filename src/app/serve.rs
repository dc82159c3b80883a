//! `condagate serve`: signals, the ready-file, and waiting for the end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Gate, GateOptions, StartError, Tuning};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::policy::Rules;

/// Runs a gate until SIGTERM or SIGINT. The bound addresses are written to `ready_file`, one a line, once requests are answered.
///
/// # Errors
/// As [`StartError`]; nothing is left running.
pub fn serve(config: Config, rules: Rules, ready_file: Option<PathBuf>) -> Result<ExitCode, StartError> {
    let clock = Arc::new(SystemClock);
    let signals = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    // Before anything answers: a SIGHUP that came too early would end the process.
    let mut heard = signals.block_on(async { Signals::listen() }).map_err(StartError::Runtime)?;
    let gate = Gate::start(GateOptions { config, rules, clock, tuning: Tuning::default() })?;
    let lines: String = gate.addresses().iter().map(|address| format!("{address}\n")).collect();
    tracing::info!(listen = %lines.trim_end().replace('\n', ", "), "condagate answers requests");
    if let Some(path) = ready_file {
        write_whole(&path, &lines).map_err(|source| StartError::Directory { path, source })?;
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
