//! `condagate db setup | status | dump | load`
//!
//! Belongs here: the files of dumps, what is printed. Does not: opening the store (`cli::store`), the store itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::args::DbCommand;
use super::store::{OpenError, block_on, existing, open};
use super::{Exit, Terminal, show};
use crate::app::convert::mongodb;
use crate::config::Config;
use crate::store::dump::{self, DumpError};
use crate::store::engine::SCHEMA;
use crate::store::mongo;
use crate::store::sqlite::Sqlite;
use crate::store::{Status, Store, StoreError};
use serde_json::{Map, Value, json};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum DbError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Dump(#[from] DumpError),
    #[error("cannot {doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
}

pub(super) fn run(command: &DbCommand, config: &Config, terminal: &mut Terminal<'_>) -> Exit {
    match block_on(answer(command, config, terminal)) {
        Ok(()) => Exit::Done,
        Err(error) => terminal.fail(error),
    }
}

async fn answer(command: &DbCommand, config: &Config, terminal: &mut Terminal<'_>) -> Result<(), DbError> {
    match command {
        DbCommand::Setup { execute, .. } => {
            let steps = setup(config, *execute).await?;
            let ready = steps.is_empty();
            for step in &steps {
                terminal.line(step);
            }
            terminal.line(match (ready, *execute) {
                (true, _) => "the store is ready",
                (false, true) => "done; the store is ready",
                (false, false) => "nothing was done; `--execute` does it",
            });
        }
        DbCommand::Status { json: as_json, .. } => {
            let status = status_json(&existing(config).await?.status().await?);
            if *as_json {
                terminal.json(&status);
            } else {
                show::value(&status, terminal);
            }
        }
        DbCommand::Dump { file, .. } => {
            let summary = write(&existing(config).await?, file).await?;
            terminal.line(format!("{} rows written to {}", summary.rows, file.display()));
        }
        DbCommand::Load { file, replace, .. } => {
            let from = File::open(file).map_err(failed("open", file))?;
            let store = open(config).await?;
            let summary = dump::load(&store, &mut BufReader::new(from), *replace).await?;
            terminal.line(format!("{} rows loaded from {}", summary.rows, file.display()));
        }
    }
    Ok(())
}

/// What has to be done; done, with `execute`.
async fn setup(config: &Config, execute: bool) -> Result<Vec<String>, DbError> {
    if let Some(settings) = mongodb(config) {
        return Ok(mongo::setup::setup(&settings, execute).await?);
    }
    let file = config.store_file();
    let steps = Sqlite::plan(&file)?;
    if execute {
        open(config).await?;
    }
    Ok(steps)
}

fn status_json(status: &Status) -> Value {
    let rows: Map<_, _> =
        status.rows.iter().map(|(table, rows)| ((*table).to_owned(), json!(rows))).collect();
    json!({
        "engine": status.about.engine,
        "place": status.about.place,
        "schema": status.about.schema,
        "known_schema": SCHEMA,
        "revision": status.revision,
        "half_loaded": status.loading,
        "rows": rows,
    })
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DbError {
    move |source| DbError::File { doing, path: path.to_owned(), source }
}

/// Writes beside the file and puts it in its place when it is complete. Hashes of passwords are in it, so it is this
/// user's only.
async fn write(store: &Store, file: &Path) -> Result<dump::Summary, DbError> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    // One that is left over may be anybody's to read: made anew, it is not.
    if let Err(error) = fs::remove_file(&beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(failed("remove", &beside)(error));
    }
    let opened = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside);
    let mut out = BufWriter::new(opened.map_err(failed("write", &beside))?);
    let written = dump::dump(store, &mut out).await;
    let mut finish = || {
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&beside, file)
    };
    match written {
        Ok(summary) => finish().map(|()| summary).map_err(failed("write", file)),
        Err(error) => {
            let _what_matters_is_why = fs::remove_file(&beside);
            Err(error.into())
        }
    }
}
