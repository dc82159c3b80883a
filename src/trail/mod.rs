//! What is written down about requests: audit events, who downloaded what, when tokens were last used. In batches, beside the
//! requests, which never wait for it.
//!
//! While the store can't be asked everything is kept in memory, within bounds; what does not fit is counted and said in the log. The
//! access log has every request in any case.
//!
//! Belongs here: collecting, sampling, writing in batches, forgetting what is old. Does not: what is worth an event (callers), the
//! tables (`store`).

mod denials;
mod keep;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use crate::auth;
use crate::clock::{SharedClock, UnixMillis};
use crate::conda::digest::Sha256;
use crate::store::lazy::LazyStore;
use crate::store::model::{AuditEvent, AuditId, Downloads, TokenId};
use denials::Denials;

/// How often what was collected is written.
const EVERY: Duration = Duration::from_secs(5);
/// Most events kept while they can't be written.
const EVENTS: usize = 20_000;
/// Most counters of downloads kept while they can't be written.
const COUNTERS: usize = 200_000;
/// Most tokens whose last use is kept.
const USES: usize = 200_000;
/// Rows written at a time.
const BATCH: usize = 1_000;

/// How long things are kept, and what is written at all.
#[derive(Clone, Copy, Debug)]
pub struct TrailSettings {
    /// Events and counters older than this are forgotten.
    pub retention: Duration,
    /// Whether downloads are counted.
    pub downloads: bool,
    /// Most denials written a minute; the rest are counted only.
    pub denials_per_minute: u32,
}

/// Something that happened, as its caller tells it.
#[derive(Clone, Debug)]
pub struct Happened<'a> {
    /// Who: `user:<id>`, `anonymous`.
    pub actor: String,
    /// What: `login`, `access.denied` …
    pub kind: &'a str,
    /// To what.
    pub target: &'a str,
    /// From where, without port.
    pub address: &'a str,
    /// `ok`, or why not.
    pub result: &'a str,
    /// More, without secrets.
    pub detail: serde_json::Value,
}

/// Somebody got a file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Download {
    /// What.
    pub sha256: Sha256,
    /// Under which name: `channel/subdir/file`.
    pub file: Box<str>,
    /// Days since 1970-01-01.
    pub day: u32,
    /// Who: `user:<id>`, `anonymous`.
    pub actor: Box<str>,
    /// With which token; empty for none.
    pub token: Box<str>,
    /// From where, without port.
    pub address: Box<str>,
}

/// See the module's description.
pub struct Trail {
    events: Mutex<Vec<AuditEvent>>,
    downloads: Mutex<AHashMap<Download, u64>>,
    uses: Mutex<AHashMap<TokenId, UnixMillis>>,
    denials: Denials,
    lost: Mutex<u64>,
    clock: SharedClock,
    settings: TrailSettings,
}

impl Trail {
    /// An empty one.
    #[must_use]
    pub fn new(settings: TrailSettings, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            downloads: Mutex::default(),
            uses: Mutex::default(),
            denials: Denials::new(settings.denials_per_minute),
            lost: Mutex::default(),
            clock,
            settings,
        })
    }

    /// Notes an event.
    pub fn event(&self, happened: &Happened<'_>) {
        let Some(id) = AuditId::new(&auth::token::new_id()) else { return };
        let event = AuditEvent {
            at: self.clock.now(),
            id,
            actor: happened.actor.clone(),
            kind: happened.kind.to_owned(),
            target: happened.target.to_owned(),
            address: happened.address.to_owned(),
            result: happened.result.to_owned(),
            detail: happened.detail.to_string(),
        };
        let mut events = self.events.lock();
        if events.len() < EVENTS {
            events.push(event);
        } else {
            *self.lost.lock() += 1;
        }
    }

    /// Notes that somebody was turned away; beyond the limit of a minute only how many.
    pub fn denied(&self, happened: &Happened<'_>) {
        match self.denials.admit(self.clock.now()) {
            None => {}
            Some(0) => self.event(happened),
            Some(unwritten) => {
                let mut detail = happened.detail.clone();
                if let Some(detail) = detail.as_object_mut() {
                    detail.insert("not_written_before".to_owned(), unwritten.into());
                }
                self.event(&Happened { detail, ..happened.clone() });
            }
        }
    }

    /// Whether [`Trail::downloaded`] does anything.
    #[must_use]
    pub const fn counts_downloads(&self) -> bool {
        self.settings.downloads
    }

    /// Counts a download.
    pub fn downloaded(&self, at: UnixMillis, make: impl FnOnce(u32) -> Download) {
        if !self.settings.downloads {
            return;
        }
        let mut downloads = self.downloads.lock();
        let full = downloads.len() >= COUNTERS;
        let download = make(day_of(at));
        match downloads.get_mut(&download) {
            Some(count) => *count += 1,
            None if full => *self.lost.lock() += 1,
            None => drop(downloads.insert(download, 1)),
        }
    }

    /// Notes that a token was used.
    pub fn used(&self, token: &TokenId, at: UnixMillis) {
        let mut uses = self.uses.lock();
        let full = uses.len() >= USES;
        match uses.get_mut(token) {
            Some(last) => *last = at.max(*last),
            None if full => {}
            None => drop(uses.insert(token.clone(), at)),
        }
    }

    /// Writes what is collected, again and again until `stop` ends, and once more then.
    pub async fn write_down(self: Arc<Self>, store: LazyStore, stop: impl Future<Output = ()>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut keeper = keep::Keeper::new(self.settings.retention);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => {}
            }
            self.flush(&store).await;
            keeper.forget_old(&store, self.clock.now()).await;
        }
        self.flush(&store).await;
    }

    async fn flush(&self, store: &LazyStore) {
        if self.is_empty() {
            return;
        }
        // The follower says what is wrong with the store.
        let Ok(store) = store.get().await else { return };
        let lost = std::mem::take(&mut *self.lost.lock());
        if lost > 0 {
            tracing::warn!(lost, "events and counters were not kept while the store could not be asked");
        }
        self.flush_events(&store).await;
        self.flush_downloads(&store).await;
        self.flush_uses(&store).await;
    }

    fn is_empty(&self) -> bool {
        self.events.lock().is_empty() && self.downloads.lock().is_empty() && self.uses.lock().is_empty()
    }

    /// One by one, in order; what can't be written stays.
    async fn flush_events(&self, store: &crate::store::Store) {
        loop {
            let Some(event) = self.events.lock().first().cloned() else { return };
            match store.audit().append(&event).await {
                // Written by an attempt whose answer was lost.
                Ok(()) | Err(crate::store::StoreError::Conflict { .. }) => {}
                Err(error) => return tracing::debug!(%error, "audit events wait for the store"),
            }
            let mut events = self.events.lock();
            if events.first().is_some_and(|first| first.id == event.id) {
                events.remove(0);
            }
        }
    }

    async fn flush_downloads(&self, store: &crate::store::Store) {
        let all = std::mem::take(&mut *self.downloads.lock());
        let mut rest: Vec<_> = all.into_iter().collect();
        while !rest.is_empty() {
            let batch: Vec<_> = rest.iter().take(BATCH).map(|(download, count)| row(download, *count)).collect();
            if let Err(error) = store.downloads().add(&batch).await {
                tracing::debug!(%error, "counters of downloads wait for the store");
                let mut downloads = self.downloads.lock();
                rest.into_iter().for_each(|(download, count)| *downloads.entry(download).or_default() += count);
                return;
            }
            rest.drain(..batch.len());
        }
    }

    async fn flush_uses(&self, store: &crate::store::Store) {
        let uses: Vec<_> = std::mem::take(&mut *self.uses.lock()).into_iter().collect();
        for batch in uses.chunks(BATCH) {
            if let Err(error) = store.tokens().used(batch).await {
                tracing::debug!(%error, "times of last use wait for the store");
                let mut kept = self.uses.lock();
                batch.iter().for_each(|(token, at)| {
                    let last = kept.entry(token.clone()).or_insert(*at);
                    *last = (*last).max(*at);
                });
            }
        }
    }
}

fn row(download: &Download, count: u64) -> Downloads {
    Downloads {
        sha256: download.sha256,
        file: download.file.to_string(),
        day: download.day,
        actor: download.actor.to_string(),
        token: download.token.to_string(),
        address: download.address.to_string(),
        count,
    }
}

/// Days since 1970-01-01 (UTC).
#[must_use]
pub fn day_of(at: UnixMillis) -> u32 {
    u32::try_from(at.seconds().div_euclid(86_400)).unwrap_or(0)
}
