//! Which of a few places a thread uses, where each thread is to have one of its own and it is no harm if two share one.
//!
//! Belongs here: the number. Does not: what lies in the places.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Places; more than workers on most machines.
pub const COUNT: usize = 16;

/// The calling thread's place.
#[must_use]
pub fn mine() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let mine = MINE.get();
    if mine != usize::MAX {
        return mine;
    }
    let mine = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
    MINE.set(mine);
    mine
}
