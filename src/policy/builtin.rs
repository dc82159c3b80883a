//! The rules that stand when nobody wrote any: the two public hosts of Anaconda, readable by everyone.
//!
//! `proxy-rules/00-builtin.yaml.example` shows them in the language of rules; a test holds the two equal. They are values
//! here because reading YAML is `config`'s business.
//!
//! Belongs here: the built-in entries. Does not: how a user's entries replace them ([`mod@super::compile`]).

use std::path::Path;
use std::time::Duration;

use super::compile::{Outside, compile_written};
use super::compiled::{Pattern, Rules, Unlisted, WholeIndex};
use super::mistake::Mistakes;
use super::node::At;
use super::read::Located;
use super::rule::{
    Written, WrittenChannel, WrittenChannelSource, WrittenFile, WrittenSource, WrittenUpstream,
};
use crate::secret::SafeUrl;

impl Rules {
    /// The built-in rules alone.
    ///
    /// # Panics
    /// Never: the input is constant, and a test compiles it.
    #[must_use]
    pub fn builtin() -> Self {
        #[expect(clippy::expect_used, reason = "constant input; a test compiles it")]
        compile_written(written(), Vec::new(), &Nothing, Mistakes::new())
            .expect("the built-in rules are right")
    }
}

/// The built-in entries.
pub(super) fn written() -> Written {
    Written {
        upstreams: vec![
            upstream("anaconda", "conda.anaconda.org", None),
            upstream("defaults", "repo.anaconda.com", Some(16)),
        ],
        channels: vec![
            channel("pkgs/*", Pattern::Glob("pkgs/*".into()), "defaults", Duration::from_secs(30)),
            channel("*", Pattern::Any, "anaconda", Duration::from_mins(20)),
        ],
        files: vec![file("miniconda/"), file("archive/")],
        hosts: Vec::new(),
        access: Vec::new(),
        policy: Vec::new(),
        notices: Vec::new(),
        builtins: None,
        anonymous: None,
        lost: false,
    }
}

fn here<T>(value: T) -> Located<T> {
    Located { at: At::outside("built-in rules"), value }
}

fn upstream(name: &str, host: &str, max_concurrent: Option<u64>) -> WrittenUpstream {
    WrittenUpstream {
        name: here(name.to_owned()),
        urls: SafeUrl::parse(&format!("https://{host}/")).into_iter().map(here).collect(),
        hosts: vec![here(host.to_owned())],
        credentials: None,
        max_concurrent,
        connect: None,
        first_byte: None,
        stall: None,
        retries: None,
        proxy: None,
        proxy_place: None,
        ca_file: None,
        resolve: Vec::new(),
        pass_foreign_tokens: false,
    }
}

fn channel(key: &str, pattern: Pattern, upstream: &str, ttl: Duration) -> WrittenChannel {
    WrittenChannel {
        key: here(key.to_owned()),
        pattern,
        source: WrittenChannelSource::Proxied(here(upstream.to_owned()), None),
        ttl: Some(ttl),
        unlisted: Unlisted::Auto,
        whole_index: WholeIndex::Auto,
        bandwidth: None,
    }
}

fn file(prefix: &str) -> WrittenFile {
    let source = WrittenSource::Upstream(here("defaults".to_owned()), None);
    WrittenFile { prefix: here(prefix.to_owned()), source, ttl: None }
}

/// The built-in rules ask nothing of the machine.
struct Nothing;

impl Outside for Nothing {
    fn read(&self, _: &Path) -> Result<String, String> {
        Err("there are no files here".to_owned())
    }
    fn read_up_to(&self, path: &Path, _: u64) -> Result<String, String> {
        self.read(path)
    }
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn is_dir(&self, _: &Path) -> bool {
        false
    }
    fn is_file(&self, _: &Path) -> bool {
        false
    }
}
