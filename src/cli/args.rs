//! Arguments and their help texts.
//!
//! Belongs here: what can be typed. Does not: what it does.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use super::people::{self, ChannelCommand, HostedCommand, PeopleCommand};
use super::{
    Commands, Exit, Terminal, backup, cache, check, client_config, db, doctor, explain, health, import, jobs,
    load, notifying, reload, serve, settings, top, upgrade,
};
use crate::config::{Config, Flags, Sources};

/// A caching gateway for conda channels.
///
/// `condagate serve` works with nothing configured: it listens on 127.0.0.1:8080 and serves the public channels of
/// anaconda.org and repo.anaconda.com out of a verified cache. `condagate client-config conda` says how to use it.
#[derive(Debug, Parser)]
#[command(name = "condagate", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 bad usage or configuration.\n\
    Settings: flags win over CONDAGATE_SECTION__KEY variables (CONDAGATE_CACHE__SIZE=200GiB), these over --config files, \
    over the file in $CONDAGATE_CONFIG, over /etc/condagate/*.yaml, over the defaults.")]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway until SIGTERM or SIGINT; SIGHUP reloads rules and certificates, and opens the access log anew
    Serve(ServeArgs),
    /// Check configuration, rules and certificates: every mistake at once, with file and line
    Check(CheckArgs),
    /// Write, show and change settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at the cache, check it, take things out of it
    ///
    /// With a gate running on the data directory, the gate does it. Without one, the command does it on the directory
    /// itself.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Ask what the rules make of a file or a package
    #[command(subcommand)]
    Rules(RulesCommand),
    /// The store of users, tokens and channels: set it up, look at it, move it
    ///
    /// Without `store.mongodb` in the settings it is the SQLite file store.db in the data directory.
    #[command(subcommand)]
    Db(DbCommand),
    /// Back up store, packages of hosted channels, rules, settings and first sightings, while the gate runs
    ///
    /// Only what is new is copied. Backups that are there stay good, whatever happens to this one.
    Backup(backup::BackupArgs),
    /// Put a backup back into an empty data directory, on either kind of store
    Restore(backup::RestoreArgs),
    /// Try who is told of what happens
    #[command(subcommand)]
    Notify(notifying::NotifyCommand),
    /// The gate's work that is done later: look at it, try again what failed, stop it
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    #[command(flatten)]
    People(PeopleCommand),
    /// Have the running gate read its rules and certificates again, and open its access log anew
    Reload(ReloadArgs),
    /// Watch what the running gate is doing: requests, downloads, upstreams, channels
    ///
    /// Ends with Ctrl-C. Without a terminal the reports come one after the other.
    Top(top::TopArgs),
    /// Have the program as it is installed now take over from the running gate; no request is refused
    Upgrade(ReloadArgs),
    /// Ask a gate whether it lives, or is ready; exit code 1 if not
    ///
    /// It is asked at the first address of `listen`, as a client would: for the health check of a container.
    Health(HealthArgs),
    /// Look at everything a gate needs, and say what to do about what is wrong (exit code 1)
    ///
    /// Works beside a running gate and changes nothing.
    Doctor(DoctorArgs),
    /// Print what to put into a client's settings
    ClientConfig(ClientConfigArgs),
    /// Print the licences of condagate and of all that is linked into it
    Licenses,
}

/// Where settings come from; every command takes these.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Where {
    /// A file of settings; may be given several times, later ones win
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// The directory for the gate's own files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    from: Where,
    /// The directory of rules (*.yaml, in name order)
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Where clients connect, such as 0.0.0.0:80; may be given several times; port 0 takes any free port
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Write the bound addresses to this file, one a line, once requests are answered
    #[arg(long, value_name = "FILE")]
    pub(super) ready_file: Option<PathBuf>,
    /// Take over from the process that started this one and that speaks on the standard input
    #[arg(long, hide = true)]
    pub(super) take_over: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    from: Where,
    /// The directory of rules to check
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Print the mistakes as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Every setting in force
    Show {
        #[command(flatten)]
        from: Where,
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// One setting in force
    Get {
        #[command(flatten)]
        from: Where,
        /// Its key, such as cache.size
        key: String,
    },
    /// Write a file with every setting, its default and a sentence about it, and rules that name channels beside it
    Init {
        /// The file to write; `-` prints the settings only
        #[arg(default_value = "condagate.yaml")]
        file: PathBuf,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
    },
    /// Change one setting in its file; comments and order stay, and what `check` would refuse is not written
    Set {
        #[command(flatten)]
        from: Where,
        /// The file to change; else the one that has the key now, else the last of the layers, else
        /// /etc/condagate/condagate.yaml
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Its key, such as cache.size
        key: String,
        /// Its value, such as 200GiB; commas part the entries of a list
        value: String,
    },
    /// Print the JSON Schema of the settings, for editors
    Schema {
        /// That of the rules instead
        #[arg(long)]
        rules: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// How much there is, and what happened since the start
    Status(CacheArgs),
    /// Read every file again and compare its digest; wrong ones are set aside (exit code 1)
    Verify(CacheArgs),
    /// Forget files, so that they are fetched again when they are asked for
    Purge(PurgeArgs),
    /// Make room now: evict down to the budget, remove left-overs
    Gc(CacheArgs),
}

#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    #[command(flatten)]
    from: Where,
    /// The directory of rules, for when no gate is running
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    pub(super) common: CacheArgs,
    #[command(flatten)]
    pub(super) what: PurgeWhat,
    /// Don't ask; needed with --all
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct PurgeWhat {
    /// One of the below, told apart by its looks: a URL or path, a digest, else a channel
    pub(super) target: Option<String>,
    /// The file that a client asks for by this URL, or by its path
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// All files of a channel, such as conda-forge or team/label/rc
    #[arg(long, value_name = "NAME")]
    pub(super) channel: Option<String>,
    /// The file with this SHA-256, whoever lists it
    #[arg(long, value_name = "SHA256")]
    pub(super) digest: Option<String>,
    /// Everything
    #[arg(long, requires = "yes")]
    pub(super) all: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
    /// Say why a file is served or refused, or which versions of a package are hidden, and by which rule
    ///
    /// With a gate running on the data directory, the gate answers. Without one, the command answers from the rules and
    /// the indexes on disk. Nothing is fetched either way.
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    from: Where,
    /// The directory of rules, for when no gate is running
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// The URL or path of a package file, or a spec such as xz, "xz >=5.6" or conda-forge/linux-64::xz
    #[arg(value_name = "URL-or-SPEC")]
    pub(super) what: String,
    /// With a spec: look into this channel only
    #[arg(long, value_name = "NAME")]
    pub(super) channel: Option<String>,
    /// With a spec: look into this subdir only
    #[arg(long, value_name = "SUBDIR")]
    pub(super) subdir: Option<String>,
    /// Also say whether this user may have it
    #[arg(long = "as", value_name = "USER")]
    pub(super) user: Option<String>,
    /// Print JSON, the same as /-/api/v1/explain gives
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum DbCommand {
    /// Say what has to be done before the store can be used, and do it with --execute
    ///
    /// MongoDB: makes the indexes, and brings an older schema up to date. SQLite does that by itself when it is opened,
    /// after copying the file. Doing it again does nothing.
    Setup {
        #[command(flatten)]
        from: Where,
        /// Do it
        #[arg(long)]
        execute: bool,
    },
    /// Where the store is, its schema, and how much is in it
    Status {
        #[command(flatten)]
        from: Where,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write everything into a file that any store can load; it has password hashes in it
    Dump {
        #[command(flatten)]
        from: Where,
        /// The file to write; one that is there is replaced once the new one is complete
        file: PathBuf,
    },
    /// Take a dump in; the file is checked to its end before anything is written
    Load {
        #[command(flatten)]
        from: Where,
        /// Take away what is in the store; stop the gates before
        #[arg(long)]
        replace: bool,
        /// The dump
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    pub(super) from: Where,
}

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    pub(super) from: Where,
    /// The address of the gate, when it is not the first one of `listen`
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Ask whether requests are answered (/-/readyz), not only whether the process lives (/-/healthz)
    #[arg(long)]
    pub(super) ready: bool,
}

#[derive(Debug, Args)]
pub(super) struct ClientConfigArgs {
    #[command(flatten)]
    pub(super) from: Where,
    /// Which client
    pub(super) client: client_config::Client,
    /// The address of the gate as clients reach it; else `public_url`, else the first address of `listen`
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// A token to write into what is printed
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// A file on the client's machine with the certificate (PEM) that the gate's is checked against
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    from: Where,
    /// The directory of rules
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Ask nothing of upstreams
    #[arg(long)]
    pub(super) offline: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Where {
    pub(super) fn flags(&self) -> Flags {
        Flags { config: self.config.clone(), data: self.data.clone(), ..Flags::default() }
    }
}

impl ServeArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { rules: self.rules.clone(), listen: self.listen.clone(), ..self.from.flags() }
    }
}

impl CacheArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { rules: self.rules.clone(), ..self.from.flags() }
    }
}

impl ExplainArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { rules: self.rules.clone(), ..self.from.flags() }
    }
}

impl DbCommand {
    pub(super) fn flags(&self) -> Flags {
        let (Self::Setup { from, .. }
        | Self::Status { from, .. }
        | Self::Dump { from, .. }
        | Self::Load { from, .. }) = self;
        from.flags()
    }
}

impl CacheCommand {
    fn flags(&self) -> Flags {
        match self {
            Self::Status(args) | Self::Verify(args) | Self::Gc(args) => args.flags(),
            Self::Purge(args) => args.common.flags(),
        }
    }
}

impl DoctorArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { rules: self.rules.clone(), ..self.from.flags() }
    }
}

impl CheckArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { rules: self.rules.clone(), ..self.from.flags() }
    }
}

impl Command {
    pub(super) fn run(
        self,
        commands: &Commands,
        sources: &dyn Fn(Flags) -> Sources,
        terminal: &mut Terminal<'_>,
    ) -> ExitCode {
        match self {
            Self::Serve(args) => serve::run(args, commands, sources, terminal),
            Self::Check(args) => check::run(&args, commands, sources, terminal).into(),
            Self::Health(args) => health::run(&args, sources, terminal).into(),
            Self::Top(args) => top::run(&args, sources, terminal).into(),
            Self::Backup(args) => backup::run(&args, sources, terminal).into(),
            Self::Notify(command) => notifying::run(&command, commands, sources, terminal).into(),
            Self::Jobs(command) => jobs::run(&command, sources, terminal).into(),
            Self::Restore(args) => backup::restore(&args, sources, terminal).into(),
            Self::Config(command) => settings::run(&command, sources, terminal).into(),
            Self::Doctor(args) => doctor::run(&args, commands, sources, terminal).into(),
            Self::Licenses => {
                terminal.line(crate::about::licenses().trim_end());
                Exit::Done.into()
            }
            Self::ClientConfig(args) => client_config::run(&args, sources, terminal).into(),
            Self::Cache(command) => {
                with_config(command.flags(), sources, terminal, |config, sources, terminal| {
                    cache::run(command, commands, config, sources, terminal)
                })
            }
            Self::Rules(RulesCommand::Explain(args)) => {
                with_config(args.flags(), sources, terminal, |config, sources, terminal| {
                    explain::run(&args, commands, config, sources, terminal)
                })
            }
            Self::Db(command) => with_config(command.flags(), sources, terminal, |config, _, terminal| {
                db::run(&command, config, terminal)
            }),
            Self::People(PeopleCommand::Channel(ChannelCommand::Hosted(HostedCommand::Import(command)))) => {
                with_config(command.common().flags(), sources, terminal, |config, _, terminal| {
                    import::run(&command, config, terminal)
                })
            }
            Self::People(command) => {
                with_config(command.common().flags(), sources, terminal, |config, sources, terminal| {
                    people::run(&command, config, sources, terminal)
                })
            }
            Self::Reload(args) => with_config(args.from.flags(), sources, terminal, |config, _, terminal| {
                reload::run(config, terminal)
            }),
            Self::Upgrade(args) => {
                with_config(args.from.flags(), sources, terminal, |config, _, terminal| {
                    upgrade::run(config, terminal)
                })
            }
        }
    }
}

/// Runs a command with the settings that these flags lead to.
fn with_config(
    flags: Flags,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
    work: impl FnOnce(&Config, &Sources, &mut Terminal<'_>) -> Exit,
) -> ExitCode {
    let sources = sources(flags);
    match load(&sources, terminal) {
        Ok(config) => work(&config, &sources, terminal),
        Err(exit) => exit,
    }
    .into()
}
