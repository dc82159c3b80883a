//! `condagate reload`

use super::socket::{self, Method};
use super::{Exit, Terminal};
use crate::config::Config;

pub(super) fn run(config: &Config, terminal: &mut Terminal<'_>) -> Exit {
    match socket::ask(&config.control_socket(), Method::Post, "/reload", None) {
        Ok(_) => {
            terminal.line("the rules and certificates were read again and are in force");
            Exit::Done
        }
        Err(error @ socket::SocketError::Refused(_)) => {
            terminal.fail(format!("the old rules or certificates stay in force:\n{error}"))
        }
        Err(error) => terminal.fail(error),
    }
}
