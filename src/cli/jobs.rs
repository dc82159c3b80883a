//! `condagate jobs`: what waits, runs, failed, and doing something about it.
//!
//! The commands open the store themselves; running gates look into the queue all the time and need not be told.
//!
//! Belongs here: what is typed and printed. Does not: what is done (`jobs`).

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};

use super::args::Where;
use super::people::listing::{Line, Listing};
use super::store::{OpenError, block_on, existing};
use super::{Exit, Terminal, people};
use crate::clock::SystemClock;
use crate::config::{self, Flags, Sources};
use crate::jobs::view::JobView;
use crate::jobs::{Desk, DeskError};
use crate::store::model::{JobId, JobState};

/// Rows of a listing that are in memory at one time.
const PAGE: u32 = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// All jobs; ended ones are kept for a month, dead ones for three
    List {
        #[command(flatten)]
        common: Common,
        /// Only those that are in this state
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
    },
    /// One job, with what it was asked to do and why it failed
    Show(One),
    /// Let a dead or cancelled job try again
    Retry(One),
    /// Stop a job that waits or runs; one that runs learns it within seconds
    Cancel(One),
}

#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    from: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct One {
    #[command(flatten)]
    common: Common,
    /// Which, as `condagate jobs list` names it
    #[arg(value_name = "ID")]
    id: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum State {
    Waiting,
    Running,
    Done,
    Dead,
    Cancelled,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Running => Self::Running,
            State::Done => Self::Done,
            State::Dead => Self::Dead,
            State::Cancelled => Self::Cancelled,
        }
    }
}

impl Line for JobView {
    const HEADS: &'static [&'static str] = &["ID", "KIND", "STATE", "DUE", "TRIED", "ERROR"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.kind.clone(),
            self.state.to_owned(),
            self.due.clone(),
            self.attempts.to_string(),
            self.error.clone().unwrap_or_default(),
        ]
    }
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Desk(#[from] DeskError),
}

impl JobsCommand {
    const fn common(&self) -> &Common {
        match self {
            Self::List { common, .. } => common,
            Self::Show(one) | Self::Retry(one) | Self::Cancel(one) => &one.common,
        }
    }
}

pub(super) fn run(
    command: &JobsCommand,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let config = match config::load(&sources(command.common().from.flags())) {
        Ok(config) => config,
        Err(mistakes) => return terminal.refuse(&mistakes),
    };
    let done = block_on(async {
        let store = existing(&config).await?;
        let actor = format!("system:cli:{}", people::account());
        let desk = Desk::new(store, Arc::new(SystemClock), actor);
        answer(command, &desk, terminal).await
    });
    match done {
        Ok(()) => Exit::Done,
        Err(error) => terminal.fail(error),
    }
}

async fn answer(command: &JobsCommand, desk: &Desk, terminal: &mut Terminal<'_>) -> Result<(), Failed> {
    let as_json = command.common().json;
    let (job, said) = match command {
        JobsCommand::List { state, .. } => {
            return list(state.map(JobState::from), desk, Listing::new(terminal, as_json)).await;
        }
        JobsCommand::Show(one) => (desk.job(&one.id).await?, None),
        JobsCommand::Retry(one) => (desk.retry(&one.id).await?, Some("waits for its next attempt")),
        JobsCommand::Cancel(one) => (desk.cancel(&one.id).await?, Some("is cancelled")),
    };
    match said {
        Some(said) if !as_json => terminal.line(format_args!("the job {} {said}", job.id)),
        None if !as_json => super::show::value(&serde_json::json!(JobView::from(&job)), terminal),
        _ => terminal.json(&serde_json::json!(JobView::from(&job))),
    }
    Ok(())
}

async fn list(state: Option<JobState>, desk: &Desk, mut listing: Listing<'_, '_>) -> Result<(), Failed> {
    let mut last: Option<JobId> = None;
    loop {
        let page = desk.page(state, last.as_ref(), PAGE).await?;
        listing.rows(&page.iter().map(JobView::from).collect::<Vec<_>>());
        let Some(end) = page.into_iter().next_back() else {
            listing.end();
            return Ok(());
        };
        last = Some(end.id);
    }
}
