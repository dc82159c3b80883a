//! From a file that came in to a package of a channel.
//!
//! Belongs here: the order of the steps, names that are taken. Does not: opening packages (`inspect`), limits while bytes come
//! (`receive`).

use bytes::Bytes;
use serde_json::{Value, json};

use super::inspect::{self, Digests, Inspected};
use super::settings::Candidate;
use super::{Author, ChannelSettings, HostError, Hosting, Received, patching, row};
use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::channel::ChannelName;
use crate::conda::digest::{Expected, Md5, Sha256};
use crate::conda::subdir::Subdir;
use crate::identity::Visitor;
use crate::policy::access::Right;
use crate::snapshot::Place;
use crate::store::StoreError;
use crate::store::model::{Channel, Package, PackageState};

/// The longest attestation: what rattler reads (`rattler_sigstore`).
const LONGEST_ATTESTATION: usize = 4 << 20;
/// How often publishing is tried again after somebody else was faster.
const TRIES: usize = 3;

/// What somebody wants to publish.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Where.
    pub channel: ChannelName,
    /// Under which name.
    pub file: ArchiveName,
    /// The subdir, where the request says it; it must be the package's own.
    pub subdir: Option<Subdir>,
    /// Labels; empty for `main`.
    pub labels: Vec<String>,
    /// What the sender says of the bytes.
    pub expected: Expected,
    /// Whether it may take the place of other bytes under this name, where the channel allows it.
    pub force: bool,
    /// A sigstore bundle (CEP 27), as JSON.
    pub attestation: Option<Bytes>,
}

/// What was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    /// `false`: these very bytes were there already.
    pub created: bool,
    /// Where.
    pub channel: ChannelName,
    /// As the package says.
    pub subdir: Subdir,
    /// Its name.
    pub file: ArchiveName,
    /// Of its bytes.
    pub sha256: Sha256,
    /// Of its bytes.
    pub md5: Md5,
    /// How many.
    pub size: u64,
}

/// An upload whose package was opened and found good.
struct Ready<'a> {
    author: &'a Author,
    channel: Channel,
    settings: ChannelSettings,
    upload: &'a Upload,
    received: &'a Received,
    inspected: Inspected,
    labels: Vec<String>,
}

impl Hosting {
    /// Opens what came in, checks it, and makes it durable and visible. The same bytes under the same name again are a success.
    ///
    /// # Errors
    /// [`HostError::Conflict`] where the name has other bytes, and everything that [`HostError`] says.
    pub async fn publish(
        &self,
        visitor: &Visitor,
        upload: Upload,
        received: Received,
    ) -> Result<Published, HostError> {
        let name = upload.file.parts().map(|(name, _, _)| name);
        self.check(visitor, &upload.channel, Right::Write, name)?;
        let author = Author::of(visitor)
            .ok_or_else(|| HostError::Unauthenticated("publishing needs a credential".to_owned()))?;
        self.publish_as(&author, upload, received).await
    }

    /// As [`Hosting::publish`], for somebody whose right was looked at.
    ///
    /// # Errors
    /// As there.
    pub async fn publish_as(
        &self,
        author: &Author,
        upload: Upload,
        received: Received,
    ) -> Result<Published, HostError> {
        received.check(&upload.expected)?;
        if upload.file.kind() == ArchiveKind::Wheel {
            return Err(HostError::Invalid(
                "wheels can't be published here; build a `.conda` package of it".to_owned(),
            ));
        }
        self.check_name(&upload)?;
        let channel = self.channel_for_upload(author, &upload.channel).await?;
        let settings = self.desk().settings_of(&channel)?;
        let labels = row::labels(&upload.labels)?;
        let inspected = self.open(&upload, &received).await?;
        let ready =
            Ready { author, channel, settings, upload: &upload, received: &received, inspected, labels };
        ready.admit()?;
        for _ in 0..TRIES {
            match self.put(&ready).await {
                Err(HostError::Conflict(_)) => {}
                other => return other,
            }
        }
        self.put(&ready).await
    }

    /// A name that looks like another channel's own is somebody's mistake, or meant to be mistaken.
    fn check_name(&self, upload: &Upload) -> Result<(), HostError> {
        let Some((name, _, _)) = upload.file.parts() else { return Ok(()) };
        let Some(like) = self.0.live.view().looks_owned(&upload.channel, name) else { return Ok(()) };
        Err(HostError::Forbidden(format!(
            "`{name}` looks like `{like}`, names that another channel of this gate owns, and can't be published to `{}`; choose another \
             name, or publish it to that channel",
            upload.channel
        )))
    }

    /// Looks into the package on a blocking thread.
    async fn open(&self, upload: &Upload, received: &Received) -> Result<Inspected, HostError> {
        let closed =
            |_| HostError::Unavailable("the gate is stopping; try again in a few seconds".to_owned());
        let _turn = self.0.inspecting.acquire().await.map_err(closed)?;
        let digests = Digests { sha256: received.sha256, md5: received.md5, size: received.size };
        let (taken, file) = (std::sync::Arc::clone(&received.taken), upload.file.clone());
        let channel = upload.channel.clone();
        let limits = self.0.limits.inspection;
        let work = move || {
            let inspected = inspect::inspect(taken.file(), &file, &digests, &limits)?;
            patching::check(taken.file(), (&file, digests.size), &channel, &limits)?;
            Ok::<_, HostError>(inspected)
        };
        let opened = tokio::task::spawn_blocking(work).await;
        let inspected = opened.map_err(|_| {
            HostError::Internal("looking into the package failed inside; the gate's log says why".to_owned())
        })??;
        match &upload.subdir {
            Some(subdir) if *subdir != inspected.subdir => Err(HostError::Invalid(format!(
                "the package says that it is for `{}`, it was sent to `{subdir}`; nothing was published",
                inspected.subdir
            ))),
            _ => Ok(inspected),
        }
    }

    /// One attempt to write it down.
    async fn put(&self, ready: &Ready<'_>) -> Result<Published, HostError> {
        let store = self.desk().store().await?;
        let (channel, upload) = (&ready.channel, ready.upload);
        let subdir = ready.inspected.subdir.as_str();
        let was = store.packages().get(&channel.id, subdir, upload.file.as_str()).await?;
        if let Some(was) = was.as_ref().filter(|was| ready.is_the_same(was)) {
            return self.again(ready, was).await;
        }
        let replaced = ready.replaces(was)?;
        self.desk().check_quota(channel, ready.received.size).await?;
        self.0.cache.keep(std::sync::Arc::clone(&ready.received.taken)).await?;
        let attestations = self.keep_attestation(upload).await?;
        let record = row::record(&ready.inspected, attestations.as_ref())?;
        let (labels, now) = (ready.labels.clone(), self.desk().clock.now());
        let parts = (upload, ready.received);
        let mut package = row::package(channel, parts, subdir, (&record, labels), (ready.author, now));
        package.attestations = attestations;
        let done = match &replaced {
            None => store.packages().create(&package).await,
            Some(old) => {
                package.revision = old.revision;
                store.packages().overwrite(&package).await.map(drop)
            }
        };
        done.map_err(|error| ready.lost(error))?;
        self.desk().tell(channel, &ready.inspected.subdir, &upload.file);
        self.make_known(ready).await;
        self.desk().added(channel, ready.received.size);
        let detail = json!({
            "sha256": package.sha256.to_hex(), "size": package.size, "labels": row::labels_of(&package),
            "instead_of": replaced.as_ref().map(|old| old.sha256.to_hex()),
        });
        let kind = if replaced.is_some() { "package.overwrite" } else { "package.publish" };
        self.desk().note(ready.author, kind, &ready.target(), detail).await?;
        self.note_contents(ready.received.sha256, &ready.inspected).await;
        let published = ready.published(true);
        self.desk().tell_published(ready.author, &published).await;
        Ok(published)
    }

    /// A channel that was made a moment ago, by the command line say, may not be known to who serves it: then its name would still mean
    /// an upstream's.
    async fn make_known(&self, ready: &Ready<'_>) {
        let place = self.0.live.view().place(&ready.upload.channel);
        let is_known = match place {
            Some(Place::Source(channel)) => channel
                .hosted()
                .is_some_and(|hosted| hosted.id() == Some(&ready.channel.id) && !hosted.deleted),
            _ => false,
        };
        if !is_known {
            self.desk().tell_of_channels().await;
        }
    }

    /// The same bytes under the same name: nothing to do but what an earlier attempt may not have come to.
    async fn again(&self, ready: &Ready<'_>, was: &Package) -> Result<Published, HostError> {
        self.0.cache.keep(std::sync::Arc::clone(&ready.received.taken)).await?;
        if !ready.upload.labels.is_empty() {
            let mut labels = row::labels_of(was);
            labels.extend(ready.labels.iter().cloned());
            if ready.labels.is_empty() {
                labels.push(row::MAIN.to_owned());
            }
            let labels = row::labels(&labels)?;
            if labels != was.labels {
                let next = Package { labels, ..was.clone() };
                self.desk().store().await?.packages().update(&next).await?;
            }
        }
        self.desk().tell(&ready.channel, &ready.inspected.subdir, &ready.upload.file);
        let detail = json!({"sha256": was.sha256.to_hex(), "again": true});
        self.desk().note(ready.author, "package.publish", &ready.target(), detail).await?;
        Ok(ready.published(false))
    }

    /// CEP 50: clients fetch an array of bundles, by the digest that the record has.
    async fn keep_attestation(&self, upload: &Upload) -> Result<Option<Sha256>, HostError> {
        let Some(bundle) = &upload.attestation else { return Ok(None) };
        let invalid = |why: &str| {
            HostError::Invalid(format!(
                "the attestation {why}; nothing was published. It has to be a sigstore bundle (CEP 27)"
            ))
        };
        if bundle.len() > LONGEST_ATTESTATION {
            return Err(invalid("is longer than 4 MiB"));
        }
        let bundle: Value = serde_json::from_slice(bundle).map_err(|_| invalid("is no JSON"))?;
        if !bundle.is_object() {
            return Err(invalid("is no JSON object"));
        }
        let array = Bytes::from(Value::Array(vec![bundle]).to_string());
        let mut intake = self.0.cache.intake(Some(array.len() as u64)).await?;
        intake.write(&array).await?;
        let taken = intake.finish().await?;
        let digest = taken.sha256;
        self.0.cache.keep(std::sync::Arc::new(taken)).await?;
        Ok(Some(digest))
    }
}

impl Ready<'_> {
    /// What the channel's owner has set.
    fn admit(&self) -> Result<(), HostError> {
        let record = row::record(&self.inspected, None)?;
        self.settings.admit(&Candidate {
            name: &self.inspected.name,
            size: self.received.size,
            record: &record,
            about: self.inspected.about.as_ref(),
            has_attestation: self.upload.attestation.is_some(),
        })
    }

    fn is_the_same(&self, was: &Package) -> bool {
        was.sha256 == self.received.sha256 && was.state != PackageState::Deleted
    }

    /// The row whose place is taken, if there is one and this may be.
    fn replaces(&self, was: Option<Package>) -> Result<Option<Package>, HostError> {
        let Some(was) = was else { return Ok(None) };
        let taken = |hint: &str| {
            Err(HostError::Conflict(format!(
                "`{}` is published with other bytes (SHA-256 {}); {hint}",
                self.target(),
                was.sha256
            )))
        };
        match was.state {
            PackageState::Deleted => Ok(Some(was)),
            _ if self.upload.force && self.settings.upload.overwrite => Ok(Some(was)),
            _ if self.upload.force => taken(
                "published packages don't change in this channel: build with another build number, or let its owner set `overwrite`",
            ),
            _ => taken("published packages don't change: build with another build number"),
        }
    }

    /// Somebody else was faster; what they did decides.
    fn lost(&self, error: StoreError) -> HostError {
        match error {
            StoreError::Conflict { .. } | StoreError::Stale { .. } => HostError::Conflict(format!(
                "`{}` is being published by somebody else; try again",
                self.target()
            )),
            other => other.into(),
        }
    }

    fn target(&self) -> String {
        format!("{}/{}/{}", self.channel.name, self.inspected.subdir, self.upload.file)
    }

    fn published(&self, created: bool) -> Published {
        Published {
            created,
            channel: self.upload.channel.clone(),
            subdir: self.inspected.subdir.clone(),
            file: self.upload.file.clone(),
            sha256: self.received.sha256,
            md5: self.received.md5,
            size: self.received.size,
        }
    }
}
