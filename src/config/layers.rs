//! Where configuration comes from, and in which order it is laid on top of each other.
//!
//! From the bottom: built-in defaults, `/etc/condagate/*.yaml` in name order, the file `$CONDAGATE_CONFIG` names, the files
//! of `--config`, variables `CONDAGATE_SECTION__KEY`, flags. Later wins, key by key.
//!
//! Belongs here: finding the layers and their order. Does not: what a key means ([`super::read`]).

use std::path::PathBuf;

use super::keys;
use super::outside::{Machine, Variables, reason};
use super::rules::{document, yaml_files};
use crate::policy::node::{Entry, Value};
use crate::policy::{At, Mistakes, Node};

/// The prefix of variables that set keys.
const PREFIX: &str = "CONDAGATE_";
/// The variable that names a file of configuration.
const FILE_VARIABLE: &str = "CONDAGATE_CONFIG";

/// What the command line says about configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config FILE`…
    pub config: Vec<PathBuf>,
    /// `--rules DIR`
    pub rules: Option<PathBuf>,
    /// `--data DIR`
    pub data: Option<PathBuf>,
    /// `--listen ADDR`…
    pub listen: Vec<String>,
}

/// Everything that configuration is made from; kept by a running gate to read it again.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `/etc/condagate`
    pub system: PathBuf,
    /// The environment.
    pub variables: Variables,
    /// The command line.
    pub flags: Flags,
}

impl Sources {
    /// Those of this process.
    #[must_use]
    pub fn of_process(flags: Flags) -> Self {
        Self { system: PathBuf::from("/etc/condagate"), variables: Variables::of_process(), flags }
    }

    /// The machine as rules may ask it.
    #[must_use]
    pub fn machine(&self) -> Machine {
        Machine::new(self.variables.clone())
    }

    /// The files that are layers, lowest first.
    ///
    /// # Errors
    /// When the directory of the system's can't be listed; its absence is none.
    pub fn files(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut files = match yaml_files(&self.system) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        files.extend(self.variables.get(FILE_VARIABLE).map(PathBuf::from));
        files.extend(self.flags.config.iter().cloned());
        Ok(files)
    }

    /// Every layer above the defaults, lowest first.
    pub(super) fn layers(&self, machine: &Machine, mistakes: &mut Mistakes) -> Vec<Node> {
        let mut layers = Vec::new();
        let files = self.files().unwrap_or_else(|error| {
            let at = At::outside(&self.system.display().to_string());
            mistakes.add(&at, format!("the directory can't be read: {}", reason(&error)));
            let others = Self { system: PathBuf::new(), ..self.clone() };
            others.files().unwrap_or_default()
        });
        for file in files {
            match document(&file, machine) {
                Ok(node) => layers.push(node),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        layers.extend(from_variables(&self.variables));
        layers.extend(from_flags(&self.flags));
        layers
    }
}

/// `CONDAGATE_CACHE__SIZE=1GiB` is `cache: {size: 1GiB}`.
///
/// A name without `__` counts only when it is a key of the top level: an orchestrator may set `CONDAGATE_PORT` and the
/// like for a service of that name.
fn from_variables(variables: &Variables) -> Vec<Node> {
    let mut named: Vec<_> = variables
        .iter()
        .filter(|(name, value)| *name != FILE_VARIABLE && !value.is_empty())
        .filter_map(|(name, value)| Some((name, name.strip_prefix(PREFIX)?.to_ascii_lowercase(), value)))
        .filter(|(_, key, _)| key.contains("__") || keys::top_level().any(|name| name == key))
        .collect();
    named.sort_unstable();
    let node = |(name, key, value): (&str, String, &str)| {
        let at = At::outside(&format!("environment variable {name}"));
        key.rsplit("__").fold(Node::scalar(at, value), wrap)
    };
    named.into_iter().map(node).collect()
}

fn from_flags(flags: &Flags) -> Vec<Node> {
    let one = |flag: &str, key: &str, value: Node| {
        let at = At::outside(&format!("flag --{flag}"));
        wrap(Node { at, ..value }, key)
    };
    let path = |path: &PathBuf| Node::scalar(At::outside(""), path.display().to_string());
    let mut layers = Vec::new();
    layers.extend(flags.rules.as_ref().map(|dir| one("rules", "rules", path(dir))));
    layers.extend(flags.data.as_ref().map(|dir| one("data", "data", path(dir))));
    if !flags.listen.is_empty() {
        let at = At::outside("flag --listen");
        let nodes = flags.listen.iter().map(|address| Node::scalar(at.clone(), address)).collect();
        layers.push(one("listen", "listen", Node { at, value: Value::List(nodes) }));
    }
    layers
}

fn wrap(node: Node, key: &str) -> Node {
    let at = node.at.clone();
    let entry = Entry { key: key.to_owned(), at: at.clone(), node };
    Node { at, value: Value::Map(vec![entry]) }
}
