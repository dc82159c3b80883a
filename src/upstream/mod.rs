//! Fetching from upstream channels: mirror sets, health, retries, credentials.
//!
//! Belongs here: everything between "this path of that upstream, please" and a checked answer with a watched body. Does not: the
//! cache and freshness (`cache`), what the bytes mean (`conda`, `repodata`), how rules are written (`policy`): the wiring
//! turns rules into [`UpstreamSettings`].
//!
//! | part | what it decides |
//! |---|---|
//! | `registry` | which upstreams there are |
//! | `fetch`, `walk` | which mirror is asked, how often, whose refusal counts |
//! | `attempt`, `redirect`, `reach`, `answer` | one exchange: where it leads, whether its answer fits |
//! | `error`, `classify` | what went wrong, in a sentence |
//! | `body`, `decode` | the bytes: silence, length, codings |
//! | `health`, `budget` | which mirror is left alone, how many retries are allowed |
//! | `client`, `egress` | TLS, pool, proxies |
//! | `post` | messages to addresses that settings name |

mod answer;
mod attempt;
mod body;
mod budget;
mod classify;
mod client;
mod decode;
mod egress;
mod error;
mod fetch;
mod health;
mod mirror;
mod post;
mod reach;
mod redirect;
mod registry;
mod request;
mod settings;
mod stats;
mod walk;

#[cfg(test)]
mod tests;

pub use answer::ContentRange;
pub use body::BodyStream;
pub use error::{FetchError, FetchKind, TimeoutPhase};
pub use fetch::{FetchResponse, Upstream};
pub use post::Poster;
pub use registry::Upstreams;
pub use request::{FetchRequest, Purpose, encode_path, encode_path_segment};
pub use settings::{
    Credential, Egress, HealthSettings, Missing, ProxyChoice, RetrySettings, SettingsError, UpstreamSettings,
};
pub use stats::{FIRST_BYTE_BOUNDS_MS, MirrorHealth, StatsView, UpstreamSnapshot};
