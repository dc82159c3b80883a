//! Arguments of the commands on people, and their help texts.
//!
//! Belongs here: what can be typed. Does not: what it does.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::super::args::Where;
use super::hosted_args::{HostedCommand, PackageCommand};
use super::values::{When, digest, life, right, stretch, when};
use crate::conda::digest::Sha256;
use crate::config::Flags;
use crate::people::{Life, Who};
use crate::policy::access::{Right, Scope};

#[derive(Debug, Subcommand)]
pub(in super::super) enum PeopleCommand {
    /// Who may come in: people and service accounts
    ///
    /// A superuser passes every access rule. `condagate user create --username NAME --superuser` makes the first one.
    #[command(subcommand)]
    User(UserCommand),
    /// Sets of users, for access rules and grants
    #[command(subcommand)]
    Group(GroupCommand),
    /// Tokens for clients and machines
    ///
    /// A token may do what its owner may do, cut down to its scopes. It is shown once, when it is made.
    #[command(subcommand)]
    Token(TokenCommand),
    /// The team's own channels, and rights on channels beside those in the rules
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// What is in the team's own channels
    #[command(subcommand)]
    Package(PackageCommand),
    /// What happened, and who has downloaded a file
    #[command(subcommand)]
    Audit(AuditCommand),
}

/// What every command here takes.
#[derive(Debug, Args)]
pub(in super::super) struct Common {
    #[command(flatten)]
    from: Where,
    /// Print JSON
    #[arg(long)]
    pub(in super::super) json: bool,
}

impl Common {
    pub(in super::super) fn flags(&self) -> Flags {
        self.from.flags()
    }
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum UserCommand {
    /// Make a user; the password is asked for twice unless it is piped in or in a file
    Create(UserCreate),
    /// Everybody
    List(Common),
    /// Give a user another password, and end the user's sessions; tokens stay
    Passwd {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        password: PasswordArgs,
        /// Whose
        #[arg(value_name = "USER")]
        user: String,
    },
    /// Let a user pass every access rule, or no longer
    SetSuperuser {
        #[command(flatten)]
        common: Common,
        /// Who
        #[arg(value_name = "USER")]
        user: String,
        /// Which
        #[arg(value_enum)]
        switch: Switch,
    },
    /// Say where mail to a user goes, such as the code for a forgotten password
    SetEmail {
        #[command(flatten)]
        common: Common,
        /// Who
        #[arg(value_name = "USER")]
        user: String,
        /// The address; none takes it away
        #[arg(value_name = "ADDRESS", default_value = "")]
        email: String,
    },
    /// Let a user in nowhere: sessions end, tokens and password are not good until `enable`
    Disable(OneUser),
    /// Let a disabled user in again; tokens that are not expired are good again
    Enable(OneUser),
    /// Take a user away for good, with tokens, sessions, grants and memberships
    Delete {
        #[command(flatten)]
        one: OneUser,
        /// Don't ask; needed
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(in super::super) enum Switch {
    On,
    Off,
}

#[derive(Debug, Args)]
pub(in super::super) struct UserCreate {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(flatten)]
    pub(super) password: PasswordArgs,
    /// The name; `Ada` and `ada` are one user
    #[arg(long, value_name = "NAME")]
    pub(super) username: String,
    /// An address, for people to read
    #[arg(long, value_name = "ADDRESS")]
    pub(super) email: Option<String>,
    /// May pass every access rule
    #[arg(long)]
    pub(super) superuser: bool,
    /// A machine's account: tokens, no password
    #[arg(long, conflicts_with_all = ["password_stdin", "password_file"])]
    pub(super) service: bool,
}

/// Where a password comes from.
#[derive(Debug, Args)]
pub(in super::super) struct PasswordArgs {
    /// Read the password from standard input, one line
    #[arg(long, conflicts_with = "password_file")]
    pub(super) password_stdin: bool,
    /// Read the password from this file, one line
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in super::super) struct OneUser {
    #[command(flatten)]
    pub(super) common: Common,
    /// Who
    #[arg(value_name = "USER")]
    pub(super) user: String,
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum GroupCommand {
    /// Make a group
    Create {
        #[command(flatten)]
        common: Common,
        /// The name; `Team` and `team` are one group
        #[arg(value_name = "GROUP")]
        name: String,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// Put users into a group; nothing is done unless there are all of them
    Add(Members),
    /// Take users out of a group
    Remove(Members),
    /// All groups and who is in them
    List(Common),
    /// Take a group away, with its grants
    Delete {
        #[command(flatten)]
        common: Common,
        /// Which
        #[arg(value_name = "GROUP")]
        name: String,
        /// Don't ask; needed
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(in super::super) struct Members {
    #[command(flatten)]
    pub(super) common: Common,
    /// Which group
    #[arg(value_name = "GROUP")]
    pub(super) group: String,
    /// Who
    #[arg(value_name = "USER", required = true)]
    pub(super) users: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum TokenCommand {
    /// Make a token: good for 90 days and for reading what its owner may read, unless more is asked for
    ///
    /// The token goes to standard output and is shown only this once; everything else goes to standard error. With
    /// `--json` it is `token` in an object.
    Create {
        #[command(flatten)]
        common: Common,
        /// Whose token it is
        #[arg(long, value_name = "USER")]
        user: String,
        /// A name, for people
        #[arg(long, value_name = "NAME", default_value = "token")]
        name: String,
        /// What it is good for: RIGHT:CHANNELS or RIGHT:CHANNELS:PACKAGES, such as read:*, write:team or
        /// write:team:acme-*; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", value_parser = Scope::parse)]
        scopes: Vec<Scope>,
        /// How long it is good for: a duration such as 90d or 12h, or `never`
        #[arg(long, value_name = "LIFE", value_parser = life)]
        expires: Option<Life>,
    },
    /// All tokens, or those of one user; never the secrets
    List {
        #[command(flatten)]
        common: Common,
        /// Only this user's
        #[arg(long, value_name = "USER")]
        user: Option<String>,
    },
    /// Make a token that takes another's place, with its scopes and as long a life
    ///
    /// The old one stays good for a while, so that machines can change over.
    Rotate {
        #[command(flatten)]
        common: Common,
        /// The id of the old one, or the beginning of it
        id: String,
        /// How long the old one stays good
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = stretch)]
        overlap: Duration,
    },
    /// Make a token useless on every gate
    Revoke {
        #[command(flatten)]
        common: Common,
        /// Its id, or the beginning of it
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum ChannelCommand {
    #[command(flatten)]
    Hosted(HostedCommand),
    /// Give a user or a group a right on channels; each right includes those before it
    Grant {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        who: WhoArgs,
        /// A channel, or a glob of channels such as team or lab/*
        #[arg(value_name = "CHANNELS")]
        channels: String,
        /// `read`, `write` or `manage`
        #[arg(long, value_name = "RIGHT", value_parser = right)]
        right: Right,
    },
    /// Take a right away that was given by `grant` for the same channels
    Revoke {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        who: WhoArgs,
        /// As they were given
        #[arg(value_name = "CHANNELS")]
        channels: String,
        /// Only this right; without it all on these channels
        #[arg(long, value_name = "RIGHT", value_parser = right)]
        right: Option<Right>,
    },
    /// Who was given which rights; rules have others
    Grants {
        #[command(flatten)]
        common: Common,
        /// Only this user's
        #[arg(long, value_name = "USER", conflicts_with = "group")]
        user: Option<String>,
        /// Only this group's
        #[arg(long, value_name = "GROUP")]
        group: Option<String>,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in super::super) struct WhoArgs {
    /// This user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Everybody in this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

impl WhoArgs {
    /// The argument parser sees to it that exactly one was given.
    pub(super) fn who(&self) -> Who {
        who(self.user.as_deref(), self.group.as_deref()).unwrap_or_else(|| Who::User(String::new()))
    }
}

/// Who was named, if anybody.
pub(super) fn who(user: Option<&str>, group: Option<&str>) -> Option<Who> {
    let user = user.map(|name| Who::User(name.to_owned()));
    user.or_else(|| group.map(|name| Who::Group(name.to_owned())))
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum AuditCommand {
    /// What happened, the newest first
    List(AuditList),
    /// Who has downloaded a file: user, token, address and day
    Downloads {
        #[command(flatten)]
        common: Common,
        /// The SHA-256 of the file
        #[arg(long, value_name = "SHA256", value_parser = digest)]
        digest: Sha256,
    },
}

#[derive(Debug, Args)]
pub(in super::super) struct AuditList {
    #[command(flatten)]
    pub(super) common: Common,
    /// From then on: a duration that leads there, a date or a moment, such as 1d or 2026-01-31
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub(super) since: Option<When>,
    /// Until then; of a date to its end
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub(super) until: Option<When>,
    /// By whom: a user, or an actor as it is listed
    #[arg(long, value_name = "ACTOR")]
    pub(super) actor: Option<String>,
    /// Of which kind, such as token.create; may be given several times
    #[arg(long = "kind", value_name = "KIND")]
    pub(super) kinds: Vec<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: u64,
}

impl PeopleCommand {
    pub(in crate::cli) fn common(&self) -> &Common {
        match self {
            Self::User(command) => command.common(),
            Self::Channel(ChannelCommand::Hosted(command)) => command.common(),
            Self::Package(command) => command.common(),
            Self::Group(
                GroupCommand::Create { common, .. }
                | GroupCommand::Add(Members { common, .. })
                | GroupCommand::Remove(Members { common, .. })
                | GroupCommand::List(common)
                | GroupCommand::Delete { common, .. },
            )
            | Self::Token(
                TokenCommand::Create { common, .. }
                | TokenCommand::List { common, .. }
                | TokenCommand::Rotate { common, .. }
                | TokenCommand::Revoke { common, .. },
            )
            | Self::Channel(
                ChannelCommand::Grant { common, .. }
                | ChannelCommand::Revoke { common, .. }
                | ChannelCommand::Grants { common, .. },
            )
            | Self::Audit(
                AuditCommand::List(AuditList { common, .. }) | AuditCommand::Downloads { common, .. },
            ) => common,
        }
    }

    /// Whether an empty store is made where there is none: nothing else makes sense before the first user.
    pub(super) const fn makes_a_store(&self) -> bool {
        matches!(self, Self::User(UserCommand::Create(_)))
    }
}

impl UserCommand {
    const fn common(&self) -> &Common {
        match self {
            Self::List(common)
            | Self::Create(UserCreate { common, .. })
            | Self::Passwd { common, .. }
            | Self::SetSuperuser { common, .. }
            | Self::SetEmail { common, .. }
            | Self::Disable(OneUser { common, .. })
            | Self::Enable(OneUser { common, .. })
            | Self::Delete { one: OneUser { common, .. }, .. } => common,
        }
    }
}
