//! Channels that are made of others: one merged index, and every file from the member that owns its record.
//!
//! Belongs here: which member answers. Does not: which records are shown (`repodata::merge`), what stands in `notices.json`
//! (`notices`), how a member delivers (the rest of `delivery`): a file keeps its member's cache key, credentials and
//! rules.

mod exports;
mod index;
mod packages;

use std::sync::Arc;

pub(super) use packages::left_out;

use super::{Answer, Delivery, Refusal};
use crate::conda::url::{ChannelDoc, Route};
use crate::snapshot::VirtualChannel;

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
            Route::Doc { doc: ChannelDoc::Notices, .. } => self.virtual_notices(channel).await,
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
