//! One entry of `policy:`, read.
//!
//! Belongs here: its keys. Does not: the keys of a matcher (`conditions`) and of a patch (`patching`), how
//! entries of several files meet ([`super::compile`]).

use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::conditions::{self, patterns, refuse_nothing};
use super::hotfix::Hotfix;
use super::matcher::Matcher;
use super::patching;
use super::patterns::{Kind, Patterns};
use super::statement::{Effect, Statement};
use crate::policy::access::who::Who;
use crate::policy::mistake::Mistakes;
use crate::policy::node::{At, Node, Value};
use crate::policy::read::{Fields, Located, boolean, choice, text};
use crate::policy::verdict::RuleRef;

/// The longest `reason`, in bytes: it stands in every refusal.
const MAX_REASON: usize = 1000;
/// Keys that decide only whether a rule counts somewhere, not what it says there.
const SCOPE: &[&str] = &["channels", "subdirs", "audience"];
const EFFECTS: &[&str] = &["hide", "deny", "allow", "patch"];

/// A rule as written; its hotfix file is not read yet.
#[derive(Debug)]
pub struct Draft {
    /// The rule.
    pub statement: Statement,
    /// `patch.instructions`
    pub instructions: Option<Located<PathBuf>>,
}

/// Reads one entry; what is wrong with it is noted.
pub fn read(node: &Node, path: &str, m: &mut Mistakes) -> Option<Draft> {
    let mut fields = Fields::open(node, path, m)?;
    refuse_nothing(&fields, m);
    let id = fields.read("id", m, id);
    if fields.get("id").is_none() {
        m.add_hint(&node.at, format!("`{path}.id` is missing"), "a name that refusals and reports can quote");
    }
    let audience = Who::read(&mut fields, "audience", m);
    let channels = patterns(&mut fields, "channels", Kind::Path, m);
    let subdirs = patterns(&mut fields, "subdirs", Kind::Exact, m);
    let reason = fields.read("reason", m, reason).map(|r| r.value);
    let dry_run = fields.read("dry_run", m, boolean).is_some_and(|d| d.value);
    let unless = fields.read("unless", m, conditions::read).map(|u| u.value);
    let keep = fields.read("download", m, choice(&[("keep", ())]));
    let effect = effect(&mut fields, path, keep.as_ref(), m);
    fields.finish(m);
    let (effect, matcher, instructions) = effect?;
    let source = Arc::new(RuleRef { id: id?.value, at: node.at.clone(), reason });
    let any = |kind| Patterns::compile(kind, &["*"]).ok();
    Some(Draft {
        statement: Statement {
            source,
            channels: channels.or_else(|| any(Kind::Path))?,
            subdirs: subdirs.or_else(|| any(Kind::Exact))?,
            audience,
            matcher,
            unless,
            effect,
            dry_run,
            fingerprint: fingerprint(node, |key| !SCOPE.contains(&key)),
            scope: fingerprint(node, |key| SCOPE.contains(&key)),
        },
        instructions,
    })
}

type Parts = (Effect, Matcher, Option<Located<PathBuf>>);

/// What stands behind the one of `hide`, `deny`, `allow`, `patch` that is there.
fn effect(
    fields: &mut Fields<'_>,
    path: &str,
    keep: Option<&Located<()>>,
    m: &mut Mistakes,
) -> Option<Parts> {
    let written: Vec<_> = fields.entries().iter().filter(|e| EFFECTS.contains(&e.key.as_str())).collect();
    let at = written.get(1).map_or_else(|| fields.at().clone(), |second| second.at.clone());
    let is_one = written.len() == 1;
    let mut behind = |key, m: &mut Mistakes| fields.read(key, m, conditions::read).map(|l| l.value);
    let hide = behind("hide", m);
    let deny = behind("deny", m);
    let allow = behind("allow", m);
    let changes = fields.read("patch", m, |node, path, m| patching::read(node, path, keep.is_some(), m));
    if !is_one {
        m.add_hint(
            &at,
            format!("`{path}` must have exactly one of `hide`, `deny`, `allow` and `patch`"),
            "write a rule of its own for each effect",
        );
        return None;
    }
    let takes_keep = hide.is_some() || changes.as_ref().is_some_and(|p| p.value.instructions.is_some());
    let is_read = takes_keep || deny.is_some() || allow.is_some() || changes.is_some();
    if let Some(keep) = keep.filter(|_| is_read && !takes_keep) {
        m.add_hint(
            &keep.at,
            format!("`{path}.download` only goes with `hide`"),
            "files that are denied are refused everywhere",
        );
    }
    if let Some(patch) = changes {
        return Some((patch.value.effect, patch.value.matcher, patch.value.instructions));
    }
    let keep_download = keep.is_some();
    let hide = hide.map(|matcher| (Effect::Hide { keep_download }, matcher, None));
    let deny = deny.map(|matcher| (Effect::Deny, matcher, None));
    hide.or(deny).or_else(|| allow.map(|matcher| (Effect::Allow, matcher, None)))
}

/// `recall-42`: it stands in headers, logs and metrics.
pub(in crate::policy) fn id(node: &Node, path: &str, m: &mut Mistakes) -> Option<String> {
    let id = text(node, path, m)?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if id.len() > 64 || !id.bytes().all(is_plain) {
        m.add_hint(
            &node.at,
            format!("`{path}` must have at most 64 letters, digits, `-`, `_` and `.`"),
            "such as `recall-42`",
        );
        return None;
    }
    Some(id)
}

fn reason(node: &Node, path: &str, m: &mut Mistakes) -> Option<String> {
    let reason = text(node, path, m)?;
    if reason.len() > MAX_REASON || reason.chars().any(|c| c.is_control() && c != '\n') {
        m.add(
            &node.at,
            format!("`{path}` must have at most {MAX_REASON} characters, none of them a control character"),
        );
        return None;
    }
    Some(reason.trim_end().to_owned())
}

impl Draft {
    /// The rule with its hotfix file, which `read` fetches.
    ///
    /// # Errors
    /// Where the file is named, and what is wrong with it.
    pub fn finish(
        self,
        read: impl FnOnce(&std::path::Path) -> Result<String, String>,
    ) -> Result<Statement, (At, String)> {
        let mut statement = self.statement;
        let Some(file) = self.instructions else { return Ok(statement) };
        let shown = file.value.display();
        let keep_download = matches!(&statement.effect, Effect::Hotfix(hotfix) if hotfix.keep_download());
        let text = read(&file.value)
            .map_err(|why| (file.at.clone(), format!("the hotfix file `{shown}` can't be read: {why}")))?;
        let hotfix = Hotfix::read(&text, keep_download)
            .map_err(|why| (file.at.clone(), format!("the hotfix file `{shown}` {why}")))?;
        let mut digest = Sha256::new();
        digest.update(statement.fingerprint);
        digest.update(hotfix.digest());
        statement.fingerprint = digest.finalize().into();
        statement.effect = Effect::Hotfix(Box::new(hotfix));
        Ok(statement)
    }
}

/// A digest of what an entry says under some of its keys. Where it stands has no part in it.
fn fingerprint(node: &Node, counts: impl Fn(&str) -> bool) -> [u8; 32] {
    let mut digest = Sha256::new();
    if let Value::Map(entries) = &node.value {
        let mut entries: Vec<_> = entries.iter().filter(|e| counts(&e.key)).collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        for entry in entries {
            add_text(&mut digest, b'k', &entry.key);
            add(&mut digest, &entry.node);
        }
    }
    digest.finalize().into()
}

fn add(digest: &mut Sha256, node: &Node) {
    match &node.value {
        Value::Null => digest.update(b"n"),
        Value::Scalar(text) => add_text(digest, b's', text),
        Value::List(nodes) => {
            digest.update(b"[");
            for node in nodes {
                add(digest, node);
            }
            digest.update(b"]");
        }
        Value::Map(entries) => {
            digest.update(b"{");
            for entry in entries {
                add_text(digest, b'k', &entry.key);
                add(digest, &entry.node);
            }
            digest.update(b"}");
        }
    }
}

fn add_text(digest: &mut Sha256, kind: u8, text: &str) {
    digest.update([kind]);
    digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    digest.update(text);
}
