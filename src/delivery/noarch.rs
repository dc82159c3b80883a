//! Whether a channel without `noarch` exists at all: only then is an empty `noarch` made up for it.

use std::sync::Arc;
use std::time::Duration;

use super::indexes::index_ask;
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
        if likely.iter().any(|subdir| self.inner.generations.current(&stored, subdir).is_some()) {
            return Ok(true);
        }
        for subdir in &likely {
            let ask = index_ask(channel, asked, subdir, IndexFile::Repodata(Packing::Json), Duration::ZERO);
            let request = FetchRequest {
                path: ask.path,
                purpose: Purpose::Index,
                head: true,
                via: self.via.as_deref().map(ToOwned::to_owned),
                ..FetchRequest::default()
            };
            match channel.upstream.fetch(request).await {
                Ok(response) if response.status.is_success() => return Ok(true),
                Ok(_) => {}
                Err(error) => return Err(super::objects::refusal_of_fetch(&error)),
            }
        }
        Ok(false)
    }
}
