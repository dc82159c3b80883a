//! Keeps the state abreast of the store: asks every second what changed, and at once when somebody shows an unknown token.
//!
//! However many ask, the store is asked by one task, at most twenty times a second, so a flood of made-up tokens can't become a
//! flood of queries.
//!
//! Belongs here: when the store is asked and when the files are written. Does not: what the answers mean (`state`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::block_in_place;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::disk::Disk;
use super::full;
use super::state::State;
use super::{Loaded, People};
use crate::clock::{SharedClock, UnixMillis};
use crate::store::lazy::LazyStore;
use crate::store::repo::Changes;
use crate::store::{Store, StoreError};

/// How often the store is asked without a reason.
const EVERY: Duration = Duration::from_secs(1);
/// The shortest time between two questions.
const GAP: Duration = Duration::from_millis(50);
/// The longest wait for an answer to one.
const PATIENCE: Duration = Duration::from_secs(5);
/// Rows of a kind that are told one by one; more are read anew.
const ROWS: u32 = 5_000;
/// One look in so many asks for the rows even where the counter stands still: a writer that died may have left some.
const THOROUGH: u32 = 10;
/// So many tokens beside the file make a new file worthwhile.
const LOOSE: usize = 20_000;
/// How often it is noted that the store was heard of.
const NOTE: Duration = Duration::from_mins(1);
/// After a save that took a while, the next one waits this many times as long.
const SAVE_REST: u32 = 20;

/// Somebody who waits for the next look; told whether it succeeded.
pub type Waiting = oneshot::Sender<bool>;

/// Follows one store.
pub struct Follower {
    store: LazyStore,
    people: Arc<People>,
    disk: Disk,
    clock: SharedClock,
    asked: mpsc::Receiver<Waiting>,
    looks: u32,
    unsaved: bool,
    save_after: Instant,
    noted: Option<UnixMillis>,
    /// The store's trouble as it was logged last.
    trouble: Option<String>,
}

impl Follower {
    /// A follower that has not looked yet.
    #[must_use]
    pub fn new(
        store: LazyStore,
        people: Arc<People>,
        disk: Disk,
        clock: SharedClock,
        asked: mpsc::Receiver<Waiting>,
    ) -> Self {
        let save_after = Instant::now();
        Self {
            store,
            people,
            disk,
            clock,
            asked,
            looks: 0,
            unsaved: false,
            save_after,
            noted: None,
            trouble: None,
        }
    }

    /// Follows until `stop` ends.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            let mut waiting = Vec::new();
            tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => {}
                first = self.asked.recv() => match first {
                    Some(first) => waiting.push(first),
                    None => break,
                },
            }
            let begun = Instant::now();
            // Whoever asks from now on may have been told something newer than what this look finds.
            while let Ok(another) = self.asked.try_recv() {
                waiting.push(another);
            }
            let thorough = !waiting.is_empty();
            let found = self.look(thorough).await;
            for one in waiting {
                // Who has gone needs no answer.
                let _gone = one.send(found);
            }
            // Syncs of files are what nobody should wait for.
            if found {
                self.note(self.people.heard_at());
            }
            self.save(false);
            sleep_until(begun + GAP).await;
        }
        self.save(true);
    }

    /// Asks the store once; whether it answered.
    async fn look(&mut self, thorough: bool) -> bool {
        self.looks = self.looks.wrapping_add(1);
        let thorough = thorough || self.looks.is_multiple_of(THOROUGH);
        let heard = self.clock.now();
        match self.ask(thorough).await {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    tracing::info!("the store of users and tokens answers again");
                }
                self.people.heard(heard);
                true
            }
            Err(error) => {
                let error = error.to_string();
                if self.trouble.as_ref() != Some(&error) {
                    tracing::warn!(%error, "the store of users and tokens can't be asked; known callers are served as before");
                    self.trouble = Some(error.clone());
                }
                self.people.lost(error);
                false
            }
        }
    }

    async fn ask(&mut self, thorough: bool) -> Result<(), full::ReadError> {
        let late = || StoreError::Unavailable { why: "it did not answer in time".to_owned() };
        let store = timeout(PATIENCE, self.store.get()).await.map_err(|_| late())??;
        let Some(now) = self.people.known() else { return self.read_anew(&store).await };
        let changes = async {
            if !thorough && store.settings().revision().await? == now.revision {
                return Ok(None);
            }
            store.settings().changes(now.revision, ROWS).await.map(Some)
        };
        let Some(changes) = timeout(PATIENCE, changes).await.map_err(|_| late())?? else { return Ok(()) };
        if !changes.complete {
            return self.read_anew(&store).await;
        }
        let nothing = Changes { upto: changes.upto, complete: true, ..Changes::default() };
        if changes == nothing {
            // Uploads move the counter on, too.
            if changes.upto != now.revision {
                self.people.move_on(changes.upto);
            }
            return Ok(());
        }
        let mut next = now;
        next.apply(&changes);
        if next.loose() > LOOSE {
            block_in_place(|| self.compact(&mut next))?;
        }
        self.put_in_force(next);
        Ok(())
    }

    async fn read_anew(&mut self, store: &Store) -> Result<(), full::ReadError> {
        let state = full::read(store, &self.disk, self.clock.now()).await?;
        let known = state.file.as_ref().map_or(0, |file| file.count());
        tracing::info!(users = state.users.len(), tokens = known, "users and tokens are read");
        self.put_in_force(state);
        Ok(())
    }

    /// Writes the file of tokens anew, changes included.
    fn compact(&self, state: &mut State) -> Result<(), full::ReadError> {
        let mut writer = self.disk.new_tokens(state.revision, self.clock.now())?;
        let gone = |id: &str| state.gone.contains(id);
        if let Some(file) = &state.file {
            file.copy(&mut writer, |hash, id| !state.overlay.contains_key(hash) && !gone(id))?;
        }
        for (hash, entry) in state.overlay.iter().filter(|(_, entry)| !gone(&entry.id)) {
            writer.add(hash, entry)?;
        }
        state.file = Some(Arc::new(writer.finish()?));
        (state.overlay, state.gone) = Default::default();
        Ok(())
    }

    fn put_in_force(&mut self, state: State) {
        self.people.replace(Loaded::new(state));
        self.unsaved = true;
    }

    /// Saves what is new, but not all the time.
    fn save(&mut self, at_once: bool) {
        let begun = Instant::now();
        if !self.unsaved || (!at_once && begun < self.save_after) {
            return;
        }
        let Some(state) = self.people.known() else { return };
        let saved = block_in_place(|| self.disk.save(&state).and_then(|()| self.disk.sweep(&state)));
        self.save_after = Instant::now() + begun.elapsed() * SAVE_REST;
        match saved {
            Ok(()) => self.unsaved = false,
            Err(error) => tracing::warn!(%error, "the snapshot of users and tokens can't be saved"),
        }
    }

    fn note(&mut self, at: UnixMillis) {
        if self.noted.is_some_and(|noted| at.since(noted) < NOTE) {
            return;
        }
        match self.disk.note_seen(at) {
            Ok(()) => self.noted = Some(at),
            Err(error) => tracing::warn!(%error, "the snapshot of users and tokens can't be saved"),
        }
    }
}
