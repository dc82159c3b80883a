//! Passwords that were forgotten: a code goes to the user's address by mail.
//!
//! Belongs here: the order, the letter. Does not: codes (`people::reset`), the queue, the mail server.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::{Core, tell};
use crate::api::accounts::Open;
use crate::clock::{SharedClock, UnixMillis};
use crate::config::Config;
use crate::http::date::rfc3339;
use crate::jobs::{Failure, Kind, Order, Queue};
use crate::notify::{Letter, Post, SealedJob};
use crate::people::reset::{LIFE, SendCode};
use crate::store::model::{Job, JobId, UserId};

const KIND: &str = "notify.reset";
/// A user gets one mail in this time, however often somebody asks.
const PAUSE: Duration = Duration::from_mins(10);
/// With the waits in between they fit into a code's life.
const ATTEMPTS: u32 = 6;

/// Orders such a mail; none where there is no mail server.
pub(super) fn sender(config: &Config, queue: &Queue, clock: &SharedClock) -> Option<SendCode> {
    config.notify.smtp.as_ref()?;
    let (queue, clock) = (queue.clone(), Arc::clone(clock));
    Some(Arc::new(move |user| {
        let (queue, order) = (queue.clone(), order(&user, clock.now()));
        async move { queue.add(order).await.map(drop) }.boxed()
    }))
}

fn order(user: &UserId, now: UnixMillis) -> Order {
    let turn = now.seconds() / PAUSE.as_secs().cast_signed();
    Order {
        only: Some(format!("reset {user}")),
        id: JobId::new(&format!("reset-{user}-{turn}")),
        attempts: ATTEMPTS,
        ..Order::new(KIND, json!({"user": user.as_str()}))
    }
}

impl Core {
    /// What sends them.
    pub(super) fn forgotten_kind(&self, post: Post) -> Option<Arc<dyn Kind>> {
        let open = self.society.as_ref()?.open_people(&self.config);
        let (gate, clock) = (tell::settings(&self.config).gate, Arc::clone(&self.clock));
        let write = move |job: Job| letter(job, Arc::clone(&open), gate.clone(), clock.now()).boxed();
        Some(Arc::new(SealedJob { kind: KIND, post, write: Arc::new(write) }))
    }
}

async fn letter(job: Job, open: Open, gate: String, now: UnixMillis) -> Result<Option<Letter>, Failure> {
    let until = job.created.plus(LIFE);
    if now >= until {
        return Err(Failure::Never("it would come too late; the user can ask for another one".to_owned()));
    }
    let input: Value = serde_json::from_str(&job.input).unwrap_or_default();
    let user = input["user"].as_str().and_then(UserId::new);
    let user = user.ok_or_else(|| Failure::Never("another version of condagate ordered it".to_owned()))?;
    let later = |error: &dyn std::fmt::Display| Failure::Later(error.to_string());
    let people = open().await.map_err(|error| later(&error))?;
    let Some((user, code)) = people.reset_code(&user, until).await.map_err(|error| later(&error))? else {
        return Ok(None);
    };
    let Some(to) = user.email else { return Ok(None) };
    let (name, code, until, gate) = (&user.name, code.reveal(), rfc3339(until), gate.trim_end_matches('/'));
    let text = format!(
        "Somebody, probably you, asked for a new password for the user `{name}` of {gate}.\n\n\
         This code sets one, once, until {until}:\n\n{code}\n\n\
         Open {gate}/-/ui/new-password and paste it there.\n\n\
         If it was not you, there is nothing to do: the password stays as it is.\n\n-- \ncondagate at {gate}\n"
    );
    Ok(Some(Letter { to, subject: "[condagate] a new password".to_owned(), text }))
}
