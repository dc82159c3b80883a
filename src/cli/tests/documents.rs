//! What the documents tell people to type is what the command line takes.
//!
//! Every `condagate …` in a code block or between backticks of the documents is given to the parser of arguments. Words of the documents
//! that stand for something (`TEAM`, `DIR`) are words like others to it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use super::Cli;

/// Documents for people, and files that run commands.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md"), root.join("CONTRIBUTING.md"), root.join("SECURITY.md")];
    let mut todo = vec![root.join("deploy")];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What a document says to type: the line, and whether it is a whole command or only the name of one.
fn told(text: &str) -> Vec<(usize, String, bool)> {
    let mut told = Vec::new();
    let mut fence: Option<String> = None;
    let mut begun = String::new();
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if let Some(language) = trimmed.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language.to_owned()) };
            continue;
        }
        match fence.as_deref() {
            Some("sh" | "") => {
                begun.push_str(trimmed.trim_end_matches('\\'));
                if !trimmed.ends_with('\\') {
                    told.push((at + 1, std::mem::take(&mut begun), true));
                }
            }
            Some(_) => {}
            // Odd pieces are those between backticks.
            None => {
                told.extend(line.split('`').skip(1).step_by(2).map(|code| (at + 1, code.to_owned(), false)));
            }
        }
    }
    told
}

/// A line of the shell as commands, each as words. Quotes and comments as the shell has them.
fn commands(line: &str) -> Vec<Vec<String>> {
    let (mut all, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ';' | '|' | '&' | '(' | ')' | '>' | '<') => {
                words.extend(word.take());
                all.push(std::mem::take(&mut words));
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    all.push(words);
    all
}

/// The words from `condagate` on, where that is the program: first, or behind what runs another program.
fn ours(words: &[String]) -> Option<&[String]> {
    let is_program = |word: &String| word == "condagate" || word == "/usr/bin/condagate";
    let says = |what: &[&str]| words.iter().any(|word| what.contains(&word.as_str()));
    let at = match words.first()?.as_str() {
        "condagate" => 0,
        "sudo" if !says(&["apt-get", "chown", "dnf", "journalctl", "systemctl", "userdel"]) => {
            words.iter().rposition(is_program)?
        }
        "docker" | "kubectl" if says(&["exec"]) => words.iter().rposition(is_program)?,
        _ => return None,
    };
    (at + 1 < words.len()).then(|| &words[at..])
}

#[test]
fn every_command_in_the_documents_can_be_typed() {
    let (mut mistakes, mut seen) = (Vec::new(), 0);
    for file in documents() {
        let text = fs::read_to_string(&file).expect("a document");
        for (line, code, whole) in told(&text) {
            // Grammar such as `a|b` and `…` is for people.
            if !whole && (!code.starts_with("condagate ") || code.contains(['|', '…', '['])) {
                continue;
            }
            for words in commands(&code) {
                let Some(words) = ours(&words) else { continue };
                // What stands for a value must look like one.
                let digest = "0".repeat(64);
                let value = |word: &String| if word == "SHA256" { digest.clone() } else { word.clone() };
                let words: Vec<String> = words.iter().filter(|w| *w != "…").map(value).collect();
                seen += 1;
                let Err(error) = Cli::try_parse_from(&words) else { continue };
                let is_name = !whole
                    && matches!(
                        error.kind(),
                        ErrorKind::MissingRequiredArgument
                            | ErrorKind::MissingSubcommand
                            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                    );
                if !is_name && !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
                    let why = error.render().to_string();
                    let why = why.lines().next().unwrap_or_default().to_owned();
                    mistakes.push(format!("{}:{line}: `{}`: {why}", file.display(), words.join(" ")));
                }
            }
        }
    }
    assert!(mistakes.is_empty(), "\n{}\n", mistakes.join("\n"));
    assert!(seen > 40, "only {seen} commands were found in the documents");
}

#[test]
fn what_is_a_command_in_a_document() {
    let words = |line: &str| -> Vec<String> {
        commands(line).iter().filter_map(|words| ours(words)).map(|words| words.join("_")).collect()
    };
    assert_eq!(words("condagate check --rules 'a b' # condagate no"), ["condagate_check_--rules_a b"]);
    assert_eq!(
        words("sudo -u x condagate reload && condagate db status | less"),
        ["condagate_reload", "condagate_db_status"]
    );
    assert_eq!(words("sudo systemctl restart condagate && echo condagate is up"), [""; 0]);
    let text = "see `condagate db`\n```yaml\ncondagate: x\n```\n```sh\ncondagate a \\\n  b\n```\n";
    let found: Vec<_> = told(text).into_iter().map(|(line, code, _)| (line, code)).collect();
    assert_eq!(found, [(1, "condagate db".to_owned()), (7, "condagate a b".to_owned())]);
}
