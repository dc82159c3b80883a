//! Asking upstreams for `condagate doctor`, the way the gate reaches them: proxy, certificates, credentials, fixed addresses.
//!
//! Belongs here: one HEAD for each mirror, bounded in time. Does not: judging the answers (`cli::doctor`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::StartError;
use super::convert;
use crate::cli::{Answered, Failure, Probe};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::http::date;
use crate::policy::{Rules, UpstreamRule};
use crate::upstream::{FetchError, FetchRequest, Purpose, UpstreamSettings, Upstreams};

/// For each part of a question; all mirrors are asked at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// Variables by which a proxy is named; then names are the proxy's business.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// Asks every mirror of every upstream of the rules.
///
/// # Errors
/// Upstreams that can't be used as written; no threads.
pub fn probe(config: &Config, rules: &Rules) -> Result<Vec<Probe>, Failure> {
    let clock: SharedClock = Arc::new(SystemClock);
    let upstreams = Upstreams::new(clock, convert::egress(config, &convert::pseudonym()));
    let settings = convert::upstreams(rules, None);
    let mut mirrors = Vec::new();
    for (rule, settings) in rules.upstreams().iter().zip(settings) {
        let one = |n: usize| UpstreamSettings {
            name: format!("{}-{n}", rule.name),
            urls: vec![rule.urls[n].clone()],
            ..settings.clone()
        };
        mirrors.extend((0..rule.urls.len()).map(|n| (rule, one(n))));
    }
    let all = mirrors.iter().map(|(_, settings)| impatient(settings.clone())).collect();
    upstreams.set(all).map_err(StartError::Upstreams)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let by_proxy =
        config.egress.proxy.is_some() || PROXIES.iter().any(|name| std::env::var_os(name).is_some());
    Ok(runtime
        .block_on(join_all(mirrors.iter().map(|(rule, settings)| ask(&upstreams, rule, settings, by_proxy)))))
}

fn impatient(mut settings: UpstreamSettings) -> UpstreamSettings {
    settings.retry.rounds = 0;
    settings.connect_timeout = settings.connect_timeout.min(PATIENCE);
    settings.first_byte_timeout = settings.first_byte_timeout.min(PATIENCE);
    settings
}

async fn ask(
    upstreams: &Upstreams,
    rule: &UpstreamRule,
    settings: &UpstreamSettings,
    by_proxy: bool,
) -> Probe {
    let url = settings.urls[0].reveal();
    let mirror = settings.urls[0].to_string();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let is_fixed = rule.resolve.iter().any(|(name, _)| *name == host);
    let addresses =
        if is_fixed || by_proxy || rule.proxy.is_some() { None } else { Some(look_up(&host, port).await) };
    let begun = Instant::now();
    let request = FetchRequest { head: true, ..FetchRequest::get("", Purpose::Plain) };
    let answer = match upstreams.get(&settings.name) {
        Some(upstream) => tokio::time::timeout(PATIENCE, upstream.fetch(request)).await,
        None => Ok(Err(FetchError::BadRequest { upstream: settings.name.clone(), why: "it is not set up" })),
    };
    let took = begun.elapsed();
    let answered = |status, date| Ok(Answered { status, date, took });
    let answer = match answer {
        Ok(Ok(response)) => {
            let date =
                response.headers.get("date").and_then(|value| value.to_str().ok()).and_then(date::parse);
            answered(response.status.as_u16(), date)
        }
        // It is there and has no page at its root, or none for HEAD.
        Ok(Err(FetchError::Status { status, .. })) if status < 500 => answered(status, None),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("{mirror} did not answer within {} s", PATIENCE.as_secs())),
    };
    Probe { upstream: rule.name.clone(), mirror, addresses, answer }
}

async fn look_up(host: &str, port: u16) -> Result<usize, String> {
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => Ok(addresses.count()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
