//! The paths of upload dialects (`PROTOCOL` section 5): who publishes with which client, and what it asks for.
//!
//! Channels are named in these paths as they are everywhere, `team` or `team/dev`; clients that think of one name may write the slash as
//! `%2F`. Paths are judged from the right, like those of files.
//!
//! Belongs here: the grammar and its values. Does not: methods, bodies and answers (`api`).

mod anaconda;
mod parse;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use anaconda::{Anaconda, Dist};
pub(super) use parse::{is_below_dialects, parse, root_of_names};

use crate::conda::archive::ArchiveName;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::subdir::Subdir;

/// Whose protocol it is: this decides how answers look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// prefix.dev
    Prefix,
    /// quetz
    Quetz,
    /// Artifactory: PUT where one would GET
    Artifactory,
    /// The first API of anaconda.org
    Anaconda,
    /// The newer one of Anaconda's package security manager
    Psm,
    /// Cloudsmith
    Cloudsmith,
}

/// What is asked below `/api/cloudsmith`; the channel is `<owner>/<repo>`, or `<repo>` where the owner is `-`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cloudsmith {
    /// `/files/<owner>/<repo>/`: a file is announced.
    Announce(ChannelName),
    /// `/parts/<upload>`: a part of it, where it comes in parts.
    Part(Arc<str>),
    /// `/files/<owner>/<repo>/complete/`: all parts are there.
    Complete(ChannelName),
    /// `/packages/<owner>/<repo>/upload/conda/`: it is to be published.
    Create(ChannelName),
}

/// What a path below a dialect's root asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// `/api/v1/upload/<channel>`
    Prefix {
        /// where to
        channel: ChannelName,
    },
    /// `/api/channels/<channel>/upload/<file>`
    Quetz {
        /// where to
        channel: ChannelName,
        /// under which name
        archive: ArchiveName,
    },
    /// `/api/channels/<channel>/files`
    QuetzFiles {
        /// where to
        channel: ChannelName,
    },
    /// `/api/repo/channels/<channel>/artifacts`
    Psm {
        /// where to
        channel: ChannelName,
    },
    /// `<channel>[/label/<label>]/<subdir>/<file>`, with a method that changes something
    File {
        /// where to
        channel: ChannelRef,
        /// which platform
        subdir: Subdir,
        /// under which name
        archive: ArchiveName,
    },
    /// Cloudsmith's
    Cloudsmith(Cloudsmith),
    /// The rest is anaconda.org's.
    Anaconda(Anaconda),
    /// Below a root of dialects, and nothing of theirs.
    Unknown(Family),
    /// A place for a name that is none; the sentence says which and repeats nothing.
    Malformed(Family, &'static str),
}

impl Dialect {
    /// Whose it is.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Prefix { .. } => Family::Prefix,
            Self::Quetz { .. } | Self::QuetzFiles { .. } => Family::Quetz,
            Self::Psm { .. } => Family::Psm,
            Self::File { .. } => Family::Artifactory,
            Self::Cloudsmith(_) => Family::Cloudsmith,
            Self::Anaconda(_) => Family::Anaconda,
            Self::Unknown(family) | Self::Malformed(family, _) => *family,
        }
    }

    /// The channel it is about, if it is about one.
    #[must_use]
    pub const fn channel(&self) -> Option<&ChannelName> {
        match self {
            Self::Prefix { channel }
            | Self::Quetz { channel, .. }
            | Self::QuetzFiles { channel }
            | Self::Psm { channel }
            | Self::File { channel: ChannelRef { name: channel, .. }, .. }
            | Self::Cloudsmith(
                Cloudsmith::Announce(channel) | Cloudsmith::Complete(channel) | Cloudsmith::Create(channel),
            ) => Some(channel),
            Self::Anaconda(asked) => asked.owner(),
            Self::Cloudsmith(Cloudsmith::Part(_)) | Self::Unknown(_) | Self::Malformed(..) => None,
        }
    }
}

/// A request in a dialect, on its way from the front door to the API.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// What its path asks for.
    pub dialect: Dialect,
    /// What links begin with: how clients reach the gate, without a trailing slash.
    pub base: Arc<str>,
}
