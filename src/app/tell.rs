//! Notices what people want to be told, and tells.
//!
//! Belongs here: wiring of `notify`, comparing what is with what was. Does not: sending.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::{Core, convert};
use crate::channel::Published;
use crate::clock::{Clock as _, SharedClock, SystemClock, UnixMillis};
use crate::config::{Config, SmtpTls};
use crate::jobs::{Kind, Queue, Schedule};
use crate::notify::{
    self, Event, MailJob, MailList, Notifier, NotifySettings, Post, Senders, Sent, SmtpSettings, TokensJob,
    Topic, Webhook, WebhookJob,
};
use crate::policy::Rules;
use crate::store::model::Job;
use crate::upstream::{Poster, Upstreams};

/// What was seen last of things that are told when they change.
#[derive(Default)]
pub(super) struct Last {
    upstreams: BTreeMap<String, bool>,
    disk_low: Option<bool>,
}

/// Every word of the settings is one of a topic; a test holds the two together.
fn topics(words: &[&'static str]) -> Vec<Topic> {
    let topic = |word: &&str| Topic::ALL.iter().find(|(known, _)| known == word).map(|(_, topic)| *topic);
    words.iter().filter_map(topic).collect()
}

pub(super) fn settings(config: &Config) -> NotifySettings {
    let notify = &config.notify;
    let public = config.public_url.as_ref().map(|public| public.url.to_string());
    let here = || config.listen.first().map(|address| format!("http://{address}"));
    let smtp = notify.smtp.as_ref().map(|smtp| SmtpSettings {
        host: smtp.host.clone(),
        port: smtp.port,
        tls: match smtp.tls {
            SmtpTls::StartTls => notify::SmtpTls::StartTls,
            SmtpTls::Implicit => notify::SmtpTls::Implicit,
            SmtpTls::None => notify::SmtpTls::None,
        },
        from: smtp.from.clone(),
        login: smtp.username.clone().zip(smtp.password.clone()),
        ca_file: smtp.ca_file.clone().or_else(|| config.egress.ca_file.clone()),
    });
    let hook = |hook: &crate::config::WebhookConfig| Webhook {
        url: hook.url.clone(),
        secret: hook.secret.clone(),
        events: topics(&hook.events),
    };
    let list =
        |list: &crate::config::MailConfig| MailList { to: list.to.clone(), events: topics(&list.events) };
    NotifySettings {
        gate: public.or_else(here).unwrap_or_default(),
        smtp,
        webhooks: notify.webhooks.iter().map(hook).collect(),
        mail: notify.mail.iter().map(list).collect(),
        tokens_before: notify.tokens_before,
    }
}

/// What tells, where there is anybody to be told.
pub(super) fn notifier(config: &Config, queue: &Queue) -> Option<Notifier> {
    let notify = &config.notify;
    let somebody = notify.smtp.is_some() || !notify.webhooks.is_empty();
    somebody.then(|| Notifier::new(Arc::new(settings(config)), queue.clone()))
}

fn post(settings: &NotifySettings) -> Result<Option<Post>, String> {
    settings.smtp.as_ref().map(Post::new).transpose()
}

fn poster(config: &Config) -> Result<Poster, String> {
    let egress = convert::egress(config, &convert::pseudonym());
    Upstreams::new(Arc::new(SystemClock), egress).poster().map_err(|error| error.to_string())
}

/// `condagate notify test`
///
/// # Errors
/// What would send can't be set up.
pub fn try_notifying(config: &Config) -> Result<Vec<(String, Option<String>)>, String> {
    let settings = settings(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let event = Event::new(
        Topic::Test,
        SystemClock.now(),
        "a test".to_owned(),
        "Somebody tries the settings of this gate. There is nothing to do.".to_owned(),
        json!({}),
    );
    runtime.block_on(async {
        let senders = Senders { poster: poster(config)?, post: post(&settings)? };
        let sent = senders.try_all(&settings, &event).await;
        Ok(sent.into_iter().map(|Sent { to, error }| (to, error)).collect())
    })
}

impl Core {
    pub(super) fn notify_kinds(&self, notifier: &Notifier) -> Vec<Arc<dyn Kind>> {
        let settings = Arc::new(settings(&self.config));
        let mut kinds: Vec<Arc<dyn Kind>> = Vec::new();
        if !settings.webhooks.is_empty() {
            match poster(&self.config) {
                Ok(poster) => kinds.push(Arc::new(WebhookJob {
                    settings: Arc::clone(&settings),
                    poster,
                    clock: Arc::clone(&self.clock),
                })),
                Err(error) => tracing::error!(%error, "webhooks can't be sent"),
            }
        }
        match post(&settings) {
            Ok(Some(post)) => {
                kinds.push(Arc::new(MailJob { post: post.clone() }));
                kinds.extend(self.forgotten_kind(post));
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "mail can't be sent"),
        }
        if self.tells_of_tokens(notifier) {
            kinds.push(Arc::new(TokensJob {
                store: self.store.clone(),
                notifier: notifier.clone(),
                before: settings.tokens_before,
                clock: Arc::clone(&self.clock),
            }));
        }
        kinds
    }

    /// Owners are told wherever there is mail; others only if they want.
    fn tells_of_tokens(&self, notifier: &Notifier) -> bool {
        self.config.notify.smtp.is_some() || notifier.is_wanted(Topic::Token)
    }

    pub(super) fn notify_schedules(&self, notifier: &Notifier) -> Option<Schedule> {
        self.tells_of_tokens(notifier).then(TokensJob::schedule)
    }

    /// Orders in the background; what can't be ordered is in the log.
    pub(super) fn tell(&self, event: Event) {
        let Some(notifier) = self.work.notifier.clone().filter(|notifier| notifier.is_wanted(event.topic))
        else {
            return;
        };
        drop(self.work.handle.spawn(async move {
            if let Err(error) = notifier.tell(&event, None).await {
                tracing::warn!(%error, title = event.title, "nobody could be told of something");
            }
        }));
    }

    /// Tells of rules that deny packages and did not before.
    pub(super) fn tell_of_recalls(&self, before: &Rules, now: &Rules) {
        let known: Vec<[u8; 32]> = before.policy().denials().map(|(_, digest)| digest).collect();
        for (rule, digest) in now.policy().denials().filter(|(_, digest)| !known.contains(digest)) {
            let reason = rule.reason.as_deref().unwrap_or("no reason is given");
            let (id, rule_at) = (&rule.id, rule.at.to_string());
            let event = Event {
                once: Some(hex::encode(digest)),
                ..Event::new(
                    Topic::Recall,
                    self.clock.now(),
                    format!("the rule `{id}` denies packages: {reason}"),
                    format!(
                        "The rule `{id}` ({rule_at}) is in force from now on. What it is about can't be downloaded any more: {reason}\n\nWho has it already: `condagate audit downloads --digest SHA256`."
                    ),
                    json!({"rule": id, "reason": rule.reason}),
                )
            };
            self.tell(event);
        }
    }

    /// Tells of upstreams and disks that changed since the last look.
    pub(super) fn look_for_trouble(&self) {
        let Some(notifier) = &self.work.notifier else { return };
        if notifier.is_wanted(Topic::Upstream) {
            self.look_at_upstreams();
        }
        if notifier.is_wanted(Topic::Disk) {
            self.look_at_disk();
        }
    }

    fn look_at_upstreams(&self) {
        for upstream in self.upstreams.snapshot() {
            let is_up = upstream.mirrors.iter().any(|mirror| mirror.healthy);
            let was_up = self.work.last.lock().upstreams.insert(upstream.name.clone(), is_up).unwrap_or(true);
            if is_up == was_up {
                continue;
            }
            let name = &upstream.name;
            let mirrors: Vec<&str> = upstream.mirrors.iter().map(|mirror| mirror.mirror.as_str()).collect();
            let (title, text) = if is_up {
                (format!("the upstream `{name}` answers again"), "Nothing is to be done.".to_owned())
            } else {
                (
                    format!("the upstream `{name}` can't be reached"),
                    format!(
                        "None of its mirrors answers: {}. What is in the cache is served as before; what is not can't be fetched until one comes back.",
                        mirrors.join(", ")
                    ),
                )
            };
            let detail = json!({"upstream": name, "up": is_up, "mirrors": mirrors});
            self.tell(Event::new(Topic::Upstream, self.clock.now(), title, text, detail));
        }
    }

    fn look_at_disk(&self) {
        let Ok(status) = self.cache.status() else { return };
        // What is to stay free is used up: the cache has evicted what it could.
        let low = status.free < status.keep_free;
        // Just above is not yet well again.
        let well = status.free > status.keep_free.saturating_add(status.keep_free / 10);
        let was_low = self.work.last.lock().disk_low.unwrap_or(false);
        let is_low = if was_low { !well } else { low };
        self.work.last.lock().disk_low = Some(is_low);
        if is_low == was_low {
            return;
        }
        let (free, wanted) = (status.free >> 20, status.keep_free >> 20);
        let (title, text) = if is_low {
            (
                "the disk of the package cache is nearly full".to_owned(),
                format!(
                    "{free} MiB are free, and {wanted} MiB should be (`cache.keep_free`). Something else than the cache uses the disk: free some of it, or make it larger. New files can't be kept meanwhile."
                ),
            )
        } else {
            ("the disk of the package cache has room again".to_owned(), format!("{free} MiB are free."))
        };
        let detail = json!({"low": is_low, "free": status.free, "keep_free": status.keep_free});
        self.tell(Event::new(Topic::Disk, self.clock.now(), title, text, detail));
    }

    /// An event about a job that is dead; none about those that tell.
    pub(super) fn death_of(job: &Job, why: &str, at: UnixMillis) -> Option<Event> {
        if job.kind == "notify.mail" || job.kind == "notify.webhook" {
            return None;
        }
        let (id, kind) = (&job.id, &job.kind);
        Some(Event::new(
            Topic::Job,
            at,
            format!("the job {id} (`{kind}`) failed for the last time"),
            format!(
                "It was tried {} times, and failed: {why}\n\n`condagate jobs show {id}` says more, `condagate jobs retry {id}` tries it again.",
                job.attempts
            ),
            json!({"job": id.as_str(), "kind": kind, "error": why}),
        ))
    }
}

/// Tells of what is published.
pub(super) async fn of_publishing(
    notifier: &Notifier,
    clock: &SharedClock,
    actor: &str,
    published: &Published,
) {
    if !notifier.is_wanted(Topic::Publish) {
        return;
    }
    let Published { channel, subdir, file, sha256, size, .. } = published;
    let place = format!("{channel}/{subdir}/{file}");
    let event = Event::new(
        Topic::Publish,
        clock.now(),
        format!("{place} was published"),
        format!("{place} ({size} bytes, SHA-256 {sha256}) was published by {actor}."),
        json!({
            "channel": channel.as_str(), "subdir": subdir.as_str(), "file": file.as_str(),
            "sha256": sha256.to_hex(), "size": size, "actor": actor,
        }),
    );
    if let Err(error) = notifier.tell(&event, None).await {
        tracing::warn!(%error, title = event.title, "nobody could be told of something");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_settings_are_topics() {
        let words: Vec<&str> = crate::config::NOTIFY_EVENTS.iter().map(|(word, _)| *word).collect();
        assert_eq!(words, Topic::ALL.iter().map(|(word, _)| *word).collect::<Vec<_>>());
    }
}
