//! `condagate config show | get`

use serde_json::{Map, Value, json};

use super::args::ConfigCommand;
use super::{Exit, Terminal};
use crate::config::{Config, Setting};
use crate::policy::mistake::did_you_mean;

pub(super) fn run(command: &ConfigCommand, config: &Config, terminal: &mut Terminal<'_>) -> Exit {
    let settings = &config.origins;
    match command {
        ConfigCommand::Show { json: true, origin, .. } => terminal.json(&as_json(settings, *origin)),
        ConfigCommand::Show { origin, .. } => show(settings, *origin, terminal),
        ConfigCommand::Get { key, .. } => {
            let Some(setting) = settings.iter().find(|setting| setting.key == key) else {
                let hint = did_you_mean(key, settings.iter().map(|setting| setting.key));
                terminal.fail(format!("there is no setting `{key}`\n  hint: {hint}"));
                return Exit::Usage;
            };
            terminal.line(&setting.value);
        }
    }
    Exit::Done
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
