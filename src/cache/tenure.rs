//! Whether the directory is this process's, and changes of it that are under way.
//!
//! Belongs here: waiting until nothing is being changed, and then letting nothing be changed any more. Does not: the lock on the directory,
//! what a change is (`blobs`).

use parking_lot::{Condvar, Mutex};

use super::error::CacheError;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Tenure {
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Debug, Default)]
struct State {
    changes: usize,
    over: bool,
}

/// Held while something is changed. Who changes one thing may change another for it.
pub(super) struct Change<'a>(&'a Tenure);

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.state.lock().changes -= 1;
        self.0.idle.notify_all();
    }
}

impl Tenure {
    /// Begins a change.
    ///
    /// # Errors
    /// Another process has the directory.
    pub(super) fn change(&self) -> Result<Change<'_>, CacheError> {
        let mut state = self.state.lock();
        if state.over {
            return Err(CacheError::Stopping);
        }
        state.changes += 1;
        Ok(Change(self))
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().over
    }

    /// Waits until nothing is being changed, does `last` and lets nobody change anything any more, unless it fails.
    pub(super) fn end<E>(&self, last: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let mut state = self.state.lock();
        while state.changes > 0 {
            self.idle.wait(&mut state);
        }
        last()?;
        state.over = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_finished_and_none_is_begun_after_the_end() {
        let tenure = Tenure::default();
        let one = tenure.change().unwrap();
        std::thread::scope(|scope| {
            let ending = scope.spawn(|| tenure.end(|| Ok::<_, ()>(())));
            // Whether it waits already or not, a change for a change is let in.
            drop(tenure.change().unwrap());
            assert!(!tenure.is_over());
            drop(one);
            ending.join().unwrap().unwrap();
        });
        assert!(tenure.is_over() && tenure.change().is_err());
        let other = Tenure::default();
        assert!(other.end(|| Err(())).is_err());
        assert!(other.change().is_ok());
    }
}
