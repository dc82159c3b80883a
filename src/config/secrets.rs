//! Settings with a secret in them: written where they stand, or in a file, or in a variable.
//!
//! Belongs here: the three ways to write one, and that none of them prints it. Does not: what the secret must look like (whoever
//! wants it).

use super::outside::Machine;
use super::read::show_path;
use super::reader::Reader;
use crate::policy::read::{Fields, text};
use crate::policy::{Mistakes, Node, Outside as _};
use crate::secret::Secret;

/// A secret, and where it is from.
pub(super) type Found = (Secret<String>, String);

/// The keys one of which gives a secret.
pub(super) struct Ways {
    /// The section they stand in.
    pub(super) section: &'static str,
    /// Key paths: the secret itself, a file with it, a variable with it.
    pub(super) keys: [&'static str; 3],
    /// What it is for: `to reach the server`.
    pub(super) what: &'static str,
}

/// Reads whichever was written. `check` looks at the text, and never repeats it; `show` masks what was written out.
pub(super) fn read<T>(
    r: &mut Reader<'_>,
    mut fields: Option<&mut Fields<'_>>,
    ways: &Ways,
    machine: &Machine,
    check: impl Fn(&str, &Node, &str, &mut Mistakes) -> Option<T>,
    show: impl Fn(&T) -> String,
) -> Option<T> {
    let at = fields.as_ref().map(|fields| fields.at().clone());
    let written = |n: &Node, p: &str, m: &mut Mistakes| {
        let found = check(&text(n, p, m)?, n, p, m)?;
        let shown = show(&found);
        Some((found, shown))
    };
    let from_file = |n: &Node, p: &str, m: &mut Mistakes| {
        let (secret, shown) = in_file(n, p, m, machine)?;
        Some((check(secret.reveal(), n, p, m)?, shown))
    };
    let from_variable = |n: &Node, p: &str, m: &mut Mistakes| {
        let (secret, shown) = in_variable(n, p, m, machine)?;
        Some((check(secret.reveal(), n, p, m)?, shown))
    };
    let [plain, file, variable] = ways.keys;
    let found = [
        r.optional(fields.as_deref_mut(), plain, written, |(_, shown)| shown.clone()),
        r.optional(fields.as_deref_mut(), file, from_file, |(_, shown)| shown.clone()),
        r.optional(fields, variable, from_variable, |(_, shown)| shown.clone()),
    ];
    let mut found = found.into_iter().flatten();
    let first = found.next().map(|(secret, _)| secret);
    if let (Some(_), Some(at)) = (found.next(), at) {
        let names: Vec<_> =
            ways.keys.map(|key| format!("`{}`", key.rsplit('.').next().unwrap_or(key))).into();
        let said = format!("`{}` says more than one way {}", ways.section, ways.what);
        r.mistakes.add_hint(&at, said, format!("keep one of {}", names.join(", ")));
    }
    first
}

/// A secret that a file has, and the file to be shown.
pub(super) fn in_file(node: &Node, path: &str, m: &mut Mistakes, machine: &Machine) -> Option<Found> {
    let file = node.at.resolve(&text(node, path, m)?);
    let what = format!("the file `{}`", file.display());
    Some((Secret::new(revealed(machine.read_secret(&file), &what, node, path, m)?), show_path(&file)))
}

/// A secret that a variable has, and its name to be shown.
pub(super) fn in_variable(node: &Node, path: &str, m: &mut Mistakes, machine: &Machine) -> Option<Found> {
    let name = text(node, path, m)?;
    let what = format!("the environment variable `{}`", name.escape_debug());
    let found = machine.variable(&name).ok_or_else(|| "it is not set".to_owned());
    Some((Secret::new(revealed(found, &what, node, path, m)?), name))
}

/// What a file or variable says, without the line end that editors leave.
fn revealed(
    found: Result<String, String>,
    what: &str,
    node: &Node,
    path: &str,
    mistakes: &mut Mistakes,
) -> Option<String> {
    let why = match found {
        Ok(text) => match text.trim_end_matches(['\r', '\n']) {
            "" => "it is empty".to_owned(),
            text => return Some(text.to_owned()),
        },
        Err(why) => why,
    };
    mistakes.add(&node.at, format!("`{path}` names {what}, which can't be read: {why}"));
    None
}
