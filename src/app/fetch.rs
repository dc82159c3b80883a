//! Fetches small documents from outside issuers, by the same rules as everything else that is fetched.
//!
//! Belongs here: from a URL to its text. Does not: what is in it (`identity`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::clock::SharedClock;
use crate::identity::Fetch;
use crate::secret::SafeUrl;
use crate::upstream::{Egress, FetchRequest, Purpose, UpstreamSettings, Upstreams};

/// The longest document.
const LONGEST: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// What fetches by these settings.
pub(super) fn fetch(clock: SharedClock, egress: Egress) -> Fetch {
    Arc::new(move |url| {
        let (clock, egress) = (Arc::clone(&clock), egress.clone());
        async move {
            let got = tokio::time::timeout(PATIENCE, get(clock, egress, &url)).await;
            got.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
        }
        .boxed()
    })
}

async fn get(clock: SharedClock, egress: Egress, url: &url::Url) -> Result<Vec<u8>, String> {
    let base = url.join(".").map_err(|error| error.to_string())?;
    let name = url.path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
    let mut settings = UpstreamSettings::new("issuer", vec![SafeUrl::new(base)]);
    settings.retry.rounds = 1;
    let upstreams = Upstreams::new(clock, egress);
    upstreams
        .set(vec![settings])
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let upstream = upstreams.get("issuer").ok_or("it was not set up")?;
    let query = url.query().map(str::to_owned);
    let request = FetchRequest { query, ..FetchRequest::get(name, Purpose::Plain) };
    let answer = upstream.fetch(request).await.map_err(|error| error.to_string())?;
    let body = answer.body.read_all(LONGEST).await.map_err(|error| error.to_string())?;
    Ok(body.to_vec())
}
