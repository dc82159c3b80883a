//! What the room's tests share: a cache in a temporary directory and a source that does what a test says.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use sha2::Digest;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::freshness::Lifetime;
use super::{
    Cache, CacheSettings, Fill, FillError, FillKind, FillRequest, Follower, KeepFree, OpenAt, Opened,
    OpenedBody, Source, SourceError, SourceErrorKind, Validators,
};
use crate::clock::{ManualClock, UnixMillis};
use crate::conda::digest::{Expected, Md5, Sha256};

/// A cache of its own, with a hand-moved clock and no housekeeping.
pub(super) struct Lab {
    pub(super) dir: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) cache: Cache,
}

pub(super) fn settings(packages: PathBuf) -> CacheSettings {
    CacheSettings {
        housekeeping: Duration::ZERO,
        keep_free: KeepFree::Bytes(0),
        retry_delay: Duration::from_millis(10),
        learn_timeout: Duration::from_secs(10),
        ..CacheSettings::new(packages)
    }
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut CacheSettings)) -> Self {
        Self::within(tempfile::tempdir().unwrap(), change)
    }

    pub(super) fn within(dir: tempfile::TempDir, change: impl FnOnce(&mut CacheSettings)) -> Self {
        let mut settings = settings(dir.path().join("packages"));
        change(&mut settings);
        let clock = ManualClock::new(UnixMillis(1_700_000_000_000));
        let cache = Cache::open(settings, clock.clone(), Handle::current()).unwrap();
        Self { dir, clock, cache }
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("packages").join(below)
    }

    pub(super) fn blob_path(&self, digest: &Sha256) -> PathBuf {
        let hex = digest.to_hex();
        self.path("blobs/sha256").join(&hex[..2]).join(hex)
    }

    pub(super) fn package(&self, key: &str, expected: Expected, source: &Arc<Script>) -> Fill {
        let source: Arc<dyn Source> = source.clone();
        self.cache.fill(FillRequest { key: key.into(), expected, kind: FillKind::Package, source })
    }

    pub(super) fn plain(&self, key: &str, source: &Arc<Script>) -> Fill {
        let source: Arc<dyn Source> = source.clone();
        let kind = FillKind::Object { known: None };
        self.cache.fill(FillRequest { key: key.into(), expected: Expected::default(), kind, source })
    }

    /// Stores `bytes` as a package.
    pub(super) async fn store(&self, key: &str, bytes: &[u8]) -> Sha256 {
        let fill = self.package(key, expect(bytes), &Script::whole(bytes));
        *fill.done().await.unwrap().digest()
    }

    /// Names of the files in a directory below the package directory.
    pub(super) fn files(&self, below: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(below)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

pub(super) fn expect(bytes: &[u8]) -> Expected {
    Expected { sha256: Some(sha256(bytes)), md5: None, size: Some(bytes.len() as u64) }
}

pub(super) fn expect_md5(bytes: &[u8]) -> Expected {
    Expected { sha256: None, md5: Some(Md5(md5::Md5::digest(bytes).into())), size: None }
}

/// Bytes that differ from place to place.
pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect()
}

pub(super) fn fault() -> SourceError {
    SourceError { kind: SourceErrorKind::Unavailable, message: "connection reset".into(), retryable: true }
}

pub(super) fn refusal(kind: SourceErrorKind) -> SourceError {
    SourceError { kind, message: "upstream said no".into(), retryable: false }
}

/// One answer of a [`Script`].
pub(super) struct Reply(Box<Answer>);

type Answer = dyn FnOnce(&OpenAt) -> Result<Opened, SourceError> + Send;

/// The sending side of an answer that is given by hand; dropping it ends the body.
pub(super) type Hand = mpsc::UnboundedSender<Result<Bytes, SourceError>>;

fn body(offset: u64, total: Option<u64>, etag: Option<&str>) -> (Hand, OpenedBody) {
    let (hand, mut items) = mpsc::unbounded_channel();
    let stream = Box::pin(futures_util::stream::poll_fn(move |cx| items.poll_recv(cx)));
    let validators = Validators { etag: etag.map(Into::into), last_modified: None };
    let lifetime = Lifetime { fresh: Duration::from_mins(1), ..Lifetime::default() };
    (hand, OpenedBody { offset, total, validators, content_type: None, from: None, lifetime, stream })
}

impl Reply {
    pub(super) fn new(reply: impl FnOnce(&OpenAt) -> Result<Opened, SourceError> + Send + 'static) -> Self {
        Self(Box::new(reply))
    }

    pub(super) fn answer(self, at: &OpenAt) -> Result<Opened, SourceError> {
        (self.0)(at)
    }

    pub(super) fn fails(error: SourceError) -> Self {
        Self::new(|_| Err(error))
    }

    /// `bytes` from the asked offset on with a Content-Length, in pieces of 1,000 bytes, cut after `upto` by `end`.
    pub(super) fn part(bytes: &[u8], etag: &str, upto: usize, end: Option<SourceError>) -> Self {
        let (bytes, etag) = (Bytes::copy_from_slice(bytes), etag.to_owned());
        Self::new(move |at| {
            let (hand, body) = body(at.offset, Some(bytes.len() as u64), Some(&etag));
            let from = usize::try_from(at.offset).unwrap();
            bytes.slice(from..upto.max(from)).chunks(1000).for_each(|piece| {
                hand.send(Ok(Bytes::copy_from_slice(piece))).unwrap();
            });
            if let Some(error) = end {
                hand.send(Err(error)).unwrap();
            }
            Ok(Opened::Body(body))
        })
    }

    pub(super) fn all(bytes: &[u8], etag: &str) -> Self {
        Self::part(bytes, etag, bytes.len(), None)
    }

    /// The whole of `bytes` from 0, whatever was asked, without a length.
    pub(super) fn chunked(bytes: &[u8], etag: &str) -> Self {
        let (bytes, etag) = (Bytes::copy_from_slice(bytes), etag.to_owned());
        Self::new(move |_| {
            let (hand, body) = body(0, None, Some(&etag));
            hand.send(Ok(bytes)).unwrap();
            Ok(Opened::Body(body))
        })
    }

    /// An answer whose bytes the test sends itself.
    pub(super) fn by_hand(total: Option<u64>, etag: &str) -> (Hand, Self) {
        let (hand, body) = body(0, total, Some(etag));
        (hand, Self::new(move |at| Ok(Opened::Body(OpenedBody { offset: at.offset, ..body }))))
    }
}

/// A source that gives its answers one after the other and remembers what it was asked.
#[derive(Default)]
pub(super) struct Script {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<OpenAt>>,
}

impl Script {
    pub(super) fn new(replies: impl IntoIterator<Item = Reply>) -> Arc<Self> {
        Arc::new(Self { replies: Mutex::new(replies.into_iter().collect()), asked: Mutex::default() })
    }

    pub(super) fn whole(bytes: &[u8]) -> Arc<Self> {
        Self::new([Reply::all(bytes, "\"v1\"")])
    }

    pub(super) fn asked(&self) -> Vec<OpenAt> {
        self.asked.lock().clone()
    }

    pub(super) fn offsets(&self) -> Vec<u64> {
        self.asked.lock().iter().map(|at| at.offset).collect()
    }
}

#[async_trait::async_trait]
impl Source for Script {
    async fn open(&self, at: OpenAt) -> Result<Opened, SourceError> {
        self.asked.lock().push(at.clone());
        let reply = self.replies.lock().pop_front();
        match reply {
            Some(reply) => (reply.0)(&at),
            None => Err(refusal(SourceErrorKind::Refused)),
        }
    }
}

/// Everything a follower gives, and the error it ends with.
pub(super) async fn collect(mut follower: Follower) -> (Vec<u8>, Option<FillError>) {
    let mut all = Vec::new();
    while let Some(chunk) = follower.next().await {
        match chunk {
            Ok(bytes) => {
                assert!(!bytes.is_empty());
                all.extend_from_slice(&bytes);
            }
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}

/// Reads exactly what may be had now: stops when the follower would wait.
pub(super) async fn drain(follower: &mut Follower, enough: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < enough {
        all.extend_from_slice(&follower.next().await.unwrap().unwrap());
    }
    all
}
