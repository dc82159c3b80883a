//! Rules as written: the keys of `proxy-rules/*.yaml`, each with its place, not yet related to each other.
//!
//! Belongs here: one struct per kind of entry and the document they stand in. Does not: how an entry is read
//! (`upstreams`, `channels`, `files`), what it means together with others ([`mod@super::compile`]).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::compiled::{Pattern, Unlisted, WholeIndex};
use super::hosted::HostedRule;
use super::judge::read::Draft;
use super::mistake::Mistakes;
use super::node::{At, Node, Value};
use super::notices::NoticeRule;
use super::read::{Fields, Located, boolean, choice, text};
use super::virtual_rule::{NameGlobs, Priority};
use super::{access, channels, files, judge, notices, upstreams};
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::secret::SafeUrl;

/// `anonymous:`, whether strangers may read what is public.
const ANONYMOUS: &[(&str, bool)] = &[("read", true), ("none", false)];

/// One file of rules.
#[derive(Debug, Default)]
pub struct Written {
    /// `upstreams:`
    pub upstreams: Vec<WrittenUpstream>,
    /// `channels:`
    pub channels: Vec<WrittenChannel>,
    /// `files:`
    pub files: Vec<WrittenFile>,
    /// `hosts:`, host and upstream
    pub hosts: Vec<(Located<String>, Located<String>)>,
    /// `access:`
    pub access: Vec<access::read::Draft>,
    /// `policy:`
    pub policy: Vec<Draft>,
    /// `notices:`
    pub notices: Vec<NoticeRule>,
    /// `builtins:`; `false` takes the built-in rules away
    pub builtins: Option<bool>,
    /// `anonymous:`; `none` asks everybody for a credential
    pub anonymous: Option<bool>,
    /// Whether an entry of `channels:` or `files:` could not be read.
    pub lost: bool,
}

/// One entry of `upstreams:`. Values that could not be read are absent and noted.
#[derive(Clone, Debug)]
pub struct WrittenUpstream {
    /// Its key.
    pub name: Located<String>,
    /// `urls`
    pub urls: Vec<Located<SafeUrl>>,
    /// `hosts`, as the table has them
    pub hosts: Vec<Located<String>>,
    /// `credentials`
    pub credentials: Option<WrittenCredentials>,
    /// `max_concurrent`
    pub max_concurrent: Option<u64>,
    /// `timeouts.connect`
    pub connect: Option<Duration>,
    /// `timeouts.first_byte`
    pub first_byte: Option<Duration>,
    /// `timeouts.stall`
    pub stall: Option<Duration>,
    /// `retries`
    pub retries: Option<u64>,
    /// `proxy`
    pub proxy: Option<SafeUrl>,
    /// `proxy_file`, `proxy_env`
    pub proxy_place: Option<WrittenSecret>,
    /// `ca_file`
    pub ca_file: Option<Located<PathBuf>>,
    /// `resolve`
    pub resolve: Vec<(String, SocketAddr)>,
    /// `pass_foreign_tokens`
    pub pass_foreign_tokens: bool,
}

/// What stands under `credentials:`.
#[derive(Clone, Debug)]
pub enum WrittenCredentials {
    /// `token_file`, `token_env`
    TokenPath(WrittenSecret),
    /// `basic: {user, password_file | password_env}`
    Basic(String, WrittenSecret),
    /// `bearer_file`, `bearer_env`
    Bearer(WrittenSecret),
}

/// Where a secret is to be read from.
#[derive(Clone, Debug)]
pub struct WrittenSecret {
    /// Where that is said.
    pub at: At,
    /// The key path that says it.
    pub path: String,
    /// Where the secret is.
    pub place: SecretPlace,
}

/// The places a secret can be in; never the rules themselves.
#[derive(Clone, Debug)]
pub enum SecretPlace {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

/// One entry of `channels:`.
#[derive(Clone, Debug)]
pub struct WrittenChannel {
    /// `match` or `name`, as written.
    pub key: Located<String>,
    /// What it means.
    pub pattern: Pattern,
    /// `upstream` and `path`, or `virtual` and what goes with it
    pub source: WrittenChannelSource,
    /// `ttl`
    pub ttl: Option<Duration>,
    /// `unlisted`
    pub unlisted: Unlisted,
    /// `whole_index`
    pub whole_index: WholeIndex,
    /// `bandwidth`: bytes a second.
    pub bandwidth: Option<u64>,
}

/// Who answers for a channel.
#[derive(Clone, Debug)]
pub enum WrittenChannelSource {
    /// `upstream`, and `path`: the channel's name there.
    Proxied(Located<String>, Option<String>),
    /// `virtual`
    Virtual(WrittenVirtual),
    /// `hosted`, `owns` and `upload`
    Hosted(HostedRule),
}

/// What stands beside `virtual`.
#[derive(Clone, Debug)]
pub struct WrittenVirtual {
    /// `virtual`: the members, best first; 1 to 16 different ones.
    pub members: Vec<Located<ChannelRef>>,
    /// `priority`
    pub priority: Priority,
    /// `owns`
    pub owns: NameGlobs,
    /// `owned_by`: places in `members`.
    pub owners: Vec<usize>,
    /// `as_of`
    pub as_of: Option<UnixMillis>,
}

/// One entry of `files:`.
#[derive(Clone, Debug)]
pub struct WrittenFile {
    /// `prefix`, with one trailing slash and no leading one.
    pub prefix: Located<String>,
    /// `upstream` and `path`, or `dir` and `listing`
    pub source: WrittenSource,
    /// `ttl`
    pub ttl: Option<Duration>,
}

/// Who has the files of a prefix.
#[derive(Clone, Debug)]
pub enum WrittenSource {
    /// An upstream's name, and what stands there in the place of the prefix.
    Upstream(Located<String>, Option<String>),
    /// A directory, and whether it is listed.
    Dir(Located<PathBuf>, bool),
}

impl Written {
    /// Reads one document. What can't be understood is noted and left out.
    #[must_use]
    pub fn read(document: &Node, mistakes: &mut Mistakes) -> Self {
        let mut written = Self::default();
        let Some(mut fields) = Fields::open(document, "", mistakes) else { return written };
        written.builtins = fields.read("builtins", mistakes, boolean).map(|b| b.value);
        written.anonymous = fields.read("anonymous", mistakes, choice(ANONYMOUS)).map(|a| a.value);
        if let Some(section) = fields.section("upstreams", mistakes) {
            let read = |entry| upstreams::read(entry, mistakes);
            written.upstreams = section.entries().iter().filter_map(read).collect();
        }
        for (path, node) in entries(&mut fields, "channels", mistakes) {
            match channels::read(node, &path, mistakes) {
                Some(channel) => written.channels.push(channel),
                None => written.lost = true,
            }
        }
        for (path, node) in entries(&mut fields, "files", mistakes) {
            match files::read(node, &path, mistakes) {
                Some(file) => written.files.push(file),
                None => written.lost = true,
            }
        }
        written.access = access::compile::read(entries(&mut fields, "access", mistakes), mistakes);
        written.policy = judge::compile::read(entries(&mut fields, "policy", mistakes), mistakes);
        for (path, node) in entries(&mut fields, "notices", mistakes) {
            written.notices.extend(notices::read(node, &path, mistakes));
        }
        if let Some(section) = fields.section("hosts", mistakes) {
            for entry in section.entries() {
                let host = upstreams::host(&entry.key, &entry.at, "hosts", mistakes);
                let name = text(&entry.node, &section.path_of(&entry.key), mistakes);
                if let (Some(host), Some(value)) = (host, name) {
                    written.hosts.push((host, Located { at: entry.node.at.clone(), value }));
                }
            }
        }
        fields.finish(mistakes);
        written
    }
}

/// The entries of the list behind `key`, each with its key path.
fn entries<'a>(
    fields: &mut Fields<'a>,
    key: &'static str,
    mistakes: &mut Mistakes,
) -> Vec<(String, &'a Node)> {
    let Some(entry) = fields.get(key) else { return Vec::new() };
    let Value::List(nodes) = &entry.node.value else {
        let found = entry.node.kind();
        mistakes.add(&entry.node.at, format!("`{key}` must be a list, not {found}"));
        return Vec::new();
    };
    nodes.iter().enumerate().map(|(i, node)| (format!("{key}[{i}]"), node)).collect()
}
