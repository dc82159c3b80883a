//! Keeps a shortened mapped file from killing the process: a SIGBUS inside a watched map becomes a page of zeros.
//!
//! Belongs here: the signal handler and the table of watched maps, nothing else. [`map`](super::map) says why it
//! is needed and why zeros can't pass for a whole file. The index tables of `repodata` are watched too.
//!
//! The handler may run at any moment on any thread, so it only reads atomics and calls `mmap` and `sigaction`
//! (plain system calls). A SIGBUS anywhere else goes on to the handler that was there before, or kills as it should.
#![expect(unsafe_code, reason = "a signal handler; see the module's header")]

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Maps that can be watched at once; further ones are not mapped but read.
const PLACES: usize = 16 * 1024;

struct Place {
    taken: AtomicBool,
    start: AtomicUsize,
    end: AtomicUsize,
    hit: AtomicBool,
}

/// 32 bytes a place, untouched pages cost nothing.
static TABLE: [Place; PLACES] = [const {
    Place {
        taken: AtomicBool::new(false),
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        hit: AtomicBool::new(false),
    }
}; PLACES];

/// One more than the highest place ever taken: as far as the handler looks.
static HIGHEST: AtomicUsize = AtomicUsize::new(0);
/// Where the search for a free place starts.
static HINT: AtomicUsize = AtomicUsize::new(0);

struct Previous(libc::sigaction);
// SAFETY: plain data (two numbers, a mask and a function's address) that is never changed after it was stored.
unsafe impl Send for Previous {}
// SAFETY: as above.
unsafe impl Sync for Previous {}

static PREVIOUS: OnceLock<Option<Previous>> = OnceLock::new();

/// A watched map; dropping it ends the watch.
pub(crate) struct Watched(usize);

impl Watched {
    /// Whether a page of the map was replaced.
    pub(crate) fn hit(&self) -> bool {
        TABLE[self.0].hit.load(Ordering::Relaxed)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let place = &TABLE[self.0];
        place.end.store(0, Ordering::SeqCst);
        place.start.store(0, Ordering::SeqCst);
        place.taken.store(false, Ordering::Release);
    }
}

/// Watches the map of `len` bytes at `start`; `None` when the table is full or no handler can be installed.
pub(crate) fn watch(start: usize, len: usize) -> Option<Watched> {
    PREVIOUS.get_or_init(install).as_ref()?;
    let from = HINT.load(Ordering::Relaxed);
    for step in 0..PLACES {
        let at = (from + step) % PLACES;
        let place = &TABLE[at];
        if place.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            continue;
        }
        place.hit.store(false, Ordering::Relaxed);
        place.start.store(start, Ordering::SeqCst);
        place.end.store(start.saturating_add(len), Ordering::SeqCst);
        HIGHEST.fetch_max(at + 1, Ordering::SeqCst);
        HINT.store(at + 1, Ordering::Relaxed);
        return Some(Watched(at));
    }
    None
}

fn install() -> Option<Previous> {
    // SAFETY: all-zero is a valid `sigaction` (default action, empty mask).
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut previous: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_bus_error;
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: both point to valid structures, and the handler keeps to what may be done inside one.
    let answer = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, &raw mut previous) };
    (answer == 0).then_some(Previous(previous))
}

extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to an SA_SIGINFO handler.
    let address = unsafe { (*info).si_addr() }.addr();
    if !patch(address) {
        pass_on();
    }
}

/// Puts a page of zeros under `address` when it belongs to a watched map.
fn patch(address: usize) -> bool {
    let places = HIGHEST.load(Ordering::SeqCst).min(PLACES);
    let Some(place) = TABLE[..places].iter().find(|place| {
        place.start.load(Ordering::SeqCst) <= address && address < place.end.load(Ordering::SeqCst)
    }) else {
        return false;
    };
    // SAFETY: sysconf may be called from a handler here (it only reads the auxiliary vector for this name).
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let start = ptr::with_exposed_provenance_mut(address / page * page);
    // SAFETY: the page lies in one of our own maps, which is alive (its place is freed before it is unmapped),
    // so replacing it touches nobody else's memory.
    let answer = unsafe {
        libc::mmap(
            start,
            page,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    place.hit.store(true, Ordering::Relaxed);
    answer != libc::MAP_FAILED
}

/// Restores what was there before; the access is tried again when the handler returns and ends there.
fn pass_on() {
    if let Some(Some(previous)) = PREVIOUS.get() {
        // SAFETY: `previous` was filled in by `sigaction` itself.
        unsafe { libc::sigaction(libc::SIGBUS, &raw const previous.0, ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use crate::cache::map::Map;

    #[test]
    fn a_truncated_map_reads_as_zeros_and_says_so() {
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![7u8; 16 * 4096], 0).unwrap();
        let map = Map::new(&file, 16 * 4096, usize::MAX).unwrap();
        let bytes = map.bytes();
        assert_eq!(bytes[15 * 4096], 7);
        assert!(!map.damaged());
        file.set_len(4096).unwrap();
        assert_eq!(bytes[0], 7);
        assert_eq!(bytes[15 * 4096 + 9], 0);
        assert!(map.damaged());
        assert!(map.populate(&(8 * 4096..9 * 4096)).is_err());
    }
}
