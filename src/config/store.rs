//! `store`: which database holds users, tokens and channels.
//!
//! Belongs here: the keys of the section. Does not: connecting (`store`).

use super::read::{Reader, show_path};
use super::settings::{Config, MongodbConfig};
use super::values::file;
use crate::policy::read::{Fields, text};
use crate::policy::{At, Mistakes, Node, Outside};
use crate::secret::Secret;

/// Keys that say how to reach the server; one of them does.
const WAYS: &str = "`uri`, `uri_file`, `uri_env`";

pub(super) fn read(r: &mut Reader<'_>, top: &mut Fields<'_>, outside: &dyn Outside) -> Option<MongodbConfig> {
    let mut store = r.section(top, "store");
    let mut fields = store.as_mut().and_then(|store| r.section(store, "mongodb"));
    let at = fields.as_ref().map(|fields| fields.at().clone());
    let uri = uri(r, fields.as_mut(), at.as_ref(), outside);
    let name = |r: &mut Reader<'_>, fields: Option<&mut Fields<'_>>, key, default: &str| {
        r.take(fields, key, database, default.to_owned(), Clone::clone)
    };
    let database = name(r, fields.as_mut(), "store.mongodb.database", "condagate");
    let queue_database = name(r, fields.as_mut(), "store.mongodb.queue_database", "condagate_mq");
    let ca = |n: &Node, p: &str, m: &mut Mistakes| file(n, p, m).map(Some);
    let show = |file: &Option<_>| file.as_ref().map_or_else(String::new, show_path);
    let ca_file = r.take(fields.as_mut(), "store.mongodb.ca_file", ca, None, show);
    r.finish(fields);
    r.finish(store);
    let uri = uri.unwrap_or_else(|| Secret::new(String::new()));
    at.map(|at| MongodbConfig { at, uri, database, queue_database, ca_file })
}

/// What only the layers together can have wrong.
pub(super) fn check_together(config: &Config, mistakes: &mut Mistakes) {
    let Some(mongodb) = &config.store else { return };
    // A way that was named and can't be used is a mistake already.
    if mongodb.uri.reveal().is_empty() && mistakes.is_empty() {
        let way = "write `uri_file: FILE` with the connection string in the file";
        mistakes.add_hint(&mongodb.at, format!("`store.mongodb` must have one of {WAYS}"), way);
    }
    if mongodb.database == mongodb.queue_database {
        let must = "`store.mongodb.database` and `store.mongodb.queue_database` must be two databases";
        mistakes.add(&mongodb.at, must);
    }
}

fn uri(
    r: &mut Reader<'_>,
    mut fields: Option<&mut Fields<'_>>,
    at: Option<&At>,
    outside: &dyn Outside,
) -> Option<Secret<String>> {
    type Found = Option<(Secret<String>, String)>;
    let show = |found: &Found| found.as_ref().map_or_else(String::new, |(_, shown)| shown.clone());
    let written = |n: &Node, p: &str, m: &mut Mistakes| {
        let uri = checked(&text(n, p, m)?, n, p, m)?;
        let shown = masked(uri.reveal());
        Some(Some((uri, shown)))
    };
    let from_file = |n: &Node, p: &str, m: &mut Mistakes| {
        let file = n.at.resolve(&text(n, p, m)?);
        let what = format!("the file `{}`", file.display());
        let uri = revealed(outside.read(&file), &what, n, p, m)?;
        Some(Some((uri, show_path(&file))))
    };
    let from_variable = |n: &Node, p: &str, m: &mut Mistakes| {
        let name = text(n, p, m)?;
        let what = format!("the environment variable `{}`", name.escape_debug());
        let found = outside.variable(&name).ok_or_else(|| "it is not set".to_owned());
        let uri = revealed(found, &what, n, p, m)?;
        Some(Some((uri, name)))
    };
    let ways = [
        r.take(fields.as_deref_mut(), "store.mongodb.uri", written, None, show),
        r.take(fields.as_deref_mut(), "store.mongodb.uri_file", from_file, None, show),
        r.take(fields, "store.mongodb.uri_env", from_variable, None, show),
    ];
    let mut found = ways.into_iter().flatten();
    let first = found.next().map(|(uri, _)| uri);
    if let (Some(_), Some(at)) = (found.next(), at) {
        let said = "`store.mongodb` says more than one way to reach the server";
        r.mistakes.add_hint(at, said, format!("keep one of {WAYS}"));
    }
    first
}

/// What a file or variable says, without the line end that editors leave.
fn revealed(
    found: Result<String, String>,
    what: &str,
    node: &Node,
    path: &str,
    mistakes: &mut Mistakes,
) -> Option<Secret<String>> {
    match found {
        Ok(text) => checked(text.trim_end_matches(['\r', '\n']), node, path, mistakes),
        Err(reason) => {
            mistakes.add(&node.at, format!("`{path}` names {what}, which can't be read: {reason}"));
            None
        }
    }
}

/// A connection string as far as it can be told here; it is never repeated.
fn checked(text: &str, node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Secret<String>> {
    let rest = ["mongodb://", "mongodb+srv://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let is_good = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace));
    if !is_good {
        mistakes.add_hint(
            &node.at,
            format!("`{path}` must give the connection string of a MongoDB server"),
            "such as mongodb://USER:PASSWORD@db-1.example.org,db-2.example.org/?replicaSet=rs0",
        );
        return None;
    }
    Some(Secret::new(text.to_owned()))
}

/// A connection string for people: no credentials, no options.
fn masked(uri: &str) -> String {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("mongodb", ""));
    // A password with an unescaped `/` or `@` is a mistake and still not shown.
    let (who, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("***@", rest));
    let end = rest.find('?').map_or("", |_| "?***");
    let rest = rest.split('?').next().unwrap_or_default();
    format!("{scheme}://{who}{rest}{end}")
}

/// The name of a database, as MongoDB allows it.
fn database(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<String> {
    let name = text(node, path, mistakes)?;
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.len() > 63 || !name.chars().all(is_good) || ["admin", "local", "config"].contains(&name.as_str())
    {
        mistakes.add(
            &node.at,
            format!(
                "`{path}` must be 1 to 63 of letters, digits, `_`, `-`, and no database of MongoDB's own"
            ),
        );
        return None;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn connection_strings_are_masked() {
        for (uri, shown) in [
            ("mongodb://u:pw@a:1,b:2/db?replicaSet=x", "mongodb://***@a:1,b:2/db?***"),
            ("mongodb+srv://h.example.org/", "mongodb+srv://h.example.org/"),
            ("mongodb://u:p/w@x@h?tls=true", "mongodb://***@h?***"),
            ("mongodb://h/?authMechanismProperties=TOKEN:secret@x", "mongodb://***@x"),
        ] {
            assert_eq!(masked(uri), shown);
        }
    }
}
