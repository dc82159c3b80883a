//! The store in a SQLite file: the default, for one machine.
//!
//! One connection writes, a few read; WAL lets them go on beside each other. Everything runs on blocking threads of the
//! runtime that the store was opened with. A write that was answered is on the disk (`synchronous=FULL`).
//!
//! Belongs here: connections, the engine. Does not: SQL text from filters (`sql`), the schema (`migrations`).

mod engine;
mod migrations;
mod sql;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::engine::SCHEMA;
use super::error::StoreError;

/// Connections that read at one time; each call holds one for well under a millisecond.
const READERS: usize = 4;
/// How long a connection waits for another one's lock.
const BUSY: Duration = Duration::from_secs(5);
/// How often it looks where SQLite does not wait by itself.
const LOOK: Duration = Duration::from_millis(5);
/// How many times.
const LOOKS: u32 = 1000;

/// An open file.
pub struct Sqlite {
    files: Arc<Files>,
    runtime: Handle,
    readers: Semaphore,
}

struct Files {
    path: PathBuf,
    writer: Mutex<Connection>,
    idle: Mutex<Vec<Connection>>,
    /// Whether the one idle connection is in a transaction that reads one moment: no other may take its place.
    frozen: bool,
}

impl Sqlite {
    /// Opens or creates the file, and brings an older one up to date after copying it beside itself. The file and its copies
    /// are readable for this user only.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`], [`StoreError::Damaged`], [`StoreError::Unavailable`]
    pub fn open(path: &Path, runtime: Handle) -> Result<Self, StoreError> {
        create(path)?;
        let mut writer = connect(path)?;
        migrations::bring_up_to_date(&mut writer, path)?;
        let files = Files {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            idle: Mutex::default(),
            frozen: false,
        };
        Ok(Self { files: Arc::new(files), runtime, readers: Semaphore::new(READERS) })
    }

    /// Says what [`Sqlite::open`] would do to a file; nothing to say means that it is ready.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn plan(path: &Path) -> Result<Vec<String>, StoreError> {
        if !path.exists() {
            return Ok(vec![format!("create {} with schema {SCHEMA}", path.display())]);
        }
        let found = migrations::schema_of(&connect(path)?).map_err(|error| fault(path, &error))?;
        match found {
            _ if found > SCHEMA => Err(StoreError::NewerSchema { found, known: SCHEMA }),
            _ if found < SCHEMA => {
                let copy = migrations::copy_of(path, found);
                Ok(vec![
                    format!("copy {} to {}", path.display(), copy.display()),
                    format!("bring {} from schema {found} to {SCHEMA}", path.display()),
                ])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// A second handle whose reader stays at this moment, whatever is written meanwhile.
    fn freeze(&self) -> Result<Self, StoreError> {
        let path = &self.files.path;
        let (writer, reader) = (connect(path)?, connect(path)?);
        // A transaction begins with its first look.
        let begun = reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema");
        begun.map_err(|error| fault(path, &error))?;
        let (writer, idle) = (Mutex::new(writer), Mutex::new(vec![reader]));
        let files = Files { path: path.clone(), writer, idle, frozen: true };
        Ok(Self { files: Arc::new(files), runtime: self.runtime.clone(), readers: Semaphore::new(1) })
    }

    /// Runs a question on a blocking thread.
    async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _turn = self.readers.acquire().await.map_err(StoreError::unavailable)?;
        let files = Arc::clone(&self.files);
        let work = move || {
            let idle = files.idle.lock().pop();
            let connection = match idle {
                Some(connection) => connection,
                None if files.frozen => {
                    return Err(StoreError::unavailable("a read of one moment broke off"));
                }
                None => connect(&files.path)?,
            };
            let answer = ask(&connection).map_err(|error| fault(&files.path, &error));
            files.idle.lock().push(connection);
            answer
        };
        self.runtime.spawn_blocking(work).await.map_err(StoreError::unavailable)?
    }

    /// Runs a change in one transaction, on a blocking thread.
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let files = Arc::clone(&self.files);
        let work = move || {
            let mut writer = files.writer.lock();
            let run = || {
                // Taking the lock at once: a reader that becomes a writer could be refused.
                let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let value = change(&transaction)?;
                transaction.commit()?;
                Ok(value)
            };
            run().map_err(|error| fault(&files.path, &error))
        };
        self.runtime.spawn_blocking(work).await.map_err(StoreError::unavailable)?
    }
}

/// Makes an empty file that only this user may read, unless there is one. SQLite gives its side files the same mode.
fn create(path: &Path) -> Result<(), StoreError> {
    let why = |error| StoreError::unavailable(format_args!("cannot open {}: {error}", path.display()));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(why)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.map(|_| ()).map_err(why)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        log_ahead(&connection)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "journal_size_limit", 8 * 1024 * 1024)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    };
    open().map_err(|error| fault(path, &error))
}

/// Switches to WAL. Of several that switch a new file at once, SQLite refuses all but one without waiting (it can't know that they
/// want the same), so this waits.
#[expect(
    clippy::disallowed_methods,
    reason = "all of this file runs on blocking threads, as SQLite's own waiting does"
)]
fn log_ahead(connection: &Connection) -> rusqlite::Result<()> {
    for _ in 0..LOOKS {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(LOOK);
            }
            other => return other,
        }
    }
    connection.pragma_update(None, "journal_mode", "WAL")
}

/// What SQLite said, as the store says it. Its messages have names of tables and columns in them, never values.
fn fault(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => StoreError::Conflict { what: "such a row" },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::damaged(format_args!("{} is not a database that SQLite can read", path.display()))
        }
        _ => match error {
            rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
                StoreError::damaged(format_args!("a value in {} is of the wrong type", path.display()))
            }
            _ => StoreError::unavailable(format_args!("{}: {error}", path.display())),
        },
    }
}
