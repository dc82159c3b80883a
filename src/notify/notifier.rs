//! From an event to one order for each receiver, or, to try the settings, to the receivers at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::event::{Event, Topic};
use super::mail::{self, Letter, Post};
use super::settings::{NotifySettings, wants};
use super::webhook;
use crate::conda::digest::Sha256;
use crate::jobs::{Order, Queue};
use crate::store::StoreError;
use crate::store::model::JobId;
use crate::upstream::Poster;

/// Tells. Cheap to clone.
#[derive(Clone)]
pub struct Notifier {
    settings: Arc<NotifySettings>,
    queue: Queue,
}

impl Notifier {
    /// By these settings.
    #[must_use]
    pub const fn new(settings: Arc<NotifySettings>, queue: Queue) -> Self {
        Self { settings, queue }
    }

    /// Whether anybody wants to hear of it: what is dear to find out need not be found out otherwise.
    #[must_use]
    pub fn is_wanted(&self, topic: Topic) -> bool {
        let mail = self.settings.smtp.is_some();
        self.settings.webhooks.iter().any(|hook| wants(&hook.events, topic))
            || (mail && self.settings.mail.iter().any(|list| wants(&list.events, topic)))
    }

    /// Tells everybody who wants to hear of it, and `also`, an address, if there is one.
    ///
    /// # Errors
    /// The store can't be asked; some may be told nevertheless.
    pub async fn tell(&self, event: &Event, also: Option<&str>) -> Result<(), StoreError> {
        for hook in self.settings.webhooks.iter().filter(|hook| wants(&hook.events, event.topic)) {
            let key = hook.key();
            let order = Order::new(webhook::KIND, json!({"to": key, "event": event}));
            self.queue.add(once(order, event, &key)).await?;
        }
        for to in self.readers(event.topic, also) {
            let letter = Letter::of(event, &to, &self.settings.gate);
            let order = Order::new(mail::KIND, json!(letter));
            self.queue.add(once(order, event, &to)).await?;
        }
        Ok(())
    }

    /// Sends a letter to one reader.
    ///
    /// # Errors
    /// The store can't be asked.
    pub async fn send(&self, letter: &Letter) -> Result<(), StoreError> {
        self.queue.add(Order::new(mail::KIND, json!(letter))).await.map(drop)
    }

    /// Each once, whatever lists they are on.
    fn readers(&self, topic: Topic, also: Option<&str>) -> BTreeSet<String> {
        if self.settings.smtp.is_none() {
            return BTreeSet::new();
        }
        let lists = self.settings.mail.iter().filter(|list| wants(&list.events, topic));
        lists.flat_map(|list| list.to.iter().cloned()).chain(also.map(str::to_owned)).collect()
    }
}

/// What is told once has one id for each receiver, whoever tells it.
fn once(order: Order, event: &Event, to: &str) -> Order {
    let Some(once) = &event.once else { return order };
    let digest = Sha256::of(format!("{} {once} {to}", event.topic.as_str()).as_bytes());
    Order { id: JobId::new(&format!("told-{}", &digest.to_hex()[..32])), ..order }
}

/// What sends, without a queue.
pub struct Senders {
    /// Webhooks.
    pub poster: Poster,
    /// Mail; `None` where there is no server for it.
    pub post: Option<Post>,
}

/// What became of one message of a trial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// To whom, printable.
    pub to: String,
    /// Why it was not taken.
    pub error: Option<String>,
}

impl Senders {
    /// Sends a test to every receiver of the settings, and says what each made of it.
    pub async fn try_all(&self, settings: &NotifySettings, event: &Event) -> Vec<Sent> {
        let mut all = Vec::new();
        for hook in &settings.webhooks {
            let sent = webhook::send(&self.poster, hook, event, "test").await;
            all.push(Sent { to: hook.place(), error: sent.err().map(|why| why.to_string()) });
        }
        let readers: BTreeSet<&String> = settings.mail.iter().flat_map(|list| &list.to).collect();
        for to in readers {
            let letter = Letter::of(event, to, &settings.gate);
            let error = match &self.post {
                Some(post) => post.send(&letter).await.err().map(|why| why.to_string()),
                None => Some("there is no `notify.smtp` in the settings".to_owned()),
            };
            all.push(Sent { to: to.clone(), error });
        }
        all
    }
}
