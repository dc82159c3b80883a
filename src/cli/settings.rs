//! `condagate config show | get | schema`, and the way to `init` and `set`.

mod init;
mod set;

use serde_json::{Map, Value, json};

use super::args::ConfigCommand;
use super::{Exit, Terminal};
use crate::config::keys::KEYS;
use crate::config::{self, Flags, Setting, Sources, schema};
use crate::policy::mistake::did_you_mean;

pub(super) fn run(
    command: &ConfigCommand,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    match command {
        ConfigCommand::Show { from, origin, json } => {
            let settings = match config::load(&sources(from.flags())) {
                Ok(config) => config.origins,
                Err(mistakes) => return terminal.refuse(&mistakes),
            };
            if *json {
                terminal.json(&as_json(&settings, *origin));
            } else {
                show(&settings, *origin, terminal);
            }
            Exit::Done
        }
        ConfigCommand::Get { from, key } => match config::load(&sources(from.flags())) {
            Ok(config) => get(&config.origins, key, terminal),
            Err(mistakes) => terminal.refuse(&mistakes),
        },
        ConfigCommand::Init { file, force } => init::run(file, *force, terminal),
        ConfigCommand::Set { from, file, key, value } => {
            let sources = sources(from.flags());
            set::run(&sources, file.as_deref(), key, value, terminal)
        }
        ConfigCommand::Schema { rules: true } => {
            terminal.line(schema::RULES.trim_end());
            Exit::Done
        }
        ConfigCommand::Schema { rules: false } => {
            terminal.json(&schema::settings());
            Exit::Done
        }
    }
}

fn get(settings: &[Setting], key: &str, terminal: &mut Terminal<'_>) -> Exit {
    let Some(setting) = settings.iter().find(|setting| setting.key == key) else {
        return unknown(key, terminal);
    };
    terminal.line(&setting.value);
    Exit::Done
}

/// Says that there is no such key, and which was probably meant.
fn unknown(key: &str, terminal: &mut Terminal<'_>) -> Exit {
    let hint = did_you_mean(key, KEYS.iter().map(|key| key.path));
    terminal.fail(format!("there is no setting `{key}`\n  hint: {hint}"));
    Exit::Usage
}

fn show(settings: &[Setting], origin: bool, terminal: &mut Terminal<'_>) {
    let width = settings.iter().map(|s| s.key.len() + s.value.len() + 2).max().unwrap_or_default();
    for setting in settings {
        let line = format!("{}: {}", setting.key, setting.value);
        if origin {
            terminal.line(format!("{line:<width$}  # {}", setting.origin));
        } else {
            terminal.line(line.trim_end());
        }
    }
}

fn as_json(settings: &[Setting], origin: bool) -> Value {
    let value =
        |s: &Setting| if origin { json!({"value": s.value, "origin": s.origin}) } else { json!(s.value) };
    let map: Map<String, Value> = settings.iter().map(|s| (s.key.to_owned(), value(s))).collect();
    Value::Object(map)
}
