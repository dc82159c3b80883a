//! Whom an entry means: `user:NAME`, `group:NAME`, `authenticated`, `anonymous`.
//!
//! Belongs here: the list, its reading, whether a caller is in it. Does not: finding out who a caller is (`auth`).

use std::collections::BTreeSet;

use super::names;
use super::{Caller, Right};
use crate::policy::mistake::{Mistakes, nearest};
use crate::policy::node::Node;
use crate::policy::read::{Fields, list, text};

/// Entries of one list.
const MAX_ENTRIES: usize = 10_000;
/// What stands in a list.
const WORDS: &str = "`user:NAME`, `group:NAME`, `authenticated` or `anonymous`";

/// Callers, by what is known of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Who {
    /// `anonymous`: who shows no credential.
    pub anonymous: bool,
    /// `authenticated`: who shows one.
    pub authenticated: bool,
    /// `user:…`, keys of names.
    pub users: BTreeSet<Box<str>>,
    /// `group:…`, keys of names.
    pub groups: BTreeSet<Box<str>>,
}

impl Who {
    /// Whether a caller is meant.
    #[must_use]
    pub fn means(&self, caller: &Caller<'_>) -> bool {
        let Some(user) = caller.user else { return self.anonymous };
        let in_group = || caller.groups.iter().any(|group| self.groups.contains(group));
        self.authenticated || self.users.contains(user) || (!self.groups.is_empty() && in_group())
    }

    /// Whether all whom `other` means are certainly meant.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let known = self.authenticated
            || (!other.authenticated
                && other.users.is_subset(&self.users)
                && other.groups.is_subset(&self.groups));
        known && (self.anonymous || !other.anonymous)
    }

    /// Reads the list behind `key`; one that is empty means nobody, and that is a mistake.
    pub(in crate::policy) fn read(
        fields: &mut Fields<'_>,
        key: &'static str,
        m: &mut Mistakes,
    ) -> Option<Self> {
        let path = fields.path_of(key);
        let entries = fields.read(key, m, list(entry))?;
        if entries.value.is_empty() || entries.value.len() > MAX_ENTRIES {
            let found = entries.value.len();
            m.add(&entries.at, format!("`{path}` must have 1 to {MAX_ENTRIES} entries, not {found}"));
            return None;
        }
        let mut who = Self::default();
        for entry in entries.value {
            match entry.value {
                Entry::Anonymous => who.anonymous = true,
                Entry::Authenticated => who.authenticated = true,
                Entry::User(key) => drop(who.users.insert(key)),
                Entry::Group(key) => drop(who.groups.insert(key)),
            }
        }
        Some(who)
    }
}

/// One entry of a list.
enum Entry {
    Anonymous,
    Authenticated,
    User(Box<str>),
    Group(Box<str>),
}

fn entry(node: &Node, path: &str, m: &mut Mistakes) -> Option<Entry> {
    let written = text(node, path, m)?;
    let (kind, name) = written.split_once(':').map_or((written.as_str(), None), |(k, n)| (k, Some(n)));
    let found = match (kind, name) {
        ("anonymous", None) => Some(Entry::Anonymous),
        ("authenticated", None) => Some(Entry::Authenticated),
        ("user" | "group", Some(name)) => {
            let Some(key) = names::key(name).map(String::into_boxed_str) else {
                let said = format!("`{path}`: `{}` can't be the name of a {kind}", shown(name));
                m.add_hint(&node.at, said, "at most 64 letters, digits, `.`, `_`, `-`, `+` and `@`");
                return None;
            };
            Some(if kind == "user" { Entry::User(key) } else { Entry::Group(key) })
        }
        _ => None,
    };
    if found.is_none() {
        m.add_hint(
            &node.at,
            format!("`{path}` must have {WORDS}, not `{}`", shown(&written)),
            meant(kind, name),
        );
    }
    found
}

/// What was probably meant.
fn meant(kind: &str, name: Option<&str>) -> String {
    let kind = shown(kind);
    match name {
        Some(name) => match nearest(&kind, ["user", "group"]) {
            Some(near) => format!("did you mean `{near}:{}`?", shown(name)),
            None => format!("write `user:{0}` or `group:{0}`", shown(name)),
        },
        None => match nearest(&kind, ["authenticated", "anonymous"]) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write `user:{kind}` or `group:{kind}`"),
        },
    }
}

fn shown(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

/// The lists of one entry of `access:`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Given {
    /// `read`; `anonymous` in it stands for everybody, because a credential can be left out.
    pub read: Who,
    /// `write`
    pub write: Who,
    /// `manage`
    pub manage: Who,
}

impl Given {
    /// The most that a caller is given.
    #[must_use]
    pub fn right_of(&self, caller: &Caller<'_>) -> Option<Right> {
        let lists = [(&self.manage, Right::Manage), (&self.write, Right::Write), (&self.read, Right::Read)];
        let named = lists.into_iter().find(|(who, _)| who.means(caller)).map(|(_, right)| right);
        named.or_else(|| self.read.anonymous.then_some(Right::Read))
    }
}
