//! From rules as written to [`Rules`], or to everything that is wrong with them.
//!
//! Belongs here: how entries of several files meet, who is meant by a name, the revision. Does not: the keys of
//! one entry (`upstreams`, `channels`, `files`).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::compiled::{
    ChannelRule, ChannelSource, DEFAULT_TTL, FileRule, FileSource, HostRoute, Pattern, Rules, UpstreamRule,
};
use super::mistake::{Mistake, Mistakes, did_you_mean};
use super::node::{At, Node};
use super::read::Located;
use super::rule::{
    Written, WrittenChannel, WrittenChannelSource, WrittenFile, WrittenSource, WrittenUpstream,
};
use super::{access, builtin, channels, hosted, judge, notices, upstreams, virtuals};

/// What rules may ask of the machine; the only impure thing here, handed in by `config`.
pub trait Outside {
    /// The text of a small file.
    ///
    /// # Errors
    /// Why it can't be read, without its content.
    fn read(&self, path: &Path) -> Result<String, String>;
    /// The text of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// Why it can't be read, without its content.
    fn read_up_to(&self, path: &Path, limit: u64) -> Result<String, String>;
    /// The text of a small file that has a secret in it.
    ///
    /// # Errors
    /// Why it can't be read, without its content.
    fn read_secret(&self, path: &Path) -> Result<String, String> {
        self.read(path)
    }
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// Whether a directory stands there.
    fn is_dir(&self, path: &Path) -> bool;
    /// Whether a readable file stands there.
    fn is_file(&self, path: &Path) -> bool;
}

/// Compiles the documents of a rules directory, in name order, on top of the built-in rules.
///
/// # Errors
/// Every mistake in all of them, sorted by file and place.
pub fn compile(documents: &[Node], outside: &dyn Outside) -> Result<Rules, Vec<Mistake>> {
    let mut mistakes = Mistakes::new();
    let written: Vec<_> = documents.iter().map(|document| Written::read(document, &mut mistakes)).collect();
    let with_builtins = written.iter().rev().find_map(|w| w.builtins).unwrap_or(true);
    let builtin = if with_builtins { builtin::written() } else { Written::default() };
    compile_written(builtin, written, outside, mistakes)
}

pub(super) fn compile_written(
    builtin: Written,
    written: Vec<Written>,
    outside: &dyn Outside,
    mut mistakes: Mistakes,
) -> Result<Rules, Vec<Mistake>> {
    let builtin_hosts: Vec<_> = hosts_of(&builtin.upstreams).collect();
    let mut merged = builtin;
    let mut user_hosts = Vec::new();
    for file in written {
        merge(&mut merged, file, &mut user_hosts, &mut mistakes);
    }
    // Only the upstreams that are left count: one that was replaced by a later file claims nothing.
    user_hosts.extend(hosts_of(&merged.upstreams).filter(|claim| !builtin_hosts.contains(claim)));

    let named: HashMap<String, Arc<UpstreamRule>> = merged
        .upstreams
        .into_iter()
        .map(|u| upstreams::compile(u, outside, &mut mistakes))
        .map(|rule| (rule.name.clone(), Arc::new(rule)))
        .collect();
    let entries = merged.channels.len() + merged.files.len();
    hosted::check_prefixes(&merged.channels, &merged.files, &mut mistakes);
    let channels = all_channels(merged.channels, &named, &mut mistakes);
    let files: Vec<_> =
        merged.files.into_iter().filter_map(|f| file(f, &named, outside, &mut mistakes)).collect();
    let hosts = host_table(builtin_hosts, user_hosts, &named, &mut mistakes);
    let mut policy = judge::compile::compile(merged.policy, outside, &mut mistakes);
    policy.check_views(&channels, &mut mistakes);
    let taken: Vec<_> = policy.rules().cloned().collect();
    let is_whole = !merged.lost && channels.len() + files.len() == entries;
    let world = access::compile::World { channels: &channels, files: &files, policy: &taken, is_whole };
    let anonymous = merged.anonymous.unwrap_or(true);
    let access = access::compile::compile(merged.access, anonymous, world, &mut mistakes);
    let notices = notices::merge(merged.notices, &mut mistakes);
    let notes = mistakes.take_notes();
    mistakes.or(())?;
    let mut rules = assemble(named, channels, files, hosts);
    rules.access = Arc::new(access);
    policy.note_scopes(&rules);
    rules.policy = Arc::new(policy);
    rules.notices = notices;
    rules.notes = notes;
    rules.revision = revision(&rules);
    Ok(rules)
}

/// A host, and the name of the upstream that claims it.
type Claim = (Located<String>, Located<String>);

fn hosts_of(upstreams: &[WrittenUpstream]) -> impl Iterator<Item = Claim> + '_ {
    upstreams.iter().flat_map(|u| u.hosts.iter().map(|host| (host.clone(), u.name.clone())))
}

/// Puts one file on top: an entry replaces the one of the same key from an earlier file. The same key twice in one file is
/// a mistake, except for patterns, where the later one wins.
fn merge(merged: &mut Written, file: Written, hosts: &mut Vec<Claim>, mistakes: &mut Mistakes) {
    for new in file.upstreams {
        merged.upstreams.retain(|old| old.name.value != new.name.value);
        merged.upstreams.push(new);
    }
    for new in file.channels {
        let old = merged.channels.iter().find(|old| channels::same_thing(&old.key, &new.key));
        if let Some(old) = old.filter(|_| matches!(new.pattern, Pattern::Exact(_))) {
            refuse_twice("channel", &old.key, &new.key, mistakes);
        }
        merged.channels.retain(|old| !channels::same_thing(&old.key, &new.key));
        merged.channels.push(new);
    }
    for new in file.files {
        if let Some(old) = merged.files.iter().find(|old| old.prefix.value == new.prefix.value) {
            refuse_twice("prefix", &old.prefix, &new.prefix, mistakes);
        }
        merged.files.retain(|old| old.prefix.value != new.prefix.value);
        merged.files.push(new);
    }
    hosts.extend(file.hosts);
    merged.lost |= file.lost;
    merged.anonymous = file.anonymous.or(merged.anonymous);
    merged.access.extend(file.access);
    merged.policy.extend(file.policy);
    merged.notices.extend(file.notices);
}

fn refuse_twice(what: &str, old: &Located<String>, new: &Located<String>, mistakes: &mut Mistakes) {
    if old.at.file == new.at.file {
        mistakes.add_hint(
            &new.at,
            format!("the {what} `{}` is written twice in this file", new.value),
            format!("the other one is at {}; keep one of them", old.at),
        );
    }
}

/// Every channel in its order. What a virtual one inherits comes from its members, so those are known first.
fn all_channels(
    written: Vec<WrittenChannel>,
    named: &HashMap<String, Arc<UpstreamRule>>,
    mistakes: &mut Mistakes,
) -> Vec<Arc<ChannelRule>> {
    let anonymous = |upstream: &str| named.get(upstream).map(|rule| rule.anonymous());
    let inherited = virtuals::inherit(&written, anonymous, mistakes);
    let pairs = written.into_iter().zip(inherited);
    pairs.filter_map(|(written, from_members)| channel(written, from_members, named, mistakes)).collect()
}

fn channel(
    written: WrittenChannel,
    from_members: Option<virtuals::Inherited>,
    named: &HashMap<String, Arc<UpstreamRule>>,
    mistakes: &mut Mistakes,
) -> Option<Arc<ChannelRule>> {
    let (source, ttl, anonymous) = match written.source {
        WrittenChannelSource::Proxied(name, path) => {
            let upstream = find(&name, named, mistakes)?;
            let anonymous = upstream.anonymous();
            (ChannelSource::Proxied { upstream, path }, written.ttl.unwrap_or(DEFAULT_TTL), anonymous)
        }
        WrittenChannelSource::Virtual(source) => {
            let virtuals::Inherited { ttl, anonymous, .. } = from_members?;
            (ChannelSource::Virtual(Arc::new(virtuals::compile(source))), ttl, anonymous)
        }
        WrittenChannelSource::Hosted(source) => {
            let virtuals::Inherited { ttl, anonymous, .. } = from_members?;
            (ChannelSource::Hosted(Arc::new(source)), ttl, anonymous)
        }
    };
    Some(Arc::new(ChannelRule {
        id: written.key.value,
        pattern: written.pattern,
        source,
        ttl,
        unlisted: written.unlisted,
        whole_index: written.whole_index,
        bandwidth: written.bandwidth,
        anonymous,
    }))
}

fn file(
    written: WrittenFile,
    named: &HashMap<String, Arc<UpstreamRule>>,
    outside: &dyn Outside,
    mistakes: &mut Mistakes,
) -> Option<Arc<FileRule>> {
    let prefix = written.prefix.value;
    let (source, anonymous) = match written.source {
        WrittenSource::Upstream(name, path) => {
            let upstream = find(&name, named, mistakes)?;
            let anonymous = upstream.anonymous();
            (FileSource::Upstream { path: path.unwrap_or_else(|| prefix.clone()), upstream }, anonymous)
        }
        WrittenSource::Dir(dir, listing) => {
            if !outside.is_dir(&dir.value) {
                let shown = dir.value.display();
                mistakes.add(&dir.at, format!("the directory `{shown}` of prefix `{prefix}` is not there"));
            }
            (FileSource::Dir { dir: dir.value.into(), listing }, super::Anonymous::Anywhere)
        }
    };
    Some(Arc::new(FileRule { prefix, source, ttl: written.ttl.unwrap_or(DEFAULT_TTL), anonymous }))
}

fn find(
    name: &Located<String>,
    named: &HashMap<String, Arc<UpstreamRule>>,
    mistakes: &mut Mistakes,
) -> Option<Arc<UpstreamRule>> {
    let found = named.get(&name.value).cloned();
    if found.is_none() {
        let mut known: Vec<_> = named.keys().map(String::as_str).collect();
        known.sort_unstable();
        mistakes.add_hint(
            &name.at,
            format!("there is no upstream `{}`", name.value.escape_debug()),
            did_you_mean(&name.value, known),
        );
    }
    found
}

/// The table: what files say beats what is built in; two upstreams that files give one host are a mistake.
fn host_table(
    builtin: Vec<Claim>,
    user: Vec<Claim>,
    named: &HashMap<String, Arc<UpstreamRule>>,
    mistakes: &mut Mistakes,
) -> Vec<(String, HostRoute)> {
    let mut claimed: HashMap<String, (At, Arc<UpstreamRule>)> = HashMap::new();
    for (host, name) in user {
        let Some(upstream) = find(&name, named, mistakes) else { continue };
        if let Some((at, other)) = claimed.get(&host.value).filter(|(_, other)| other.name != upstream.name) {
            mistakes.add_hint(
                &host.at,
                format!(
                    "two upstreams claim the host `{}`: `{}` and `{}`",
                    host.value, other.name, upstream.name
                ),
                format!("the other claim is at {at}; keep one of them"),
            );
            continue;
        }
        claimed.insert(host.value, (host.at, upstream));
    }
    for (host, name) in builtin {
        // A user's entry may have replaced this upstream; then it has no claim left but its own.
        if let Some(upstream) = named.get(&name.value).filter(|u| u.hosts.contains(&host.value)) {
            claimed.entry(host.value).or_insert_with(|| (host.at, Arc::clone(upstream)));
        }
    }
    let mut table: Vec<_> = claimed.into_iter().map(|(host, (_, upstream))| (host, upstream)).collect();
    table.sort_by(|a, b| a.0.cmp(&b.0));
    table
}

fn assemble(
    named: HashMap<String, Arc<UpstreamRule>>,
    channels: Vec<Arc<ChannelRule>>,
    mut files: Vec<Arc<FileRule>>,
    hosts: Vec<(String, HostRoute)>,
) -> Rules {
    let mut upstreams: Vec<_> = named.into_values().collect();
    upstreams.sort_by(|a, b| a.name.cmp(&b.name));
    files.sort_by(|a, b| b.prefix.len().cmp(&a.prefix.len()).then_with(|| a.prefix.cmp(&b.prefix)));
    let mut rules = Rules {
        revision: 0,
        upstreams,
        files,
        hosts,
        access: Arc::default(),
        policy: Arc::default(),
        notices: Vec::new(),
        notes: Vec::new(),
        exact: HashMap::new(),
        globs: Vec::new(),
        any: None,
        channels: Vec::new(),
    };
    for rule in channels {
        match &rule.pattern {
            Pattern::Exact(name) => drop(rules.exact.insert(name.clone(), Arc::clone(&rule))),
            Pattern::Any => rules.any = Some(Arc::clone(&rule)),
            Pattern::Glob(text) => {
                rules
                    .globs
                    .extend(channels::glob(text).ok().map(|g| (g.compile_matcher(), Arc::clone(&rule))));
            }
        }
        rules.channels.push(rule);
    }
    rules
}

/// A digest of what the rules say. Their debug form shows everything except secrets, which is exactly what counts.
fn revision(rules: &Rules) -> u64 {
    let said = (&rules.access, &rules.policy, notices::content(&rules.notices));
    let text = format!("{:?}", (&rules.upstreams, &rules.channels, &rules.files, &rules.hosts, said));
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    // 53 bits: it stands in JSON, where many readers know no larger integers.
    u64::from_be_bytes(std::array::from_fn(|i| digest[i])) >> 11
}
