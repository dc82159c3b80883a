//! One inspection: the file, its limits, and what went wrong first.
//!
//! Decoders and the tar reader pass errors on as `io::Error`, and in words of their own. The reader that knows better leaves its
//! error here ([`Run::stop`]); whoever gets the other one looks here first.
//!
//! Belongs here: reading the received file, counting against limits. Does not: what the bytes mean.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::error::InspectError;

/// What an inspection allows before it gives up on a package. Memory is bounded by these, never by the package's size.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most unpacked bytes of all parts together.
    pub unpacked: u64,
    /// Most unpacked bytes for each byte of the file, once [`Limits::ratio_free`] have come out.
    pub ratio: u64,
    /// Unpacked bytes that need no ratio: small files compress without bound.
    pub ratio_free: u64,
    /// Largest zstd window, as a power of two: that much memory a package may ask for. Clients refuse more than 27.
    pub window_log: u32,
    /// Most members of all tar archives together, the directories they imply counted too. Each costs about 50 bytes of memory.
    pub members: u64,
    /// Longest path in a package, in bytes.
    pub path: usize,
    /// Longest `index.json`, `about.json`, `run_exports.json`, in bytes each. Read whole.
    pub metadata: u64,
    /// Longest `paths.json`, in bytes. Read as a stream.
    pub paths_json: u64,
    /// Longest licence text, in bytes, and a quarter of what all of them may have together. Others are left out.
    pub license: usize,
    /// Longest icon, in bytes. Longer ones are left out.
    pub icon: usize,
    /// Most paths in [`super::Inspected::paths`].
    pub listed: usize,
    /// Most bytes of paths in [`super::Inspected::paths`].
    pub listed_bytes: usize,
}

impl Default for Limits {
    /// 64 GiB unpacked, 400:1 beyond 256 MiB; windows of 128 MiB; 400,000 members with paths of 1 KiB.
    fn default() -> Self {
        Self {
            unpacked: 64 << 30,
            ratio: 400,
            ratio_free: 256 << 20,
            window_log: 27,
            members: 400_000,
            path: 1024,
            metadata: 1_000_000,
            paths_json: 256 << 20,
            license: 256 << 10,
            icon: 256 << 10,
            listed: 100_000,
            listed_bytes: 8 << 20,
        }
    }
}

impl Limits {
    /// For a package that was found good before, maybe under other limits: as much as it has.
    #[must_use]
    pub fn of_known() -> Self {
        Self { unpacked: u64::MAX, ratio: u64::MAX, members: u64::MAX, ..Self::default() }
    }
}

/// What all parts of one inspection share.
pub(super) struct Run<'a> {
    file: &'a File,
    /// The file's length in bytes.
    pub len: u64,
    /// What is allowed.
    pub limits: &'a Limits,
    unpacked: Cell<u64>,
    headers: Cell<u64>,
    stopped: RefCell<Option<InspectError>>,
}

impl<'a> Run<'a> {
    /// Looks at the file's length, which must be the one that was written.
    pub fn new(file: &'a File, len: u64, limits: &'a Limits) -> Result<Self, InspectError> {
        let found = file.metadata().map_err(InspectError::Disk)?.len();
        if found != len {
            return Err(InspectError::Length { wanted: len, found });
        }
        let (unpacked, headers) = (Cell::new(0), Cell::new(0));
        Ok(Self { file, len, limits, unpacked, headers, stopped: RefCell::new(None) })
    }

    /// Fills `buf` from offset `at`; all of it must lie in the file.
    pub fn read_exact(&self, at: u64, buf: &mut [u8]) -> Result<(), InspectError> {
        self.file.read_exact_at(buf, at).map_err(InspectError::Disk)
    }

    /// `len` bytes from offset `at`; all of them must lie in the file.
    pub fn read(&self, at: u64, len: usize) -> Result<Vec<u8>, InspectError> {
        let mut bytes = vec![0; len];
        self.read_exact(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Counts unpacked bytes.
    pub fn unpacked(&self, bytes: u64) -> Result<(), InspectError> {
        let fair = self.len.saturating_mul(self.limits.ratio).max(self.limits.ratio_free);
        let all = self.unpacked.get().saturating_add(bytes);
        self.unpacked.set(all);
        if all > self.limits.unpacked {
            return Err(InspectError::TooMuch { what: "unpacked bytes", limit: self.limits.unpacked });
        }
        if all > fair {
            let what = "unpacked bytes for its size (a decompression bomb?)";
            return Err(InspectError::TooMuch { what, limit: fair });
        }
        Ok(())
    }

    /// Counts a header of a tar archive.
    pub fn header(&self) -> Result<(), InspectError> {
        self.headers.set(self.headers.get() + 1);
        // Up to three headers make one member.
        self.at_most_members(self.headers.get() / 4)
    }

    /// Refuses more members than are allowed.
    pub const fn at_most_members(&self, found: u64) -> Result<(), InspectError> {
        let limit = self.limits.members;
        if found > limit { Err(InspectError::TooMuch { what: "members", limit }) } else { Ok(()) }
    }

    /// Leaves `error` for who asks with [`Run::why`], and gives what stops a reader.
    pub fn stop(&self, error: InspectError) -> io::Error {
        self.stopped.borrow_mut().get_or_insert(error);
        io::Error::other("stopped")
    }

    /// Why a reader stopped, if it left word.
    pub fn why(&self) -> Option<InspectError> {
        self.stopped.borrow_mut().take()
    }
}
