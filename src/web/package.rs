//! One package of a channel: its versions, files, dependencies, what it says of itself, how often it was fetched.
//!
//! Belongs here: the page. Does not: why a file is hidden (`why`), what may be done with it (`upkeep`).

use std::collections::BTreeSet;

use askama::Template;
use axum::response::Response;

use super::channel::{Asked, install_from};
use super::desk::Desk;
use super::page::{self, Page, Turn};
use super::show::{When, count, size};
use super::sorry::Sorry;
use super::spark::Spark;
use super::why;
use crate::conda::subdir::Subdir;
use crate::delivery::catalogue::{Fate, PackageFile, Spot};
use crate::policy::access::Right;
use crate::sight::{self, Depend, version_of};
use crate::store::model::PackageState;
/// Versions of a page, which are listed beside the files.
const VERSIONS: usize = 60;
/// Files of one version on a page.
const FILES: usize = 60;
/// Packages that are listed as needing it.
const NEEDED: usize = 200;
/// Days of the small chart.
const DAYS: u32 = 30;

struct Version {
    text: String,
    hidden: bool,
    current: bool,
    /// Of each subdir of the table: how many files are shown there, and how many are not.
    cells: Vec<(usize, usize)>,
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
    /// The columns of the table of versions.
    subdirs: Vec<String>,
    files: Vec<FileRow>,
    file_turn: Turn,
    depends: Vec<Depend>,
    constrains: Vec<String>,
    needed_by: Option<Vec<String>>,
    more_needed: usize,
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
    let Some(seen) = version_of(&all, asked.version.as_deref()) else {
        return Err(unknown(spot, name));
    };
    let (sight, may_write) =
        (desk.sight(), spot.is_hosted() && desk.may(&spot.name, Right::Write, Some(name)));
    let (version, of_version): (&str, &[PackageFile]) = (&seen.version, &seen.files);
    let file_turn = file_turn(desk, (spot, name, version), asked, of_version.len());
    let listed: Vec<PackageFile> = of_version.iter().skip(file_turn.first).take(FILES).cloned().collect();
    let record = sight.record_of(spot, &seen).await;
    let record = record.as_ref();
    let catalogue = delivery.catalogue(&spot.place, &spot.asked()).await;
    let mut needed_by = match asked.needs {
        Some(_) => Some(sight.needed_by(spot, name).await),
        None => None,
    };
    let more_needed = needed_by.as_ref().map_or(0, |all| all.len().saturating_sub(NEEDED));
    if let Some(all) = &mut needed_by {
        all.truncate(NEEDED);
    }
    let all_versions: Vec<&[PackageFile]> = all.chunk_by(|a, b| a.version == b.version).collect();
    let version_turn = version_turn(desk, (spot, name, version), asked, &all_versions);
    let subdirs: BTreeSet<&Subdir> = all.iter().map(|file| &file.subdir).collect();
    Ok(page::show(&PackagePage {
        page: desk.page("channels"),
        channel: spot.name.to_string(),
        name: name.to_owned(),
        latest: seen.latest,
        versions: versions(&all_versions, &version_turn, version, &subdirs),
        subdirs: subdirs.iter().map(ToString::to_string).collect(),
        version_turn,
        files: file_rows(desk, spot, (name, &listed), may_write).await,
        file_turn,
        depends: record.map_or_else(Vec::new, |record| sight::depends(&catalogue, record)),
        constrains: record.map_or_else(Vec::new, |record| sight::texts(&record.record, "constrains")),
        needed_by,
        more_needed,
        about: shown(sight.about(spot, record).await),
        installs: installs(desk, spot, name, of_version),
        spark: spark(desk, of_version).await,
        may_write,
        version: seen.version,
    }))
}

fn unknown(spot: &Spot, name: &str) -> Sorry {
    Sorry::not_found(format!(
        "The indexes of {} that are here have no package {name}. It may be spelt otherwise, or be in a subdir whose index nobody has asked \
         for yet.",
        spot.name
    ))
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

fn versions(all: &[&[PackageFile]], turn: &Turn, current: &str, subdirs: &BTreeSet<&Subdir>) -> Vec<Version> {
    let of = |files: &&[PackageFile]| {
        let text = files.first().map_or_else(String::new, |file| file.version.clone());
        let cell = |subdir: &&Subdir| {
            let there = files.iter().filter(|file| file.subdir == **subdir);
            let (shown, hidden): (Vec<_>, Vec<_>) = there.partition(|file| file.fate == Fate::Shown);
            (shown.len(), hidden.len())
        };
        Version {
            cells: subdirs.iter().map(cell).collect(),
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

fn shown(about: sight::About) -> About {
    let paragraphs = about.description.split("\n\n").map(str::trim).filter(|part| !part.is_empty());
    let links = [("Home page", about.home), ("Documentation", about.documentation), ("Source", about.source)];
    About {
        license: about.license,
        summary: about.summary,
        description: paragraphs.map(str::to_owned).collect(),
        links: links.into_iter().filter_map(|(label, url)| Some((label, url?))).collect(),
    }
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
    let days = desk.sight().fetched(&people, files, (DAYS, desk.now())).await;
    let total = count(days.iter().sum());
    let s = if total == "1" { "" } else { "s" };
    Spark::new(&days, format!("{total} download{s} through this gateway in the last {DAYS} days"))
}
