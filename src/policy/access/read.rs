//! One entry of `access:`, read.
//!
//! Belongs here: its keys, and which of them go together. Does not: how entries of several files meet, and what they name that
//! is not there ([`super::compile`]).

use super::who::{Given, Who};
use super::{Globs, Right};
use crate::policy::judge::conditions::refuse_nothing;
use crate::policy::judge::read::id;
use crate::policy::mistake::Mistakes;
use crate::policy::node::{At, Node};
use crate::policy::read::{Fields, Located, list, text};

/// Entries of one list.
const MAX_ENTRIES: usize = 1000;

/// An entry as written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Where it stands.
    pub at: At,
    /// `id`
    pub id: Option<Located<String>>,
    /// `channels`
    pub channels: Option<Listed>,
    /// `files`
    pub files: Option<Listed>,
    /// `packages`
    pub packages: Option<Globs>,
    /// `read`, `write`, `manage`
    pub given: Given,
}

/// Globs, and where each stands.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The key path of the list.
    pub path: String,
    /// What was written.
    pub globs: Globs,
    /// In the same order.
    pub places: Vec<At>,
}

/// Reads one entry; what is wrong with it is noted.
pub fn read(node: &Node, path: &str, m: &mut Mistakes) -> Option<Draft> {
    let mut fields = Fields::open(node, path, m)?;
    refuse_nothing(&fields, m);
    let f = &mut fields;
    let id = f.read("id", m, id);
    let channels = listed(f, "channels", Globs::channels, m);
    let files = listed(f, "files", Globs::prefixes, m);
    let packages = listed(f, "packages", Globs::packages, m);
    let given = Given {
        read: Who::read(f, "read", m).unwrap_or_default(),
        write: Who::read(f, "write", m).unwrap_or_default(),
        manage: Who::read(f, "manage", m).unwrap_or_default(),
    };
    check_things(f, m);
    check_rights(f, &given, m);
    fields.finish(m);
    let packages = packages.map(|listed| listed.globs);
    Some(Draft { at: node.at.clone(), id, channels, files, packages, given })
}

/// What the entry is about.
fn check_things(f: &mut Fields<'_>, m: &mut Mistakes) {
    let [channels, files, packages] = ["channels", "files", "packages"].map(|key| f.get(key));
    let at = f.at();
    if channels.is_none() && files.is_none() {
        let said = format!("`{}` must have `channels` or `files`", f.path_of("").trim_end_matches('.'));
        m.add_hint(at, said, "channels: [team]");
    }
    if let (Some(packages), Some(_)) = (packages, files) {
        let said = format!("`{}` goes with `channels`, not with `files`", f.path_of("packages"));
        m.add_hint(&packages.at, said, "write an entry of its own for the files");
    }
    if channels.is_some() {
        return;
    }
    for (key, right) in [("write", Right::Write), ("manage", Right::Manage)] {
        if let Some(entry) = f.get(key) {
            let said = format!("`{}` only goes with `channels`", f.path_of(key));
            m.add_hint(&entry.at, said, format!("nobody can {right} files; write `read:`"));
        }
    }
}

/// Whom it gives what.
fn check_rights(f: &mut Fields<'_>, given: &Given, m: &mut Mistakes) {
    let [read, write, manage] = ["read", "write", "manage"].map(|key| f.get(key));
    if read.is_none() && write.is_none() && manage.is_none() {
        let path = f.path_of("");
        let said = format!("`{}` gives nobody anything", path.trim_end_matches('.'));
        m.add_hint(f.at(), said, "write at least one of `read`, `write` and `manage`");
    }
    for (key, who, entry) in [("write", &given.write, write), ("manage", &given.manage, manage)] {
        if let Some(entry) = entry.filter(|_| who.anonymous) {
            let said = format!("`{}` can't have `anonymous`: strangers may only read", f.path_of(key));
            m.add_hint(&entry.node.at, said, "`authenticated` means all who show a credential");
        }
    }
    if let (Some(manage), Some(_)) = (manage, f.get("packages")) {
        let said =
            format!("`{}` is about whole channels and can't stand beside `packages`", f.path_of("manage"));
        m.add_hint(&manage.at, said, "write an entry of its own for it, without `packages`");
    }
}

/// A list of globs that can match something.
fn listed(
    fields: &mut Fields<'_>,
    key: &'static str,
    make: impl FnOnce(Vec<String>) -> Globs,
    m: &mut Mistakes,
) -> Option<Listed> {
    let path = fields.path_of(key);
    let entries = fields.read(key, m, list(text))?;
    if entries.value.is_empty() || entries.value.len() > MAX_ENTRIES {
        let found = entries.value.len();
        m.add(&entries.at, format!("`{path}` must have 1 to {MAX_ENTRIES} entries, not {found}"));
        return None;
    }
    let (places, texts): (Vec<_>, Vec<_>) = entries.value.into_iter().map(|l| (l.at, l.value)).unzip();
    let globs = make(texts);
    if let Err((which, why)) = globs.check() {
        let text = globs.texts().get(which).map_or("", String::as_str);
        let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
        m.add(places.get(which).unwrap_or(&entries.at), format!("`{path}`: `{shown}` {why}"));
        return None;
    }
    Some(Listed { path, globs, places })
}
