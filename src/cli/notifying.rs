//! `condagate notify test`: sends a test to everybody whom the settings name, and says what became of each.
//!
//! Belongs here: what is typed and printed. Does not: sending (the composition root has it done).

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::args::Where;
use super::{Commands, Exit, Terminal};
use crate::config::{self, Flags, Sources};

#[derive(Debug, Subcommand)]
pub(super) enum NotifyCommand {
    /// Send a test to every webhook and every mail address of the settings (exit code 1 if one did not take it)
    ///
    /// It is sent from here, at once and without the queue. No gate has to run.
    Test(TestArgs),
}

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    #[command(flatten)]
    from: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    command: &NotifyCommand,
    commands: &Commands,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let NotifyCommand::Test(args) = command;
    let config = match config::load(&sources(args.from.flags())) {
        Ok(config) => config,
        Err(mistakes) => return terminal.refuse(&mistakes),
    };
    let sent = match (commands.try_notifying)(&config) {
        Ok(sent) => sent,
        Err(error) => return terminal.fail(error),
    };
    if args.json {
        let rows = sent.iter().map(|(to, error)| json!({"to": to, "error": error}));
        terminal.json(&Value::Array(rows.collect()));
    } else if sent.is_empty() {
        terminal.line("the settings name nobody; see `notify` in the README");
    }
    let mut failed = false;
    for (to, error) in &sent {
        match error {
            Some(why) => {
                failed = true;
                terminal.error(format_args!("condagate: {to}: {why}\n"));
            }
            None if !args.json => terminal.line(format_args!("{to}: taken")),
            None => {}
        }
    }
    if failed { Exit::Failed } else { Exit::Done }
}
