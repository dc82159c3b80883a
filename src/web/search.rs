//! Finding packages: by name in all channels whose indexes are here, by spec and by file in the team's own.
//!
//! Belongs here: the page. Does not: finding (`delivery::catalogue`, `channel::search`).

use std::collections::{BTreeMap, HashSet};

use askama::Template;
use axum::extract::{Extension, Query as InQuery};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::future::join_all;
use serde::Deserialize;

use super::channel::{Row, row};
use super::desk::Desk;
use super::page::{self, Page};
use super::show::size;
use super::sorry::Sorry;
use crate::channel::{Found, HostError, Query};
use crate::conda::channel::ChannelName;
use crate::delivery::catalogue::Order;

/// Lines of an answer.
const MOST: usize = 100;
/// Of one channel.
const MOST_OF_ONE: usize = 40;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    by: String,
}

/// A package by its name.
struct ByName {
    channel: String,
    row: Row,
    rank: u8,
}

#[derive(Default)]
struct Answer {
    by_name: Vec<ByName>,
    by_file: Vec<Found>,
    whole: bool,
    told: Option<String>,
    channels: usize,
}

impl Answer {
    fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.by_file.is_empty()
    }

    fn len(&self) -> usize {
        self.by_name.len() + self.by_file.len()
    }

    fn size(found: &Found) -> String {
        size(found.package.size)
    }
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    page: Page,
    q: String,
    by: &'static str,
    answer: Answer,
}

#[derive(Template)]
#[template(path = "search_results.html")]
struct ResultsOnly {
    page: Page,
    q: String,
    by: &'static str,
    answer: Answer,
}

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    InQuery(asked): InQuery<Asked>,
    headers: HeaderMap,
) -> Result<Response, Sorry> {
    let q: String = asked.q.trim().chars().take(200).collect();
    let by = match &*asked.by {
        "spec" => "spec",
        "file" => "file",
        _ => "name",
    };
    let answer = match (q.is_empty(), by) {
        (true, _) => Answer::default(),
        (false, "name") => by_name(&desk, &q).await,
        (false, by) => by_contents(&desk, &q, by).await?,
    };
    let page = desk.page("search");
    if headers.contains_key("hx-request") {
        return Ok(page::show(&ResultsOnly { page, q, by, answer }));
    }
    Ok(page::show(&SearchPage { page, q, by, answer }))
}

async fn by_name(desk: &Desk, q: &str) -> Answer {
    let spots = desk.spots().await;
    let catalogues = join_all(spots.iter().map(|spot| desk.catalogue_soon(spot))).await;
    let mut answer = Answer { whole: true, ..Answer::default() };
    for (spot, all) in spots.iter().zip(catalogues) {
        let Some(all) = all.filter(|all| !all.subdirs.is_empty()) else { continue };
        answer.channels += 1;
        let found = all.names.matching(q, Order::Name);
        answer.whole &= found.len() <= MOST_OF_ONE;
        answer.by_name.extend(found.into_iter().take(MOST_OF_ONE).map(|line| ByName {
            channel: spot.name.to_string(),
            rank: match (line.name.eq_ignore_ascii_case(q), line.name.starts_with(&q.to_ascii_lowercase())) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            },
            row: row(desk, &all, line),
        }));
    }
    answer.by_name.sort_by_key(|found| found.rank);
    answer.whole &= answer.by_name.len() <= MOST;
    answer.by_name.truncate(MOST);
    answer
}

async fn by_contents(desk: &Desk, q: &str, by: &str) -> Result<Answer, Sorry> {
    let channels = desk.stored().await?;
    let query = if by == "spec" { Query::spec(q) } else { Ok(Query::File(q.to_owned())) };
    let found = match query {
        Ok(query) => desk.web.hosting.search(&channels, &query, MOST).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(by_file) => {
            let whole = by_file.len() < MOST;
            let by_file = listed(desk, by_file).await;
            Ok(Answer { by_file, whole, channels: channels.len(), ..Answer::default() })
        }
        Err(HostError::Invalid(told)) => Ok(Answer { told: Some(told), ..Answer::default() }),
        Err(error) => Err(error.into()),
    }
}

/// Without what rules hide from the visitor.
async fn listed(desk: &Desk, found: Vec<Found>) -> Vec<Found> {
    let mut by_channel: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for one in &found {
        let file = (one.package.subdir.clone(), one.package.file.clone());
        by_channel.entry(one.channel.clone()).or_default().push(file);
    }
    let mut listed = HashSet::new();
    for (channel, files) in by_channel {
        let Some(spot) = ChannelName::parse(&channel).and_then(|name| desk.spot(&name).ok()) else {
            continue;
        };
        let here = desk.web.delivery.listed(&spot.place, &spot.asked(), files).await;
        listed.extend(here.into_iter().map(|(subdir, file)| (channel.clone(), subdir, file)));
    }
    let is_listed = |one: &Found| {
        listed.contains(&(one.channel.clone(), one.package.subdir.clone(), one.package.file.clone()))
    };
    found.into_iter().filter(is_listed).collect()
}
