//! Files beside packages (signatures, CEP 50), and others that are named by their own digest.
//!
//! Belongs here: which of them are kept by digest and which are revalidated; a refused package's signatures are refused too. Does not:
//! packages (`packages`).

use std::sync::Arc;

use super::indexes::refusal_of;
use super::objects::{ObjectAsk, outcome_of};
use super::packages::{package_etag, plain_blob};
use super::refusal::remote;
use super::rulings::Wanted;
use super::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::cache::{FillKind, FillRequest};
use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::channel::ChannelRef;
use crate::conda::digest::{Expected, Sha256};
use crate::conda::subdir::Subdir;
use crate::repodata::judging::KnownFile;
use crate::snapshot::Channel;
use crate::upstream::Purpose;

impl Delivery {
    /// A signature file beside a package (CEP 50). Its name may carry its digest; without one it is revalidated.
    ///
    /// # Errors
    /// As [`Refusal`].
    pub async fn sidecar(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        file: &str,
    ) -> Result<Answer, Refusal> {
        self.rule_sidecar(channel, asked, subdir, file).await?;
        if let Some(hosted) = channel.hosted() {
            return self.hosted_sidecar(hosted, channel, asked, (subdir, file)).await;
        }
        let rest = format!("{subdir}/{file}");
        let digest = file.rsplit_once('.').and_then(|(_, hex)| Sha256::from_hex(hex));
        let Some(sha256) = digest else {
            let remote = remote(channel)?;
            let held = self
                .object(ObjectAsk {
                    key: format!("doc:{}/{rest}", channel.fetched_as(asked)),
                    upstream: Arc::clone(&remote.upstream),
                    path: remote.path_of(asked, &rest),
                    ttl: channel.ttl,
                    purpose: Purpose::Plain,
                })
                .await?;
            return Ok(Self::object_answer(held, "application/json", CacheFor::Index));
        };
        let key = format!("sig:{}/{rest}", channel.fetched_as(asked));
        let expected = Expected { sha256: Some(sha256), ..Expected::default() };
        self.by_digest(channel, asked, subdir, &rest, key, expected, "application/json").await
    }

    /// A file that is named by its own digest, kept per channel: another channel's blob of that digest does not count.
    #[expect(clippy::too_many_arguments, reason = "names one file in full")]
    pub(super) async fn by_digest(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        rest: &str,
        key: String,
        expected: Expected,
        content_type: &'static str,
    ) -> Result<Answer, Refusal> {
        let etag = package_etag(&expected);
        if let Some(blob) = self.inner.cache.verified(&key).await {
            let mut answer = plain_blob(blob, content_type, CacheFor::Package, Outcome::Hit);
            answer.facts.etag = etag;
            return Ok(answer);
        }
        if let Some(sentence) = self.inner.objects.negative.get(&key) {
            return Err(Refusal::NotFound(sentence));
        }
        let source = self.source(channel, asked, subdir, rest, &key, Purpose::Index)?;
        let fill = self.inner.cache.fill(FillRequest { key, expected, kind: FillKind::Package, source });
        let outcome = outcome_of(&fill);
        Ok(Answer {
            facts: Facts {
                etag,
                named_by: NamedBy::Digest,
                last_modified: None,
                len: None,
                content_type: content_type.into(),
                cache_for: CacheFor::Package,
                outcome,
            },
            body: Body::Fill(fill),
            zstd: None,
            compressible: false,
        })
    }

    /// Refuses what lies beside a refused package.
    async fn rule_sidecar(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        file: &str,
    ) -> Result<(), Refusal> {
        let Some(archive) = package_of(file).filter(|_| !channel.is_unruled()) else { return Ok(()) };
        let wanted = Wanted { channel, asked, subdir, archive: &archive };
        let mut removed = false;
        if let Some(generation) = self.trusted(&(channel.stored_as(asked), subdir.clone())).await
            && let Some(entry) = generation.find(archive.as_str()).map_err(|error| refusal_of(&error))?
        {
            removed = entry.standing.removed;
            if entry.has_record() {
                return self.rule_entry(wanted, &generation, &entry).await;
            }
        }
        if let Some(known) = self.shard_memo(channel, asked, subdir, &archive) {
            return self.rule_known(wanted, &known);
        }
        let known = KnownFile::unlisted(archive.as_str(), Expected::default(), removed);
        self.rule_unlisted(wanted, &known)
    }
}

/// `x-1-0.conda` of `x-1-0.conda.v0.sigs`.
pub(super) fn package_of(file: &str) -> Option<ArchiveName> {
    ArchiveKind::ALL.into_iter().find_map(|kind| {
        let at = file.rfind(kind.extension())?;
        ArchiveName::parse(file.get(..at + kind.extension().len())?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_sidecars() {
        let of = |file| package_of(file).map(|archive| archive.to_string());
        assert_eq!(of("x-1-0.conda.v0.sigs").as_deref(), Some("x-1-0.conda"));
        assert_eq!(of("x-1-0.tar.bz2.v0.sigs.00ff").as_deref(), Some("x-1-0.tar.bz2"));
        assert_eq!(of("repodata.json.sig"), None);
        assert_eq!(of(".conda.sig"), None);
    }
}
