//! `condagate user | group | token | channel | package | audit`: the people and channels in the store.
//!
//! The commands open the store themselves; running gates follow it and need not be told. Secrets come from standard input,
//! a file or a terminal, never from the command line, and a new token goes to standard output alone.
//!
//! Belongs here: what is typed and printed, exit codes. Does not: what is done (`people`, `channel`).

mod args;
mod audit;
mod channels;
mod grants;
mod groups;
mod hosted_args;
pub(super) mod listing;
mod operator;
mod packages;
mod password;
mod tokens;
mod users;
mod values;

use std::sync::Arc;

use futures_util::FutureExt;
use serde::Serialize;
use serde_json::json;

pub(super) use args::{ChannelCommand, PeopleCommand};
pub(super) use hosted_args::{HostedCommand, HostedImport};
pub(super) use operator::account;

use super::store::{OpenError, block_on, existing, open};
use super::{Exit, Terminal};
use crate::app::convert;
use crate::auth::password::{PasswordError, Passwords};
use crate::channel::{self, Author, HostError};
use crate::clock::SystemClock;
use crate::config::{self, Config, Sources};
use crate::people::{By, People, PeopleError};
use crate::store::StoreError;
use crate::store::lazy::LazyStore;
use password::NoPassword;

/// Rows of a listing that are in memory at one time.
const PAGE: u32 = 1000;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    People(#[from] PeopleError),
    #[error("{0}")]
    Host(#[from] HostError),
    #[error("{0}")]
    NoPassword(#[from] NoPassword),
    #[error("{0}")]
    NotSure(&'static str),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::People(error.into())
    }
}

impl From<PasswordError> for Failed {
    fn from(error: PasswordError) -> Self {
        Self::People(error.into())
    }
}

impl Failed {
    /// Whether something else has to be typed.
    const fn is_usage(&self) -> bool {
        match self {
            Self::People(PeopleError::Refused(_)) | Self::Host(HostError::Invalid(_)) | Self::NotSure(_) => {
                true
            }
            Self::NoPassword(why) => why.is_usage(),
            Self::Open(_) | Self::People(_) | Self::Host(_) => false,
        }
    }
}

/// What a command works with.
struct Desk<'a, 't> {
    people: People,
    channels: channel::Desk,
    by: By,
    author: Author,
    sources: &'a Sources,
    terminal: &'a mut Terminal<'t>,
    json: bool,
}

impl Desk<'_, '_> {
    /// The outcome: as JSON, or as a sentence.
    fn say(&mut self, value: &impl Serialize, sentence: impl std::fmt::Display) {
        if self.json {
            self.terminal.json(&json!(value));
        } else {
            self.terminal.line(sentence);
        }
    }

    /// A sentence beside the outcome.
    fn note(&mut self, sentence: impl std::fmt::Display) {
        self.terminal.error(format_args!("{sentence}\n"));
    }
}

pub(super) fn run(
    command: &PeopleCommand,
    config: &Config,
    sources: &Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    match block_on(answer(command, config, sources, terminal)) {
        Ok(()) => Exit::Done,
        Err(error) => {
            let exit = terminal.fail(&error);
            if error.is_usage() { Exit::Usage } else { exit }
        }
    }
}

async fn answer(
    command: &PeopleCommand,
    config: &Config,
    sources: &Sources,
    terminal: &mut Terminal<'_>,
) -> Result<(), Failed> {
    let store = if command.makes_a_store() { open(config).await? } else { existing(config).await? };
    store.is_whole().await?;
    let passwords = Passwords::new(convert::argon2(config))?;
    let opened = store.clone();
    let lazy = LazyStore::new(Arc::new(move || {
        let store = opened.clone();
        async move { Ok(store) }.boxed()
    }));
    let author = operator::author()?;
    let mut channels = channel::Desk::new(lazy, Arc::new(SystemClock), None);
    if let PeopleCommand::Channel(ChannelCommand::Hosted(_)) = command {
        channels = channels.under(written(sources, terminal));
    }
    let mut desk = Desk {
        channels,
        author,
        people: People::new(store, passwords, Arc::new(SystemClock), config.auth.token_ttl),
        by: operator::of(&sources.variables),
        sources,
        terminal,
        json: command.common().json,
    };
    match command {
        PeopleCommand::User(command) => users::answer(command, &mut desk).await,
        PeopleCommand::Group(command) => groups::answer(command, &mut desk).await,
        PeopleCommand::Token(command) => tokens::answer(command, &mut desk).await,
        PeopleCommand::Channel(ChannelCommand::Hosted(command)) => channels::answer(command, &mut desk).await,
        PeopleCommand::Channel(command) => grants::answer(command, &mut desk).await,
        PeopleCommand::Package(command) => packages::answer(command, &mut desk).await,
        PeopleCommand::Audit(command) => audit::answer(command, &mut desk).await,
    }
}

/// What the rules say of hosted channels; nothing while they have mistakes.
fn written(sources: &Sources, terminal: &mut Terminal<'_>) -> channel::Written {
    let rules = config::load_with_rules(sources).map(|(_, rules)| rules);
    if rules.is_err() {
        terminal.error(format_args!(
            "the rules have mistakes, which `condagate check` shows; what they say of this channel is not considered\n"
        ));
    }
    Arc::new(move |name| rules.as_ref().ok()?.hosted(name))
}
