//! What a caller needs rights on to get something: a channel, each member of one that is made of others, a prefix of files.
//!
//! Belongs here: from a place to the things that access rules are asked about. Does not: who the caller is (`people`), what the
//! rules say (`policy::access`), from a request to a place (`proxy`).

use std::fmt;

use super::{Channel, Place, VirtualChannel};
use crate::policy::access::{Access, Ask, Caller, Reach, Right, Thing, Verdict};

/// One thing that is needed.
pub struct Need<'a> {
    kind: Kind<'a>,
    /// The gate reads it with credentials of its own.
    own_credentials: bool,
    /// It has another name that access rules are about, or is hosted and private.
    closed: bool,
}

enum Kind<'a> {
    Channel { name: &'a str, package: Option<&'a str> },
    File { prefix: &'a str },
}

impl<'a> Need<'a> {
    /// A channel of an upstream or of this gate, or a package of it.
    #[must_use]
    pub fn of_channel(channel: &'a Channel, package: Option<&'a str>) -> Self {
        Self {
            kind: Kind::Channel { name: &channel.label, package },
            own_credentials: channel.needs_identity,
            closed: channel.has_closed_name || channel.hosted().is_some_and(|hosted| hosted.private),
        }
    }

    /// A file below a prefix.
    #[must_use]
    pub const fn of_file(prefix: &'a str, own_credentials: bool) -> Self {
        Self { kind: Kind::File { prefix }, own_credentials, closed: false }
    }

    /// All that is needed for a channel that is made of others: who reads it must be allowed to read each of them too.
    #[must_use]
    pub fn of_virtual(channel: &'a VirtualChannel, package: Option<&'a str>) -> Vec<Self> {
        let mut all = Vec::new();
        with_members(channel, package, &mut all);
        all
    }

    /// All that is needed for any channel.
    #[must_use]
    pub fn of_place(place: &'a Place, package: Option<&'a str>) -> Vec<Self> {
        match place {
            Place::Source(channel) => vec![Self::of_channel(channel, package)],
            Place::Virtual(channel) => Self::of_virtual(channel, package),
        }
    }

    /// What comes of asking for it.
    #[must_use]
    pub fn decide(&self, access: &Access, caller: &Caller<'_>) -> Verdict {
        access.decide(
            caller,
            &Ask { what: self.thing(self.own_credentials || self.closed), right: Right::Read },
        )
    }

    const fn thing(&self, private: bool) -> Thing<'a> {
        match self.kind {
            Kind::Channel { name, package } => Thing::Channel { name, private, package },
            Kind::File { prefix } => Thing::File { prefix, private },
        }
    }

    /// Whether a caller may have it; `here`: the caller is on this machine.
    #[must_use]
    pub fn is_met(&self, access: &Access, caller: &Caller<'_>, here: bool) -> bool {
        self.is_surely_open(access)
            || self.decide(access, caller).is_allowed()
            || (here && caller.user.is_none() && self.is_open_on_this_machine(access))
    }

    /// Whether nothing but the gate's own credentials closes it: then this machine may have it, whose administrator wrote them
    /// down.
    #[must_use]
    pub fn is_open_on_this_machine(&self, access: &Access) -> bool {
        let open = || access.decide(&Caller::ANONYMOUS, &Ask { what: self.thing(false), right: Right::Read });
        self.own_credentials && !self.closed && open().is_allowed()
    }

    /// For whom it is; `None` where the caller may not have it.
    #[must_use]
    pub fn reach(&self, access: &Access, caller: &Caller<'_>) -> Option<Reach> {
        access
            .reach(caller, &Ask { what: self.thing(self.own_credentials || self.closed), right: Right::Read })
    }

    /// Whether nothing needs to be asked: there are no access rules, and it comes from a public upstream.
    #[must_use]
    pub const fn is_surely_open(&self, access: &Access) -> bool {
        access.is_empty() && !self.own_credentials && !self.closed
    }
}

fn with_members<'a>(channel: &'a VirtualChannel, package: Option<&'a str>, all: &mut Vec<Need<'a>>) {
    all.push(Need {
        kind: Kind::Channel { name: &channel.label, package },
        own_credentials: false,
        closed: false,
    });
    for member in &channel.members {
        match &member.place {
            Place::Source(of) => all.push(Need::of_channel(of, package)),
            Place::Virtual(of) => with_members(of, package, all),
        }
    }
}

impl fmt::Display for Need<'_> {
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
