//! `store`: which database holds users, tokens and channels.
//!
//! Belongs here: the keys of the section. Does not: connecting (`store`).

use super::outside::Machine;
use super::read::show_path;
use super::reader::Reader;
use super::secrets;
use super::settings::{Config, MongodbConfig};
use super::values::file;
use crate::policy::read::{Fields, text};
use crate::policy::{Mistakes, Node};
use crate::secret::Secret;

/// Keys that say how to reach the server; one of them does.
const WAYS: &str = "`uri`, `uri_file`, `uri_env`";

pub(super) fn read(r: &mut Reader<'_>, top: &mut Fields<'_>, machine: &Machine) -> Option<MongodbConfig> {
    let mut store = r.section(top, "store");
    let mut fields = store.as_mut().and_then(|store| r.section(store, "mongodb"));
    let at = fields.as_ref().map(|fields| fields.at().clone());
    let ways = secrets::Ways {
        section: "store.mongodb",
        keys: ["store.mongodb.uri", "store.mongodb.uri_file", "store.mongodb.uri_env"],
        what: "to reach the server",
    };
    let shown = |uri: &Secret<String>| masked(uri.reveal());
    let uri = secrets::read(r, fields.as_mut(), &ways, machine, checked, shown);
    let database = r.value(fields.as_mut(), "store.mongodb.database", database, Clone::clone);
    let queue_database =
        r.value(fields.as_mut(), "store.mongodb.queue_database", self::database, Clone::clone);
    let ca_file = r.optional(fields.as_mut(), "store.mongodb.ca_file", file, |file| show_path(file));
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
