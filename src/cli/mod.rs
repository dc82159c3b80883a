//! The command line: one file per command.
//!
//! Commands that concern a running gate go through its private socket, never through its files. What only the composition
//! root can do is handed in as [`Commands`], so that nothing here knows it.
//!
//! Belongs here: arguments, help texts, what is printed, exit codes (0 done, 1 failed, 2 bad usage or configuration).
//! Does not: the work itself.

mod args;
mod backup;
mod cache;
mod check;
mod client_config;
mod db;
mod doctor;
mod explain;
mod files;
mod health;
mod import;
mod jobs;
mod notifying;
mod people;
mod reload;
mod serve;
mod settings;
mod show;
mod socket;
mod store;
mod terminal;
mod top;
mod upgrade;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::config::{self, Config, Flags, Sources};
use crate::delivery::explain::Question;
use crate::policy::Rules;

pub use args::Cli;
pub use cache::{CacheRequest, PurgeTarget};
pub use doctor::{Answered, Probe};
pub use terminal::{Exit, Terminal};

/// What a command can fail with; its text is printed behind `condagate: `.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// To whom tests were sent, and why each was not taken.
pub type Tried = Vec<(String, Option<String>)>;

/// What the composition root does for the command line.
#[derive(Clone, Copy)]
pub struct Commands {
    /// Runs a gate until it is told to stop; writes the bound addresses to the file once requests are answered. The last word says whether
    /// it takes over from the process that started it.
    pub serve: fn(Config, Rules, Option<PathBuf>, bool) -> Result<ExitCode, Failure>,
    /// Reads the certificates that the settings name, as a start would; what is to be known about them.
    pub certificates: fn(&Config) -> Result<Vec<String>, Failure>,
    /// Does on the data directory what a running gate would do for the same request; called only while no gate answers on
    /// the socket. The value is what the socket would have answered.
    pub offline: fn(&Config, &Rules, &CacheRequest) -> Result<serde_json::Value, Failure>,
    /// The same for a question about a file or a package; it writes nothing.
    pub explain: fn(&Config, Rules, &Question) -> Result<serde_json::Value, Failure>,
    /// Sends a test to everybody whom the settings name; to whom, and why it was not taken.
    pub try_notifying: fn(&Config) -> Result<Tried, Failure>,
    /// Asks every mirror of every upstream whether it is there.
    pub probe: fn(&Config, &Rules) -> Result<Vec<Probe>, Failure>,
}

/// The settings for a command; where they have mistakes it is over, with all of them said.
fn load(sources: &Sources, terminal: &mut Terminal<'_>) -> Result<Config, Exit> {
    config::load(sources).map_err(|mistakes| terminal.refuse(&mistakes))
}

/// Runs the command line of this process.
#[must_use]
pub fn run(commands: &Commands) -> ExitCode {
    let (mut out, mut err, mut input) = (std::io::stdout(), std::io::stderr(), std::io::stdin());
    let is_person = input.is_terminal();
    let mut terminal = Terminal { out: &mut out, err: &mut err, input: &mut input, is_person };
    main(std::env::args_os(), commands, &Sources::of_process, &mut terminal)
}

/// The same for any arguments, machine and terminal.
pub(crate) fn main(
    arguments: impl IntoIterator<Item = OsString>,
    commands: &Commands,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
) -> ExitCode {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command.run(commands, sources, terminal),
        Err(error) => {
            // Help and version are "errors" that belong on standard output.
            let text = error.render();
            if error.use_stderr() {
                terminal.error(text);
                Exit::Usage.into()
            } else {
                terminal.line(text.to_string().trim_end());
                Exit::Done.into()
            }
        }
    }
}
