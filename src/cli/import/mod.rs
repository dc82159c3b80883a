//! `condagate channel import CHANNEL SOURCE`: packages of a directory, or of another channel, into a hosted one.
//!
//! Every package is sent to the running gate over its private socket, where it goes the way of any upload. What is there already is not
//! sent again, so an import that was broken off goes on where it was.
//!
//! Belongs here: the order of the work, progress, the account at the end. Does not: where packages lie (`source`), sending (`gate`).

mod gate;
mod source;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::people::HostedImport;
use super::{Exit, Terminal};
use crate::config::Config;
use gate::{Gate, Sent};
use source::{Item, Source, SourceError};

/// Reasons that are printed one by one; all are in the JSON.
const SHOWN: usize = 50;

/// Why there was no import at all.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("{0}")]
    Source(#[from] SourceError),
    #[error("{0}")]
    Socket(#[from] super::socket::SocketError),
    #[error("the import can't be started: {0}")]
    Runtime(std::io::Error),
}

/// What came of it.
#[derive(Default)]
struct Account {
    taken: u64,
    bytes: u64,
    were_there: u64,
    refused: Vec<(String, String)>,
}

pub(super) fn run(command: &HostedImport, config: &Config, terminal: &mut Terminal<'_>) -> Exit {
    match import(command, &config.control_socket()) {
        Ok(account) => tell(command, &account, terminal),
        Err(error) => terminal.fail(error),
    }
}

fn import(command: &HostedImport, socket: &std::path::Path) -> Result<Account, ImportError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(ImportError::Runtime)?;
    let source = Source::read(&command.source)?;
    runtime.block_on(async {
        let gate = Gate::new(socket, command)?;
        let items = source.items(&command.subdirs).await?;
        let total = u64::try_from(items.len()).unwrap_or(u64::MAX);
        let progress = ProgressBar::new(total).with_style(style());
        let mut account = Account::default();
        for item in items {
            progress.set_message(item.shown());
            one(&gate, &source, item, command.dry_run, &mut account).await?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(account)
    })
}

fn style() -> ProgressStyle {
    let plain = ProgressStyle::default_bar();
    ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} (still {eta}) {wide_msg}").unwrap_or(plain)
}

async fn one(
    gate: &Gate,
    source: &Source,
    item: Item,
    dry_run: bool,
    account: &mut Account,
) -> Result<(), ImportError> {
    let shown = item.shown();
    let sent = match (gate.has(&item).await?, dry_run) {
        (true, _) => Ok(Sent::WasThere),
        (false, true) => Ok(Sent::Taken(item.size().unwrap_or(0))),
        (false, false) => match source.open(&item).await {
            Ok(body) => gate.send(&item, body).await?,
            Err(why) => Err(why.to_string()),
        },
    };
    match sent {
        Ok(Sent::Taken(bytes)) => {
            account.taken += 1;
            account.bytes += bytes;
        }
        Ok(Sent::WasThere) => account.were_there += 1,
        Err(why) => account.refused.push((shown, why)),
    }
    Ok(())
}

fn tell(command: &HostedImport, account: &Account, terminal: &mut Terminal<'_>) -> Exit {
    let channel = command.channel().as_str();
    let refused: Vec<_> =
        account.refused.iter().map(|(file, why)| json!({"file": file, "why": why})).collect();
    if command.common().json {
        terminal.json(&json!({
            "channel": channel, "dry_run": command.dry_run, "taken": account.taken, "bytes": account.bytes,
            "were_there": account.were_there, "refused": refused,
        }));
    } else {
        let would = if command.dry_run { "would be taken" } else { "taken" };
        terminal.line(format_args!(
            "{} packages {would} into `{channel}` ({}), {} were there, {} refused",
            account.taken,
            crate::policy::units::show_size(account.bytes),
            account.were_there,
            account.refused.len()
        ));
        for (file, why) in account.refused.iter().take(SHOWN) {
            terminal.error(format_args!("refused: {file}: {why}\n"));
        }
        if account.refused.len() > SHOWN {
            let more = account.refused.len() - SHOWN;
            terminal.error(format_args!("and {more} more; --json lists them all\n"));
        }
    }
    if account.refused.is_empty() { Exit::Done } else { Exit::Failed }
}
