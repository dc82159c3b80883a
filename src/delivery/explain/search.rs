//! All records that a spec fits, in every index here or in one.
//!
//! Belongs here: where to look, order, counts, names that are near. Does not: why a record is hidden (`records`).

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use super::question::Wanted;
use super::records::{Found, MOST, Names};
use super::values::{Counts, RecordExplained, SpecExplained, moment};
use super::{ExplainError, Explainer};
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::spec::{Candidate, Fit, LazyVersion, Spec, SpecName, Version};
use crate::conda::subdir::Subdir;
use crate::policy::mistake::nearest_few;
use crate::snapshot::{Place, channel_of};

/// Records that are told; the others are counted.
const TOLD: usize = 1000;
/// Names that are told when there is none such.
const NEAREST: usize = 5;

/// An index to look into.
struct Shelf {
    place: Place,
    asked: ChannelRef,
    subdir: Subdir,
}

impl Shelf {
    fn name(&self) -> String {
        format!("{}/{}", self.asked, self.subdir)
    }
}

impl Explainer<'_> {
    pub(super) fn search(&self, wanted: &Wanted) -> Result<SpecExplained, ExplainError> {
        let names = Names::of(&wanted.spec)?;
        let shelves = self.shelves(wanted)?;
        let (mut fitting, mut others) = (Vec::new(), 0_usize);
        for (n, shelf) in shelves.iter().enumerate() {
            let found = self.records(&shelf.place, &shelf.asked, &shelf.subdir, &names)?;
            let all = found.len();
            let fits = found.into_iter().filter(|record| fits(&wanted.spec, record));
            let before = fitting.len();
            fitting.extend(fits.map(|record| (n, record)));
            others += all - (fitting.len() - before);
            if fitting.len() > MOST {
                return Err(ExplainError::TooMany(MOST));
            }
        }
        let nobody = fitting.is_empty() && others == 0;
        let nearest = if nobody { self.nearest(&wanted.spec, &shelves) } else { Vec::new() };
        let counts = count(&fitting);
        let sentence = sentence(&wanted.spec, shelves.len(), &counts, others, &nearest);
        fitting.sort_by_cached_key(|(shelf, record)| {
            let version = record.version.as_deref().and_then(Version::parse);
            (Reverse((version, record.build_number)), *shelf, record.file.clone())
        });
        let more = fitting.len().saturating_sub(TOLD);
        let told = fitting.into_iter().take(TOLD);
        Ok(SpecExplained {
            sentence,
            spec: wanted.spec.text().to_owned(),
            searched: shelves.iter().map(Shelf::name).collect(),
            counts,
            records: told.filter_map(|(n, record)| Some(tell(shelves.get(n)?, record))).collect(),
            more,
            nearest,
            access: Vec::new(),
        })
    }

    /// The indexes to look into, by name.
    fn shelves(&self, wanted: &Wanted) -> Result<Vec<Shelf>, ExplainError> {
        let channels = match &wanted.channel {
            Some(asked) => {
                let place = self.place(&asked.name);
                let place = place.ok_or_else(|| self.nowhere(asked))?;
                if let Place::Virtual(channel) = &place
                    && asked.label.is_some()
                {
                    return Err(ExplainError::NoLabels(channel.label.to_string()));
                }
                vec![(asked.clone(), place)]
            }
            None => self.channels_here(),
        };
        let mut shelves = Vec::new();
        for (asked, place) in channels {
            for subdir in self.subdirs(&place, &asked) {
                if wanted.subdir.as_ref().is_none_or(|only| *only == subdir) {
                    shelves.push(Shelf { place: place.clone(), asked: asked.clone(), subdir });
                }
            }
        }
        shelves.sort_by_key(Shelf::name);
        Ok(shelves)
    }

    /// Every channel with an index on disk, each once, under a name that means it now: one that a rule names, else its own.
    pub(super) fn channels_here(&self) -> Vec<(ChannelRef, Place)> {
        let named: Vec<ChannelName> = self.view.names().cloned().collect();
        let find = |stored: ChannelRef| {
            // The views of callers for whom other rules count are kept under other names.
            let kept = channel_of(&stored.name);
            let kept = kept.as_ref().unwrap_or(&stored.name).as_str();
            let own = kept.split_once('/').and_then(|(_, name)| ChannelName::parse(name));
            named.iter().cloned().chain(own).find_map(|name| {
                let asked = ChannelRef { name, label: stored.label.clone() };
                let place = self.place(&asked.name)?;
                (place.stored_as(&asked) == stored).then_some((asked, place))
            })
        };
        self.store.channels().into_iter().filter_map(find).collect()
    }

    /// The subdirs of a channel that have an index here; of a virtual one, also those of its members.
    pub(super) fn subdirs(&self, place: &Place, asked: &ChannelRef) -> BTreeSet<Subdir> {
        let mut all: BTreeSet<_> = self.store.subdirs(&place.stored_as(asked)).into_iter().collect();
        if let Place::Virtual(channel) = place {
            for member in &channel.members {
                all.extend(self.subdirs(&member.place, &member.asked));
            }
        }
        all
    }

    fn nearest(&self, spec: &Spec, shelves: &[Shelf]) -> Vec<String> {
        let SpecName::Exact(name) = spec.name() else { return Vec::new() };
        let mut known = HashSet::new();
        for shelf in shelves {
            self.names_in(&shelf.place, &shelf.asked, &shelf.subdir, &mut known);
        }
        let near = nearest_few(name, known.iter().map(String::as_str), NEAREST);
        near.into_iter().map(str::to_owned).collect()
    }
}

/// A version that can't be compared fits: better told than missed.
fn fits(spec: &Spec, record: &Found) -> bool {
    let candidate = Candidate {
        version: LazyVersion::new(record.version.as_deref()),
        build: record.build.as_deref(),
        build_number: record.build_number,
        file: &record.file,
        md5: record.md5,
        sha256: record.sha256,
    };
    spec.fits(&candidate) != Fit::No
}

fn count(fitting: &[(usize, Found)]) -> Counts {
    let mut counts = Counts { records: fitting.len(), ..Counts::default() };
    for (_, record) in fitting {
        match &record.left {
            None => counts.shown += 1,
            Some(left) => {
                counts.hidden += 1;
                if let Some(rule) = &left.rule {
                    *counts.by_rule.entry(rule.id.clone()).or_default() += 1;
                }
            }
        }
    }
    counts
}

fn tell(shelf: &Shelf, record: Found) -> RecordExplained {
    let shown = record.left.is_none();
    let (hidden_by, sentence) = record.left.map_or((None, None), |left| (left.rule, Some(left.sentence)));
    RecordExplained {
        channel: shelf.asked.to_string(),
        subdir: shelf.subdir.to_string(),
        member: record.member.map(|(_, member)| member),
        name: record.name,
        version: record.version,
        build: record.build,
        build_number: record.build_number,
        file: record.file,
        shown,
        hidden_by,
        sentence,
        until: moment(record.until),
    }
}

fn sentence(spec: &Spec, indexes: usize, counts: &Counts, others: usize, nearest: &[String]) -> String {
    let text = spec.text();
    let plural = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let places = plural(indexes, "index", "indexes");
    if indexes == 0 {
        return "there is no such index here yet; it is fetched when a client first asks for it".to_owned();
    }
    if counts.records == 0 && others == 0 {
        let near: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
        let near = if near.is_empty() { String::new() } else { format!("; near it: {}", near.join(", ")) };
        return format!("no record in {places} has the name of `{text}`{near}");
    }
    if counts.records == 0 {
        let others = plural(others, "other record", "other records");
        return format!("no record in {places} fits `{text}`; there are {others} of that name");
    }
    let records = plural(counts.records, "record", "records");
    let fit = if counts.records == 1 { "fits" } else { "fit" };
    format!("{records} in {places} {fit} `{text}`: {} shown, {} not", counts.shown, counts.hidden)
}
