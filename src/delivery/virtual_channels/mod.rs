//! Channels that are made of others: one merged index, and every file from the member that owns its record.
//!
//! Belongs here: which member answers, and the few documents a virtual channel has of its own. Does not: which records are shown
//! (`repodata::merge`), how a member delivers (the rest of `delivery`): a file keeps its member's cache key, credentials and
//! rules.

mod exports;
mod index;
mod packages;

use std::sync::Arc;

use bytes::Bytes;

use super::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::conda::digest::Sha256;
use crate::conda::url::{ChannelDoc, Route};
use crate::http::etag::ETag;
use crate::snapshot::VirtualChannel;

/// `notices.json` of a channel without notices (CEP 6).
const NO_NOTICES: &[u8] = br#"{"notices":[]}"#;

impl Delivery {
    /// Anything of a virtual channel.
    ///
    /// # Errors
    /// As [`Refusal`].
    pub async fn of_virtual(&self, channel: &Arc<VirtualChannel>, route: &Route) -> Result<Answer, Refusal> {
        if route.channel().is_some_and(|asked| asked.label.is_some()) {
            return Err(Refusal::NotFound(format!(
                "`{}` is a virtual channel, which has no labels; ask a member for its label",
                channel.label
            )));
        }
        match route {
            Route::Package { subdir, archive, .. } => self.virtual_package(channel, subdir, archive).await,
            Route::Sidecar { subdir, file, .. } => self.virtual_sidecar(channel, subdir, file).await,
            Route::Index { subdir, file, .. } => self.virtual_index(channel, subdir, *file).await,
            Route::Shard { subdir, digest, .. } => self.virtual_shard(channel, subdir, digest).await,
            Route::Doc { doc: ChannelDoc::Notices, .. } => Ok(no_notices()),
            Route::Doc { doc, .. } => Err(Refusal::NotFound(format!(
                "the virtual channel `{}` has no `{}`; its members may have one",
                channel.label,
                doc.file_name()
            ))),
            Route::Home | Route::Control(_) | Route::Other => {
                Err(Refusal::Internal("this route is not of a channel".to_owned()))
            }
        }
    }
}

fn no_notices() -> Answer {
    Answer {
        facts: Facts {
            etag: Some(ETag::strong(&Sha256::of(NO_NOTICES).to_hex()[..32])),
            named_by: NamedBy::Digest,
            last_modified: None,
            len: Some(NO_NOTICES.len() as u64),
            content_type: "application/json".into(),
            cache_for: CacheFor::Index,
            outcome: Outcome::Local,
        },
        body: Body::Bytes(Bytes::from_static(NO_NOTICES)),
        zstd: None,
        compressible: false,
    }
}
