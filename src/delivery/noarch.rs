//! Whether a channel without `noarch` exists at all: only then is an empty `noarch` made up for it.

use std::sync::Arc;
use std::time::Duration;

use super::indexes::index_ask;
use super::refusal::remote;
use super::{Delivery, Refusal};
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::snapshot::Channel;
use crate::upstream::{FetchRequest, Purpose};

/// The subdirs that nearly every channel without `noarch` has one of.
const LIKELY: [&str; 5] = ["linux-64", "osx-arm64", "osx-64", "win-64", "linux-aarch64"];

impl Delivery {
    /// Whether any likely subdir of the channel exists, here or upstream.
    pub(super) async fn has_other_subdir(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
    ) -> Result<bool, Refusal> {
        let stored = channel.stored_as(asked);
        let likely: Vec<Subdir> = LIKELY.iter().filter_map(|name| Subdir::parse(name)).collect();
        if likely.iter().any(|subdir| self.inner.generations.is_stored(&stored, subdir)) {
            return Ok(true);
        }
        for file in [IndexFile::Repodata(Packing::Json), IndexFile::ShardIndex] {
            for subdir in &likely {
                if self.is_there(channel, asked, subdir, file).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether upstream has an index document.
    async fn is_there(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        file: IndexFile,
    ) -> Result<bool, Refusal> {
        let ask = index_ask(channel, asked, subdir, file, Duration::ZERO)?;
        let (via, traceparent) = self.handed_on();
        let request = FetchRequest {
            path: ask.path,
            purpose: Purpose::Index,
            head: true,
            via,
            traceparent,
            ..FetchRequest::default()
        };
        match remote(channel)?.upstream.fetch(request).await {
            Ok(response) => Ok(response.status.is_success()),
            Err(error) => Err(super::objects::refusal_of_fetch(&error)),
        }
    }
}
