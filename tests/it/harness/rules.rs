//! Rules texts that point channels at scripted upstreams.

use condagate::config::{self, Flags, Sources, Variables};

use super::home::Home;
use super::upstream::Upstream;

/// Time-outs for tests in which the upstream stalls.
pub const IMPATIENT: &str = "timeouts: {connect: 1s, first_byte: 400ms, stall: 400ms}";

/// Every channel and the plain files under `miniconda/` come from one upstream.
pub fn all_from(upstream: &Upstream) -> String {
    all_from_with(upstream, "timeouts: {connect: 5s}")
}

/// The same with further settings of the upstream, as in `max_concurrent: 2`.
pub fn all_from_with(upstream: &Upstream, settings: &str) -> String {
    all_from_urls(&[upstream.url()], settings)
}

/// The same from a set of mirrors.
pub fn all_from_urls(urls: &[String], settings: &str) -> String {
    let urls = urls.join(", ");
    format!(
        "builtins: false\n\
         upstreams:\n  \
           up: {{urls: [{urls}], hosts: [conda.example.org], {settings}}}\n\
         channels:\n  \
           - {{match: \"*\", upstream: up, ttl: 20m}}\n  \
           - {{match: \"pkgs/*\", upstream: up, ttl: 20m}}\n\
         files:\n  \
           - {{prefix: miniconda/, upstream: up}}\n"
    )
}

/// What a gate would say against a file of rules.
pub fn mistakes(text: &str) -> Vec<String> {
    let home = Home::new();
    home.write_rules(text);
    let flags =
        Flags { config: Vec::new(), rules: Some(home.rules()), data: Some(home.data()), listen: Vec::new() };
    let sources = Sources { system: home.path("no-such-directory"), variables: Variables::of(&[]), flags };
    let config = config::load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let read = config::rules::load(&config.rules, &sources.machine());
    read.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}
