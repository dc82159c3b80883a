//! Packages of hosted channels.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Compare, Field, Filter, LONGEST_PAGE, Query, is};
use crate::conda::digest::Sha256;
use crate::store::engine::{CHANGED, PENDING};
use crate::store::model::{ChannelId, GONE, Gone, PACKAGES, Package};
use crate::store::table::Record as _;
use crate::store::value::Value;
use crate::store::{Store, StoreError};

/// Packages that changed behind a number. One may be told although nothing changed; none is missed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PackageChanges {
    /// The number to go on from.
    pub upto: u64,
    /// When `false`, the lists say nothing: there was too much to tell, or the number is too old or from another store.
    pub complete: bool,
    /// As they are now, deleted ones too; each with its number, `None` while its writer has not given it one.
    pub packages: Vec<(Package, Option<u64>)>,
    /// Rows that are no more.
    pub gone: Vec<Gone>,
}

/// The channel and subdir of a package whose row is no more.
#[must_use]
pub fn place_of_gone(gone: &Gone) -> Option<(ChannelId, String)> {
    // Neither ids nor subdirs have anything in them that a key would have to escape.
    let (channel, rest) = gone.id.split_once('/').filter(|_| gone.source == PACKAGES.name)?;
    Some((ChannelId::new(channel)?, rest.split_once('/')?.0.to_owned()))
}

/// What changed in one subdir behind a number. One may be told although nothing changed; none is missed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PlaceChanges {
    /// When `false`, the lists say nothing: there was too much to tell, or the number is too old or from another store.
    pub complete: bool,
    /// As they are now, deleted ones too.
    pub packages: Vec<Package>,
    /// Names of files whose rows were removed. One may be there again: then it is among `packages`.
    pub gone: Vec<String>,
}

/// Digests that packages name; with one that has it as its file, none where only attestations have it.
pub type NamedDigests = BTreeMap<Sha256, Option<Package>>;

/// Packages of hosted channels.
#[async_trait]
pub trait PackageRepo: Send + Sync {
    /// Adds a package.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the channel has a file of this name in this subdir, a deleted one included.
    async fn create(&self, package: &Package) -> Result<(), StoreError>;

    /// By its place.
    async fn get(&self, channel: &ChannelId, subdir: &str, file: &str)
    -> Result<Option<Package>, StoreError>;

    /// A page of one subdir, in the order of file names, behind one of them.
    async fn list(
        &self,
        channel: &ChannelId,
        subdir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Package>, StoreError>;

    /// What changed behind a number that was the counter's, or [`PackageChanges::upto`] of an earlier answer, in all channels; up to
    /// `limit` rows of a kind.
    async fn changed(&self, since: u64, limit: u32) -> Result<PackageChanges, StoreError>;

    /// Whether anything in a subdir changed behind a number, as far as that is still known.
    async fn is_changed(&self, channel: &ChannelId, subdir: &str, since: u64) -> Result<bool, StoreError>;

    /// What changed in a subdir behind a number that was the counter's; up to `limit` rows of a kind.
    async fn changed_in(
        &self,
        channel: &ChannelId,
        subdir: &str,
        since: u64,
        limit: u32,
    ) -> Result<PlaceChanges, StoreError>;

    /// Whether a package of the channel has this label, in whatever subdir and state. Looks at all of them if none has.
    async fn has_label(&self, channel: &ChannelId, label: &str) -> Result<bool, StoreError>;

    /// A page of a whole channel, in the order of subdirs and file names, behind one of them.
    async fn list_all(
        &self,
        channel: &ChannelId,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> Result<Vec<Package>, StoreError>;

    /// The files of a package in a channel, whatever their state, in no order; at most [`LONGEST_PAGE`].
    async fn named(&self, channel: &ChannelId, name: &str) -> Result<Vec<Package>, StoreError>;

    /// Whether a package has these attestations.
    async fn has_attestations(&self, sha256: &Sha256) -> Result<bool, StoreError>;

    /// Which of these digests any package names, as its file or its attestations; with one of the packages that have it as their file.
    async fn of_digests(&self, digests: &[Sha256]) -> Result<NamedDigests, StoreError>;

    /// Up to `limit` packages with this digest, wherever they are.
    async fn by_digest(&self, sha256: &Sha256, limit: u32) -> Result<Vec<Package>, StoreError>;

    /// Replaces everything but the place, if the package is still at `package.revision`; gives the new revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`]
    async fn overwrite(&self, package: &Package) -> Result<u64, StoreError>;

    /// Replaces record, labels, state and when that was, if the package is still at `package.revision`; gives the new revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`]
    async fn update(&self, package: &Package) -> Result<u64, StoreError>;

    /// Forgets a package; `false` when there is none.
    async fn forget(&self, channel: &ChannelId, subdir: &str, file: &str) -> Result<bool, StoreError>;
}

/// What other bytes under a name change.
const REPLACED: &[&str] = &[
    "sha256",
    "size",
    "record",
    "labels",
    "state",
    "uploaded_by",
    "uploaded_at",
    "name",
    "changed_at",
    "attestations",
];

#[async_trait]
impl PackageRepo for Store {
    async fn create(&self, package: &Package) -> Result<(), StoreError> {
        self.rows().add(package).await
    }

    async fn get(
        &self,
        channel: &ChannelId,
        subdir: &str,
        file: &str,
    ) -> Result<Option<Package>, StoreError> {
        self.rows().get(&[channel.to_value(), subdir.into(), file.into()]).await
    }

    async fn list(
        &self,
        channel: &ChannelId,
        subdir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Package>, StoreError> {
        let place = Filter::Every(vec![is("channel", channel.to_value()), is("subdir", subdir)]);
        self.rows().list(place, &["file"], after.map(|file| vec![file.into()]), limit).await
    }

    async fn changed(&self, since: u64, limit: u32) -> Result<PackageChanges, StoreError> {
        // The counter first: what is written while the rows are read is told again next time.
        let upto = self.engine().counter().await?.value;
        let too_much = PackageChanges { upto, ..PackageChanges::default() };
        if since > upto {
            return Ok(too_much);
        }
        let limit = limit.min(LONGEST_PAGE - 1);
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        let query = Query {
            table: &PACKAGES,
            filter: behind_number(since),
            order: &[CHANGED],
            descending: false,
            limit: limit + 1,
        };
        let rows = self.engine().find_numbered(query).await?;
        let removed = Filter::Every(vec![is("source", PACKAGES.name), behind_number(since)]);
        let removed =
            Query { table: &GONE, filter: removed, order: &[CHANGED], descending: false, limit: limit + 1 };
        let gone: Vec<Gone> = self.rows().query(removed).await?;
        // The floor last: it is raised before anything is forgotten, so what was there until now has been read.
        let floor = self.engine().counter().await?.floor;
        if rows.len() > room || gone.len() > room || since < floor {
            return Ok(too_much);
        }
        let numbered = |(row, number): (_, i64)| {
            let number = (number != PENDING).then_some(number.cast_unsigned());
            Ok((Package::from_row(row)?, number))
        };
        let packages = rows.into_iter().map(numbered).collect::<Result<_, StoreError>>()?;
        Ok(PackageChanges { upto, complete: true, packages, gone })
    }

    async fn is_changed(&self, channel: &ChannelId, subdir: &str, since: u64) -> Result<bool, StoreError> {
        let query = Query { limit: 1, ..changed_rows(channel, subdir, since) };
        if !self.engine().find(query).await?.is_empty() {
            return Ok(true);
        }
        let query = Query { limit: 1, ..gone_rows(channel, subdir, since) };
        if !self.engine().find(query).await?.is_empty() {
            return Ok(true);
        }
        let counter = self.engine().counter().await?;
        Ok(since < counter.floor || since > counter.value)
    }

    async fn changed_in(
        &self,
        channel: &ChannelId,
        subdir: &str,
        since: u64,
        limit: u32,
    ) -> Result<PlaceChanges, StoreError> {
        let limit = limit.min(LONGEST_PAGE - 1);
        // What is removed between the two questions is told again next time; what comes back is in the second answer.
        let gone = Query { limit: limit + 1, ..gone_rows(channel, subdir, since) };
        let gone: Vec<Gone> = self.rows().query(gone).await?;
        let rows = Query { limit: limit + 1, ..changed_rows(channel, subdir, since) };
        let packages: Vec<Package> = self.rows().query(rows).await?;
        // The floor last: it is raised before anything is forgotten, so what was there until now has been read.
        let counter = self.engine().counter().await?;
        let is_known = counter.floor <= since && since <= counter.value;
        if !is_known || packages.len().max(gone.len()) > limit as usize {
            return Ok(PlaceChanges::default());
        }
        let begin = key_of_place(channel, subdir);
        let name = |gone: Gone| Some(gone.id.strip_prefix(&begin)?.to_owned());
        Ok(PlaceChanges { complete: true, packages, gone: gone.into_iter().filter_map(name).collect() })
    }

    async fn has_label(&self, channel: &ChannelId, label: &str) -> Result<bool, StoreError> {
        let filter =
            Filter::Every(vec![is("channel", channel.to_value()), Filter::Has("labels", label.to_owned())]);
        let query = Query { table: &PACKAGES, filter, order: PACKAGES.key, descending: false, limit: 1 };
        Ok(!self.engine().find(query).await?.is_empty())
    }

    async fn list_all(
        &self,
        channel: &ChannelId,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> Result<Vec<Package>, StoreError> {
        let after = after.map(|(subdir, file)| vec![subdir.into(), file.into()]);
        self.rows().list(is("channel", channel.to_value()), &["subdir", "file"], after, limit).await
    }

    async fn named(&self, channel: &ChannelId, name: &str) -> Result<Vec<Package>, StoreError> {
        let filter = Filter::Every(vec![is("channel", channel.to_value()), is("name", name)]);
        self.rows().list(filter, PACKAGES.key, None, LONGEST_PAGE).await
    }

    async fn has_attestations(&self, sha256: &Sha256) -> Result<bool, StoreError> {
        let found: Vec<Package> =
            self.rows().list(is("attestations", sha256.to_value()), PACKAGES.key, None, 1).await?;
        Ok(!found.is_empty())
    }

    async fn of_digests(&self, digests: &[Sha256]) -> Result<NamedDigests, StoreError> {
        let mut named = NamedDigests::new();
        for column in ["attestations", "sha256"] {
            // Many rows may name one digest: what a full page left out is asked for again.
            let mut open: Vec<Sha256> = digests.to_vec();
            while !open.is_empty() {
                let among = Filter::Among(column, open.iter().map(Sha256::to_value).collect());
                let rows: Vec<Package> = self.rows().list(among, PACKAGES.key, None, LONGEST_PAGE).await?;
                let is_last = rows.len() < LONGEST_PAGE as usize;
                for row in rows {
                    let file = column == "sha256";
                    let digest = if file { Some(row.sha256) } else { row.attestations };
                    let Some(digest) = digest else { continue };
                    let known = named.entry(digest).or_insert(None);
                    if file && known.is_none() {
                        *known = Some(row);
                    }
                    open.retain(|other| *other != digest);
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(named)
    }

    async fn overwrite(&self, package: &Package) -> Result<u64, StoreError> {
        self.rows().replace(package, REPLACED, package.revision).await
    }

    async fn by_digest(&self, sha256: &Sha256, limit: u32) -> Result<Vec<Package>, StoreError> {
        self.rows().list(is("sha256", sha256.to_value()), PACKAGES.key, None, limit).await
    }

    async fn update(&self, package: &Package) -> Result<u64, StoreError> {
        self.rows().replace(package, &["record", "labels", "state", "changed_at"], package.revision).await
    }

    async fn forget(&self, channel: &ChannelId, subdir: &str, file: &str) -> Result<bool, StoreError> {
        self.rows().remove::<Package>(vec![channel.to_value(), subdir.into(), file.into()]).await
    }
}

/// What every key of a subdir begins with: `<channel>/<subdir>/`.
fn key_of_place(channel: &ChannelId, subdir: &str) -> String {
    PACKAGES.key_text(&[channel.to_value(), subdir.into(), "".into()])
}

/// The rows of a subdir that changed behind a number.
fn changed_rows(channel: &ChannelId, subdir: &str, since: u64) -> Query {
    let place = [is("channel", channel.to_value()), is("subdir", subdir), behind_number(since)];
    Query {
        table: &PACKAGES,
        filter: Filter::Every(place.into()),
        order: &[CHANGED],
        descending: false,
        limit: LONGEST_PAGE,
    }
}

/// The rows of a subdir that were removed behind a number.
fn gone_rows(channel: &ChannelId, subdir: &str, since: u64) -> Query {
    let begin = key_of_place(channel, subdir);
    // `0` comes right behind `/`.
    let end = format!("{}0", begin.trim_end_matches('/'));
    let removed = Filter::Every(vec![
        is("source", PACKAGES.name),
        Filter::Column("id", Compare::AtLeast, begin.as_str().into()),
        Filter::Column("id", Compare::Below, end.as_str().into()),
        behind_number(since),
    ]);
    Query { table: &GONE, filter: removed, order: GONE.key, descending: false, limit: LONGEST_PAGE }
}

fn behind_number(since: u64) -> Filter {
    Filter::Column(CHANGED, Compare::Above, Value::Int(since.cast_signed()))
}
