//! `/-/api/v1/package…`: one package of a channel, hosted, proxied or virtual: what it says of itself, what needs it, how often it is fetched,
//! why a file is as it is.
//!
//! Belongs here: parameters, answers. Does not: putting that together (`sight`, `delivery::explain`).

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, limit, tag_of_content, tagged};
use super::asker::{Asked, Asker};
use crate::clock::UnixMillis;
use crate::conda::archive::ArchiveName;
use crate::conda::subdir::Subdir;
use crate::delivery::catalogue::Spot;
use crate::delivery::explain::{Explanation, FileExplained, Outcome, Question, RuleExplained};
use crate::http::date::rfc3339;
use crate::http::problem::Problem;
use crate::sight::{VersionSeen, day_of, depends, texts, version_of};

/// Days that are counted where nothing is said, and most of them.
const DAYS: u32 = 30;
const MOST_DAYS: u32 = 366;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(about))
        .routes(routes!(dependants))
        .routes(routes!(downloads))
        .routes(routes!(why))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    channel: String,
    /// The whole name.
    name: String,
    /// The latest that is shown where nothing is said.
    version: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Dependency {
    /// As the record has it.
    spec: String,
    /// Its name, where this channel has such a package.
    package: Option<String>,
}

/// A version of a package. Proxied packages say less: nobody looks into them.
#[derive(Serialize, ToSchema)]
struct PackageAbout {
    channel: String,
    name: String,
    version: String,
    /// Whether it is the latest that is shown.
    latest: bool,
    /// How many.
    files: usize,
    license: Option<String>,
    summary: Option<String>,
    /// Paragraphs with empty lines between them.
    description: Option<String>,
    home: Option<String>,
    documentation: Option<String>,
    source: Option<String>,
    depends: Vec<Dependency>,
    constrains: Vec<String>,
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl Control {
    async fn version(&self, asker: &Asker, which: &Which) -> Answered<(Spot, VersionSeen)> {
        let spot = self.spot(asker, &which.channel)?;
        let all = self.delivery.package_files(&spot.place, &spot.asked(), &which.name).await;
        let seen = version_of(&all, which.version.as_deref());
        let seen = seen.filter(|seen| which.version.as_ref().is_none_or(|version| *version == seen.version));
        let said = "the indexes of this channel that are here have no such package or version";
        Ok((spot, seen.ok_or_else(|| Problem::not_found(said))?))
    }
}

/// What a version of a package says of itself, and what it needs.
#[utoipa::path(get, path = "/package", tag = "indexes", operation_id = "describePackage", params(Which), responses((status = 200, body = PackageAbout), (status = 304)))]
async fn about(
    State(control): State<Control>,
    asker: Asker,
    headers: HeaderMap,
    Asked(which): Asked<Which>,
) -> Answered<Response> {
    let (spot, seen) = control.version(&asker, &which).await?;
    let record = control.sight.record_of(&spot, &seen).await;
    let catalogue = control.delivery.catalogue(&spot.place, &spot.asked()).await;
    let said = control.sight.about(&spot, record.as_ref()).await;
    let needs = record.as_ref().map(|record| depends(&catalogue, record)).unwrap_or_default();
    let dependency = |one: crate::sight::Depend| Dependency { spec: one.text, package: one.package };
    let about = PackageAbout {
        channel: spot.name.to_string(),
        name: which.name,
        version: seen.version,
        latest: seen.latest,
        files: seen.files.len(),
        license: some(said.license),
        summary: some(said.summary),
        description: some(said.description),
        home: said.home,
        documentation: said.documentation,
        source: said.source,
        depends: needs.into_iter().map(dependency).collect(),
        constrains: record.map(|record| texts(&record.record, "constrains")).unwrap_or_default(),
    };
    Ok(tagged(&headers, &tag_of_content(&about), &about))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    channel: String,
    /// The whole name.
    name: String,
    /// The last name of the page before.
    after: Option<String>,
    /// Names of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Dependants {
    /// Names, in their order.
    dependants: Vec<String>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// The packages of a channel that need one: in any subdir by the newest file there that is shown.
#[utoipa::path(get, path = "/package/dependants", tag = "indexes", operation_id = "listDependants", params(Named), responses((status = 200, body = Dependants)))]
async fn dependants(
    State(control): State<Control>,
    asker: Asker,
    Asked(which): Asked<Named>,
) -> Answered<Json<Dependants>> {
    let spot = control.spot(&asker, &which.channel)?;
    let limit = limit(which.limit)?;
    let mut dependants = control.sight.needed_by(&spot, &which.name).await;
    if let Some(after) = &which.after {
        dependants.retain(|name| name > after);
    }
    let more = dependants.len() > limit as usize;
    dependants.truncate(limit as usize);
    let next = dependants.last().filter(|_| more).cloned();
    Ok(Json(Dependants { dependants, next }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OverDays {
    channel: String,
    /// The whole name.
    name: String,
    /// The latest that is shown where nothing is said.
    version: Option<String>,
    /// 30 where nothing is said.
    #[param(minimum = 1, maximum = 366)]
    days: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Day {
    /// In UTC, such as `2026-01-31`.
    day: String,
    count: u64,
}

#[derive(Serialize, ToSchema)]
struct DownloadsByDay {
    version: String,
    /// Of all days.
    total: u64,
    /// One for each day, today the last.
    days: Vec<Day>,
}

/// How often the files of a version were fetched through this gateway, by days. Who fetched them is not said.
#[utoipa::path(get, path = "/package/downloads", tag = "indexes", operation_id = "countDownloads", params(OverDays), responses((status = 200, body = DownloadsByDay)))]
async fn downloads(
    State(control): State<Control>,
    asker: Asker,
    Asked(wish): Asked<OverDays>,
) -> Answered<Json<DownloadsByDay>> {
    let days = wish.days.unwrap_or(DAYS);
    if days == 0 || days > MOST_DAYS {
        return Err(Problem::bad_request(format!("`days` is a number from 1 to {MOST_DAYS}")).into());
    }
    let which = Which { channel: wish.channel, name: wish.name, version: wish.version };
    let (_, seen) = control.version(&asker, &which).await?;
    let (people, now) = (control.people().await?, control.clock.now());
    let counts = control.sight.fetched(&people, &seen.files, (days, now)).await;
    let first = i64::from(day_of(now)) - i64::from(days) + 1;
    let day = |(n, count): (i64, u64)| {
        let midnight = UnixMillis((first + n) * 86_400_000);
        Day { day: rfc3339(midnight).chars().take("2026-01-31".len()).collect(), count }
    };
    Ok(Json(DownloadsByDay {
        version: seen.version,
        total: counts.iter().sum(),
        days: (0..).zip(counts).map(day).collect(),
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OneFile {
    channel: String,
    subdir: String,
    /// Its name.
    file: String,
}

/// A rule that has something to say about a file.
#[derive(Serialize, ToSchema)]
struct RuleSaid {
    id: String,
    /// `hide`, `deny`, `allow` or `patch`
    effect: String,
    /// `decides`, `changes`, `outranked`, `excepted` or `trial`
    standing: String,
    /// What it says of the file.
    sentence: String,
    reason: Option<String>,
    /// File and line; for administrators.
    at: Option<String>,
}

/// Why a file is as it is, for you.
#[derive(Serialize, ToSchema)]
struct Why {
    /// All of it in a sentence.
    sentence: String,
    /// What would happen to a download now: `served`, `refused`, `unknown`
    download: &'static str,
    /// The same in a sentence.
    download_sentence: String,
    first_seen: Option<String>,
    /// When time alone changes what the rules say.
    until: Option<String>,
    /// In their order.
    rules: Vec<RuleSaid>,
}

impl Why {
    fn of(said: FileExplained, places: bool) -> Self {
        let rule = |one: RuleExplained| RuleSaid {
            id: one.rule.id,
            effect: one.effect,
            standing: one.standing,
            sentence: one.sentence,
            reason: one.rule.reason,
            at: places.then_some(one.rule.at),
        };
        Self {
            sentence: said.sentence,
            download: match said.download.outcome {
                Outcome::Served => "served",
                Outcome::Refused => "refused",
                Outcome::Unknown => "unknown",
            },
            download_sentence: said.download.sentence,
            first_seen: said.first_seen.map(|seen| seen.at),
            until: said.until,
            rules: said.rules.into_iter().map(rule).collect(),
        }
    }
}

/// Why a file of a channel that you may read is shown, hidden or refused, for you. `explain` tells administrators more.
#[utoipa::path(get, path = "/package/why", tag = "indexes", operation_id = "explainFile", params(OneFile), responses((status = 200, body = Why)))]
async fn why(
    State(control): State<Control>,
    asker: Asker,
    Asked(one): Asked<OneFile>,
) -> Answered<Json<Why>> {
    let spot = control.spot(&asker, &one.channel)?;
    let none = || Problem::not_found("that is not a file of this channel");
    // Nothing but a file of this very channel: another one may be closed to the caller.
    let (subdir, file) = Subdir::parse(&one.subdir).zip(ArchiveName::parse(&one.file)).ok_or_else(none)?;
    let url = Some(format!("{}/{}/{subdir}/{file}", control.base, spot.name));
    let known = asker.0.principal.as_ref().filter(|who| who.user.is_some());
    let as_user = known.map(|who| who.name.to_string());
    let answer = control.gate.explain(Question { url, as_user, ..Question::default() }).await;
    let answer = answer.map_err(|error| {
        if error.is_askers() {
            return Problem::not_found(error.to_string());
        }
        tracing::warn!(%error, "the API can't say why");
        Problem::unavailable("why this file is as it is can't be said right now").with_retry_after(5)
    })?;
    let Explanation::File(said) = answer else { return Err(none().into()) };
    Ok(Json(Why::of(*said, asker.administrator().is_ok())))
}
