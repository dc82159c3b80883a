//! What there is in a channel, for people: packages with their latest versions, the files of one package.
//!
//! Everything comes from the indexes that are here; nothing is fetched for it. What was found out about an index is remembered as long as that
//! is in force. When a large channel gets a new one, what was known is shown until the new one has been walked over.
//!
//! Belongs here: putting subdirs together. Does not: walking over one index (`repodata::summary`), who may see a channel (`policy::access`).

mod files;
mod names;
mod visible;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::{Delivery, Refusal};
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::{KNOWN, Subdir};
use crate::repodata::generation::Generation;
use crate::repodata::needs::Needs;
use crate::repodata::summary::Summary;
use crate::snapshot::Place;

pub use files::{Fate, PackageFile, RecordOfFile};
pub use names::{Line, Names, Order};
pub use visible::{Beholder, Spot};

/// How long a page waits for the index of a channel in which something was published a moment ago.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long what nobody asks for is remembered.
const IDLE: Duration = Duration::from_mins(30);
/// How long the list of channels is believed.
const LISTED: Duration = Duration::from_secs(5);
/// Files in all subdirs up to which a new index is waited for; the walk over so many takes some tens of milliseconds.
const SMALL: usize = 20_000;

/// What there is in a channel, as some callers see it.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// The indexes that are here, in order.
    pub subdirs: Vec<SubdirState>,
    /// The packages in all of them.
    pub names: Names,
    /// Which generations it was made of.
    made_of: Vec<Arc<str>>,
}

/// An index that is here.
#[derive(Clone, Debug)]
pub struct SubdirState {
    /// Of which subdir.
    pub subdir: Subdir,
    /// Files that are shown.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that are known and not shown.
    pub withheld: u64,
    /// When it was built.
    pub built: UnixMillis,
    /// When upstream last said that this is what it has.
    pub checked: UnixMillis,
}

/// What is remembered.
pub(super) struct Catalogues {
    summaries: Cache<Arc<str>, Arc<Summary>>,
    /// A megabyte or two each for a large channel.
    needs: Cache<Arc<str>, Arc<Needs>>,
    known: Cache<ChannelRef, Arc<Catalogue>>,
    making: moka::future::Cache<ChannelRef, Arc<Catalogue>>,
    channels: Cache<(), Arc<[ChannelRef]>>,
}

impl Catalogues {
    pub(super) fn new() -> Self {
        let summaries = Cache::builder().max_capacity(64).time_to_idle(IDLE).build();
        let needs = Cache::builder().max_capacity(16).time_to_idle(IDLE).build();
        let known = Cache::builder().max_capacity(64).time_to_idle(IDLE).build();
        // Only who makes one is in it; it is empty when they are done.
        let making = moka::future::Cache::builder().max_capacity(64).build();
        let channels = Cache::builder().max_capacity(1).time_to_live(LISTED).build();
        Self { summaries, needs, known, making, channels }
    }
}

type Here = Vec<(Subdir, Arc<Generation>)>;

impl Delivery {
    /// What there is in a channel.
    pub async fn catalogue(&self, place: &Place, asked: &ChannelRef) -> Arc<Catalogue> {
        let here = self.indexes_here(place, asked).await;
        let stored = place.stored_as(asked);
        let known = self.inner.catalogues.known.get(&stored);
        let same = |known: &Catalogue| {
            known.made_of.len() == here.len()
                && here.iter().zip(&known.made_of).all(|((_, generation), key)| generation.key() == *key)
        };
        if let Some(known) = known.as_ref().filter(|known| same(known)) {
            return Arc::new(Catalogue { subdirs: known.with_times(&here), ..known.again() });
        }
        let is_small = here.iter().map(|(_, generation)| generation.table().len()).sum::<usize>() <= SMALL;
        let making = self.make_catalogue(stored, here);
        match known.filter(|_| !is_small) {
            Some(known) => {
                self.inner.runtime.spawn(making);
                known
            }
            // It runs to its end whoever waits.
            None => self.inner.runtime.spawn(making).await.unwrap_or_default(),
        }
    }

    /// The packages that need one, in order of their names: in any subdir by the newest file there that is shown.
    pub async fn needed_by(&self, place: &Place, asked: &ChannelRef, name: &str) -> Vec<String> {
        let here = self.indexes_here(place, asked).await;
        let (this, name) = (self.clone(), name.to_owned());
        let look = move || {
            let all: Vec<_> = here.iter().map(|(_, generation)| this.needs(generation)).collect();
            let found: BTreeSet<&str> = all.iter().flat_map(|needs| needs.of_package(&name)).collect();
            found.into_iter().map(str::to_owned).collect()
        };
        self.inner.runtime.spawn_blocking(look).await.unwrap_or_default()
    }

    fn needs(&self, generation: &Generation) -> Arc<Needs> {
        let make = || Needs::of(generation, &self.summary(generation)).map(Arc::new);
        self.inner.catalogues.needs.try_get_with(generation.key(), make).unwrap_or_else(|error| {
            tracing::warn!(%error, "the records of an index can't be read; nothing is told of what needs its packages");
            Arc::default()
        })
    }

    /// The channels that have an index here, as indexes are kept. What was found is believed for some seconds.
    pub async fn channels_here(&self) -> Arc<[ChannelRef]> {
        if let Some(known) = self.inner.catalogues.channels.get(&()) {
            return known;
        }
        let store = Arc::clone(&self.inner.generations);
        let found = self.inner.runtime.spawn_blocking(move || store.channels()).await;
        let found: Arc<[ChannelRef]> = found.unwrap_or_default().into();
        self.inner.catalogues.channels.insert((), Arc::clone(&found));
        found
    }

    /// Makes one; who asks for the same one meanwhile waits for it.
    fn make_catalogue(&self, stored: ChannelRef, here: Here) -> impl Future<Output = Arc<Catalogue>> + use<> {
        let this = self.clone();
        async move {
            let inner = Arc::clone(&this.inner);
            let made = inner.catalogues.making.get_with_by_ref(&stored, async {
                let work = this.inner.runtime.spawn_blocking({
                    let this = this.clone();
                    move || this.walked(&here)
                });
                Arc::new(work.await.unwrap_or_default())
            });
            let made = made.await;
            inner.catalogues.known.insert(stored.clone(), Arc::clone(&made));
            inner.catalogues.making.invalidate(&stored).await;
            made
        }
    }

    fn walked(&self, here: &Here) -> Catalogue {
        let summaries: Vec<_> = here.iter().map(|(_, generation)| self.summary(generation)).collect();
        let subdirs = here.iter().zip(&summaries);
        let subdirs = subdirs.map(|((subdir, generation), summary)| state(subdir, generation, summary));
        Catalogue {
            subdirs: subdirs.collect(),
            names: Names::of(&summaries),
            made_of: here.iter().map(|(_, generation)| generation.key()).collect(),
        }
    }

    fn summary(&self, generation: &Generation) -> Arc<Summary> {
        let make = || Arc::new(Summary::of(generation));
        self.inner.catalogues.summaries.get_with(generation.key(), make)
    }

    /// The indexes of a channel that are here, in the order of subdirs. Those of hosted channels are made where there is something new.
    async fn indexes_here(&self, place: &Place, asked: &ChannelRef) -> Here {
        let mut found = Vec::new();
        for subdir in self.subdirs_here(place, asked) {
            if let Some(generation) = self.index_here(place, asked, &subdir).await {
                found.push((subdir, generation));
            }
        }
        found
    }

    fn subdirs_here(&self, place: &Place, asked: &ChannelRef) -> Vec<Subdir> {
        let mut subdirs = self.inner.generations.subdirs(&place.stored_as(asked));
        if place.has_hosted() {
            // Something may have been published where there was nothing.
            subdirs.extend(KNOWN.iter().filter_map(|known| Subdir::parse(known)));
        }
        if let Place::Virtual(channel) = place {
            for member in &channel.members {
                subdirs.extend(self.subdirs_here(&member.place, &member.asked));
            }
        }
        subdirs.sort_unstable();
        subdirs.dedup();
        subdirs
    }

    async fn index_here(
        &self,
        place: &Place,
        asked: &ChannelRef,
        subdir: &Subdir,
    ) -> Option<Arc<Generation>> {
        let newest = async {
            match place {
                Place::Source(channel) if channel.hosted().is_some() => {
                    self.generation(channel, asked, subdir).await
                }
                Place::Virtual(channel) if channel.has_hosted => self.merged(channel, subdir).await,
                _ => Err(Refusal::NotFound(String::new())),
            }
        };
        match tokio::time::timeout(PATIENCE, newest).await {
            Ok(Ok((generation, _))) => Some(generation),
            _ => self.shown(&(place.stored_as(asked), subdir.clone())).await,
        }
    }
}

fn state(subdir: &Subdir, generation: &Generation, summary: &Summary) -> SubdirState {
    SubdirState {
        subdir: subdir.clone(),
        files: summary.files,
        bytes: summary.bytes,
        withheld: summary.withheld,
        built: generation.built_at(),
        checked: generation.checked_at(),
    }
}

impl Catalogue {
    /// Files that are shown in all subdirs.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.subdirs.iter().map(|subdir| subdir.files).sum()
    }

    /// Bytes of them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.subdirs.iter().map(|subdir| subdir.bytes).sum()
    }

    /// Files that are known and not shown.
    #[must_use]
    pub fn withheld(&self) -> u64 {
        self.subdirs.iter().map(|subdir| subdir.withheld).sum()
    }

    /// In which subdirs a package is.
    pub fn subdirs_of<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = &'a Subdir> {
        let places = self.subdirs.iter().enumerate();
        let has = places.filter(|(place, _)| line.subdirs >> (*place).min(63) & 1 == 1);
        has.map(|(_, state)| &state.subdir)
    }

    fn with_times(&self, here: &Here) -> Vec<SubdirState> {
        let now = self.subdirs.iter().zip(here);
        now.map(|(state, (_, generation))| SubdirState { checked: generation.checked_at(), ..state.clone() })
            .collect()
    }

    fn again(&self) -> Self {
        Self { subdirs: Vec::new(), names: self.names.clone(), made_of: self.made_of.clone() }
    }
}
