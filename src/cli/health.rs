//! `condagate health`: whether a gate answers, asked as a client asks it; for containers and supervisors.
//!
//! Belongs here: one question over HTTP, and its answer as an exit code. Does not: what healthy and ready mean (`telemetry::health`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::args::HealthArgs;
use super::{Exit, Terminal, load};
use crate::config::{Flags, Sources};
use crate::secret::SafeUrl;

/// A gate that needs longer for a page of twenty bytes is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of an answer is shown.
const SHOWN: usize = 2000;

/// Why a gate does not count as healthy.
#[derive(Debug, thiserror::Error)]
enum HealthError {
    #[error("`--url` must be the address of the gate, such as http://gate.example.org")]
    Address,
    #[error("`listen` takes any free port, so the address is not known; say it with `--url`")]
    AnyPort,
    #[error("the gate can't be asked: {0}")]
    Runtime(std::io::Error),
    #[error("{url} does not answer: {why}")]
    Silent { url: SafeUrl, why: String },
    #[error("{url} answers {status}: {said}")]
    Unwell { url: SafeUrl, status: u16, said: String },
}

pub(super) fn run(
    args: &HealthArgs,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let base = match &args.url {
        Some(url) => checked(url),
        None => match load(&sources(args.from.flags()), terminal) {
            Ok(config) => own(&config.listen),
            Err(exit) => return exit,
        },
    };
    let page = if args.ready { "/-/readyz" } else { "/-/healthz" };
    match base.and_then(|base| ask(&base, page)) {
        Ok(said) => {
            terminal.line(said);
            Exit::Done
        }
        Err(error @ HealthError::Address) => {
            terminal.fail(error);
            Exit::Usage
        }
        Err(error) => terminal.fail(error),
    }
}

fn checked(text: &str) -> Result<SafeUrl, HealthError> {
    let url = url::Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none()
    });
    url.map(SafeUrl::new).ok_or(HealthError::Address)
}

/// The first address of `listen`; every address of the machine includes loopback.
fn own(listen: &[SocketAddr]) -> Result<SafeUrl, HealthError> {
    let first = listen.first().filter(|address| address.port() != 0).ok_or(HealthError::AnyPort)?;
    let ip = match first.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    checked(&format!("http://{}", SocketAddr::new(ip, first.port())))
}

fn ask(base: &SafeUrl, page: &str) -> Result<String, HealthError> {
    let mut url = base.reveal().clone();
    url.set_path(&format!("{}{page}", url.path().trim_end_matches('/')));
    let url = SafeUrl::new(url);
    let silent = |error: &reqwest::Error| {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        HealthError::Silent { url: url.clone(), why: cause.to_string() }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(HealthError::Runtime)?.block_on(async {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.timeout(PATIENCE).build().map_err(|error| silent(&error))?;
        let answer = client.get(url.reveal().clone()).send().await.map_err(|error| silent(&error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| silent(&error))?;
        let said = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).trim().to_owned();
        if status.is_success() {
            Ok(said)
        } else {
            Err(HealthError::Unwell { url: url.clone(), status: status.as_u16(), said })
        }
    })
}
