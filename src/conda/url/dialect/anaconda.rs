//! Paths of anaconda.org's first API, whose "owners" are channels here and whose "channels" are labels.
//!
//! Belongs here: the values. Does not: finding them in a path ([`super::parse()`]).

use std::sync::Arc;

use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::subdir::Subdir;

/// One file of a package, as `<owner>/<package>/<version>/[<subdir>/]<file>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dist {
    /// Whose.
    pub owner: ChannelName,
    /// Which package.
    pub package: Arc<str>,
    /// Which version.
    pub version: Arc<str>,
    /// Which platform, where the path says it.
    pub subdir: Option<Subdir>,
    /// Which file.
    pub archive: ArchiveName,
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Anaconda {
    /// The API itself: whether it is there.
    Root,
    /// `/user[/<owner>]`
    User(Option<ChannelName>),
    /// `/user/orgs`, `/users/<name>/orgs`
    Orgs,
    /// `/dist/…`
    Dist(Dist),
    /// `/package/<owner>/<package>`
    Package(ChannelName, Arc<str>),
    /// `/release/<owner>/<package>/<version>`
    Release(ChannelName, Arc<str>, Arc<str>),
    /// `/stage/…`: an upload is announced.
    Stage(Dist),
    /// `/stage/-/file`: where the bytes of an upload go; not below a channel, because the request has no credential.
    Deliver,
    /// `/commit/…`: an upload is finished.
    Commit(Dist),
    /// `/authentications[/…]`
    Authentications,
    /// `/authentication`
    Authentication,
    /// `/authentication-type`
    AuthenticationType,
    /// `/scopes`
    Scopes,
    /// `/channels/<owner>`: which labels there are.
    Labels(ChannelName),
    /// `/channels/<owner>/<label>`
    Label(ChannelName, Arc<str>),
    /// `/copy/package/<owner>/<package>/<version>/[[<subdir>/]<file>]`
    Copy(ChannelName, Arc<str>, Arc<str>, Option<(Option<Subdir>, ArchiveName)>),
    /// `/download/…` without a subdir; with one it is the file itself.
    Download(Dist),
    /// `/search`
    Search,
}

impl Anaconda {
    /// The channel it is about.
    #[must_use]
    pub const fn owner(&self) -> Option<&ChannelName> {
        match self {
            Self::User(owner) => owner.as_ref(),
            Self::Dist(dist) | Self::Stage(dist) | Self::Commit(dist) | Self::Download(dist) => {
                Some(&dist.owner)
            }
            Self::Package(owner, _)
            | Self::Release(owner, ..)
            | Self::Labels(owner)
            | Self::Label(owner, _)
            | Self::Copy(owner, ..) => Some(owner),
            _ => None,
        }
    }
}
