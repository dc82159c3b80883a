//! Arguments of `channel` and `package`, and their help texts.
//!
//! Belongs here: what can be typed. Does not: what it does.

use clap::{Args, Subcommand};

use super::args::{Common, Switch};
use super::values::{archive, channel, place, quota, size};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::subdir::Subdir;

#[derive(Debug, Subcommand)]
pub(in super::super) enum HostedCommand {
    /// Make a channel of the team's own; nobody may read it until somebody is given the right
    Create(ChannelCreate),
    /// The team's own channels, deleted ones included
    List(Common),
    /// A channel's settings
    Show(OneChannel),
    /// Change a channel's settings; what is not said stays
    Set(ChannelSet),
    /// Take a channel away; for a week `restore` brings it back, and its name is never answered from an upstream
    Delete {
        #[command(flatten)]
        one: OneChannel,
        /// Don't ask; needed
        #[arg(long)]
        yes: bool,
    },
    /// Bring a deleted channel back
    Restore(OneChannel),
    /// Take in the packages of a directory or of another channel
    ///
    /// A gate must be running on the data directory. What is there already is not sent again: an import that was broken off goes on
    /// where it was. Exit code 1 if any package was refused.
    Import(HostedImport),
}

#[derive(Debug, Args)]
pub(in super::super) struct HostedImport {
    #[command(flatten)]
    one: OneChannel,
    /// A directory (looked through to the bottom: conda-index, quetz and Anaconda Repository layouts) or the URL of a channel
    #[arg(value_name = "SOURCE")]
    pub(in super::super) source: String,
    /// A label for what is taken in; may be given several times; without it `main`
    #[arg(long = "label", value_name = "LABEL")]
    pub(in super::super) labels: Vec<String>,
    /// Only this subdir; may be given several times
    #[arg(long = "subdir", value_name = "SUBDIR")]
    pub(in super::super) subdirs: Vec<String>,
    /// Only say what would be taken
    #[arg(long)]
    pub(in super::super) dry_run: bool,
}

impl HostedImport {
    pub(in super::super) const fn common(&self) -> &Common {
        &self.one.common
    }

    pub(in super::super) const fn channel(&self) -> &ChannelName {
        &self.one.name
    }
}

#[derive(Debug, Args)]
pub(in super::super) struct OneChannel {
    #[command(flatten)]
    pub(super) common: Common,
    /// Its name
    #[arg(value_name = "CHANNEL", value_parser = channel)]
    pub(super) name: ChannelName,
}

#[derive(Debug, Args)]
pub(in super::super) struct ChannelCreate {
    #[command(flatten)]
    pub(super) one: OneChannel,
    /// Everybody may read it
    #[arg(long)]
    pub(super) public: bool,
    /// For people to read
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) description: String,
    /// Most bytes of packages, such as 100GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) quota: Option<u64>,
    /// Names that never come from an upstream where this channel is a member, such as acme-*; may be given several times
    #[arg(long = "owns", value_name = "GLOB")]
    pub(super) owns: Vec<String>,
}

#[derive(Debug, Args)]
pub(in super::super) struct ChannelSet {
    #[command(flatten)]
    pub(super) one: OneChannel,
    /// Whether everybody may read it
    #[arg(long, value_enum, value_name = "ON|OFF")]
    pub(super) public: Option<Switch>,
    /// For people to read
    #[arg(long, value_name = "TEXT")]
    pub(super) description: Option<String>,
    /// Most bytes of packages, such as 100GiB, or `none`
    #[arg(long, value_name = "SIZE", value_parser = quota)]
    pub(super) quota: Option<Size>,
    /// Names that never come from an upstream where this channel is a member; these instead of those it has
    #[arg(long = "owns", value_name = "GLOB")]
    pub(super) owns: Option<Vec<String>>,
    /// Whether an upload that says `force` may replace a published file
    #[arg(long, value_enum, value_name = "ON|OFF")]
    pub(super) overwrite: Option<Switch>,
    /// Names of packages that may be uploaded, as globs; `*` for all
    #[arg(long = "names", value_name = "GLOB")]
    pub(super) names: Option<Vec<String>>,
    /// Licences that uploads may have, as packages write them; `*` for all
    #[arg(long = "licenses", value_name = "LICENSE")]
    pub(super) licenses: Option<Vec<String>>,
    /// Fields that uploads must fill in, such as license or summary; `none` for none
    #[arg(long = "require", value_name = "FIELD")]
    pub(super) require: Option<Vec<String>>,
    /// Whether uploads must have an attestation
    #[arg(long, value_enum, value_name = "ON|OFF")]
    pub(super) attestation: Option<Switch>,
    /// The longest package
    #[arg(long, value_name = "SIZE", value_parser = quota)]
    pub(super) max_size: Option<Size>,
}

/// A number of bytes, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct Size(pub(super) Option<u64>);

#[derive(Debug, Subcommand)]
pub(in super::super) enum PackageCommand {
    /// The files of a hosted channel
    List {
        #[command(flatten)]
        one: OneChannel,
        /// Only this package's
        #[arg(long = "name", value_name = "NAME")]
        package: Option<String>,
        /// Only this subdir's
        #[arg(long, value_name = "SUBDIR")]
        subdir: Option<String>,
    },
    /// Take a file out of the index; lock files that name it still get it
    Yank {
        #[command(flatten)]
        one: OneFile,
        /// Why, for the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Put a yanked or deleted file back into the index
    Restore(OneFile),
    /// Take a file away; for a week `restore` brings it back
    Delete {
        #[command(flatten)]
        one: OneFile,
        /// Don't ask; needed
        #[arg(long)]
        yes: bool,
        /// Why, for the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Put a file into another hosted channel as well; no bytes are copied
    Copy {
        #[command(flatten)]
        one: OneFile,
        /// The other channel
        #[arg(value_name = "TO", value_parser = channel)]
        to: ChannelName,
        /// Labels there; without it `main`
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
    },
    /// Change the labels of a file, such as from rc to main
    Promote {
        #[command(flatten)]
        one: OneFile,
        /// A label it gets
        #[arg(long = "to", value_name = "LABEL", required = true)]
        to: Vec<String>,
        /// A label it loses
        #[arg(long = "from", value_name = "LABEL")]
        from: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(in super::super) struct OneFile {
    #[command(flatten)]
    pub(super) one: OneChannel,
    /// Which, such as linux-64/acme-1.0-0.conda
    #[arg(value_name = "SUBDIR/FILE", value_parser = place)]
    pub(super) place: Place,
}

/// A file below a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct Place {
    pub(super) subdir: Subdir,
    pub(super) file: ArchiveName,
}

impl Place {
    /// `noarch/a-1-0.conda`
    pub(super) fn read(text: &str) -> Option<Self> {
        let (subdir, file) = text.split_once('/')?;
        Some(Self { subdir: Subdir::parse(subdir)?, file: archive(file)? })
    }
}

impl HostedCommand {
    pub(super) const fn common(&self) -> &Common {
        match self {
            Self::List(common)
            | Self::Create(ChannelCreate { one: OneChannel { common, .. }, .. })
            | Self::Set(ChannelSet { one: OneChannel { common, .. }, .. })
            | Self::Delete { one: OneChannel { common, .. }, .. }
            | Self::Show(OneChannel { common, .. })
            | Self::Import(HostedImport { one: OneChannel { common, .. }, .. })
            | Self::Restore(OneChannel { common, .. }) => common,
        }
    }
}

impl PackageCommand {
    pub(super) const fn common(&self) -> &Common {
        match self {
            Self::List { one, .. } => &one.common,
            Self::Yank { one, .. }
            | Self::Delete { one, .. }
            | Self::Restore(one)
            | Self::Copy { one, .. }
            | Self::Promote { one, .. } => &one.one.common,
        }
    }
}
