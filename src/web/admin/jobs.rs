//! Jobs: what waits, runs and failed, and doing something about it.
//!
//! Belongs here: the page and its form. Does not: what is done (`jobs`).

use askama::Template;
use axum::extract::{Extension, Query};
use axum::response::Response;
use serde::Deserialize;

use super::{LINES, tabbed};
use crate::store::model::{Job, JobId, JobState};
use crate::web::desk::{Desk, Flash};
use crate::web::page::{self, Page, Way};
use crate::web::posted::Posted;
use crate::web::show::When;
use crate::web::sorry::Sorry;

/// Where the page is.
const HERE: &str = "/-/ui/admin/jobs";
const STATES: [&str; 5] = ["waiting", "running", "dead", "cancelled", "done"];

#[derive(Deserialize, Default)]
pub(super) struct Asked {
    #[serde(default)]
    state: String,
    after: Option<String>,
}

struct Row {
    id: String,
    kind: String,
    state: &'static str,
    colour: &'static str,
    created: When,
    due: When,
    attempts: u32,
    error: Option<String>,
    input: String,
    may_retry: bool,
    may_cancel: bool,
}

impl Row {
    fn new(desk: &Desk, job: &Job) -> Self {
        Self {
            id: job.id.to_string(),
            kind: job.kind.clone(),
            state: job.state.as_str(),
            colour: match job.state {
                JobState::Waiting => "",
                JobState::Running => "info",
                JobState::Done => "good",
                JobState::Dead => "bad",
                JobState::Cancelled => "care",
            },
            created: When::new(job.created, desk.now()),
            due: When::new(job.due, desk.now()),
            attempts: job.attempts,
            error: job.error.clone(),
            input: job.input.clone(),
            may_retry: matches!(job.state, JobState::Dead | JobState::Cancelled),
            may_cancel: matches!(job.state, JobState::Waiting | JobState::Running),
        }
    }
}

#[derive(Template)]
#[template(path = "admin/jobs.html")]
struct JobsPage {
    page: Page,
    state: String,
    states: [&'static str; 5],
    rows: Vec<Row>,
    way: Way,
}

tabbed!(JobsPage, "jobs");

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let state = JobState::read(&asked.state);
    let after = asked.after.as_deref().and_then(JobId::new);
    let jobs = desk.web.gate.jobs(&desk.by()).await?;
    let found = jobs.page(state, after.as_ref(), LINES).await?;
    let next = found.last().filter(|_| found.len() == LINES as usize).map(|last| last.id.to_string());
    let shown = state.map_or("", JobState::as_str);
    let path = if shown.is_empty() { HERE.to_owned() } else { format!("{HERE}?state={shown}") };
    let way = Way::new(&desk, &path, next, after.is_none());
    let rows = found.iter().map(|job| Row::new(&desk, job)).collect();
    let (page, state) = (desk.page("admin"), shown.to_owned());
    Ok(page::show(&JobsPage { page, state, states: STATES, rows, way }))
}

pub(super) async fn act(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    desk.superuser()?;
    let (jobs, id) = (desk.web.gate.jobs(&desk.by()).await?, posted.text("id"));
    let done = match posted.text("action") {
        "retry" => jobs.retry(id).await.map(|job| format!("{} tries again.", job.id)),
        "cancel" => jobs.cancel(id).await.map(|job| format!("{} is cancelled.", job.id)),
        _ => return Err(Sorry::invalid("the gate does not know what this form asks for")),
    };
    let flash = match done {
        Ok(told) => Flash::good(told),
        Err(error) => Flash::bad(Sorry::from(error).sentence),
    };
    Ok(desk.tell(HERE, &flash))
}
