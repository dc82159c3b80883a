//! `condagate upgrade`

use super::socket::{self, Method};
use super::{Exit, Terminal};
use crate::config::Config;

pub(super) fn run(config: &Config, terminal: &mut Terminal<'_>) -> Exit {
    match socket::ask(&config.control_socket(), Method::Post, "/upgrade", None) {
        Ok(said) => {
            let version = said["version"].as_str().unwrap_or("?");
            terminal.line(format!("version {version} has taken over as process {}", said["pid"]));
            Exit::Done
        }
        Err(error) => terminal.fail(error),
    }
}
