//! `condagate rules explain`
//!
//! Belongs here: asking the running gate, or, when there is none, the composition root; the answer for people. Does not: finding
//! the answer (`delivery`).

use super::args::ExplainArgs;
use super::show::readable;
use super::socket::{self, Method, SocketError};
use super::{Commands, Exit, Failure, Terminal};
use crate::config::{self, Config, Sources};
use crate::delivery::explain::{
    AccessExplained, Explanation, FileExplained, Package, Question, RecordExplained, RuleExplained,
    SpecExplained,
};

pub(super) fn run(
    args: &ExplainArgs,
    commands: &Commands,
    config: &Config,
    sources: &Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let question = Question {
        channel: args.channel.clone(),
        subdir: args.subdir.clone(),
        as_user: args.user.clone(),
        ..Question::guess(&args.what)
    };
    let body = serde_json::json!(question);
    let answer = match socket::ask(&config.control_socket(), Method::Post, "/explain", Some(&body)) {
        // A running gate has its own rules; only without one do those of this command matter.
        Err(SocketError::NobodyThere { .. }) => {
            match config::rules::load(&config.rules, &sources.machine()) {
                Ok(rules) => (commands.explain)(config, rules, &question),
                Err(mistakes) => return terminal.refuse(&mistakes),
            }
        }
        answer => answer.map_err(Failure::from),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return terminal.fail(error),
    };
    if args.json {
        terminal.json(&answer);
        return Exit::Done;
    }
    match serde_json::from_value(answer) {
        Ok(Explanation::File(file)) => file_lines(&file, 0, terminal),
        Ok(Explanation::Spec(spec)) => spec_lines(&spec, terminal),
        Err(error) => return terminal.fail(SocketError::Nonsense(error.to_string())),
    }
    Exit::Done
}

fn file_lines(file: &FileExplained, depth: usize, terminal: &mut Terminal<'_>) {
    let indent = "  ".repeat(depth);
    terminal.line(format_args!("{indent}{}", file.sentence));
    let mut line = |key: &str, text: &str| terminal.line(format_args!("{indent}  {key:<11} {text}"));
    let said = package(&file.package);
    if !said.is_empty() {
        line("package", &said);
    }
    if let Some(sha256) = &file.package.sha256 {
        line("sha256", sha256);
    }
    if let Some(seen) = &file.first_seen {
        line("first seen", &format!("{} ({})", seen.at, seen.origin));
    }
    if let Some(until) = &file.until {
        line("until", until);
    }
    if let Some(index) = &file.index {
        let behind = if index.current { "" } else { "; it is to be built again" };
        line("index", &format!("built {}, checked {}{behind}", index.built_at, index.checked_at));
    }
    // Those of a virtual channel are told with its members.
    if file.members.is_empty() {
        file.rules.iter().for_each(|rule| line("rule", &self::rule(rule)));
    }
    for patch in &file.patches {
        let json = serde_json::to_string(&patch.set).unwrap_or_default();
        let set = Some(("sets", json)).filter(|_| !patch.set.is_empty());
        let lists = [
            ("adds to depends", &patch.add_depends),
            ("takes from depends", &patch.remove_depends),
            ("adds to constrains", &patch.add_constrains),
            ("takes from constrains", &patch.remove_constrains),
        ];
        let lists = lists.into_iter().filter(|(_, all)| !all.is_empty());
        let what = set.into_iter().chain(lists.map(|(does, all)| (does, all.join(", "))));
        what.for_each(|(does, what)| line("change", &format!("`{}` {does} {what}", patch.rule)));
    }
    access_lines(&file.access, terminal);
    for member in &file.members {
        terminal.line(format_args!("{indent}  member `{}`: {}", member.channel, member.sentence));
        file_lines(&member.explanation, depth + 2, terminal);
    }
}

/// `xz 5.6.1 h1_0, 1.2 MiB, license MIT`
fn package(package: &Package) -> String {
    let name = [&package.name, &package.version, &package.build];
    let name: Vec<_> = name.into_iter().flatten().map(String::as_str).collect();
    let license = package.license.as_ref().map(|license| format!("license {license}"));
    let parts = [Some(name.join(" ")).filter(|name| !name.is_empty()), package.size.map(readable), license];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn rule(rule: &RuleExplained) -> String {
    let reason = rule.rule.reason.as_ref().map_or_else(String::new, |reason| format!(" Reason: {reason}"));
    format!("`{}` ({}) {}: {}{reason}", rule.rule.id, rule.rule.at, rule.standing, rule.sentence)
}

fn spec_lines(spec: &SpecExplained, terminal: &mut Terminal<'_>) {
    terminal.line(&spec.sentence);
    let cells: Vec<_> = spec.records.iter().map(cells).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    for row in &cells {
        let [place, version, build, why] = row;
        terminal.line(format_args!(
            "  {place:<0$}  {version:<1$}  {build:<2$}  {why}",
            widths[0], widths[1], widths[2]
        ));
    }
    if spec.more > 0 {
        terminal.line(format_args!("  … and {} more; name a channel, a subdir or versions", spec.more));
    }
    for (id, count) in &spec.counts.by_rule {
        terminal.line(format_args!("`{id}` hides {count} of them"));
    }
    access_lines(&spec.access, terminal);
}

fn access_lines(access: &[AccessExplained], terminal: &mut Terminal<'_>) {
    for one in access {
        let at = one.at.as_ref().map_or_else(String::new, |at| format!(" ({at})"));
        terminal.line(format_args!("  access      {}{at}", one.sentence));
    }
}

fn cells(record: &RecordExplained) -> [String; 4] {
    let from = record.member.as_ref().map_or_else(String::new, |member| format!(" from {member}"));
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let why = record.sentence.clone().unwrap_or_default();
    let until = record.until.as_ref().map_or_else(String::new, |until| format!(" Until {until}."));
    let why = match &record.hidden_by {
        _ if record.shown => "shown".to_owned(),
        None => format!("not shown: {why}{until}"),
        Some(rule) => {
            let reason = rule.reason.as_ref().map_or_else(String::new, |reason| format!(" Reason: {reason}"));
            format!("not shown: `{}` ({}) {why}{until}{reason}", rule.id, rule.at)
        }
    };
    let name = format!("{} {}", record.name, text(&record.version));
    [format!("{}/{}{from}", record.channel, record.subdir), name, text(&record.build), why]
}
