//! Arguments of `condagate backup` and `condagate restore`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::Where;
use crate::config::Flags;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(in crate::cli) struct BackupArgs {
    #[command(subcommand)]
    pub(super) command: Option<BackupCommand>,
    #[command(flatten)]
    from: Where,
    /// The directory of rules
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Keep the newest N backups, delete older ones and what only they have
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) keep: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Where backups are kept; the first one makes it
    #[arg(required = true)]
    pub(super) dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Read everything in a directory of backups again and compare digests (exit code 1 if anything is wrong)
    ///
    /// Files that are not what they were are set aside, so that the next backup copies them anew.
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Where backups are kept
        dir: PathBuf,
    },
    /// The backups in a directory, the oldest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Where backups are kept
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArgs {
    #[command(flatten)]
    from: Where,
    /// The directory for the rules of the backup
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// First put the files of settings of the backup into this directory, such as /etc/condagate
    #[arg(long, value_name = "DIR")]
    pub(super) settings: Option<PathBuf>,
    /// Another backup than the newest, as `condagate backup list` names it
    #[arg(long, value_name = "ID")]
    pub(super) backup: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Where backups are kept
    pub(super) dir: PathBuf,
}

impl BackupArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { rules: self.rules.clone(), ..self.from.flags() }
    }
}

impl RestoreArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { rules: self.rules.clone(), ..self.from.flags() }
    }
}
