//! `run_exports.json` of a virtual channel: joins the merged generation when first asked for, from the members that have one.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::delivery::{Delivery, Refusal};
use crate::repodata::generation::Generation;
use crate::snapshot::{Member, Place, VirtualChannel};

const EXPORTS: IndexFile = IndexFile::RunExports(Packing::Json);

impl Delivery {
    /// Makes the document part of `merged`.
    pub(super) async fn join_exports(
        &self,
        channel: &VirtualChannel,
        subdir: &Subdir,
        merged: &Arc<Generation>,
    ) -> Result<(), Refusal> {
        let mut members = Vec::new();
        for (place, member) in channel.members.iter().enumerate() {
            members.extend(self.exports_of(member, subdir).await?.map(|generation| (place, generation)));
        }
        if members.is_empty() {
            return Err(Refusal::NotFound(format!(
                "no member of the virtual channel `{}` has `run_exports.json` for `{subdir}`",
                channel.label
            )));
        }
        let _build = self.inner.indexes.builds.acquire().await;
        let (store, target) = (Arc::clone(&self.inner.generations), Arc::clone(merged));
        let limits = self.inner.settings.index.limits;
        let made = self.blocking(move || store.attach_merged_exports(&target, &members, &limits)).await;
        self.noted(merged, made)
    }

    /// A member's generation with its `run_exports.json`; `None` where it has none.
    fn exports_of<'a>(
        &'a self,
        member: &'a Member,
        subdir: &'a Subdir,
    ) -> BoxFuture<'a, Result<Option<Arc<Generation>>, Refusal>> {
        async move {
            let stored = member.place.stored_as(&member.asked);
            let Some(generation) = self.trusted(&(stored, subdir.clone())).await else { return Ok(None) };
            if generation.variant(EXPORTS).is_some() {
                return Ok(Some(generation));
            }
            let joined = match &member.place {
                Place::Source(proxied) => {
                    self.attach(proxied, &member.asked, subdir, &generation, EXPORTS).await
                }
                Place::Virtual(inner) => self.join_exports(inner, subdir, &generation).await,
            };
            match joined {
                Ok(()) => Ok(Some(generation)),
                Err(Refusal::NotFound(_)) => Ok(None),
                Err(refusal) => Err(refusal),
            }
        }
        .boxed()
    }
}
