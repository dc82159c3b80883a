//! `condagate doctor`: looks at everything that a gate needs, and says what to do about what is wrong.
//!
//! It works beside a running gate and changes nothing; only a file that is made and taken away again shows whether a directory can be
//! written to.
//!
//! Belongs here: the order of the checks, what is printed. Does not: the checks ([`gate`], [`machine`], [`network`]).

mod gate;
mod machine;
mod network;

use serde_json::{Value, json};

use super::args::DoctorArgs;
use super::{Commands, Exit, Terminal, check};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config, Flags, Sources};
use crate::policy::{Mistake, Rules};

pub use network::{Answered, Probe};

/// How something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Good,
    /// It works, and could be better.
    Note,
    Wrong,
    Skipped,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Wrong => "wrong",
            Self::Skipped => "skipped",
        }
    }
}

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Finding {
    /// What was looked at, in one word or two.
    about: &'static str,
    state: State,
    /// A sentence.
    says: String,
    /// What to do.
    fix: Option<String>,
}

impl Finding {
    fn good(about: &'static str, says: impl Into<String>) -> Self {
        Self { about, state: State::Good, says: says.into(), fix: None }
    }

    fn skipped(about: &'static str, says: impl Into<String>) -> Self {
        Self { about, state: State::Skipped, says: says.into(), fix: None }
    }

    fn note(about: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { about, state: State::Note, says: says.into(), fix: Some(fix.into()) }
    }

    fn wrong(about: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { about, state: State::Wrong, says: says.into(), fix: Some(fix.into()) }
    }
}

pub(super) fn run(
    args: &DoctorArgs,
    commands: &Commands,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let findings = all(args, commands, &sources(args.flags()));
    let is_well = findings.iter().all(|finding| finding.state != State::Wrong);
    if args.json {
        let findings: Vec<_> = findings.iter().map(as_json).collect();
        terminal.json(&json!({"well": is_well, "findings": findings}));
    } else {
        print(&findings, terminal);
    }
    if is_well { Exit::Done } else { Exit::Failed }
}

fn all(args: &DoctorArgs, commands: &Commands, sources: &Sources) -> Vec<Finding> {
    let config = match config::load(sources).and_then(|config| check::level(&config).map(|()| config)) {
        Ok(config) => config,
        Err(mistakes) => return mistakes.iter().map(|mistake| mistaken("settings", mistake)).collect(),
    };
    let mut findings = vec![Finding::good("settings", "every layer can be read")];
    let rules = match config::load_with_rules(sources) {
        Ok((with_rules, rules)) => {
            findings
                .push(Finding::good("rules", format!("those in {} are right", config.rules.path.display())));
            findings.extend(rules.notes().map(|note| {
                Finding::note("rules", note.message.clone(), note.hint.clone().unwrap_or_default())
            }));
            findings.extend(secrets(&with_rules));
            Some(rules)
        }
        Err(mistakes) => {
            findings.extend(mistakes.iter().map(|mistake| mistaken("rules", mistake)));
            None
        }
    };
    findings.extend(gate::look(&config, commands));
    findings.extend(machine::look(&config, sources));
    match rules {
        Some(rules) if !args.offline => findings.extend(upstreams(commands, &config, &rules)),
        Some(_) => {
            findings.push(Finding::skipped("upstreams", "nothing was asked of them, because of --offline"));
        }
        None => findings.push(Finding::skipped("upstreams", "which there are, only right rules can tell")),
    }
    findings
}

fn mistaken(about: &'static str, mistake: &Mistake) -> Finding {
    let hint = mistake.hint.clone();
    let bare = Mistake { hint: None, ..mistake.clone() };
    let fix = hint.unwrap_or_else(|| {
        "write it as the sentence says; `condagate check` tells whether all is right".to_owned()
    });
    Finding::wrong(about, bare.to_string(), fix)
}

fn secrets(config: &Config) -> Vec<Finding> {
    let note = |note: &String| {
        let (says, fix) = note.split_once("; ").unwrap_or((note, "chmod o-rwx it"));
        Finding::note("secrets", says, fix)
    };
    config.notes.iter().map(note).collect()
}

fn upstreams(commands: &Commands, config: &Config, rules: &Rules) -> Vec<Finding> {
    match (commands.probe)(config, rules) {
        Ok(probes) => network::judge(&probes, SystemClock.now()),
        Err(error) => {
            vec![Finding::wrong("upstreams", error.to_string(), "correct the upstream in the rules")]
        }
    }
}

fn as_json(finding: &Finding) -> Value {
    let Finding { about, state, says, fix } = finding;
    json!({"about": about, "state": state.word(), "says": says, "fix": fix})
}

fn print(findings: &[Finding], terminal: &mut Terminal<'_>) {
    let width = findings.iter().map(|finding| finding.about.len()).max().unwrap_or_default();
    for Finding { about, state, says, fix } in findings {
        terminal.line(format!("{:7}  {about:width$}  {says}", state.word()));
        if let Some(fix) = fix.as_ref().filter(|fix| !fix.is_empty()) {
            terminal.line(format!("{:7}  {:width$}  fix: {fix}", "", ""));
        }
    }
    let wrong = findings.iter().filter(|finding| finding.state == State::Wrong).count();
    terminal.line(match wrong {
        0 => "nothing is wrong".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        n => format!("{n} things are wrong"),
    });
}
