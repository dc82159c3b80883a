//! `condagate cache status | verify | purge | gc`
//!
//! Belongs here: asking the running gate, or, when there is none, the composition root. Does not: the work on the cache.

use serde_json::{Value, json};

use super::args::{CacheCommand, PurgeArgs};
use super::socket::{self, Method, SocketError};
use super::{Commands, Exit, Failure, Terminal, show};
use crate::config::{self, Config, Sources};

/// What is asked of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheRequest {
    /// `GET /cache/status`
    Status,
    /// `POST /cache/verify`
    Verify,
    /// `POST /cache/gc`
    Gc,
    /// `POST /cache/purge`
    Purge(PurgeTarget),
}

/// What is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeTarget {
    /// `{"url": …}`: a file as clients ask for it: a URL of the gate, or its path.
    Url(String),
    /// `{"channel": …}`: a channel, with a label or without.
    Channel(String),
    /// `{"digest": …}`: 64 hex digits of SHA-256.
    Digest(String),
    /// `{"all": true}`
    All,
}

impl CacheRequest {
    fn on_socket(&self) -> (Method, &'static str, Option<Value>) {
        match self {
            Self::Status => (Method::Get, "/cache/status", None),
            Self::Verify => (Method::Post, "/cache/verify", None),
            Self::Gc => (Method::Post, "/cache/gc", None),
            Self::Purge(target) => (Method::Post, "/cache/purge", Some(target.to_json())),
        }
    }
}

impl PurgeTarget {
    /// As the control socket wants it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Url(url) => json!({ "url": url }),
            Self::Channel(name) => json!({ "channel": name }),
            Self::Digest(hex) => json!({ "digest": hex }),
            Self::All => json!({ "all": true }),
        }
    }

    /// Tells a URL or path, a digest and a channel apart by their looks.
    fn guess(text: &str) -> Self {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let last = text.rsplit('/').next().unwrap_or(text);
        // A file of a channel has at least a channel and a name with an ending.
        let is_file = text.contains('/')
            && [".conda", ".bz2", ".json", ".zst", ".sh"].iter().any(|e| last.ends_with(e));
        if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            Self::Digest(hex.to_owned())
        } else if text.contains("://") || text.starts_with('/') || is_file {
            Self::Url(text.to_owned())
        } else {
            Self::Channel(text.to_owned())
        }
    }

    /// The one that was given; the argument parser sees to it that exactly one was.
    fn of(args: &PurgeArgs) -> Self {
        let what = &args.what;
        let given = what.target.as_deref().map(Self::guess);
        let given = given.or_else(|| what.url.clone().map(Self::Url));
        let given = given.or_else(|| what.channel.clone().map(Self::Channel));
        let digest = || what.digest.as_deref().map(|d| d.strip_prefix("sha256:").unwrap_or(d).to_owned());
        given.or_else(|| digest().map(Self::Digest)).unwrap_or(Self::All)
    }
}

pub(super) fn run(
    command: CacheCommand,
    commands: &Commands,
    config: &Config,
    sources: &Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let (args, request) = match command {
        CacheCommand::Status(args) => (args, CacheRequest::Status),
        CacheCommand::Verify(args) => (args, CacheRequest::Verify),
        CacheCommand::Gc(args) => (args, CacheRequest::Gc),
        CacheCommand::Purge(args) => {
            let target = PurgeTarget::of(&args);
            (args.common, CacheRequest::Purge(target))
        }
    };
    let json = args.json;
    let (method, path, body) = request.on_socket();
    let mut offline = false;
    let answer = match socket::ask(&config.control_socket(), method, path, body.as_ref()) {
        // Only now do the rules matter: a running gate has its own, and a bad edit must not keep anyone from asking it.
        Err(SocketError::NobodyThere { .. }) => {
            offline = true;
            match config::rules::load(&config.rules, &sources.machine()) {
                Ok(rules) => (commands.offline)(config, &rules, &request),
                Err(mistakes) => return terminal.refuse(&mistakes),
            }
        }
        answer => answer.map_err(Failure::from),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return terminal.fail(error),
    };
    if json {
        terminal.json(&answer);
    } else {
        show::value(&answer, terminal);
    }
    if offline && answer.get("removed").and_then(Value::as_u64) == Some(0) {
        terminal.error(format!(
            "nothing matched. No gate answers, so the rules in {} decided where the channel comes from; name other rules with --rules\n",
            config.rules.path.display()
        ));
    }
    if request == CacheRequest::Verify { verdict(&answer, terminal) } else { Exit::Done }
}

/// Files that were wrong or missing are repaired by then, and still a reason to look at the disk.
fn verdict(report: &Value, terminal: &mut Terminal<'_>) -> Exit {
    let count = |key: &str| report.get(key).and_then(Value::as_u64).unwrap_or(0);
    let wrong = count("quarantined") + count("missing");
    if wrong == 0 {
        return Exit::Done;
    }
    let what = if wrong == 1 { "file was" } else { "files were" };
    terminal.fail(format!(
        "{wrong} {what} not as they should be; they will be fetched again when they are asked for. Check the disk"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_apart() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, key) in [
            ("conda-forge", "channel"),
            ("pkgs/main", "channel"),
            ("team/label/rc", "channel"),
            (hex, "digest"),
            (&format!("sha256:{hex}"), "digest"),
            ("http://gate/conda-forge/noarch/repodata.json", "url"),
            ("/conda-forge/noarch/a-1-0.conda", "url"),
            ("conda-forge/noarch/a-1-0.tar.bz2", "url"),
        ] {
            let json = PurgeTarget::guess(text).to_json();
            assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), [key], "{text}");
        }
    }
}
