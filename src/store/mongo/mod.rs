//! The store in MongoDB: for teams with several gates, or with a database of their own.
//!
//! Two databases, metadata and queue. Only what a standalone server has is used: one document at a time, unique indexes,
//! `findAndModify`; no transactions, no change streams. Every write waits for a majority and its journal. Indexes are
//! made by `condagate db setup`, never in passing.
//!
//! Belongs here: the client and its bounds. Does not: documents (`document`), indexes ([`setup`]).

mod document;
mod engine;
mod fault;
pub mod setup;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::{
    ClientOptions, DatabaseOptions, ReadPreference, SelectionCriteria, Tls, TlsOptions, WriteConcern,
};
use mongodb::{Client, Collection, Database};

use super::engine::SCHEMA;
use super::error::StoreError;
use super::table::Table;
use crate::secret::Secret;

/// How long a server to talk to is looked for, and a connection made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one operation may take, all its retries included.
const OPERATION: Duration = Duration::from_secs(30);
/// How long a majority may take to confirm a write.
const CONFIRM: Duration = Duration::from_secs(10);
/// Connections to one server. Requests of clients don't come here, so a few do.
const POOL: u32 = 16;

/// Counter, schema and marks live here, one document each.
const META: &str = "meta";

/// Which MongoDB.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `mongodb://…` or `mongodb+srv://…`, credentials included.
    pub uri: Secret<String>,
    /// For everything but the queue.
    pub database: String,
    /// For the queue.
    pub queue_database: String,
    /// Certificates (PEM) to trust instead of the usual ones; turns TLS on.
    pub ca_file: Option<PathBuf>,
}

/// A client of the two databases.
pub struct Mongo {
    main: Database,
    queue: Database,
    hosts: String,
}

impl Mongo {
    /// Connects to databases that are set up.
    ///
    /// # Errors
    /// [`StoreError::NotSetUp`], [`StoreError::NewerSchema`], [`StoreError::Unavailable`]
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let mongo = Self::connect(settings).await?;
        let (found, known) = (mongo.schema().await?, SCHEMA);
        match found {
            _ if found > known => Err(StoreError::NewerSchema { found, known }),
            _ if found < known => Err(StoreError::NotSetUp { found, known }),
            _ => Ok(mongo),
        }
    }

    /// Connects without a look at the schema.
    async fn connect(settings: &Settings) -> Result<Self, StoreError> {
        // What the driver says about a connection string may repeat parts of it.
        let parsed = bounded(async { Ok(ClientOptions::parse(settings.uri.reveal()).await.ok()) }).await?;
        let mut options = parsed.ok_or_else(|| {
            StoreError::unavailable(
                "the connection string of MongoDB can't be understood, or its name not be resolved",
            )
        })?;
        options.app_name = Some("condagate".to_owned());
        options.server_selection_timeout.get_or_insert(CONNECT);
        options.connect_timeout.get_or_insert(CONNECT);
        options.max_pool_size.get_or_insert(POOL);
        options.max_connecting.get_or_insert(2);
        if let Some(file) = &settings.ca_file {
            let mut tls = match options.tls.take() {
                Some(Tls::Enabled(tls)) => tls,
                _ => TlsOptions::default(),
            };
            tls.ca_file_path = Some(file.clone());
            options.tls = Some(Tls::Enabled(tls));
        }
        let hosts: Vec<_> = options.hosts.iter().map(ToString::to_string).collect();
        let client = Client::with_options(options).map_err(|error| fault::of(&error))?;
        let database = |name: &str| client.database_with_options(name, acknowledged());
        Ok(Self {
            main: database(&settings.database),
            queue: database(&settings.queue_database),
            hosts: hosts.join(","),
        })
    }

    fn database(&self, table: &Table) -> &Database {
        if table.queue { &self.queue } else { &self.main }
    }

    fn collection(&self, table: &Table) -> Collection<Document> {
        self.database(table).collection(table.name)
    }

    fn meta(&self) -> Collection<Document> {
        self.main.collection(META)
    }

    /// The schema found; 0 for none.
    async fn schema(&self) -> Result<i64, StoreError> {
        let found = bounded(self.meta().find_one(doc! {"_id": "schema"}).into_future()).await?;
        let Some(found) = found else { return Ok(0) };
        found.get_i64("version").map_err(|_| StoreError::damaged("`meta.schema` has no version"))
    }
}

/// Written is what a majority has in its journal; read is what the primary has.
fn acknowledged() -> DatabaseOptions {
    let mut concern = WriteConcern::majority();
    concern.journal = Some(true);
    concern.w_timeout = Some(CONFIRM);
    DatabaseOptions::builder()
        .write_concern(concern)
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .build()
}

/// The same for commands that are sent as they are.
fn write_concern() -> Document {
    let timeout = i64::try_from(CONFIRM.as_millis()).unwrap_or(i64::MAX);
    doc! {"w": "majority", "j": true, "wtimeout": timeout}
}

/// What an operation gives, if it gives it in time: the driver has no bound of its own on waiting for an answer.
async fn bounded<T>(
    operation: impl Future<Output = mongodb::error::Result<T>> + Send,
) -> Result<T, StoreError> {
    match tokio::time::timeout(OPERATION, operation).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(fault::of(&error)),
        Err(_) => Err(StoreError::unavailable(format_args!(
            "MongoDB gave no answer within {} s",
            OPERATION.as_secs()
        ))),
    }
}
