//! What a plan asks of whom: the channels and files a caller needs rights on.
//!
//! Belongs here: from a plan to the things that access rules are asked about. Does not: asking them (`admit`).

use std::fmt;

use super::plan::Plan;
use crate::conda::archive::ArchiveName;
use crate::conda::url::Route;
use crate::policy::access::{Access, Ask, Caller, Right, Thing, Verdict};
use crate::snapshot::{Channel, Place, PlainFile, VirtualChannel};

/// All that is needed.
pub(super) struct Wanted<'a>(Vec<Part<'a>>);

/// One thing that is needed.
pub(super) struct Part<'a> {
    kind: Kind<'a>,
    /// The gate reads it with credentials of its own.
    own_credentials: bool,
    /// It has another name that access rules are about.
    closed: bool,
}

enum Kind<'a> {
    Channel { name: &'a str, package: Option<&'a str> },
    File { prefix: &'a str },
}

impl<'a> Wanted<'a> {
    /// Nothing for pages of the gate itself.
    pub(super) fn of(plan: &'a Plan) -> Self {
        let one = |channel, package| Self(vec![Part::of(channel, package)]);
        match plan {
            Plan::Package { channel, archive, .. } => one(channel, Some(name_of(archive))),
            Plan::Sidecar { channel, file, .. } => one(channel, package_of(file)),
            Plan::Index { channel, .. } | Plan::Shard { channel, .. } | Plan::Doc { channel, .. } => {
                one(channel, None)
            }
            Plan::Pass { channel: Some(channel), .. } => one(channel, None),
            Plan::Virtual { channel, route } => {
                let package = match route {
                    Route::Package { archive, .. } => Some(name_of(archive)),
                    Route::Sidecar { file, .. } => package_of(file),
                    _ => None,
                };
                let mut parts = Vec::new();
                with_members(channel, package, &mut parts);
                Self(parts)
            }
            Plan::Plain(PlainFile::Upstream { prefix, needs_identity, .. }) => Self(vec![Part {
                kind: Kind::File { prefix },
                own_credentials: *needs_identity,
                closed: false,
            }]),
            Plan::Plain(PlainFile::Local { prefix, .. }) => {
                Self(vec![Part { kind: Kind::File { prefix }, own_credentials: false, closed: false }])
            }
            Plan::Pass { channel: None, .. } | Plan::Problem(_) | Plan::Home | Plan::Control(_) => {
                Self(Vec::new())
            }
        }
    }

    pub(super) fn parts(self) -> Vec<Part<'a>> {
        self.0
    }
}

/// The package's name; a wheel's whole name where it has no parts.
fn name_of(archive: &ArchiveName) -> &str {
    archive.parts().map_or(archive.as_str(), |(name, _, _)| name)
}

/// The package of `<archive>.sigs…` and `<archive>.v0.sigs`.
fn package_of(file: &str) -> Option<&str> {
    let end = file.find(".conda").or_else(|| file.find(".tar.bz2"))?;
    let mut parts = file[..end].rsplitn(3, '-');
    (parts.next(), parts.next(), parts.next()).2
}

/// Who reads a channel that is made of others must be allowed to read each of them too.
fn with_members<'a>(channel: &'a VirtualChannel, package: Option<&'a str>, parts: &mut Vec<Part<'a>>) {
    parts.push(Part {
        kind: Kind::Channel { name: &channel.label, package },
        own_credentials: false,
        closed: false,
    });
    for member in &channel.members {
        match &member.place {
            Place::Proxied(of) => parts.push(Part::of(of, package)),
            Place::Virtual(of) => with_members(of, package, parts),
        }
    }
}

impl<'a> Part<'a> {
    fn of(channel: &'a Channel, package: Option<&'a str>) -> Self {
        Self {
            kind: Kind::Channel { name: &channel.label, package },
            own_credentials: channel.needs_identity,
            closed: channel.has_closed_name,
        }
    }

    /// What access rules are asked about.
    pub(super) const fn thing(&self) -> Thing<'a> {
        self.as_thing(self.own_credentials || self.closed)
    }

    const fn as_thing(&self, private: bool) -> Thing<'a> {
        match self.kind {
            Kind::Channel { name, package } => Thing::Channel { name, private, package },
            Kind::File { prefix } => Thing::File { prefix, private },
        }
    }

    /// Whether nothing but the gate's own credentials closes it: then this machine may have it, whose administrator wrote them down.
    pub(super) fn is_open_on_this_machine(&self, access: &Access) -> bool {
        let open =
            || access.decide(&Caller::ANONYMOUS, &Ask { what: self.as_thing(false), right: Right::Read });
        self.own_credentials && !self.closed && matches!(open(), Verdict::Allowed(_))
    }

    /// Whether it is not for everybody.
    pub(super) fn is_gated(&self, access: &Access) -> bool {
        let anybody = access.decide(&Caller::ANONYMOUS, &Ask { what: self.thing(), right: Right::Read });
        matches!(anybody, Verdict::Denied(_))
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Channel { name, package: None } => write!(f, "the channel `{name}`"),
            Kind::Channel { name, package: Some(package) } => {
                write!(f, "`{package}` of the channel `{name}`")
            }
            Kind::File { prefix } => write!(f, "files below `/{prefix}`"),
        }
    }
}
