//! The store: users, groups, grants, tokens, sessions, hosted channels and their packages, the audit trail, totals of
//! traffic, the queue.
//!
//! Two databases can hold it: a SQLite file (the default) and MongoDB. What can be asked is said by one trait per kind of
//! thing ([`repo`]); the traits are implemented once, above what an [`engine`] can do, and the engines are kept
//! small. Every method is atomic by itself on one row, and nothing spans two: a standalone MongoDB has no more to give, and
//! the two must mean the same. The contract suite (`contract`) runs every case on both.
//!
//! Belongs here: what is kept and how. Does not: what a right, a token or a state allows (services), making ids, secrets
//! and times (they are arguments), files of packages (`cache`).

pub mod dump;
pub mod engine;
mod error;
pub mod lazy;
pub mod model;
pub mod mongo;
pub mod query;
pub mod repo;
pub mod sqlite;
pub mod table;
pub mod value;

#[cfg(test)]
mod contract;

use std::sync::Arc;

pub use error::StoreError;

use engine::{About, Engine};
use model::TABLES;
use repo::{
    AuditRepo, ChannelRepo, DownloadRepo, GrantRepo, GroupRepo, HeadRepo, JobRepo, KeyRepo, PackageRepo,
    Rows, SessionRepo, SettingsRepo, TokenRepo, TrafficRepo, UserRepo,
};

/// An open store. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<dyn Engine>);

/// What there is, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The database.
    pub about: About,
    /// The last number of the counter of changes.
    pub revision: u64,
    /// Whether a load was begun and not finished.
    pub loading: bool,
    /// Rows by table.
    pub rows: Vec<(&'static str, u64)>,
}

impl Store {
    /// A store above a database that is set up.
    pub fn new(engine: impl Engine) -> Self {
        Self(Arc::new(engine))
    }

    fn engine(&self) -> &dyn Engine {
        &*self.0
    }

    fn rows(&self) -> Rows<'_> {
        Rows(self.engine())
    }

    /// Refuses a store that holds only a part of a dump; to be asked before serving.
    ///
    /// # Errors
    /// [`StoreError::HalfLoaded`]
    pub async fn is_whole(&self) -> Result<(), StoreError> {
        if self.engine().is_loading().await? { Err(StoreError::HalfLoaded) } else { Ok(()) }
    }

    /// Everything as it is at this moment, to be read from and no more; `None` where the database has no such view, or this is one.
    pub async fn frozen(&self) -> Result<Option<Self>, StoreError> {
        Ok(self.engine().frozen().await?.map(Self))
    }

    /// What there is.
    pub async fn status(&self) -> Result<Status, StoreError> {
        let engine = self.engine();
        let mut rows = Vec::new();
        for table in TABLES {
            rows.push((table.name, engine.count(table).await?));
        }
        let (about, loading) = (engine.about().await?, engine.is_loading().await?);
        Ok(Status { about, revision: engine.counter().await?.value, loading, rows })
    }

    /// Users.
    pub fn users(&self) -> &dyn UserRepo {
        self
    }

    /// Groups and their members.
    pub fn groups(&self) -> &dyn GroupRepo {
        self
    }

    /// Rights on channels.
    pub fn grants(&self) -> &dyn GrantRepo {
        self
    }

    /// Tokens.
    pub fn tokens(&self) -> &dyn TokenRepo {
        self
    }

    /// Sessions.
    pub fn sessions(&self) -> &dyn SessionRepo {
        self
    }

    /// Keys that sign access tokens.
    pub fn keys(&self) -> &dyn KeyRepo {
        self
    }

    /// What changed.
    pub fn settings(&self) -> &dyn SettingsRepo {
        self
    }

    /// Hosted channels.
    pub fn channels(&self) -> &dyn ChannelRepo {
        self
    }

    /// Packages of hosted channels.
    pub fn packages(&self) -> &dyn PackageRepo {
        self
    }

    /// Which generations are in force.
    pub fn heads(&self) -> &dyn HeadRepo {
        self
    }

    /// How often files were downloaded.
    pub fn downloads(&self) -> &dyn DownloadRepo {
        self
    }

    /// How much channels were asked for.
    pub fn traffic(&self) -> &dyn TrafficRepo {
        self
    }

    /// What happened.
    pub fn audit(&self) -> &dyn AuditRepo {
        self
    }

    /// The queue.
    pub fn jobs(&self) -> &dyn JobRepo {
        self
    }
}
