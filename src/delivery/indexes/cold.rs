//! The first index of a subdir, while it is built: clients get it as it grows, once the whole would take them too long to wait for.
//!
//! A client that asks for `repodata.json.zst` where no rule is about the channel gets upstream's own bytes as they arrive. They are
//! decoded and looked through at the same time, and the last of them stay here until all were found good. Anybody else reads along with
//! what is being written. Both are cut, not ended, when the build fails.
//!
//! Belongs here: what such readers may have. Does not: building (`refresh`), when to stop waiting (`mod`).

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::cache::{Fill, Follower};
use crate::conda::url::{IndexFile, Packing};
use crate::delivery::Refusal;
use crate::repodata::onlooker::{Growing, Onlooker};
use crate::repodata::{HEADER_LEN, STREAM_HEADER};

/// Bytes of upstream's own document that stay here until it was found good.
const HOLD_BACK: usize = 16 << 10;
/// Largest piece read from a growing file.
const PIECE: u64 = 128 << 10;

/// One growing document.
#[derive(Default)]
struct Grown {
    file: Option<Arc<File>>,
    len: u64,
    complete: bool,
}

/// How far a build is.
#[derive(Default)]
struct State {
    json: Grown,
    zst: Grown,
    /// Upstream's download, its packing, and whether clients may have it as it is if nothing speaks against it.
    upstream: Option<(Fill, Packing)>,
    info_passed: bool,
    unfit: bool,
    read: bool,
    over: Option<Result<(), Refusal>>,
}

impl State {
    const fn grown(&self, document: Growing) -> &Grown {
        match document {
            Growing::Json => &self.json,
            Growing::Zst => &self.zst,
        }
    }

    const fn grown_mut(&mut self, document: Growing) -> &mut Grown {
        match document {
            Growing::Json => &mut self.json,
            Growing::Zst => &mut self.zst,
        }
    }
}

/// A first build under way.
pub(in crate::delivery) struct Cold {
    state: Mutex<State>,
    version: watch::Sender<u64>,
    /// Whether upstream's own bytes may go out: no rule is about the channel.
    passes_through: bool,
    /// Makes its ETags differ from those of any other build.
    id: u64,
}

impl Cold {
    pub(super) fn new(passes_through: bool, id: u64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), version: watch::Sender::new(0), passes_through, id })
    }

    /// Whether upstream's own bytes may go out.
    pub(super) const fn passes_through(&self) -> bool {
        self.passes_through
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.version.send_modify(|version| *version += 1);
    }

    /// Upstream has begun to answer.
    pub(super) fn arrives(&self, fill: Fill, packing: Packing) {
        self.change(|state| state.upstream = Some((fill, packing)));
    }

    /// The build has ended, well or not.
    pub(super) fn end(&self, how: Result<(), Refusal>) {
        self.change(|state| state.over = Some(how));
    }

    /// Waits until there is something of `file` to send; `None` for documents that nobody can read along, and when the build ends
    /// before.
    pub(super) async fn reader(self: &Arc<Self>, file: IndexFile) -> Option<ColdReader> {
        let IndexFile::Repodata(packing) = file else { return None };
        let document = match packing {
            Packing::Json => Growing::Json,
            Packing::Zst => Growing::Zst,
            Packing::Bz2 => return None,
        };
        let mut version = self.version.subscribe();
        loop {
            version.borrow_and_update();
            {
                let state = self.state.lock();
                if state.over.is_some() {
                    return None;
                }
                if let Some(from) = self.source(&state, document) {
                    drop(state);
                    return Some(ColdReader { cold: Arc::clone(self), version, from, at: 0 });
                }
            }
            version.changed().await.ok()?;
        }
    }

    fn source(&self, state: &State, document: Growing) -> Option<From> {
        if let (true, Growing::Zst, Some((fill, Packing::Zst))) =
            (self.passes_through, document, &state.upstream)
        {
            let good_so_far = state.info_passed && !state.unfit;
            if good_so_far {
                let held = Bytes::new();
                return Some(From::Upstream { follower: fill.follow(0, None), fill: fill.clone(), held });
            }
            if !state.unfit && !state.read {
                return None;
            }
        }
        let grown = state.grown(document);
        let least = if document == Growing::Zst { HEADER_LEN as u64 } else { 0 };
        (grown.file.is_some() && grown.len > least).then_some(From::Growing(document))
    }

    /// `"cold-…"`: strong, and never that of a generation's document.
    pub(super) fn etag(&self, file: IndexFile) -> String {
        format!("cold-{:016x}-{}", self.id, file.file_name())
    }
}

impl Onlooker for Cold {
    fn grew(&self, document: Growing, path: &Path, len: u64) {
        self.change(|state| {
            let grown = state.grown_mut(document);
            if grown.file.is_none() {
                // A reader holds the file, whatever becomes of its name.
                grown.file = File::open(path).ok().map(Arc::new);
            }
            grown.len = grown.len.max(len);
        });
    }

    fn complete(&self, document: Growing, len: u64) {
        self.change(|state| {
            let grown = state.grown_mut(document);
            (grown.len, grown.complete) = (len, true);
        });
    }

    fn info_passed(&self) {
        self.change(|state| state.info_passed = true);
    }

    fn unfit(&self) {
        self.change(|state| state.unfit = true);
    }

    fn read(&self) {
        self.change(|state| state.read = true);
    }
}

/// Where a reader's bytes come from.
enum From {
    /// Upstream's own, as they arrive; `held`: what of them may not go out yet.
    Upstream { follower: Follower, fill: Fill, held: Bytes },
    /// What is being written.
    Growing(Growing),
}

/// One client that reads along.
pub struct ColdReader {
    cold: Arc<Cold>,
    version: watch::Receiver<u64>,
    from: From,
    at: u64,
}

/// What a reader may do next.
enum Step {
    Read { file: Arc<File>, at: u64, len: usize },
    Wait,
    End,
    Failed(Refusal),
}

impl ColdReader {
    /// The length of the whole, where it is known before the end.
    pub async fn total(&self) -> Option<u64> {
        match &self.from {
            From::Upstream { fill, .. } => fill.head().await.ok()?.total,
            From::Growing(_) => None,
        }
    }

    /// The next bytes, never empty; `None` at the end of a document that is complete and good. After an error the answer must be cut.
    ///
    /// # Errors
    /// Why the rest will not come.
    pub async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        match self.from {
            From::Upstream { .. } => self.next_of_upstream().await,
            From::Growing(document) => self.next_of_growing(document).await,
        }
    }

    async fn next_of_upstream(&mut self) -> Option<Result<Bytes, Refusal>> {
        let From::Upstream { follower, held, .. } = &mut self.from else { return None };
        loop {
            match follower.next().await {
                Some(Ok(chunk)) => {
                    let mut all =
                        if held.is_empty() { chunk } else { Bytes::from([&held[..], &chunk].concat()) };
                    let out = all.split_to(all.len().saturating_sub(HOLD_BACK));
                    *held = all;
                    if !out.is_empty() {
                        return Some(Ok(out));
                    }
                }
                Some(Err(error)) => return Some(Err(Refusal::of_fill(&error))),
                None if held.is_empty() => return None,
                None => break,
            }
        }
        // All is here; the last of it goes out when all of it was found good.
        loop {
            self.version.borrow_and_update();
            {
                let state = self.cold.state.lock();
                match (&state.over, state.unfit, state.read) {
                    (_, true, _) => return Some(Err(unfit())),
                    (_, false, true) => break,
                    (Some(Err(refusal)), ..) => return Some(Err(refusal.clone())),
                    (Some(Ok(())), ..) => return Some(Err(unfit())),
                    (None, ..) => {}
                }
            }
            if self.version.changed().await.is_err() {
                return Some(Err(unfit()));
            }
        }
        let From::Upstream { held, .. } = &mut self.from else { return None };
        Some(Ok(std::mem::take(held)))
    }

    async fn next_of_growing(&mut self, document: Growing) -> Option<Result<Bytes, Refusal>> {
        if document == Growing::Zst && self.at == 0 {
            self.at = HEADER_LEN as u64;
            return Some(Ok(Bytes::from_static(&STREAM_HEADER)));
        }
        loop {
            self.version.borrow_and_update();
            let step = self.step(document);
            match step {
                Step::End => return None,
                Step::Failed(refusal) => return Some(Err(refusal)),
                Step::Wait => {
                    if self.version.changed().await.is_err() {
                        return Some(Err(unfit()));
                    }
                }
                Step::Read { file, at, len } => {
                    let read = tokio::task::spawn_blocking(move || {
                        let mut piece = vec![0; len];
                        file.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
                    });
                    return Some(match read.await {
                        Ok(Ok(piece)) => {
                            self.at += piece.len() as u64;
                            Ok(piece)
                        }
                        Ok(Err(error)) => {
                            Err(Refusal::Internal(format!("the index can't be read back: {error}")))
                        }
                        Err(_) => Err(Refusal::Internal("reading the index back failed inside".to_owned())),
                    });
                }
            }
        }
    }

    fn step(&self, document: Growing) -> Step {
        let state = self.cold.state.lock();
        let grown = state.grown(document);
        if self.at < grown.len
            && let Some(file) = &grown.file
        {
            let len = usize::try_from((grown.len - self.at).min(PIECE)).unwrap_or(0);
            return Step::Read { file: Arc::clone(file), at: self.at, len };
        }
        match &state.over {
            _ if grown.complete => Step::End,
            Some(Err(refusal)) => Step::Failed(refusal.clone()),
            Some(Ok(())) => Step::Failed(unfit()),
            None => Step::Wait,
        }
    }
}

fn unfit() -> Refusal {
    Refusal::unavailable("the index turned out not to be fit for clients as upstream has it; ask again")
}
