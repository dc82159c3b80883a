//! `notices.json` (CEP 6): what the gate has to tell the users of a channel, before what the channel tells them itself.
//!
//! Belongs here: whose notices stand in a channel's document, how long upstream is waited for. Does not: which notices the rules
//! have for a name (`policy`), what the document looks like ([`document`]).

mod document;

use std::collections::HashSet;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use super::objects::{Held, refusal_of_fill};
use super::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::cache::Blob;
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::conda::url::ChannelDoc;
use crate::http::etag::ETag;
use crate::policy::Notice;
use crate::snapshot::{Channel, Place, VirtualChannel};

/// How long upstream is waited for. conda waits 5 s for the whole document (`conda/notices/fetch.py`) and then shows nothing; the
/// download goes on, so the next one who asks has it.
const PATIENCE: Duration = Duration::from_secs(3);

/// A channel's own document as it is in the cache.
struct Theirs {
    blob: Arc<Blob>,
    outcome: Outcome,
}

/// Whose notices stand in one document.
#[derive(Default)]
struct Voices<'a> {
    /// The gate's, in order.
    gate: Vec<&'a Arc<Notice>>,
    /// Channels with a document of their own.
    channels: Vec<(&'a Channel, &'a ChannelRef)>,
    /// Under which names they are kept: two names of one channel have one document.
    seen: HashSet<ChannelRef>,
}

impl<'a> Voices<'a> {
    fn add(&mut self, channel: &'a VirtualChannel) {
        self.gate.extend(channel.notices.iter());
        for member in &channel.members {
            let is_new = self.seen.insert(member.place.stored_as(&member.asked));
            match &member.place {
                Place::Source(proxied) => {
                    self.gate.extend(proxied.notices.iter());
                    self.channels.extend(is_new.then_some((&**proxied, &member.asked)));
                }
                Place::Virtual(inner) if is_new => self.add(inner),
                Place::Virtual(_) => {}
            }
        }
    }
}

impl Delivery {
    /// The document of a channel that the gate has notices for: never a refusal because of upstream. `None` where the gate has
    /// nothing to tell: then upstream's document stands for itself.
    pub(super) async fn notices(
        &self,
        channel: &Channel,
        asked: &ChannelRef,
    ) -> Result<Option<Answer>, Refusal> {
        let now = self.inner.clock.now();
        let gate = current(channel.notices.iter(), now);
        if gate.is_empty() {
            return Ok(None);
        }
        let theirs = self.their_notices(channel, asked).await;
        let outcome = theirs.as_ref().map_or(Outcome::Local, |theirs| theirs.outcome);
        let body = self.joined_notices(gate, theirs.into_iter().collect(), now).await?;
        Ok(Some(answer(body, outcome)))
    }

    /// The document of a channel that nobody else has anything to say about.
    pub(super) async fn own_notices(&self, channel: &Channel) -> Result<Answer, Refusal> {
        let now = self.inner.clock.now();
        let body = self.joined_notices(current(channel.notices.iter(), now), Vec::new(), now).await?;
        Ok(answer(body, Outcome::Local))
    }

    /// The document of a virtual channel: the gate's notices for it and its members, then the members' own. A member in trouble is
    /// left out.
    pub(super) async fn virtual_notices(&self, channel: &VirtualChannel) -> Result<Answer, Refusal> {
        let now = self.inner.clock.now();
        let mut voices = Voices::default();
        voices.add(channel);
        let asks = voices.channels.iter().map(|(channel, asked)| self.their_notices(channel, asked));
        let theirs = join_all(asks).await.into_iter().flatten().collect();
        let body = self.joined_notices(current(voices.gate, now), theirs, now).await?;
        Ok(answer(body, Outcome::Local))
    }

    /// A channel's own document; `None` where there is none, or none in time.
    async fn their_notices(&self, channel: &Channel, asked: &ChannelRef) -> Option<Theirs> {
        let trouble = match tokio::time::timeout(PATIENCE, self.kept_notices(channel, asked)).await {
            Ok(Ok(theirs)) if theirs.blob.len() <= document::LARGEST => return Some(theirs),
            Ok(Ok(_)) => "it is larger than 1 MiB".to_owned(),
            Ok(Err(refusal)) => refusal.to_string(),
            Err(_) => format!("it did not come within {PATIENCE:?}"),
        };
        tracing::debug!(channel = %asked, trouble, "the channel's own notices are left out");
        None
    }

    async fn kept_notices(&self, channel: &Channel, asked: &ChannelRef) -> Result<Theirs, Refusal> {
        match self.small_object(Self::document_ask(channel, asked, ChannelDoc::Notices)?).await? {
            Held::Ready { object, outcome } => Ok(Theirs { blob: object.blob, outcome }),
            Held::Running { fill, outcome } => {
                let blob = fill.done().await.map_err(|error| refusal_of_fill(&error))?;
                Ok(Theirs { blob, outcome })
            }
        }
    }

    /// Off the workers: documents of many members are megabytes to parse.
    async fn joined_notices(
        &self,
        gate: Vec<Arc<Notice>>,
        theirs: Vec<Theirs>,
        now: UnixMillis,
    ) -> Result<Bytes, Refusal> {
        let work = move || {
            let read = |theirs: &Theirs| {
                let read = read(&theirs.blob);
                read.inspect_err(|error| tracing::error!(%error, "cached notices can't be read")).ok()
            };
            let documents: Vec<_> = theirs.iter().filter_map(read).collect();
            document::join(&gate, &documents, now)
        };
        let joined = self.inner.runtime.spawn_blocking(work).await;
        joined.map_err(|_| Refusal::Internal("joining notices failed inside; see the log".to_owned()))
    }
}

/// Those that are to be shown at `now`.
fn current<'a>(notices: impl IntoIterator<Item = &'a Arc<Notice>>, now: UnixMillis) -> Vec<Arc<Notice>> {
    notices.into_iter().filter(|notice| notice.is_current(now)).cloned().collect()
}

/// A blob of at most [`document::LARGEST`] bytes. Blocks.
fn read(blob: &Blob) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(blob.len()).map_err(std::io::Error::other)?];
    blob.body().file().read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn answer(body: Bytes, outcome: Outcome) -> Answer {
    Answer {
        facts: Facts {
            etag: Some(ETag::strong(&Sha256::of(&body).to_hex()[..32])),
            named_by: NamedBy::Digest,
            last_modified: None,
            len: Some(body.len() as u64),
            content_type: "application/json".into(),
            cache_for: CacheFor::Index,
            outcome,
        },
        body: Body::Bytes(body),
        zstd: None,
        compressible: true,
    }
}
