//! `condagate config set`

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::{Exit, Terminal, check, files, socket};
use super::unknown;
use crate::config::keys::{self, Key};
use crate::config::{self, Config, Machine, Sources, edit};
use crate::policy::Outside as _;

pub(super) fn run(
    sources: &Sources,
    file: Option<&Path>,
    key: &str,
    value: &str,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let Some(key) = keys::find(key) else { return unknown(key, terminal) };
    let file = file.map_or_else(|| target(sources, key), Path::to_owned);
    let shown = file.display();
    let text = match text_of(&file) {
        Ok(text) => text,
        Err(why) => return terminal.fail(format!("`{shown}` can't be read: {why}")),
    };
    let edited = match edit::set(&text, key, value) {
        Ok(edited) => edited,
        Err(error) => return terminal.fail(format!("{shown}: {error}")),
    };
    let loaded = config::load_as_if(sources, &file, edited.clone());
    let config = match loaded.and_then(|(config, _)| check::level(&config).map(|()| config)) {
        Ok(config) => config,
        Err(mistakes) => {
            let refused = terminal.refuse(&mistakes);
            terminal.error(format_args!("nothing was written to {shown}\n"));
            return refused;
        }
    };
    if edited == text {
        terminal.line(format!("`{}` is {} in {shown} already", key.path, shown_value(&config, key)));
        return Exit::Done;
    }
    if let Err(error) = files::replace(&file, &edited) {
        return terminal.fail(format!("`{shown}` can't be written: {error}"));
    }
    tell(&config, &file, key, terminal);
    Exit::Done
}

/// The file that has the key now, else the last that is read, else the system's own.
fn target(sources: &Sources, key: &Key) -> PathBuf {
    let files = sources.files().unwrap_or_default();
    let origin = config::load(sources).ok().and_then(|config| {
        let setting = config.origins.into_iter().find(|setting| setting.key == key.path)?;
        Some(PathBuf::from(setting.origin.rsplit_once(':')?.0))
    });
    let found = origin.filter(|origin| files.contains(origin)).or_else(|| files.last().cloned());
    found.unwrap_or_else(|| sources.system.join("condagate.yaml"))
}

/// What is in the file; nothing where it is not there yet.
fn text_of(file: &Path) -> Result<String, String> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        _ => Machine::default().read(file),
    }
}

fn shown_value(config: &Config, key: &Key) -> String {
    let setting = config.origins.iter().find(|setting| setting.key == key.path);
    setting.map(|setting| setting.value.clone()).unwrap_or_default()
}

fn tell(config: &Config, file: &Path, key: &Key, terminal: &mut Terminal<'_>) {
    let shown = file.display();
    let Some(setting) = config.origins.iter().find(|setting| setting.key == key.path) else { return };
    if setting.origin.starts_with(&format!("{shown}:")) {
        terminal.line(format!("`{}` is {} in {shown}", key.path, setting.value));
    } else {
        terminal.line(format!("`{}` was set in {shown}", key.path));
        terminal.line(format!("note: {} comes later and says {}", setting.origin, setting.value));
    }
    if socket::is_answered(&config.control_socket()) {
        terminal.line("note: a gate is running; settings count from its next start on (`condagate reload` reads rules only)");
    }
}
