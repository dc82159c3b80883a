//! From the entries of `policy:` in all files to one [`Policy`].
//!
//! Belongs here: limits on their number, ids that are taken, hotfix files. Does not: conflicts ([`super::conflicts`]).

use std::collections::HashMap;
use std::sync::Arc;

use super::Policy;
use super::conflicts;
use super::hotfix::MAX_BYTES;
use super::read::Draft;
use super::statement::{Effect, Statement};
use crate::policy::compile::Outside;
use crate::policy::mistake::Mistakes;
use crate::policy::node::{At, Node};

/// Rules in all files together. A list in one rule takes thousands of names, so nobody needs more.
pub const MAX_RULES: usize = 2000;
/// Hotfix files, at most [`MAX_BYTES`] each.
const MAX_HOTFIXES: usize = 40;

/// Reads the entries of one file, `policy[0]` and so on.
pub fn read<'n>(
    entries: impl IntoIterator<Item = (String, &'n Node)>,
    mistakes: &mut Mistakes,
) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (n, (path, node)) in entries.into_iter().enumerate() {
        if n >= MAX_RULES {
            too_many(&node.at, mistakes);
            break;
        }
        drafts.extend(super::read::read(node, &path, mistakes));
    }
    drafts
}

fn too_many(at: &At, mistakes: &mut Mistakes) {
    mistakes.add_hint(
        at,
        format!("there are more than {MAX_RULES} rules in `policy`; those from here on were not read"),
        "put names, specs and digests of one decision into the lists of one rule",
    );
}

/// Makes the policy out of the rules of all files, in the order of files and entries.
pub fn compile(drafts: Vec<Draft>, outside: &dyn Outside, mistakes: &mut Mistakes) -> Policy {
    let mut taken: HashMap<String, At> = HashMap::new();
    let mut statements: Vec<Arc<Statement>> = Vec::new();
    let mut hotfixes = 0;
    for draft in drafts {
        let at = draft.statement.source.at.clone();
        if statements.len() >= MAX_RULES {
            too_many(&at, mistakes);
            break;
        }
        let id = draft.statement.source.id.clone();
        if let Some(first) = taken.get(&id) {
            mistakes.add_hint(
                &at,
                format!("the rule id `{id}` is taken"),
                format!("the other rule is at {first}; give each a name of its own"),
            );
        } else {
            taken.insert(id, at);
        }
        if let Some(file) = &draft.instructions {
            hotfixes += 1;
            if hotfixes > MAX_HOTFIXES {
                mistakes.add(&file.at, format!("there are more than {MAX_HOTFIXES} hotfix files"));
                break;
            }
        }
        match draft.finish(|path| outside.read_up_to(path, MAX_BYTES)) {
            Ok(statement) => statements.push(Arc::new(named(statement))),
            Err((at, why)) => mistakes.add(&at, why),
        }
    }
    let notes = conflicts::find(&statements, mistakes);
    Policy::new(statements, notes)
}

/// The rule with its own name in its patch.
fn named(mut statement: Statement) -> Statement {
    if let Effect::Patch(patch) = &mut statement.effect {
        Arc::make_mut(patch).rule = Arc::clone(&statement.source);
    }
    statement
}
