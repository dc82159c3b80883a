//! `condagate config init`

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::{Exit, Terminal, files};
use crate::config::template;

/// What is written beside the settings: a directory of rules with one file.
const RULES: &str = "proxy-rules";
const CHANNELS: &str = "10-channels.yaml";

pub(super) fn run(file: &Path, force: bool, terminal: &mut Terminal<'_>) -> Exit {
    let settings = template::settings(&[("rules", RULES)]);
    if file == Path::new("-") {
        terminal.line(settings.trim_end());
        return Exit::Done;
    }
    // A bare name has an empty parent, which is there.
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).map_or(Ok(()), fs::create_dir_all);
    let written =
        dir.and_then(|()| if force { files::replace(file, &settings) } else { files::make(file, &settings) });
    let shown = file.display();
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return terminal
                .fail(format!("`{shown}` is there already; name another file, or replace it with --force"));
        }
        Err(error) => return terminal.fail(format!("`{shown}` can't be written: {error}")),
    }
    let rules = file.with_file_name(RULES);
    match channels(&rules) {
        Ok(Some(made)) => terminal.line(format!("wrote {shown} and {}", made.display())),
        Ok(None) => {
            terminal.line(format!("wrote {shown}; the rules in {} stay as they are", rules.display()));
        }
        Err(error) => {
            return terminal
                .fail(format!("wrote {shown}, but not the rules in `{}`: {error}", rules.display()));
        }
    }
    terminal.line(format!("next: condagate check --config {shown}; condagate serve --config {shown}"));
    Exit::Done
}

/// Writes the rules that name channels, where there are none yet.
fn channels(rules: &Path) -> std::io::Result<Option<PathBuf>> {
    fs::create_dir_all(rules)?;
    if fs::read_dir(rules)?.next().is_some() {
        return Ok(None);
    }
    let file = rules.join(CHANNELS);
    files::make(&file, template::CHANNELS)?;
    Ok(Some(file))
}
