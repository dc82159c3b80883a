//! What single values of the configuration accept.
//!
//! Belongs here: shapes that only the configuration has. Does not: keys and defaults ([`super::read`]), shapes that rules
//! have too (`policy::read`).

use std::net::SocketAddr;
use std::path::PathBuf;

use super::rules::RulesDir;
use super::settings::{AccessTarget, KeepFree, PublicUrl};
use crate::policy::network::Network;
use crate::policy::read::{integer, list, scalar, size, socket_address, text, url};
use crate::policy::{Mistakes, Node};
use crate::secret::{SafeUrl, mask_path};

pub(super) fn listen(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Vec<SocketAddr>> {
    let addresses = list(socket_address)(node, path, mistakes)?;
    if addresses.is_empty() {
        mistakes.add(&node.at, format!("`{path}` must name at least one address"));
        return None;
    }
    Some(addresses.into_iter().map(|l| l.value).collect())
}

pub(super) fn public_url(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<PublicUrl> {
    let found = url(&["http", "https"])(node, path, mistakes)?;
    let mut url = found.reveal().clone();
    let base_path = url.path().trim_end_matches('/').to_owned();
    if !url.username().is_empty() || url.password().is_some() || mask_path(&base_path) != base_path {
        mistakes.add(&node.at, format!("`{path}` must be a URL without credentials"));
        return None;
    }
    if base_path.contains("//") || base_path.contains('%') {
        mistakes.add(&node.at, format!("`{path}` must have a plain path, without `//` and `%`"));
        return None;
    }
    url.set_path(&format!("{base_path}/"));
    Some(PublicUrl { url: SafeUrl::new(url), base_path })
}

pub(super) fn path(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<PathBuf> {
    Some(node.at.resolve(&text(node, path, mistakes)?))
}

pub(super) fn file(node: &Node, key: &str, mistakes: &mut Mistakes) -> Option<PathBuf> {
    let file = path(node, key, mistakes)?;
    if !std::fs::File::open(&file).and_then(|f| f.metadata()).is_ok_and(|meta| meta.is_file()) {
        let shown = file.display();
        mistakes.add(&node.at, format!("`{key}` names `{shown}`, which is not a readable file"));
        return None;
    }
    Some(file)
}

pub(super) fn rules_dir(node: &Node, key: &str, mistakes: &mut Mistakes) -> Option<RulesDir> {
    Some(RulesDir { path: path(node, key, mistakes)?, named: Some(node.at.clone()) })
}

pub(super) fn count(least: u64, most: u64) -> impl Fn(&Node, &str, &mut Mistakes) -> Option<usize> {
    move |node, path, mistakes| usize::try_from(integer(least..=most)(node, path, mistakes)?).ok()
}

pub(super) fn some_bytes(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<u64> {
    let bytes = size(node, path, mistakes)?;
    if bytes < 1 << 20 {
        mistakes.add(&node.at, format!("`{path}` must be at least 1MiB"));
        return None;
    }
    Some(bytes)
}

pub(super) fn networks(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Vec<Network>> {
    let all = list(network)(node, path, mistakes)?;
    Some(all.into_iter().map(|l| l.value).collect())
}

/// For parts of a request's head: enough for any client, not enough to hurt.
pub(super) fn bounded_size(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<usize> {
    let bytes = size(node, path, mistakes)?;
    if !(256..=1 << 20).contains(&bytes) {
        mistakes.add(&node.at, format!("`{path}` must lie between 256B and 1MiB"));
        return None;
    }
    usize::try_from(bytes).ok()
}

pub(super) fn keep_free(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<KeepFree> {
    let Some(percent) = scalar(node).and_then(|text| text.strip_suffix('%')) else {
        return size(node, path, mistakes).map(KeepFree::Bytes);
    };
    let percent = percent.trim().parse().ok().filter(|p| *p <= 90);
    if percent.is_none() {
        mistakes.add(&node.at, format!("`{path}` must be a whole number of percent up to `90%`, or a size"));
    }
    percent.map(KeepFree::Percent)
}

pub(super) fn level(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<String> {
    let level = text(node, path, mistakes)?;
    let known = |part: &str| {
        let last = part.rsplit('=').next().unwrap_or(part);
        ["off", "error", "warn", "info", "debug", "trace"].contains(&last.to_ascii_lowercase().as_str())
    };
    if !level.split(',').all(|part| known(part.trim())) {
        mistakes.add_hint(
            &node.at,
            format!("`{path}` must be a level or a list of `room=level`, not `{}`", level.escape_debug()),
            "levels are `off`, `error`, `warn`, `info`, `debug`, `trace`; for one room, `info,condagate::cache=debug`",
        );
        return None;
    }
    Some(level)
}

pub(super) fn access(node: &Node, key: &str, mistakes: &mut Mistakes) -> Option<AccessTarget> {
    match scalar(node) {
        Some("on" | "true") => Some(AccessTarget::Standard),
        Some("off" | "false") => Some(AccessTarget::Off),
        Some(text) if text.contains('/') => path(node, key, mistakes).map(AccessTarget::File),
        _ => {
            mistakes.add(&node.at, format!("`{key}` must be `on`, `off` or the path of a file (with a `/`)"));
            None
        }
    }
}

fn network(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Network> {
    let network = scalar(node).and_then(Network::parse);
    if network.is_none() {
        mistakes.add_hint(
            &node.at,
            format!("`{path}` must have networks or addresses"),
            "such as `10.0.0.0/8` or `192.0.2.7`; bits behind the prefix are zero",
        );
    }
    network
}
