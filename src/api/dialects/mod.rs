//! The protocols of clients that publish packages: each says the same thing in its own words.
//!
//! A request comes with what its path asks for ([`Spoken`]) and who sends it ([`Visitor`]); the body is read only when all is well so far.
//! Every failure is a problem document with a sentence in the places where the dialect's clients look for one, and where one needs
//! another status or form, its file says so.
//!
//! Belongs here: who answers what, what all dialects share. Does not: what publishing is (`channel`), paths (`conda::url`), the way of a
//! body through the process (`in_process`).

mod anaconda;
mod artifactory;
mod cloudsmith;
mod form;
mod own;
mod prefix;
mod psm;
mod quetz;
mod stage_note;
mod stages;
mod talk;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::response::Response;

use crate::channel::HostError;
use crate::conda::url::dialect::{Anaconda, Dialect, Spoken};
use crate::identity::Visitor;
use crate::sight::Sight;

use super::accounts::Open;
pub(super) use own::put;
pub use stages::Stages;
pub(super) use stages::Told;
use talk::{No, Talk};

/// What the dialects need.
#[derive(Clone)]
pub struct Dialects {
    sight: Sight,
    people: Open,
    stages: Stages,
}

impl Dialects {
    /// On hosted channels; `people` makes tokens for those who log in.
    #[must_use]
    pub const fn new(sight: Sight, people: Open, stages: Stages) -> Self {
        Self { sight, people, stages }
    }
}

/// Answers every request that has a [`Spoken`] and a [`Visitor`] among its extensions, whatever its path.
pub fn router(dialects: Dialects) -> Router {
    Router::new().fallback(speak).with_state(dialects)
}

async fn speak(
    State(dialects): State<Dialects>,
    Extension(visitor): Extension<Visitor>,
    Extension(spoken): Extension<Spoken>,
    request: Request,
) -> Response {
    let Spoken { dialect, base } = spoken;
    let sight = &dialects.sight;
    let talk =
        Talk { sight, hosting: &sight.hosting, visitor: &visitor, base: &base, family: dialect.family() };
    let done = match &dialect {
        Dialect::Prefix { channel } => prefix::upload(&talk, channel, request).await,
        Dialect::Quetz { channel, archive } => quetz::upload(&talk, (channel, archive), request).await,
        Dialect::QuetzFiles { channel } => quetz::files(&talk, channel, request).await,
        Dialect::Psm { channel } => psm::upload(&talk, channel, request).await,
        Dialect::File { channel, subdir, archive } => {
            artifactory::file(&talk, (channel, subdir, archive), request).await
        }
        Dialect::Cloudsmith(_)
        | Dialect::Anaconda(Anaconda::Stage(_) | Anaconda::Deliver | Anaconda::Commit(_))
            if !dialects.stages.is_recalled(&sight.hosting).await =>
        {
            Err(No::Host(HostError::Unavailable(
                "the gate's disk can't be read; try again shortly".to_owned(),
            )))
        }
        Dialect::Cloudsmith(asked) => cloudsmith::answer(&talk, &dialects.stages, asked, request).await,
        Dialect::Anaconda(asked) => anaconda::answer(&talk, &dialects, asked, request).await,
        Dialect::Unknown(_) => Err(No::not_found("this API has no such page")),
        Dialect::Malformed(_, why) => Err(No::invalid(*why)),
    };
    done.unwrap_or_else(|no| talk.refused(&no))
}
