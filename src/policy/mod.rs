//! Rules: which upstream answers for which channel, file or host, and with whose credentials; which packages may be seen.
//!
//! The road of a rule: a YAML document becomes a [`node::Node`] (`config::yaml`), is read into entries as written
//! ([`rule`]), compiled into [`Rules`] or a list of [`Mistake`]s ([`mod@compile`]), and matched ([`matching`]).
//!
//! Belongs here: pure functions on values. Does not: reading files, variables or YAML (`config`), fetching
//! (`upstream`), finding out who a caller is (`auth`).

pub mod access;
pub mod builtin;
pub mod compile;
pub mod compiled;
pub mod judge;
pub mod matching;
pub mod mistake;
pub mod network;
pub mod node;
pub mod notices;
pub mod read;
pub mod rule;
pub mod units;
pub mod verdict;
pub mod virtual_rule;

mod channels;
mod files;
mod hosted;
mod lookalike;
mod upload_rules;
mod upstreams;
mod virtuals;

pub use compile::{Outside, compile};
pub use compiled::{
    Anonymous, ChannelRule, ChannelSource, Credentials, DEFAULT_TTL, FileRoute, FileRule, FileSource,
    HostRoute, Pattern, Rules, Unlisted, UpstreamRule, WholeIndex,
};
pub use hosted::HostedRule;
pub use judge::audience::AudienceSet;
pub use judge::explain::{Explained, Standing};
pub use judge::{Policy, SourceNames};
pub use mistake::{Mistake, Mistakes};
pub use node::{At, Node};
pub use notices::Notice;
pub use upload_rules::UploadRules;
pub use virtual_rule::{Claim, NameGlobs, Priority, VirtualRule};
