//! How much was asked for ([`super::traffic`]); and who got a file, by its digest, as lock files and refusals name it.
//!
//! Belongs here: the page. Does not: counting (`trail`).

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Extension, Query};
use axum::response::Response;
use serde::Deserialize;

use super::tabbed;
use super::traffic::{self, Range, Shown};
use crate::conda::digest::Sha256;
use crate::people::view::DownloadView;
use crate::web::desk::Desk;
use crate::web::page::{self, Page};
use crate::web::show::count;
use crate::web::sorry::Sorry;
use crate::web::spark::Spark;

/// Rows that are shown.
const MOST: u32 = 500;
const DAYS: usize = 90;

#[derive(Deserialize, Default)]
pub(super) struct Asked {
    #[serde(default)]
    sha256: String,
    #[serde(default)]
    range: String,
}

#[derive(Template)]
#[template(path = "admin/downloads.html")]
struct DownloadsPage {
    page: Page,
    asked: String,
    told: Option<String>,
    rows: Vec<DownloadView>,
    complete: bool,
    total: String,
    spark: Option<Spark>,
    /// Each with whether it is shown.
    ranges: [(Range, bool); 3],
    /// Where no file is asked for.
    traffic: Option<Shown>,
}

tabbed!(DownloadsPage, "downloads");

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let range = Range::read(&asked.range);
    let asked = asked.sha256.trim().to_ascii_lowercase();
    let mut page = DownloadsPage {
        page: desk.page("admin"),
        asked: asked.chars().take(80).collect(),
        told: None,
        rows: Vec::new(),
        complete: true,
        total: String::new(),
        spark: None,
        ranges: Range::ALL.map(|one| (one, asked.is_empty() && one == range)),
        traffic: None,
    };
    match (asked.is_empty(), Sha256::from_hex(&asked)) {
        (true, _) => page.traffic = Some(traffic::look(&desk, range).await?),
        (false, None) => page.told = Some("A SHA-256 has 64 digits from 0 to f.".to_owned()),
        (false, Some(digest)) => fill(&desk, &digest, &mut page).await?,
    }
    Ok(page::show(&page))
}

async fn fill(desk: &Desk, digest: &Sha256, page: &mut DownloadsPage) -> Result<(), Sorry> {
    let people = desk.people().await?;
    let found = people.downloads(digest, None, MOST).await?;
    page.complete = found.len() < MOST as usize;
    let today = u32::try_from(desk.now().0 / 86_400_000).unwrap_or(0);
    let (mut days, mut by_day) = (vec![0; DAYS], BTreeMap::<u32, u64>::new());
    for row in &found {
        *by_day.entry(row.day).or_default() += row.count;
    }
    for (day, n) in by_day {
        let ago = today.saturating_sub(day) as usize;
        if let Some(place) = DAYS.checked_sub(ago + 1).and_then(|place| days.get_mut(place)) {
            *place = n;
        }
    }
    page.total = count(found.iter().map(|row| row.count).sum());
    let said = format!("Downloads on each of the last {DAYS} days: {} together", count(days.iter().sum()));
    page.spark = Spark::new(&days, said);
    let mut names = people.names();
    for row in &found {
        page.rows.push(DownloadView::new(row, names.actor(&row.actor).await?));
    }
    page.rows.sort_by(|a, b| b.day.cmp(&a.day).then_with(|| a.user.cmp(&b.user)));
    Ok(())
}
