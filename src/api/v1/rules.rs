//! `/-/api/v1/rules…`: read, checked, tried and, one file of them, written. For administrators.
//!
//! Belongs here: paths, bodies, answers. Does not: what rules mean (`policy`), carrying it out (`manage`).

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, Listed, limit, next, tagged};
use super::asker::{Asked, Asker, Body};
use crate::conda::digest::Sha256;
use crate::delivery::explain::Rehearsal;
use crate::http::problem::Problem;
use crate::manage::{Checked, Expected, OWN_FILE, Recall, RulesFile, RulesShown};

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(one))
        .routes(routes!(own, write, remove))
        .routes(routes!(check))
        .routes(routes!(rehearse))
        .routes(routes!(recalls, recall))
        .routes(routes!(take_back))
}

/// What is to be in the gateway's own file of rules.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Proposal {
    /// YAML, as in any file of rules. Left out or null: the file is not to be there.
    text: Option<String>,
}

/// What is to be in the gateway's own file of rules.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    /// YAML, as in any file of rules.
    text: String,
}

/// Packages that nobody is to get any more: by `specs` or by `digests`, one of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRecall {
    /// Of the rule; refusals name it.
    id: String,
    /// Source channels; all where nothing is said.
    #[serde(default)]
    channels: Vec<String>,
    /// Such as `xz >=5.6.0,<5.6.2`.
    #[serde(default)]
    specs: Vec<String>,
    /// SHA-256 of files.
    #[serde(default)]
    digests: Vec<String>,
    /// Told to everybody who is refused.
    reason: String,
}

/// The list of files.
#[derive(Serialize, ToSchema)]
struct Rules {
    directory: String,
    /// Of the rules in force.
    revision: String,
    files: Vec<RulesFile>,
    /// What is wrong with the files, if the rules in force are older than they are.
    mistakes: Vec<String>,
}

impl From<RulesShown> for Rules {
    fn from(shown: RulesShown) -> Self {
        let RulesShown { directory, revision, files, mistakes, .. } = shown;
        Self { directory, revision, files, mistakes }
    }
}

/// What `If-Match` takes for granted about the gateway's own file.
fn expected(headers: &HeaderMap) -> Answered<Expected> {
    let Some(said) = headers.get(header::IF_MATCH) else { return Ok(Expected::Anything) };
    let said = said.to_str().unwrap_or_default().trim();
    let own = said.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match (said, own) {
        ("*", _) => Ok(Expected::Anything),
        (_, Some(own)) => Ok(Expected::Own(own.strip_prefix("own.").unwrap_or(own).to_owned())),
        _ => Err(Problem::bad_request("`If-Match` is an entity tag, as the file's own answer has it").into()),
    }
}

fn tag(shown: &RulesShown) -> String {
    format!("\"own.{}\"", shown.own)
}

/// All files, in the order in which they are read.
#[utoipa::path(get, path = "/rules", tag = "rules", operation_id = "getRules", responses((status = 200, body = Rules)))]
async fn all(State(control): State<Control>, asker: Asker) -> Answered<Json<Rules>> {
    asker.administrator()?;
    Ok(Json(control.gate.rules().await.into()))
}

/// A file.
#[utoipa::path(get, path = "/rules/files/{name}", tag = "rules", operation_id = "getRulesFile", params(("name" = String, Path)), responses((status = 200, body = RulesFile), (status = 304)))]
async fn one(
    State(control): State<Control>,
    asker: Asker,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answered<Response> {
    asker.administrator()?;
    found(&control, &name, &headers).await
}

/// The file that can be written here.
#[utoipa::path(get, path = "/rules/files/90-ui.yaml", tag = "rules", operation_id = "getOwnRulesFile", responses((status = 200, body = RulesFile), (status = 304)))]
async fn own(State(control): State<Control>, asker: Asker, headers: HeaderMap) -> Answered<Response> {
    asker.administrator()?;
    found(&control, OWN_FILE, &headers).await
}

async fn found(control: &Control, name: &str, headers: &HeaderMap) -> Answered<Response> {
    let shown = control.gate.rules().await;
    let file = shown.files.iter().find(|file| file.name == name);
    let file = file.ok_or_else(|| Problem::not_found("there is no such file of rules"))?;
    let text = Sha256::of(file.text.as_bytes()).to_hex();
    let tag = if file.writable { tag(&shown) } else { format!("\"{}\"", &text[..16]) };
    Ok(tagged(headers, &tag, file))
}

/// Writes 90-ui.yaml and puts the rules in force, unless there is a mistake in them. All other files are for people to edit.
#[utoipa::path(put, path = "/rules/files/90-ui.yaml", tag = "rules", operation_id = "putRulesFile", request_body = Text, responses((status = 200, body = Rules)))]
async fn write(
    State(control): State<Control>,
    asker: Asker,
    headers: HeaderMap,
    Body(text): Body<Text>,
) -> Answered<Response> {
    let by = asker.administrator()?;
    let shown = control.gate.write(&by, Some(text.text), expected(&headers)?).await?;
    Ok(tagged(&HeaderMap::new(), &tag(&shown), &Rules::from(shown.clone())))
}

/// Takes 90-ui.yaml away.
#[utoipa::path(delete, path = "/rules/files/90-ui.yaml", tag = "rules", operation_id = "deleteRulesFile", responses((status = 204)))]
async fn remove(State(control): State<Control>, asker: Asker, headers: HeaderMap) -> Answered<StatusCode> {
    let by = asker.administrator()?;
    control.gate.write(&by, None, expected(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what would be wrong with the rules, were this in 90-ui.yaml.
#[utoipa::path(post, path = "/rules/check", tag = "rules", operation_id = "checkRules", request_body = Proposal, responses((status = 200, body = Checked)))]
async fn check(
    State(control): State<Control>,
    asker: Asker,
    Body(proposal): Body<Proposal>,
) -> Answered<Json<Checked>> {
    asker.administrator()?;
    Ok(Json(control.gate.check(proposal.text).await))
}

/// Says what would change, were this in 90-ui.yaml: which files would disappear, and which would appear. Nothing is changed.
#[utoipa::path(post, path = "/rules/dry-run", tag = "rules", operation_id = "rehearseRules", request_body = Proposal, responses((status = 200, body = Rehearsal)))]
async fn rehearse(
    State(control): State<Control>,
    asker: Asker,
    Body(proposal): Body<Proposal>,
) -> Answered<Json<Rehearsal>> {
    asker.administrator()?;
    Ok(Json(control.gate.rehearse(proposal.text).await?))
}

#[derive(Serialize, ToSchema)]
struct RecallLine {
    id: String,
    /// As it is written.
    rule: String,
}

#[derive(Serialize, ToSchema)]
struct Recalls {
    recalls: Vec<RecallLine>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// Recalls in 90-ui.yaml, in its order.
#[utoipa::path(get, path = "/rules/recalls", tag = "rules", operation_id = "listRecalls", params(Listed), responses((status = 200, body = Recalls)))]
async fn recalls(
    State(control): State<Control>,
    asker: Asker,
    Asked(page): Asked<Listed>,
) -> Answered<Json<Recalls>> {
    asker.administrator()?;
    let limit = limit(page.limit)?;
    let all = control.gate.rules().await.recalls();
    let first =
        page.after.and_then(|after| all.iter().position(|(id, _)| *id == after)).map_or(0, |at| at + 1);
    let rows: Vec<_> = all.into_iter().skip(first).take(limit as usize).collect();
    let next = next(&rows, limit, |(id, _)| id.clone());
    let line = |(id, rule): (String, String)| RecallLine { id, rule };
    Ok(Json(Recalls { recalls: rows.into_iter().map(line).collect(), next }))
}

/// Denies packages by one more rule in 90-ui.yaml, at once.
#[utoipa::path(post, path = "/rules/recalls", tag = "rules", operation_id = "recall", request_body = NewRecall, responses((status = 201, body = Rules)))]
async fn recall(
    State(control): State<Control>,
    asker: Asker,
    Body(new): Body<NewRecall>,
) -> Answered<Response> {
    let by = asker.administrator()?;
    let NewRecall { id, channels, specs, digests, reason } = new;
    let recall = Recall { id, channels, specs, digests, reason };
    let shown = control.gate.recall(&by, &recall).await?;
    Ok((StatusCode::CREATED, [("etag", tag(&shown))], Json(Rules::from(shown))).into_response())
}

/// Takes a recall back, at once: the rule that it is in 90-ui.yaml.
#[utoipa::path(delete, path = "/rules/recalls/{id}", tag = "rules", operation_id = "takeRecallBack", params(("id" = String, Path)), responses((status = 200, body = Rules)))]
async fn take_back(
    State(control): State<Control>,
    asker: Asker,
    Path(id): Path<String>,
) -> Answered<Response> {
    let by = asker.administrator()?;
    let shown = control.gate.take_back(&by, &id).await?;
    Ok(([("etag", tag(&shown))], Json(Rules::from(shown))).into_response())
}
