//! Channel documents (channeldata, notices, …) and plain files by prefix: through the cache with revalidation.

use std::sync::Arc;
use std::time::Duration;

use super::hosted::exists;
use super::objects::{ANY, ObjectAsk};
use super::refusal::remote;
use super::{Answer, CacheFor, Delivery, Refusal};
use crate::conda::channel::ChannelRef;
use crate::conda::url::{ChannelDoc, Packing};
use crate::snapshot::Channel;
use crate::upstream::{Purpose, Upstream};

impl Delivery {
    /// A document of a whole channel. `notices.json` has the gate's notices in it, where there are any.
    ///
    /// # Errors
    /// As [`Refusal`].
    pub async fn document(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        doc: ChannelDoc,
    ) -> Result<Answer, Refusal> {
        if let Some(hosted) = channel.hosted() {
            exists(hosted)?;
            if matches!(doc, ChannelDoc::Notices) {
                return self.own_notices(channel).await;
            }
        }
        if matches!(doc, ChannelDoc::Notices)
            && let Some(answer) = self.notices(channel, asked).await?
        {
            return Ok(answer);
        }
        if matches!(doc, ChannelDoc::Channeldata(_) | ChannelDoc::Rss) && channel.may_be_hidden() {
            // Upstream's own lists what rules hide, and clients do without it (PROTOCOL section 1).
            return Err(Refusal::NotFound(format!(
                "`{}` is not offered for `{asked}`: rules hide records of this channel, and upstream's document would show them; \
                 `repodata.json` has what is there",
                doc.file_name()
            )));
        }
        if let Some(hosted) = channel.hosted() {
            return self.hosted_document(hosted, asked, doc).await;
        }
        let held = self.small_object(Self::document_ask(channel, asked, doc)?).await?;
        let content_type = match doc {
            ChannelDoc::Channeldata(Packing::Zst) => "application/zstd",
            ChannelDoc::Channeldata(Packing::Bz2) => "application/x-bzip2",
            ChannelDoc::Rss => "application/xml",
            ChannelDoc::Channeldata(Packing::Json)
            | ChannelDoc::Notices
            | ChannelDoc::Terms
            | ChannelDoc::TrustRoot(_)
            | ChannelDoc::KeyManager => "application/json",
        };
        Ok(Self::object_answer(held, content_type, CacheFor::Index))
    }

    /// Where a document of a channel is, here and upstream.
    pub(super) fn document_ask(
        channel: &Channel,
        asked: &ChannelRef,
        doc: ChannelDoc,
    ) -> Result<ObjectAsk, Refusal> {
        let (remote, name) = (remote(channel)?, doc.file_name());
        Ok(ObjectAsk {
            key: format!("doc:{}/{name}", channel.fetched_as(asked)),
            upstream: Arc::clone(&remote.upstream),
            path: remote.path_of(asked, &name),
            ttl: channel.ttl,
            purpose: Purpose::Plain,
        })
    }

    /// A plain file of an upstream (installers): followed while it downloads, revalidated when its time is over.
    ///
    /// # Errors
    /// As [`Refusal`].
    pub async fn plain(
        &self,
        upstream: &Arc<Upstream>,
        path: &str,
        ttl: Duration,
    ) -> Result<Answer, Refusal> {
        let held = self
            .object(ObjectAsk {
                key: format!("url:{}/{path}", upstream.name()),
                upstream: Arc::clone(upstream),
                path: path.to_owned(),
                ttl,
                purpose: Purpose::Plain,
            })
            .await?;
        Ok(Self::object_answer(held, ANY, CacheFor::Index))
    }
}
