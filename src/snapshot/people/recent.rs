//! What each worker remembers of the callers it saw last, so that workers have nothing to agree on where most callers are known.
//!
//! A credential is named by its SHA-256. What was found out under one state is good under that one only, so a token that was taken
//! back goes with its state.
//!
//! Belongs here: the small table of a thread. Does not: finding out whose a credential is ([`super`], `identity`), whether its time is over.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Principal;
use crate::conda::digest::Sha256;

/// Callers that a worker remembers, each in the one place that its digest can have.
const PLACES: usize = 128;

/// A caller, and under which state of whose people it was found.
struct Seen {
    people: u64,
    state: u64,
    hash: Sha256,
    principal: Arc<Principal>,
}

thread_local! {
    static SEEN: RefCell<[Option<Seen>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
}

/// A number that no other [`super::People`] of this process has.
pub(super) fn new_people() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whose credential this is, if this worker found it out under this state.
pub(super) fn get(people: u64, state: u64, hash: &Sha256) -> Option<Arc<Principal>> {
    SEEN.with_borrow(|seen| {
        let seen = seen.get(place(hash))?.as_ref()?;
        let same = seen.people == people && seen.state == state && seen.hash == *hash;
        same.then(|| Arc::clone(&seen.principal))
    })
}

/// Remembers it. Gives a copy that is this worker's own: where all share one, each use waits for the others to count theirs.
pub(super) fn put(people: u64, state: u64, hash: Sha256, principal: &Principal) -> Arc<Principal> {
    let own = Arc::new(principal.clone());
    SEEN.with_borrow_mut(|seen| {
        if let Some(place) = seen.get_mut(place(&hash)) {
            *place = Some(Seen { people, state, hash, principal: Arc::clone(&own) });
        }
    });
    own
}

fn place(hash: &Sha256) -> usize {
    usize::from(hash.0[0]) % PLACES
}
