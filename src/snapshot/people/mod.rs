//! Who there is: users, groups, grants and tokens as the data plane sees them, without asking the database.
//!
//! A task of its own follows the store ([`follow`]) and swaps one immutable state for the next; the last one is kept as files
//! ([`disk`]), so a gate that starts while its database is down knows everybody it knew. What was found out about a credential is
//! remembered until the next state.
//!
//! Belongs here: from a token to a principal. Does not: reading credentials out of requests (`auth`, `proxy`), passwords and
//! sessions (`people`), what a principal may do (`policy::access`).

pub mod disk;
pub mod entries;
pub mod follow;
pub mod full;
pub mod principal;
mod recent;
pub mod state;
pub mod tokens;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use moka::sync::Cache;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::auth;
use crate::clock::{SharedClock, UnixMillis};
use crate::conda::digest::Sha256;
use crate::secret::Secret;
use follow::Waiting;
pub use principal::Principal;
pub use state::State;

/// Verdicts that are remembered.
const VERDICTS: u64 = 100_000;
/// How long a token that nobody knows is remembered as such.
const UNKNOWN_FOR: Duration = Duration::from_secs(2);
/// Callers that may wait for the store at one time.
const WAITING: usize = 1024;
/// How long one waits. A machine whose disk is busy takes its time with a handful of syncs; clients wait longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a credential is not good.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Nobody made it, or it was deleted.
    #[error("this token is not known here; check that it was copied whole, or make a new one")]
    Unknown,
    /// It has the wrong shape.
    #[error("this is not a token of this gate (its checksum does not fit); check that it was copied whole")]
    Malformed,
    /// Its time is over.
    #[error("this token has expired; make a new one")]
    Expired,
    /// It was taken back.
    #[error("this token was revoked; make a new one")]
    Revoked,
    /// Its owner is gone or disabled.
    #[error("the user this token belongs to is disabled or gone")]
    NoUser,
    /// No such user, or another password; which of them is not said.
    #[error("the user name or the password is wrong")]
    WrongPassword,
    /// Too many attempts, or too much to do.
    #[error("too many attempts to log in; wait {seconds} seconds")]
    SlowDown {
        /// How long.
        seconds: u64,
    },
    /// It is over, or was renewed.
    #[error("this session is over; log in again")]
    NoSession,
    /// An access token (JWT) that is not good.
    #[error("this access token is not good: {0}")]
    Invalid(String),
    /// It can't be found out now.
    #[error("{0}; try again in a few seconds")]
    Unavailable(String),
}

/// A state in force and what was found out under it.
pub struct Loaded {
    state: State,
    verdicts: Cache<Sha256, Result<Arc<Principal>, Refused>, ahash::RandomState>,
}

impl Loaded {
    /// Nothing is found out yet.
    #[must_use]
    pub fn new(state: State) -> Self {
        let verdicts = Cache::builder().max_capacity(VERDICTS).build_with_hasher(ahash::RandomState::new());
        Self { state, verdicts }
    }
}

/// Is told of each state that comes into force, before anybody else finds it so.
type Watcher = Box<dyn Fn(&State) + Send + Sync>;

/// See the module's description.
pub struct People {
    loaded: ArcSwapOption<Loaded>,
    /// When the store was last heard of.
    heard: AtomicI64,
    /// Why it can't be asked, if it can't.
    trouble: RwLock<Option<String>>,
    /// How many states there were.
    states: AtomicU64,
    unknown: Cache<Sha256, (), ahash::RandomState>,
    ask: mpsc::Sender<Waiting>,
    watchers: RwLock<Vec<Watcher>>,
    clock: SharedClock,
    max_age: Duration,
    /// See [`recent::new_people`].
    number: u64,
}

impl People {
    /// People of whom nothing is known yet, or what was saved and when the store was heard of then; and the end at which a
    /// [`follow::Follower`] hears who waits.
    #[must_use]
    pub fn new(
        saved: Option<(State, UnixMillis)>,
        clock: SharedClock,
        max_age: Duration,
    ) -> (Arc<Self>, mpsc::Receiver<Waiting>) {
        let (ask, asked) = mpsc::channel(WAITING);
        let heard = saved.as_ref().map_or(0, |(_, at)| at.0);
        let unknown = Cache::builder().max_capacity(VERDICTS).time_to_live(UNKNOWN_FOR);
        let this = Self {
            loaded: ArcSwapOption::from_pointee(saved.map(|(state, _)| Loaded::new(state))),
            heard: AtomicI64::new(heard),
            trouble: RwLock::default(),
            states: AtomicU64::new(0),
            unknown: unknown.build_with_hasher(ahash::RandomState::new()),
            ask,
            watchers: RwLock::default(),
            clock,
            max_age,
            number: recent::new_people(),
        };
        (Arc::new(this), asked)
    }

    /// Another number for each state: what was found out under one is good under that one only.
    #[must_use]
    pub fn state_number(&self) -> u64 {
        self.states.load(Ordering::Acquire)
    }

    /// The state in force.
    #[must_use]
    pub fn known(&self) -> Option<State> {
        self.loaded.load().as_ref().map(|loaded| loaded.state.clone())
    }

    /// Whether there is a state that may be believed.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.in_force().is_ok()
    }

    /// Why the store can't be asked; `None` while it can, and before it was.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.read().clone()
    }

    /// Calls `watcher` with the state in force, if there is one, and with each that follows. It must be quick.
    pub fn watch(&self, watcher: impl Fn(&State) + Send + Sync + 'static) {
        // Held meanwhile: no state comes between.
        let mut watchers = self.watchers.write();
        if let Some(state) = self.known() {
            watcher(&state);
        }
        watchers.push(Box::new(watcher));
    }

    fn replace(&self, loaded: Loaded) {
        let watchers = self.watchers.read();
        watchers.iter().for_each(|watcher| watcher(&loaded.state));
        self.loaded.store(Some(Arc::new(loaded)));
        self.states.fetch_add(1, Ordering::AcqRel);
        self.unknown.invalidate_all();
    }

    /// Notes that nothing changed up to a number: what was found out stays.
    fn move_on(&self, upto: u64) {
        let moved = self.loaded.load().as_ref().map(|loaded| {
            let state = State { revision: upto, ..loaded.state.clone() };
            Loaded { state, verdicts: loaded.verdicts.clone() }
        });
        self.loaded.store(moved.map(Arc::new));
    }

    fn heard(&self, at: UnixMillis) {
        self.heard.store(at.0, Ordering::Release);
        self.trouble.write().take();
    }

    fn heard_at(&self) -> UnixMillis {
        UnixMillis(self.heard.load(Ordering::Acquire))
    }

    fn lost(&self, why: String) {
        *self.trouble.write() = Some(why);
    }

    /// Whether what is known at `now` is young enough to be believed.
    fn is_fresh(&self, now: UnixMillis) -> bool {
        now.since(self.heard_at()) <= self.max_age
    }

    /// What is in force, unless it is too old to be believed.
    fn in_force(&self) -> Result<Arc<Loaded>, Refused> {
        let down = |what: &str| {
            let why = self.trouble().map_or_else(String::new, |_| " and the store can't be asked".to_owned());
            Refused::Unavailable(format!("{what}{why}"))
        };
        let loaded = self.loaded.load_full().ok_or_else(|| down("users and tokens are not read yet"))?;
        if !self.is_fresh(self.clock.now()) {
            return Err(down("what is known of users and tokens is too old"));
        }
        Ok(loaded)
    }

    /// Whose token this is. Answers from memory or from two small reads; asks the store once when it is not known, and waits a
    /// bounded time.
    ///
    /// # Errors
    /// Why it is not good, as a sentence.
    pub async fn by_token(&self, secret: &Secret<String>) -> Result<Arc<Principal>, Refused> {
        let hash = auth::token::hash_of(secret.reveal());
        if let Some(known) = self.remembered(&hash) {
            return known;
        }
        if !auth::token::is_ours(secret.reveal()) {
            return Err(Refused::Malformed);
        }
        match self.look_up(&hash) {
            Err(Refused::Unknown) if !self.unknown.contains_key(&hash) => {}
            // After the machine slept, say: a look at the store makes it young again.
            Err(Refused::Unavailable(_)) if self.trouble().is_none() => {}
            known => return known,
        }
        if self.trouble().is_some() || !self.catch_up().await {
            return Err(Refused::Unavailable(
                "this token is not known here and the store can't be asked".to_owned(),
            ));
        }
        let found = self.look_up(&hash);
        if matches!(found, Err(Refused::Unknown)) {
            self.unknown.insert(hash, ());
        }
        found
    }

    /// What this worker found out under the state in force of the credential with this digest.
    #[must_use]
    pub fn remembered(&self, hash: &Sha256) -> Option<Result<Arc<Principal>, Refused>> {
        let principal = recent::get(self.number, self.state_number(), hash)?;
        let now = self.clock.now();
        // What is too old is looked up the long way, which says so.
        self.is_fresh(now)
            .then(|| if principal.is_expired(now) { Err(Refused::Expired) } else { Ok(principal) })
    }

    /// Remembers on this worker whose credential has this digest, as was found out under a state of this number. Gives a copy of
    /// the worker's own.
    #[must_use]
    pub fn remember(&self, state: u64, hash: Sha256, principal: &Principal) -> Arc<Principal> {
        recent::put(self.number, state, hash, principal)
    }

    fn look_up(&self, hash: &Sha256) -> Result<Arc<Principal>, Refused> {
        // Before the state is read: what belongs to a newer one is then not remembered under it.
        let number = self.state_number();
        let loaded = match self.in_force() {
            Ok(loaded) => loaded,
            // Nothing was ever read: the store may be there by now.
            Err(_) if self.loaded.load().is_none() => return Err(Refused::Unknown),
            Err(refused) => return Err(refused),
        };
        let now = self.clock.now();
        let known = if let Some(known) = loaded.verdicts.get(hash) {
            known
        } else {
            let found = principal(&loaded.state, hash)?;
            loaded.verdicts.insert(*hash, found.clone());
            found
        };
        let principal = known?;
        if principal.is_expired(now) {
            Err(Refused::Expired)
        } else {
            Ok(self.remember(number, *hash, &principal))
        }
    }

    /// Waits until the store has been asked after this call began; whether it answered.
    pub async fn catch_up(&self) -> bool {
        let (tell, told) = oneshot::channel();
        let asked = async {
            self.ask.send(tell).await.ok()?;
            told.await.ok()
        };
        timeout(PATIENCE, asked).await.ok().flatten().unwrap_or(false)
    }

    /// The user with this id, for a credential that was proven otherwise.
    ///
    /// # Errors
    /// [`Refused::NoUser`], [`Refused::Unavailable`]
    pub fn by_user(&self, id: &str) -> Result<Principal, Refused> {
        Principal::of_user(&self.in_force()?.state, id).ok_or(Refused::NoUser)
    }

    /// The user with this name as it is compared; `None` when there is none.
    ///
    /// # Errors
    /// [`Refused::NoUser`], [`Refused::Unavailable`]
    pub fn by_name(&self, key: &str) -> Result<Option<Principal>, Refused> {
        let loaded = self.in_force()?;
        let Some(id) = loaded.state.names.get(key) else { return Ok(None) };
        Principal::of_user(&loaded.state, id).ok_or(Refused::NoUser).map(Some)
    }
}

/// What is to be remembered of a token that exists.
fn principal(state: &State, hash: &Sha256) -> Result<Result<Arc<Principal>, Refused>, Refused> {
    let found = state.token(hash).map_err(|error| {
        tracing::error!(%error, "the snapshot of tokens can't be read");
        Refused::Unavailable("the tokens can't be read".to_owned())
    })?;
    let Some(token) = found else { return Err(Refused::Unknown) };
    if token.revoked {
        return Ok(Err(Refused::Revoked));
    }
    Ok(Principal::of_token(state, &token).map(Arc::new).ok_or(Refused::NoUser))
}
