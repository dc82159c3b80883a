//! One package of a channel: its versions, files, dependencies, what it says of itself, how often it was fetched.
//!
//! Belongs here: the page. Does not: why a file is hidden (`why`), what may be done with it (`upkeep`).

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use super::channel::{Asked, install_from};
use super::desk::Desk;
use super::page::{self, Page, Turn};
use super::show::{When, count, size};
use super::sorry::Sorry;
use super::spark::Spark;
use super::why;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::conda::spec::dependency_name;
use crate::delivery::catalogue::Spot;
use crate::delivery::catalogue::{Catalogue, Fate, PackageFile, RecordOfFile};
use crate::policy::access::Right;
use crate::store::model::{Downloads, PackageState};

/// Versions of a page, which are listed beside the files.
const VERSIONS: usize = 60;
/// Files of one version on a page.
const FILES: usize = 60;
/// Packages that are listed as needing it.
const NEEDED: usize = 200;
/// Days of the small chart, and files that it counts.
const DAYS: u32 = 30;
const COUNTED: usize = 20;
/// Files of a channel up to which everything is read to find out what needs a package.
const SMALL: u64 = 5_000;

struct Version {
    text: String,
    files: usize,
    hidden: bool,
    current: bool,
}

struct FileRow {
    subdir: String,
    file: String,
    size: String,
    sha256: String,
    seen: Option<When>,
    /// A word and its colour where it is not simply there.
    state: Option<(&'static str, &'static str)>,
    labels: Vec<String>,
    link: String,
    is_listed: bool,
    is_yanked: bool,
    may_write: bool,
}

struct Depend {
    text: String,
    /// Where it is a package of this channel.
    package: Option<String>,
}

#[derive(Default)]
struct About {
    license: String,
    summary: String,
    description: Vec<String>,
    links: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "package.html")]
struct PackagePage {
    page: Page,
    channel: String,
    name: String,
    version: String,
    latest: bool,
    versions: Vec<Version>,
    version_turn: Turn,
    files: Vec<FileRow>,
    file_turn: Turn,
    depends: Vec<Depend>,
    constrains: Vec<String>,
    needed_by: Option<Vec<String>>,
    more_needed: usize,
    may_ask_needs: bool,
    about: About,
    installs: Vec<(&'static str, String)>,
    spark: Option<Spark>,
    may_write: bool,
}

pub(super) async fn show(desk: &Desk, spot: &Spot, name: &str, asked: &Asked) -> Result<Response, Sorry> {
    if let Some(file) = &asked.why {
        return why::show(desk, spot, name, file).await;
    }
    let delivery = &desk.web.delivery;
    let all = delivery.package_files(&spot.place, &spot.asked(), name).await;
    let chosen = chosen(&all, asked.version.as_deref());
    let Some(version) = chosen else {
        return Err(unknown(spot, name));
    };
    let of_version: Vec<PackageFile> = all.iter().filter(|file| file.version == version).cloned().collect();
    let may_write = spot.is_hosted() && desk.may(&spot.name, Right::Write, Some(name));
    let file_turn = file_turn(desk, (spot, name, &version), asked, of_version.len());
    let shown: Vec<PackageFile> = of_version.iter().skip(file_turn.first).take(FILES).cloned().collect();
    let first = of_version.iter().find(|file| file.fate == Fate::Shown).or(of_version.first()).cloned();
    let records = delivery.records_of(&spot.place, &spot.asked(), first.into_iter().collect()).await;
    let catalogue = delivery.catalogue(&spot.place, &spot.asked()).await;
    let record = records.first();
    let spark = spark(desk, &of_version).await;
    let is_small = catalogue.files() <= SMALL;
    let mut needed_by = match asked.needs {
        Some(_) if is_small => Some(needed_by(desk, spot, &catalogue, name).await),
        _ => None,
    };
    let more_needed = needed_by.as_ref().map_or(0, |all| all.len().saturating_sub(NEEDED));
    needed_by.iter_mut().for_each(|all| all.truncate(NEEDED));
    let all_versions: Vec<&[PackageFile]> = all.chunk_by(|a, b| a.version == b.version).collect();
    let version_turn = version_turn(desk, (spot, name, &version), asked, &all_versions);
    Ok(page::show(&PackagePage {
        page: desk.page("channels"),
        channel: spot.name.to_string(),
        name: name.to_owned(),
        latest: all.iter().find(|file| file.fate == Fate::Shown).is_some_and(|file| file.version == version),
        versions: versions(&all_versions, &version_turn, &version),
        version_turn,
        files: file_rows(desk, spot, (name, &shown), may_write).await,
        file_turn,
        depends: record.map_or_else(Vec::new, |record| depends(&catalogue, record)),
        constrains: record.map_or_else(Vec::new, |record| texts(&record.record, "constrains")),
        needed_by,
        more_needed,
        may_ask_needs: is_small,
        about: about(desk, spot, record).await,
        installs: installs(desk, spot, name, &of_version),
        spark,
        may_write,
        version,
    }))
}

fn unknown(spot: &Spot, name: &str) -> Sorry {
    Sorry::not_found(format!(
        "The indexes of {} that are here have no package {name}. It may be spelt otherwise, or be in a subdir whose index nobody has asked \
         for yet.",
        spot.name
    ))
}

/// The version that was asked for, or the latest that is shown, or the latest.
fn chosen(all: &[PackageFile], asked: Option<&str>) -> Option<String> {
    let asked = asked.and_then(|asked| all.iter().find(|file| file.version == asked));
    let latest = || all.iter().find(|file| file.fate == Fate::Shown).or(all.first());
    asked.or_else(latest).map(|file| file.version.clone())
}

/// The address of the page with one parameter more, whose value is to follow.
fn link(desk: &Desk, (spot, name, version): (&Spot, &str, &str), parameter: &str) -> String {
    let version = crate::upstream::encode_path_segment(version);
    desk.link(&format!("/-/ui/channels/{}/-/{name}?version={version}&{parameter}=", spot.name))
}

fn file_turn(desk: &Desk, place: (&Spot, &str, &str), asked: &Asked, files: usize) -> Turn {
    Turn::new(files, FILES, asked.files.unwrap_or(1), (link(desk, place, "files"), "#files"))
}

/// Where nothing is said it is the page with the version that is shown.
fn version_turn(desk: &Desk, place: (&Spot, &str, &str), asked: &Asked, all: &[&[PackageFile]]) -> Turn {
    let is_it = |files: &&[PackageFile]| files.first().is_some_and(|file| file.version == place.2);
    let its = all.iter().position(is_it).map_or(1, |at| at / VERSIONS + 1);
    let link = (link(desk, place, "versions"), "#versions");
    Turn::new(all.len(), VERSIONS, asked.versions.unwrap_or(its), link)
}

fn versions(all: &[&[PackageFile]], turn: &Turn, current: &str) -> Vec<Version> {
    let of = |files: &&[PackageFile]| {
        let text = files.first().map_or_else(String::new, |file| file.version.clone());
        Version {
            files: files.len(),
            hidden: files.iter().all(|file| file.fate != Fate::Shown),
            current: text == current,
            text,
        }
    };
    all.iter().skip(turn.first).take(VERSIONS).map(of).collect()
}

async fn file_rows(
    desk: &Desk,
    spot: &Spot,
    (name, files): (&str, &[PackageFile]),
    may_write: bool,
) -> Vec<FileRow> {
    let stored = if spot.is_hosted() {
        desk.web.hosting.desk().packages_named(&spot.name, name).await.unwrap_or_default()
    } else {
        Vec::new()
    };
    let row = |file: &PackageFile| {
        let stored = stored.iter().find(|row| *row.subdir == *file.subdir.as_str() && row.file == file.file);
        let is_yanked = stored.is_some_and(|row| row.state == PackageState::Yanked);
        FileRow {
            subdir: file.subdir.to_string(),
            size: file.size.map_or_else(|| "–".to_owned(), size),
            sha256: file.sha256.map_or_else(String::new, |digest| digest.to_hex()),
            seen: file.seen.map(|at| When::new(at, desk.now())),
            state: if is_yanked { Some(("yanked", "care")) } else { word(file.fate) },
            labels: stored.map_or_else(Vec::new, |row| row.labels.clone()),
            link: format!("{}/{}/{}/{}", desk.web.base, spot.name, file.subdir, file.file),
            is_listed: file.fate == Fate::Shown,
            is_yanked,
            may_write: may_write && stored.is_some(),
            file: file.file.clone(),
        }
    };
    files.iter().map(row).collect()
}

const fn word(fate: Fate) -> Option<(&'static str, &'static str)> {
    match fate {
        Fate::Shown => None,
        Fate::Left => Some(("left the index", "")),
        Fate::Hidden => Some(("hidden", "care")),
        Fate::Refused => Some(("refused", "bad")),
    }
}

fn texts(record: &Value, key: &str) -> Vec<String> {
    let all = record.get(key).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn depends(all: &Catalogue, record: &RecordOfFile) -> Vec<Depend> {
    let one = |text: String| {
        let name = dependency_name(&text);
        let package = all.names.find(name).map(|line| line.name.to_string());
        Depend { text, package }
    };
    texts(&record.record, "depends").into_iter().map(one).collect()
}

/// What the newest files of a small channel need.
async fn needed_by(desk: &Desk, spot: &Spot, all: &Catalogue, name: &str) -> Vec<String> {
    let (mut found, delivery) = (Vec::new(), &desk.web.delivery);
    for line in all.names.matching("", crate::delivery::catalogue::Order::Name) {
        let files = delivery.package_files(&spot.place, &spot.asked(), &line.name).await;
        let newest: Vec<_> = files.into_iter().find(|file| file.fate == Fate::Shown).into_iter().collect();
        let records = delivery.records_of(&spot.place, &spot.asked(), newest).await;
        let needs = |record: &RecordOfFile| {
            texts(&record.record, "depends").iter().any(|text| dependency_name(text) == name)
        };
        if records.iter().any(needs) {
            found.push(line.name.to_string());
        }
    }
    found
}

async fn about(desk: &Desk, spot: &Spot, record: Option<&RecordOfFile>) -> About {
    let Some(record) = record else { return About::default() };
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut about = About { license: text(&record.record, "license"), ..About::default() };
    let Some(digest) = record.file.sha256.filter(|_| spot.is_hosted()) else { return about };
    let Ok(contents) = desk.web.hosting.about(digest).await else { return about };
    let Some(said) = contents.get("about") else { return about };
    about.summary = text(said, "summary");
    let description = text(said, "description");
    about.description =
        description.split("\n\n").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    for (label, key) in [("Home page", "home"), ("Documentation", "doc_url"), ("Source", "dev_url")] {
        let first = said.get(key).and_then(|value| match value {
            Value::Array(all) => all.first().and_then(Value::as_str),
            other => other.as_str(),
        });
        about.links.extend(
            first
                .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
                .map(|url| (label, url.to_owned())),
        );
    }
    about
}

/// Nothing where no client would find it.
fn installs(desk: &Desk, spot: &Spot, name: &str, files: &[PackageFile]) -> Vec<(&'static str, String)> {
    let Some(PackageFile { version, .. }) = files.iter().find(|file| file.fate == Fate::Shown) else {
        return Vec::new();
    };
    let url = format!("{}/{}", desk.entrance.address, spot.name);
    vec![
        ("conda", install_from(desk, &spot.name, &format!("{name}={version}"))),
        ("mamba", format!("mamba install -c {url} {name}={version}")),
        ("pixi", format!("pixi workspace channel add {url}\npixi add \"{name}=={version}\"")),
    ]
}

/// How often the files of a version were fetched in the last days. Who fetched them is not said.
async fn spark(desk: &Desk, files: &[PackageFile]) -> Option<Spark> {
    let Ok(people) = desk.people().await else { return None };
    let today = day_of(desk.now());
    let mut days = vec![0_u64; DAYS as usize];
    for digest in files.iter().filter_map(|file| file.sha256).take(COUNTED) {
        for row in all_downloads(&people, &digest).await {
            let ago = today.saturating_sub(row.day) as usize;
            if let Some(day) = days.len().checked_sub(ago + 1).and_then(|day| days.get_mut(day)) {
                *day += row.count;
            }
        }
    }
    let total = count(days.iter().sum());
    let s = if total == "1" { "" } else { "s" };
    Spark::new(&days, format!("{total} download{s} through this gateway in the last {DAYS} days"))
}

fn day_of(at: UnixMillis) -> u32 {
    u32::try_from(at.0 / 86_400_000).unwrap_or(0)
}

async fn all_downloads(people: &crate::people::People, digest: &Sha256) -> Vec<Downloads> {
    people.downloads(digest, None, 1000).await.unwrap_or_default()
}
