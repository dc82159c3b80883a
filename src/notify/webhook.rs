//! Telling a program: a POST with a JSON body, signed.
//!
//! ```text
//! X-Condagate-Event: publish
//! X-Condagate-Delivery: <the job's id: the same when it is sent again>
//! X-Condagate-Timestamp: <seconds since 1970>
//! X-Condagate-Signature: v1=<hex of HMAC-SHA256 of "<timestamp>.<body>" with the secret>
//! ```
//!
//! The timestamp is of the attempt, so that a receiver can refuse what is old: somebody who recorded a message can't send it again later.
//!
//! Belongs here: the message. Does not: the HTTP client (`upstream`), which follows no redirect: what is signed for one place is said to
//! no other.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use super::event::Event;
use super::settings::{NotifySettings, Webhook};
use crate::auth::hmac;
use crate::clock::SharedClock;
use crate::jobs::{Failure, Kind};
use crate::store::model::Job;
use crate::upstream::Poster;

pub(super) const KIND: &str = "notify.webhook";
/// The receiver says that it is gone for good.
const GONE: u16 = 410;

/// Sends messages to webhooks.
pub struct WebhookJob {
    /// Who wants to hear.
    pub settings: Arc<NotifySettings>,
    /// The client.
    pub poster: Poster,
    /// For timestamps.
    pub clock: SharedClock,
}

#[derive(Deserialize)]
struct Input {
    to: String,
    event: Event,
}

#[async_trait]
impl Kind for WebhookJob {
    fn name(&self) -> &'static str {
        KIND
    }

    async fn run(&self, job: &Job) -> Result<(), Failure> {
        let input: Input = serde_json::from_str(&job.input)
            .map_err(|_| Failure::Never("another version of condagate ordered it".to_owned()))?;
        let hook = self.settings.webhooks.iter().find(|hook| hook.key() == input.to);
        let hook = hook.ok_or_else(|| {
            Failure::Never("the settings of this gate no longer name this webhook".to_owned())
        })?;
        send_at(&self.poster, hook, &input.event, job.id.as_str(), self.clock.now().seconds()).await
    }
}

/// Sends one message now.
pub(super) async fn send(
    poster: &Poster,
    hook: &Webhook,
    event: &Event,
    delivery: &str,
) -> Result<(), Failure> {
    send_at(poster, hook, event, delivery, event.at.div_euclid(1000)).await
}

async fn send_at(
    poster: &Poster,
    hook: &Webhook,
    event: &Event,
    delivery: &str,
    seconds: i64,
) -> Result<(), Failure> {
    let body = json!({
        "id": delivery,
        "event": event.topic.as_str(),
        "at": crate::http::date::rfc3339(crate::clock::UnixMillis(event.at)),
        "title": event.title,
        "text": event.text,
        "detail": event.detail,
    });
    let body = body.to_string();
    let signed = format!("{seconds}.{body}");
    let signature = hmac::sha256(hook.secret.reveal().as_bytes(), signed.as_bytes());
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-condagate-event", event.topic.as_str().to_owned()),
        ("x-condagate-delivery", delivery.to_owned()),
        ("x-condagate-timestamp", seconds.to_string()),
        ("x-condagate-signature", format!("v1={}", hex::encode(signature))),
    ];
    let place = hook.place();
    let answered = poster.post(hook.url.reveal(), &headers, body).await;
    let status = answered.map_err(|why| Failure::Later(format!("{place} {why}")))?;
    match status {
        200..=299 => Ok(()),
        300..=399 => Err(Failure::Later(format!(
            "{place} answered {status}; redirects are not followed, so write the address that it leads to"
        ))),
        GONE => Err(Failure::Never(format!("{place} answered {status}: it is gone for good"))),
        _ => Err(Failure::Later(format!("{place} answered {status}"))),
    }
}
