//! What is written down about requests: audit events, who downloaded what, how much was asked for, when tokens were last used. In
//! batches, beside the requests, which never wait for it.
//!
//! While the store can't be asked everything is kept in memory and in a file, within bounds; what does not fit is counted and said in
//! the log. The access log has every request in any case.
//!
//! Belongs here: collecting, sampling, writing in batches, forgetting what is old. Does not: what is worth an event (callers), the
//! tables (`store`).

mod counters;
mod denials;
mod keep;
mod spool;
#[cfg(test)]
mod tests;
mod traffic;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ahash::AHashMap;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::auth;
use crate::clock::{SharedClock, UnixMillis};
use crate::conda::digest::Sha256;
use crate::store::lazy::LazyStore;
use crate::store::model::{AuditEvent, AuditId, Downloads, TokenId};
use crate::telemetry::Metrics;
pub use keep::{Keeper, Retention};
pub use traffic::OTHERS;

use counters::Counters;
use denials::Denials;
use spool::{Left, Spool};
use traffic::Flow;

/// How often what was collected is written.
const EVERY: Duration = Duration::from_secs(5);
/// Most events kept while they can't be written.
const EVENTS: usize = 20_000;
/// Most tokens whose last use is kept.
const USES: usize = 200_000;
/// One turn in so many keeps what waits in a file.
const SPOOL_EVERY: u32 = 6;
/// How long the last attempt may take.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// Rows written at a time.
const BATCH: usize = 1_000;

/// What is written at all.
#[derive(Clone, Copy, Debug)]
pub struct TrailSettings {
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

/// Somebody got a file, as its caller tells it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Got<'a> {
    /// What.
    pub sha256: &'a Sha256,
    /// Under which name: `channel/subdir/file`.
    pub file: &'a str,
    /// Days since 1970-01-01: [`day_of`].
    pub day: u32,
    /// Who: `user:<id>`, `anonymous`.
    pub actor: &'a str,
    /// With which token; empty for none.
    pub token: &'a str,
    /// From where.
    pub address: Option<IpAddr>,
}

impl Got<'_> {
    fn kept(&self) -> Download {
        Download {
            sha256: *self.sha256,
            file: self.file.into(),
            day: self.day,
            actor: self.actor.into(),
            token: self.token.into(),
            address: self.address.map_or_else(Box::default, |ip| ip.to_string().into()),
        }
    }
}

/// The same, kept.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Download {
    sha256: Sha256,
    file: Box<str>,
    day: u32,
    actor: Box<str>,
    token: Box<str>,
    address: Box<str>,
}

impl Download {
    fn got(&self, address: Option<IpAddr>) -> Got<'_> {
        let Self { sha256, file, day, actor, token, address: _ } = self;
        Got { sha256, file, day: *day, actor, token, address }
    }
}

/// See the module's description.
pub struct Trail {
    events: Mutex<Vec<AuditEvent>>,
    downloads: Counters,
    uses: Mutex<AHashMap<TokenId, UnixMillis>>,
    traffic: Flow,
    denials: Denials,
    lost: Mutex<u64>,
    spool: Spool,
    /// The file is another process's now.
    given: AtomicBool,
    clock: SharedClock,
    settings: TrailSettings,
}

impl Trail {
    /// What an earlier life left in the file `spool`, or nothing; `metrics` count what is asked for.
    #[must_use]
    pub fn new(
        settings: TrailSettings,
        metrics: Arc<Metrics>,
        clock: SharedClock,
        spool: PathBuf,
    ) -> Arc<Self> {
        let spool = Spool::new(spool);
        let left = spool.load().unwrap_or_else(|error| {
            tracing::warn!(%error, file = %spool.path().display(), "events of an earlier life can't be read and are left there");
            Left::default()
        });
        Arc::new(Self {
            events: Mutex::new(left.events),
            downloads: Counters::new(left.downloads),
            uses: Mutex::new(left.uses.into_iter().collect()),
            traffic: Flow::new(metrics, left.traffic),
            denials: Denials::new(settings.denials_per_minute),
            lost: Mutex::default(),
            spool,
            given: AtomicBool::new(false),
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
    pub fn downloaded(&self, got: &Got<'_>) {
        if self.settings.downloads && !self.downloads.add(got, 1) {
            *self.lost.lock() += 1;
        }
    }

    /// Notes that a token was used. All workers meet here, so callers spare it what it has heard already within the second.
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
        let mut turns = 0_u32;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = &mut stop => break,
                () = self.flush(&store) => {}
            }
            turns = turns.wrapping_add(1);
            self.look();
            self.spool(turns.is_multiple_of(SPOOL_EVERY));
        }
        self.look();
        // In the file first: a store that is away may take longer to say so than a stop may take.
        self.spool(true);
        if timeout(LAST_PATIENCE, self.flush(&store)).await.is_ok() {
            self.spool(true);
        }
    }

    /// Gives what waits to another process, in the file, which is not touched from now on; to be called when [`Trail::write_down`] has ended.
    pub fn give_away(&self) {
        self.look();
        self.spool(true);
        self.given.store(true, Ordering::SeqCst);
        self.events.lock().clear();
        self.uses.lock().clear();
        for table in 0..self.downloads.tables() {
            let all = self.downloads.some(table, usize::MAX);
            self.downloads.written(table, all);
        }
        self.traffic.written(self.traffic.all());
    }

    /// Brings what is known of traffic up to date.
    fn look(&self) {
        let lost = self.traffic.look(self.clock.now());
        if lost > 0 {
            *self.lost.lock() += lost;
        }
    }

    /// Writes what was collected since to the store; how much it did not take.
    pub async fn write_rest(&self, store: &LazyStore) -> usize {
        self.flush(store).await;
        self.events.lock().len()
            + self.downloads.all().len()
            + self.uses.lock().len()
            + self.traffic.all().len()
    }

    /// Keeps in the file what still waits, if it is time, and no file where nothing does.
    fn spool(&self, is_time: bool) {
        let done = if self.given.load(Ordering::SeqCst) {
            return;
        } else if self.is_empty() {
            self.spool.remove()
        } else if is_time {
            let left = Left {
                events: self.events.lock().clone(),
                downloads: self.downloads.all(),
                uses: self.uses.lock().iter().map(|(token, at)| (token.clone(), *at)).collect(),
                traffic: self.traffic.all(),
            };
            self.spool.save(&left)
        } else {
            return;
        };
        if let Err(error) = done {
            tracing::warn!(%error, file = %self.spool.path().display(), "events that wait for the store can't be kept in a file");
        }
    }

    async fn flush(&self, store: &LazyStore) {
        self.look();
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
        self.flush_traffic(&store).await;
        self.flush_uses(&store).await;
    }

    fn is_empty(&self) -> bool {
        self.events.lock().is_empty()
            && self.downloads.is_empty()
            && self.uses.lock().is_empty()
            && self.traffic.is_empty()
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

    /// What is written is taken off afterwards: an attempt that is given up loses nothing.
    async fn flush_downloads(&self, store: &crate::store::Store) {
        for table in 0..self.downloads.tables() {
            loop {
                let batch = self.downloads.some(table, BATCH);
                if batch.is_empty() {
                    break;
                }
                let rows: Vec<_> = batch.iter().map(|(download, count)| row(download, *count)).collect();
                if let Err(error) = store.downloads().add(&rows).await {
                    return tracing::debug!(%error, "counters of downloads wait for the store");
                }
                self.downloads.written(table, batch);
            }
        }
    }

    async fn flush_traffic(&self, store: &crate::store::Store) {
        loop {
            let batch = self.traffic.some(BATCH / 2);
            if batch.is_empty() {
                return;
            }
            let rows: Vec<_> = batch.iter().flat_map(traffic::rows).collect();
            if let Err(error) = store.traffic().add(&rows).await {
                return tracing::debug!(%error, "totals of traffic wait for the store");
            }
            self.traffic.written(batch);
        }
    }

    async fn flush_uses(&self, store: &crate::store::Store) {
        loop {
            let batch: Vec<_> =
                self.uses.lock().iter().take(BATCH).map(|(id, at)| (id.clone(), *at)).collect();
            if batch.is_empty() {
                return;
            }
            if let Err(error) = store.tokens().used(&batch).await {
                return tracing::debug!(%error, "times of last use wait for the store");
            }
            let mut uses = self.uses.lock();
            for (token, written) in batch {
                if uses.get(&token).is_some_and(|last| *last <= written) {
                    uses.remove(&token);
                }
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
