//! Finding the rule for a channel, a path or a host.
//!
//! Precedence of channels: an exact name beats the same name in another case beats a glob beats `*`, whatever the order; within one
//! kind the later one wins. Of file prefixes the longest wins.
//!
//! Belongs here: look-ups, each without I/O or lock. Does not: remembering their results (callers do).

use std::sync::Arc;

use super::compiled::{ChannelRule, ChannelSource, FileRoute, HostRoute, Pattern, Rules};
use super::hosted::HostedRule;
use crate::conda::channel::ChannelName;

impl Rules {
    /// The rule for a channel; `None` when none matches.
    #[must_use]
    pub fn channel(&self, name: &ChannelName) -> Option<Arc<ChannelRule>> {
        let glob =
            || self.globs.iter().rev().find(|(glob, _)| glob.is_match(name.as_str())).map(|(_, rule)| rule);
        self.exact.get(name).or_else(|| self.respelt(name)).or_else(glob).or(self.any.as_ref()).cloned()
    }

    /// What the rules say of a channel that they say is hosted here.
    #[must_use]
    pub fn hosted(&self, name: &ChannelName) -> Option<Arc<HostedRule>> {
        match &self.channel(name)?.source {
            ChannelSource::Hosted(hosted) => Some(Arc::clone(hosted)),
            ChannelSource::Proxied { .. } | ChannelSource::Virtual(_) => None,
        }
    }

    /// The rule for a name that differs in letter case only: most channel servers take any, and what a rule says of a channel
    /// (`unlisted`, members) must hold however it is spelt.
    fn respelt(&self, name: &ChannelName) -> Option<&Arc<ChannelRule>> {
        let same = |rule: &&Arc<ChannelRule>| match &rule.pattern {
            Pattern::Exact(exact) => exact.as_str().eq_ignore_ascii_case(name.as_str()),
            Pattern::Glob(_) | Pattern::Any => false,
        };
        name.as_str()
            .bytes()
            .any(|b| b.is_ascii_uppercase())
            .then(|| self.channels.iter().rev().find(same))?
    }

    /// The file rule for a decoded path, with or without its leading slash. `/miniconda` itself belongs to `miniconda/`.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<FileRoute> {
        let path = path.strip_prefix('/').unwrap_or(path);
        self.files.iter().find_map(|rule| {
            let rest = match path.strip_prefix(rule.prefix.as_str()) {
                Some(rest) => rest,
                None if Some(path) == rule.prefix.strip_suffix('/') => "",
                None => return None,
            };
            Some(FileRoute { rule: Arc::clone(rule), rest: rest.to_owned() })
        })
    }

    /// The upstream that a host name stands for: any case, a port and a trailing dot are ignored.
    #[must_use]
    pub fn upstream_for_host(&self, host: &str) -> Option<&HostRoute> {
        let host = bare_host(host);
        self.hosts.binary_search_by(|(known, _)| known.as_str().cmp(&host)).ok().map(|i| &self.hosts[i].1)
    }
}

/// A host as the table has it: lower case, no port, no trailing dot, no brackets around IPv6.
pub(super) fn bare_host(host: &str) -> String {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, _)) => inner,
        // More than one colon without brackets is an IPv6 address, not a port.
        None if host.bytes().filter(|b| *b == b':').count() == 1 => {
            host.split_once(':').map_or(host, |(name, _)| name)
        }
        None => host,
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
