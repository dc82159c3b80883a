//! The engine against scripted upstreams on loopback, and its pure parts by table.
//!
//! Belongs here: tests of this room only. Does not: the cache's reaction to failures, the front door (`tests/it`).

mod answer;
mod answers;
mod body;
mod credentials;
mod egress;
mod failover;
mod health;
mod origin;
mod redirects;
mod registry;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use super::egress::ProxyEnvironment;
use super::*;
use crate::clock::{ManualClock, UnixMillis};
use crate::secret::SafeUrl;

const PSEUDONYM: &str = "gate-under-test";
const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// A registry with a clock that is moved by hand, and without the environment's proxies.
struct Bench {
    clock: Arc<ManualClock>,
    all: Upstreams,
}

impl Bench {
    fn new() -> Self {
        Self::with(Egress::new(PSEUDONYM), ProxyEnvironment::default())
    }

    fn with(egress: Egress, environment: ProxyEnvironment) -> Self {
        let clock = ManualClock::new(START);
        let all = Upstreams::with_environment(Arc::clone(&clock) as _, egress, environment);
        Self { clock, all }
    }

    /// The one upstream, after its settings were changed from those of [`quick`].
    fn upstream(&self, urls: &[&str], change: impl FnOnce(&mut UpstreamSettings)) -> Arc<Upstream> {
        let mut settings = quick(urls);
        change(&mut settings);
        self.all.set(vec![settings]).expect("settings are sound");
        self.all.get("up").expect("it was just set")
    }
}

/// Settings without retries.
fn quick(urls: &[&str]) -> UpstreamSettings {
    let urls = urls.iter().map(|url| SafeUrl::parse(url).expect("a URL")).collect();
    UpstreamSettings {
        retry: RetrySettings { rounds: 0, base_delay: Duration::from_millis(1), ..RetrySettings::default() },
        ..UpstreamSettings::new("up", urls)
    }
}

/// Short patience, for tests in which something never comes.
fn impatient(settings: &mut UpstreamSettings) {
    settings.connect_timeout = Duration::from_millis(200);
    settings.first_byte_timeout = Duration::from_millis(100);
    settings.stall_timeout = Duration::from_millis(150);
    settings.queue_timeout = Duration::from_millis(150);
}

fn get(path: &str) -> FetchRequest {
    FetchRequest::get(path, Purpose::Plain)
}

/// The status and the whole body, or the error from whichever of the two steps.
async fn whole(upstream: &Upstream, request: FetchRequest) -> Result<(u16, String), FetchError> {
    let response = upstream.fetch(request).await?;
    let status = response.status.as_u16();
    let body = response.body.read_all(1 << 24).await?;
    Ok((status, String::from_utf8(body.to_vec()).expect("text")))
}

/// The error of a fetch or of its body.
async fn failure(upstream: &Upstream, request: FetchRequest) -> FetchError {
    whole(upstream, request).await.expect_err("this must fail")
}

fn ok(body: &str) -> String {
    reply(200, &[], body)
}

/// A whole answer with its length.
fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    use std::fmt::Write;
    let mut text = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").expect("a string takes everything");
    }
    text + "\r\n" + body
}
