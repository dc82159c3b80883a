//! One package of a channel as people look at it: a version, what it says of itself, what needs it, how often it was fetched.
//!
//! Belongs here: putting that together. Does not: files and records (`delivery::catalogue`), what is in packages (`channel`).

use std::sync::Arc;

use serde_json::Value;

use super::Sight;
use crate::clock::UnixMillis;
use crate::conda::spec::dependency_name;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::delivery::catalogue::{Catalogue, Fate, PackageFile, RecordOfFile, Spot};
use crate::people::People;
use crate::snapshot::Place;
use crate::store::model::Downloads;

/// Files whose downloads are counted, and rows of each.
const COUNTED: usize = 20;
const ROWS: usize = 20_000;
/// The indexes that most clients ask for.
const USUAL: [&str; 2] = ["noarch", "linux-64"];

/// A version of a package.
#[derive(Clone, Debug)]
pub struct VersionSeen {
    /// As in file names.
    pub version: String,
    /// Whether it is the latest that is shown.
    pub latest: bool,
    /// Its files.
    pub files: Vec<PackageFile>,
}

/// What a package says of itself; empty where it says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// As its record has it.
    pub license: String,
    /// A line.
    pub summary: String,
    /// Paragraphs with empty lines between them.
    pub description: String,
    /// URLs of http and https.
    pub home: Option<String>,
    /// Likewise.
    pub documentation: Option<String>,
    /// Likewise.
    pub source: Option<String>,
}

/// What a package needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Depend {
    /// A spec.
    pub text: String,
    /// Where it is a package of this channel: its name.
    pub package: Option<String>,
}

/// The version that was asked for if there is one, else the latest that is shown, else the latest; out of all files of a package.
#[must_use]
pub fn version_of(all: &[PackageFile], asked: Option<&str>) -> Option<VersionSeen> {
    let latest = all.iter().find(|file| file.fate == Fate::Shown);
    let asked = asked.and_then(|asked| all.iter().find(|file| file.version == asked));
    let version = asked.or(latest).or(all.first())?.version.clone();
    let files = all.iter().filter(|file| file.version == version).cloned().collect();
    Some(VersionSeen { latest: latest.is_some_and(|file| file.version == version), files, version })
}

/// A list of texts in a record.
#[must_use]
pub fn texts(record: &Value, key: &str) -> Vec<String> {
    let all = record.get(key).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What a record names as dependencies.
#[must_use]
pub fn depends(all: &Catalogue, record: &RecordOfFile) -> Vec<Depend> {
    let one = |text: String| {
        let name = dependency_name(&text);
        let package = all.names.find(name).map(|line| line.name.to_string());
        Depend { text, package }
    };
    texts(&record.record, "depends").into_iter().map(one).collect()
}

impl Sight {
    /// The record that speaks for a version: of a file that is shown, if one is.
    pub async fn record_of(&self, spot: &Spot, seen: &VersionSeen) -> Option<RecordOfFile> {
        let first = seen.files.iter().find(|file| file.fate == Fate::Shown).or(seen.files.first());
        let first = first.cloned().into_iter().collect();
        self.delivery.records_of(&spot.place, &spot.asked(), first).await.pop()
    }

    /// What a package says of itself: its record, and of hosted ones what is in the package.
    pub async fn about(&self, spot: &Spot, record: Option<&RecordOfFile>) -> About {
        let Some(record) = record else { return About::default() };
        let text =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut about = About { license: text(&record.record, "license"), ..About::default() };
        let Some(digest) = record.file.sha256.filter(|_| spot.is_hosted()) else { return about };
        let Ok(contents) = self.hosting.about(digest).await else { return about };
        let Some(said) = contents.get("about") else { return about };
        let link = |key: &str| {
            let first = match said.get(key)? {
                Value::Array(all) => all.first()?.as_str()?,
                other => other.as_str()?,
            };
            let is_web = first.starts_with("https://") || first.starts_with("http://");
            is_web.then(|| first.to_owned())
        };
        about.summary = text(said, "summary");
        about.description = text(said, "description");
        (about.home, about.documentation, about.source) = (link("home"), link("doc_url"), link("dev_url"));
        about
    }

    /// The packages that need one, in the order of their names: by the newest file in each subdir that is shown.
    pub async fn needed_by(&self, spot: &Spot, name: &str) -> Vec<String> {
        self.delivery.needed_by(&spot.place, &spot.asked(), name).await
    }

    /// How often files were fetched on each of the last `days` days, today the last. Who fetched them is not said.
    pub async fn fetched(
        &self,
        people: &People,
        files: &[PackageFile],
        (days, now): (u32, UnixMillis),
    ) -> Vec<u64> {
        let today = day_of(now);
        let mut counts = vec![0_u64; days as usize];
        for digest in files.iter().filter_map(|file| file.sha256).take(COUNTED) {
            let (mut after, mut read) = (None::<Downloads>, 0);
            while read < ROWS {
                let Ok(rows) = people.downloads(&digest, after.as_ref(), 1000).await else { break };
                for row in &rows {
                    let ago = today.saturating_sub(row.day) as usize;
                    let day = counts.len().checked_sub(ago + 1).and_then(|day| counts.get_mut(day));
                    if let Some(day) = day {
                        *day += row.count;
                    }
                }
                read += rows.len();
                after = rows.into_iter().next_back();
                if after.is_none() {
                    break;
                }
            }
        }
        counts
    }

    /// Asks for the indexes that most clients ask for. They come while nobody waits for them. `false` where the channel is made of others, whose
    /// indexes are to be loaded instead.
    #[must_use]
    pub fn load(&self, spot: &Spot) -> bool {
        let Place::Source(channel) = &spot.place else { return false };
        for subdir in USUAL.into_iter().filter_map(Subdir::parse) {
            let (delivery, channel, asked) = (self.delivery.clone(), Arc::clone(channel), spot.asked());
            tokio::spawn(async move {
                let file = IndexFile::Repodata(Packing::Zst);
                if let Err(refusal) = delivery.index(&channel, &asked, &subdir, file).await {
                    tracing::info!(channel.name = %asked, %subdir, %refusal, "an index that a reader asked for did not come");
                }
            });
        }
        true
    }
}

/// Days since 1970.
#[must_use]
pub fn day_of(at: UnixMillis) -> u32 {
    u32::try_from(at.0 / 86_400_000).unwrap_or(0)
}
