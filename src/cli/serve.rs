//! `condagate serve`

use std::process::ExitCode;

use super::args::ServeArgs;
use super::{Commands, Exit, Terminal};
use crate::config::{self, Flags, LogFormat, Sources};
use crate::telemetry::log;

pub(super) fn run(
    args: ServeArgs,
    commands: &Commands,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
) -> ExitCode {
    let (config, rules) = match config::load_with_rules(&sources(args.flags())) {
        Ok(loaded) => loaded,
        Err(mistakes) => return terminal.refuse(&mistakes).into(),
    };
    let format = match config.log.format {
        LogFormat::Human => log::Format::Human,
        LogFormat::Json => log::Format::Json,
    };
    if let Err(error) = log::init(format, &config.log.level) {
        terminal.fail(error);
        return Exit::Usage.into();
    }
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    match (commands.serve)(config, rules, args.ready_file, args.take_over) {
        Ok(code) => code,
        Err(error) => terminal.fail(error).into(),
    }
}
