//! `condagate reload`

use super::args::ReloadArgs;
use super::socket::{self, Method};
use super::{Exit, Terminal};
use crate::config::{self, Flags, Sources};

pub(super) fn run(
    args: &ReloadArgs,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let config = match config::load(&sources(args.from.flags())) {
        Ok(config) => config,
        Err(mistakes) => return terminal.refuse(&mistakes),
    };
    match socket::ask(&config.control_socket(), Method::Post, "/reload", None) {
        Ok(_) => {
            terminal.line("the rules were read again and are in force");
            Exit::Done
        }
        Err(error @ socket::SocketError::Refused(_)) => {
            terminal.fail(format!("the old rules stay in force:\n{error}"))
        }
        Err(error) => terminal.fail(error),
    }
}
