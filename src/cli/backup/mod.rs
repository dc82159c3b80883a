//! `condagate backup`, `condagate backup verify | list`, `condagate restore`
//!
//! Belongs here: what is printed, exit codes, opening the store for it. Does not: what a backup is (`backup`).

mod args;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::show::readable;
use super::store::{OpenError, block_on, existing, is_ours, open};
use super::{Exit, Terminal};
use crate::backup::{self, BackupError, Made, Manifest, Part, Pruned, Restore, Shelf, Targets};
use crate::clock::SystemClock;
use crate::config::{self, Config, Flags, Sources};
use crate::http::date;
use crate::policy::Mistake;
use crate::store::StoreError;

use args::BackupCommand;
pub(super) use args::{BackupArgs, RestoreArgs};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Backup(#[from] BackupError),
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("the settings have mistakes")]
    Settings(Vec<Mistake>),
    #[error("{0}")]
    Other(String),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Backup(error.into())
    }
}

type Sourced<'a> = &'a dyn Fn(Flags) -> Sources;

pub(super) fn run(args: &BackupArgs, sources: Sourced<'_>, terminal: &mut Terminal<'_>) -> Exit {
    let done = match (&args.command, &args.dir) {
        (Some(BackupCommand::Verify { json, dir }), _) => verify(dir, *json, terminal),
        (Some(BackupCommand::List { json, dir }), _) => list(dir, *json, terminal),
        (None, Some(dir)) => make(args, dir, &sources(args.flags()), terminal),
        (None, None) => Err(Failed::Other("say where to keep the backup".to_owned())),
    };
    ended(done, terminal)
}

pub(super) fn restore(args: &RestoreArgs, sources: Sourced<'_>, terminal: &mut Terminal<'_>) -> Exit {
    let done = put_back(args, sources, terminal);
    ended(done, terminal)
}

fn ended(done: Result<Exit, Failed>, terminal: &mut Terminal<'_>) -> Exit {
    match done {
        Ok(exit) => exit,
        Err(Failed::Settings(mistakes)) => terminal.refuse(&mistakes),
        Err(error) => terminal.fail(error),
    }
}

fn make(
    args: &BackupArgs,
    dir: &Path,
    sources: &Sources,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failed> {
    let config = config::load(sources).map_err(Failed::Settings)?;
    is_outside(dir, &config)?;
    let settings =
        sources.files().map_err(|error| Failed::Other(format!("settings can't be read: {error}")))?;
    let settings = settings.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>();
    let settings = settings.map_err(|error| Failed::Other(format!("settings can't be found: {error}")))?;
    let shelf = Shelf::open_to_write(dir)?;
    let made = block_on(async {
        let store = existing(&config).await?;
        let from = backup::Sources {
            store: &store,
            packages: &config.storage.packages,
            cache: &config.storage.cache,
            rules: &config.rules.path,
            settings: &settings,
            clock: &SystemClock,
        };
        Ok::<_, Failed>(backup::make(&shelf, &from).await?)
    })?;
    let pruned = match args.keep {
        Some(keep) => Some(backup::prune(&shelf, usize::try_from(keep).unwrap_or(usize::MAX))?),
        None => None,
    };
    let missing = made.manifest.of(Part::Missing).count();
    if args.json {
        terminal.json(&as_json(&made, pruned.as_ref(), dir));
    } else {
        tell(&made, pruned.as_ref(), dir, terminal);
    }
    let mut variables: Vec<&str> =
        config.origins.iter().filter_map(|s| s.origin.strip_prefix("environment variable ")).collect();
    variables.dedup();
    if !variables.is_empty() {
        terminal.error(format_args!("settings in variables are not in it: {}\n", variables.join(", ")));
    }
    if missing == 0 {
        return Ok(Exit::Done);
    }
    terminal.error(format_args!(
        "condagate: {missing} files that the store names are not on this gate, or not what they were, and not in the backup; with several gates, back up each of them\n"
    ));
    Ok(Exit::Failed)
}

/// A backup inside of what it saves is lost with it.
fn is_outside(dir: &Path, config: &Config) -> Result<(), Failed> {
    let whole = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        path.canonicalize().unwrap_or(path)
    };
    for inner in [&config.data, &config.storage.packages, &config.storage.cache] {
        if whole(dir).starts_with(whole(inner)) {
            return Err(Failed::Other(format!(
                "`{}` is inside `{}`, and would be lost with it; give a directory elsewhere, best on another disk",
                dir.display(),
                inner.display()
            )));
        }
    }
    Ok(())
}

fn sizes(manifest: &Manifest) -> (u64, u64) {
    manifest.with_bytes().fold((0, 0), |(files, bytes), entry| (files + 1, bytes + entry.size))
}

fn as_json(made: &Made, pruned: Option<&Pruned>, dir: &Path) -> Value {
    let (files, bytes) = sizes(&made.manifest);
    let mut value = json!({
        "backup": made.manifest.id.to_string(),
        "directory": dir.display().to_string(),
        "rows": made.rows,
        "files": files,
        "bytes": bytes,
        "new_files": made.copied.0,
        "new_bytes": made.copied.1,
        "missing": made.manifest.of(Part::Missing).map(|entry| entry.sha256.to_hex()).collect::<Vec<_>>(),
    });
    if let Some(pruned) = pruned {
        value["deleted_backups"] = json!(pruned.backups);
        value["deleted_files"] = json!(pruned.files.0);
        value["deleted_bytes"] = json!(pruned.files.1);
    }
    value
}

fn tell(made: &Made, pruned: Option<&Pruned>, dir: &Path, terminal: &mut Terminal<'_>) {
    let (files, bytes) = sizes(&made.manifest);
    terminal.line(format_args!(
        "backup {} in {}: {} rows of the store, {files} files ({}); copied {} that were new ({})",
        made.manifest.id,
        dir.display(),
        made.rows,
        readable(bytes),
        made.copied.0,
        readable(made.copied.1)
    ));
    if let Some(pruned) = pruned {
        terminal.line(format_args!(
            "deleted {} older backups, and {} files that only they had ({})",
            pruned.backups.len(),
            pruned.files.0,
            readable(pruned.files.1)
        ));
        if let Some(id) = &pruned.held_by {
            terminal.error(format_args!(
                "no file was deleted: the list of backup {id} can't be read, so nobody knows what it needs; `condagate backup verify` says more\n"
            ));
        }
    }
    terminal.line("password hashes and signing keys are in it; only this account may read the directory");
}

fn verify(dir: &Path, as_json: bool, terminal: &mut Terminal<'_>) -> Result<Exit, Failed> {
    Shelf::open(dir)?;
    let found = backup::verify(&Shelf::open_to_write(dir)?)?;
    if as_json {
        terminal.json(&json!({
            "backups": found.backups,
            "files": found.files.0,
            "bytes": found.files.1,
            "damaged": found.damaged,
            "missing": found.missing,
        }));
    } else {
        let (files, bytes) = found.files;
        terminal.line(format_args!(
            "{} backups, {files} files ({}) read and right",
            found.backups,
            readable(bytes)
        ));
        if found.missing > 0 {
            terminal.line(format_args!(
                "{} files that the newest one's store names were not on the gate when it was made",
                found.missing
            ));
        }
    }
    for sentence in &found.damaged {
        terminal.error(format_args!("condagate: {sentence}\n"));
    }
    Ok(if found.damaged.is_empty() { Exit::Done } else { Exit::Failed })
}

fn list(dir: &Path, as_json: bool, terminal: &mut Terminal<'_>) -> Result<Exit, Failed> {
    let shelf = Shelf::open(dir)?;
    let mut rows = Vec::new();
    for id in shelf.list()? {
        rows.push(match shelf.manifest(&id) {
            Ok(manifest) => {
                let (files, bytes) = sizes(&manifest);
                let made = date::rfc3339(manifest.made);
                json!({"backup": id.to_string(), "made": made, "condagate": manifest.condagate, "files": files, "bytes": bytes})
            }
            Err(error) => json!({"backup": id.to_string(), "error": error.to_string()}),
        });
    }
    if as_json {
        terminal.json(&json!(rows));
        return Ok(Exit::Done);
    }
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        match row["error"].as_str() {
            Some(error) => terminal.line(format_args!("{}  {error}", text("backup"))),
            None => terminal.line(format_args!(
                "{}  {}  {} files, {}",
                text("backup"),
                text("made"),
                row["files"],
                readable(row["bytes"].as_u64().unwrap_or_default())
            )),
        }
    }
    Ok(Exit::Done)
}

fn put_back(args: &RestoreArgs, sources: Sourced<'_>, terminal: &mut Terminal<'_>) -> Result<Exit, Failed> {
    let shelf = Shelf::open(&args.dir)?;
    let manifest = shelf.manifest(&shelf.choose(args.backup.as_deref())?)?;
    let settings = match &args.settings {
        Some(dir) => shelf.put_settings(&manifest, dir)?,
        None => Vec::new(),
    };
    let config = config::load(&sources(args.flags())).map_err(Failed::Settings)?;
    is_ours(&config.data)?;
    let targets = Targets {
        data: &config.data,
        packages: &config.storage.packages,
        cache: &config.storage.cache,
        rules: &config.rules.path,
    };
    let mut restore = Restore::begin(&shelf, &manifest, targets)?;
    let rows = block_on(async {
        // A database elsewhere is looked at before anything is written here.
        let there = if config.store.is_some() { Some(empty(&config).await?) } else { None };
        restore.files()?;
        let store = match there {
            Some(store) => store,
            None => open(&config).await?,
        };
        Ok::<_, Failed>(restore.load(&store).await?.rows)
    });
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => {
            restore.undo();
            return Err(error);
        }
    };
    restore.finish()?;
    tell_restored(args, &manifest, rows, &settings, terminal);
    Ok(Exit::Done)
}

async fn empty(config: &Config) -> Result<crate::store::Store, Failed> {
    let store = open(config).await?;
    let rows: u64 = store.status().await?.rows.iter().map(|(_, rows)| rows).sum();
    if rows > 0 {
        return Err(BackupError::Dump(crate::store::dump::DumpError::NotEmpty { rows }).into());
    }
    Ok(store)
}

fn tell_restored(
    args: &RestoreArgs,
    manifest: &Manifest,
    rows: u64,
    settings: &[PathBuf],
    terminal: &mut Terminal<'_>,
) {
    let (files, bytes) = sizes(manifest);
    let missing = manifest.of(Part::Missing).count();
    if args.json {
        terminal.json(&json!({
            "backup": manifest.id.to_string(),
            "made": date::rfc3339(manifest.made),
            "rows": rows,
            "files": files,
            "bytes": bytes,
            "missing": missing,
            "settings": settings.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        }));
        return;
    }
    terminal.line(format_args!(
        "restored backup {} of {}: {rows} rows of the store, {files} files ({}); the gate can be started",
        manifest.id,
        date::rfc3339(manifest.made),
        readable(bytes)
    ));
    let unused = manifest.of(Part::Settings).count();
    if settings.is_empty() && unused > 0 {
        terminal.line(format_args!(
            "its {unused} files of settings were left in the backup; `--settings DIR` puts them into a directory"
        ));
    }
    if missing > 0 {
        terminal.line(format_args!("{missing} files of hosted packages were not in it"));
    }
}
