//! `condagate check`

use std::path::Path;

use serde_json::{Value, json};

use super::args::CheckArgs;
use super::{Commands, Exit, Terminal, show};
use crate::config::{self, Config, Flags, Sources};
use crate::policy::{At, ChannelSource, Mistake, Rules};
use crate::telemetry::log;

pub(super) fn run(
    args: &CheckArgs,
    commands: &Commands,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let checked = config::load_with_rules(&sources(args.flags())).and_then(|(config, rules)| {
        level(&config)?;
        let about = certificates(&config, commands)?;
        Ok((config, rules, about))
    });
    match checked {
        Ok((config, rules, about)) => {
            if args.json {
                let mut notes: Vec<_> = rules.notes().map(as_json).collect();
                notes.extend(config.notes.iter().chain(&about).map(|note| json!({"message": note})));
                terminal.json(&json!({"mistakes": [], "notes": notes}));
            } else {
                terminal.line(summary(&config.rules.path, &rules));
                let notes = config.notes.iter().chain(&about);
                notes.for_each(|note| terminal.line(format_args!("note: {note}")));
            }
            Exit::Done
        }
        Err(mistakes) if args.json => {
            let mistakes: Vec<_> = mistakes.iter().map(as_json).collect();
            terminal.json(&json!({ "mistakes": mistakes }));
            Exit::Usage
        }
        Err(mistakes) => terminal.refuse(&mistakes),
    }
}

/// The log's filter has a grammar of its own, which only the log knows.
pub(super) fn level(config: &Config) -> Result<(), Vec<Mistake>> {
    let told = |error| vec![Mistake::new(&At::outside("configuration"), format!("`log.level`: {error}"))];
    log::build_filter(&config.log.level).map(|_| ()).map_err(told)
}

/// Certificates are files that only their reader understands; what is to be known about those that are right.
fn certificates(config: &Config, commands: &Commands) -> Result<Vec<String>, Vec<Mistake>> {
    let at = At::outside("certificates");
    let told =
        |error: super::Failure| error.to_string().lines().map(|line| Mistake::new(&at, line)).collect();
    (commands.certificates)(config).map_err(told)
}

fn as_json(mistake: &Mistake) -> Value {
    let Mistake { file, line, column, message, hint } = mistake;
    json!({"file": file, "line": line, "column": column, "message": message, "hint": hint})
}

fn summary(dir: &Path, rules: &Rules) -> String {
    let shown = dir.display();
    let whose = if dir.is_dir() {
        format!("rules of {shown} on top of the built-in ones")
    } else {
        format!("the built-in rules; {shown} is not there")
    };
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut counts = vec![
        count(rules.upstreams().len(), "upstream"),
        count(rules.channels().len(), "channel entry").replace("entrys", "entries"),
        count(rules.files().len(), "file prefix").replace("prefixs", "prefixes"),
    ];
    let more = [
        (rules.access().len(), "access rule"),
        (rules.policy().rules().len(), "policy rule"),
        (rules.notice_count(), "notice"),
    ];
    counts.extend(more.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(n, what)));
    let mut text = format!("configuration and rules are right: {} ({whose})", counts.join(", "));
    for upstream in rules.upstreams().iter().filter(|u| u.has_credentials()) {
        text.push_str("\nnote: `");
        text.push_str(&upstream.name);
        text.push_str("` is read with credentials; what comes from it is for callers on this machine, and for whom `access:` and grants name");
    }
    for rule in rules.channels() {
        let ChannelSource::Hosted(hosted) = &rule.source else { continue };
        let lines = hosted.upload.as_ref().map(|upload| upload.lines(show::readable)).unwrap_or_default();
        if !lines.is_empty() {
            let said: Vec<_> = lines.iter().map(|(what, said)| format!("{what}: {said}")).collect();
            for part in ["\nnote: uploads into `", &rule.id, "` are held to the rules: ", &said.join("; ")] {
                text.push_str(part);
            }
        }
    }
    for note in rules.notes() {
        text.push_str("\nnote: ");
        text.push_str(&note.to_string());
    }
    text
}
