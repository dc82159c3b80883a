//! One more rule that denies packages, put into the file that the gate writes: what was in it stays as it is, comments too.
//!
//! Belongs here: the rule as text, and where it goes. Does not: whether the rules are good with it (`config`).

use super::ManageError;

/// Packages that nobody is to get any more.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Recall {
    /// Of the rule: what a refusal names.
    pub id: String,
    /// Source channels; none for all.
    pub channels: Vec<String>,
    /// `xz >=5.6.0,<5.6.2`
    pub specs: Vec<String>,
    /// SHA-256 of single files.
    pub digests: Vec<String>,
    /// What whoever is refused is told.
    pub reason: String,
}

/// The head of a file that is made.
const HEAD: &str =
    "# Written by the gateway: what administrators decide on its pages and by its API. Edit it there.\n";

/// Whether a line begins another part of the file.
fn is_top(line: &str) -> bool {
    line.starts_with(|c: char| !c.is_whitespace() && c != '#' && c != '-')
}

/// The id of the recall that stands in a line.
fn id_of(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix("- {id: ")?;
    // What follows is not JSON any more.
    serde_json::Deserializer::from_str(rest).into_iter::<String>().next()?.ok()
}

/// The recalls in a file: their ids, and the lines that they stand in.
pub(super) fn recalls(text: &str) -> Vec<(String, String)> {
    let rule = |line: &str| Some((id_of(line)?, line.trim_start().trim_start_matches("- ").to_owned()));
    text.lines().filter_map(rule).collect()
}

impl Recall {
    /// The text of the file with this rule in it, behind those that are in its `policy:` already.
    pub(super) fn added_to(&self, text: &str) -> Result<String, ManageError> {
        // All that a rule says of a record has to be so.
        if self.specs.is_empty() == self.digests.is_empty() {
            return Err(ManageError::Invalid(
                "say what to recall: either `specs`, or `digests` of files".to_owned(),
            ));
        }
        let mut lines: Vec<&str> = text.lines().collect();
        let head = lines.iter().position(|line| {
            line.split_once(':').is_some_and(|(key, rest)| {
                key == "policy" && (rest.trim().is_empty() || rest.trim_start().starts_with('#'))
            })
        });
        let rule = self.line();
        let Some(head) = head else {
            if lines.iter().any(|line| line.starts_with("policy:")) {
                return Err(ManageError::Invalid(
                    "`policy:` of the gateway's own file of rules is not a list with a line for each rule; make it one first".to_owned(),
                ));
            }
            let before = if text.trim().is_empty() { HEAD } else { text };
            let joint = if before.ends_with('\n') { "" } else { "\n" };
            return Ok(format!("{before}{joint}policy:\n  - {rule}\n"));
        };
        let behind = lines.iter().skip(head + 1);
        let end = behind.clone().position(|line| is_top(line)).map_or(lines.len(), |n| head + 1 + n);
        let indent = lines.iter().skip(head + 1).take(end - head - 1).find_map(|line| {
            let rest = line.trim_start();
            rest.starts_with("- ").then(|| line.len() - rest.len())
        });
        let line = format!("{}- {rule}", " ".repeat(indent.unwrap_or(2)));
        lines.insert(end, &line);
        Ok(lines.join("\n") + "\n")
    }

    /// The text of the file without a rule that [`Self::added_to`] put there; `None` where nothing but remarks is left.
    pub(super) fn taken_from(text: &str, id: &str) -> Result<Option<String>, ManageError> {
        let mut lines: Vec<&str> = text.lines().collect();
        let Some(place) = lines.iter().position(|line| id_of(line).is_some_and(|found| found == id)) else {
            return Err(ManageError::Missing(format!(
                "there is no recall `{}` that the gateway wrote; a rule that people wrote is theirs to edit",
                id.escape_debug()
            )));
        };
        lines.remove(place);
        let is_rule = |line: &&str| line.trim_start().starts_with("- ");
        if let Some(head) = lines.iter().position(|line| line.starts_with("policy:")) {
            let behind = lines.iter().skip(head + 1);
            if !behind.take_while(|line| !is_top(line)).any(is_rule) {
                lines.remove(head);
            }
        }
        let is_remark = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with('#');
        Ok(if lines.iter().all(is_remark) { None } else { Some(lines.join("\n") + "\n") })
    }

    /// The rule as one line of YAML. JSON is YAML, so nothing in it can mean something else.
    fn line(&self) -> String {
        let list = |all: &[String]| serde_json::Value::from(all.to_vec()).to_string();
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let channels = match &*self.channels {
            [] => String::new(),
            some => format!("channels: {}, ", list(some)),
        };
        let what = match &*self.specs {
            [] => format!("digests: {}", list(&self.digests)),
            specs => format!("specs: {}", list(specs)),
        };
        let reason = text(&self.reason);
        format!("{{id: {}, {channels}deny: {{{what}}}, reason: {reason}}}", text(&self.id))
    }
}
