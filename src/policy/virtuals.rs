//! Entries of `channels:` with `virtual:`: their keys, and what they inherit from their members.
//!
//! Belongs here: what may stand beside `virtual`, members that no rule places, circles. Does not: the other keys of an entry
//! ([`super::channels`]), what the compiled rule means ([`super::virtual_rule`]).

use std::collections::HashMap;
use std::time::Duration;

use globset::GlobMatcher;

use super::compiled::{Anonymous, DEFAULT_TTL, Pattern};
use super::mistake::{Mistakes, did_you_mean};
use super::node::Node;
use super::read::{Fields, Located, choice, list, text};
use super::rule::{WrittenChannel, WrittenChannelSource, WrittenVirtual};
use super::units;
use super::virtual_rule::{MAX_DEPTH, MAX_MEMBERS, NameGlobs, Priority, VirtualRule};
use super::{channels, hosted};
use crate::clock::UnixMillis;
use crate::conda::channel::{ChannelName, ChannelRef};

const PRIORITY: &[(&str, Priority)] = &[("strict", Priority::Strict), ("flexible", Priority::Flexible)];
const BESIDE: [&str; 4] = ["priority", "owns", "owned_by", "as_of"];

/// Reads `virtual` and the keys that go with it. `quiet`: the entry is refused anyway, for a kind of channel that is not there
/// yet. `hosted`: it is for a channel that may have `owns`, too.
pub(super) fn read(
    fields: &mut Fields<'_>,
    quiet: bool,
    hosted: bool,
    mistakes: &mut Mistakes,
) -> Option<WrittenVirtual> {
    if fields.get("virtual").is_none() {
        for key in BESIDE {
            let misplaced = fields.get(key).filter(|_| !(quiet || hosted && key == "owns"));
            if let Some(entry) = misplaced {
                let (path, or) = (fields.path_of(key), if key == "owns" { " or `hosted`" } else { "" });
                mistakes.add(&entry.at, format!("`{path}` only goes with `virtual`{or}"));
            }
        }
        return None;
    }
    let members = fields.read("virtual", mistakes, list(member));
    let priority = fields.read("priority", mistakes, choice(PRIORITY));
    let owns = fields.read("owns", mistakes, list(text));
    let owned_by = fields.read("owned_by", mistakes, list(member));
    let as_of = fields.read("as_of", mistakes, moment);
    let members = members?;
    check_members(fields, &members, mistakes);
    let (owns, owners) = ownership(fields, &members.value, owns, owned_by, mistakes)?;
    Some(WrittenVirtual {
        members: members.value,
        priority: priority.map(|p| p.value).unwrap_or_default(),
        owns,
        owners,
        as_of: as_of.map(|moment| moment.value),
    })
}

/// `name` or `name/label/<label>`.
fn member(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<ChannelRef> {
    let written = text(node, path, mistakes)?;
    let (name, label) = match written.split_once("/label/") {
        Some((name, label)) => (name, Some(label)),
        None => (written.as_str(), None),
    };
    let good = label.is_none_or(ChannelRef::is_label);
    let found = ChannelName::parse(name)
        .filter(|_| good)
        .map(|name| ChannelRef { name, label: label.map(Into::into) });
    if found.is_none() {
        mistakes.add_hint(
            &node.at,
            format!("`{path}` must have names of channels, not `{}`", written.escape_debug()),
            "such as `conda-forge`, `pkgs/main` or `team/label/dev`; no patterns",
        );
    }
    found
}

/// A date (the whole day counts, UTC) or a moment.
fn moment(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<UnixMillis> {
    let written = text(node, path, mistakes)?;
    let found = units::moment(&written);
    if found.is_none() {
        mistakes
            .add(&node.at, format!("`{path}` must be {}, not `{}`", units::MOMENT, written.escape_debug()));
    }
    found
}

fn check_members(fields: &Fields<'_>, members: &Located<Vec<Located<ChannelRef>>>, mistakes: &mut Mistakes) {
    let path = fields.path_of("virtual");
    let count = members.value.len();
    if count == 0 || count > MAX_MEMBERS {
        mistakes.add(&members.at, format!("`{path}` must have 1 to {MAX_MEMBERS} channels, not {count}"));
    }
    for (n, member) in members.value.iter().enumerate() {
        if members.value[..n].iter().any(|other| other.value == member.value) {
            mistakes.add(&member.at, format!("`{path}` has `{}` twice", member.value));
        }
    }
}

type Names = Option<Located<Vec<Located<String>>>>;
type Owners = Option<Located<Vec<Located<ChannelRef>>>>;

/// `owns` and `owned_by`: one needs the other, and owners are members.
fn ownership(
    fields: &Fields<'_>,
    members: &[Located<ChannelRef>],
    owns: Names,
    owned_by: Owners,
    mistakes: &mut Mistakes,
) -> Option<(NameGlobs, Vec<usize>)> {
    let (owns_path, by_path) = (fields.path_of("owns"), fields.path_of("owned_by"));
    let (owns, owned_by) = match (owns, owned_by) {
        (None, None) => return Some((NameGlobs::default(), Vec::new())),
        (Some(owns), Some(owned_by)) => (owns, owned_by),
        (Some(owns), None) => {
            mistakes.add_hint(
                &owns.at,
                format!("`{owns_path}` needs `owned_by`: the members that answer for these names"),
                "owned_by: [team]",
            );
            return None;
        }
        (None, Some(owned_by)) => {
            mistakes.add(&owned_by.at, format!("`{by_path}` only goes with `owns`"));
            return None;
        }
    };
    let mut owners = Vec::new();
    for owner in &owned_by.value {
        match members.iter().position(|member| member.value == owner.value) {
            Some(place) => owners.push(place),
            None => mistakes.add(
                &owner.at,
                format!("`{by_path}` must have members of this channel, and `{}` is none", owner.value),
            ),
        }
    }
    if owned_by.value.is_empty() {
        mistakes.add(&owned_by.at, format!("`{by_path}` must name at least one member"));
    }
    let globs = hosted::globs(&owns_path, owns, mistakes)?;
    Some((globs, owners))
}

/// What a virtual channel can't be.
pub(super) fn check_entry(
    pattern: &Pattern,
    key: &Located<String>,
    path: &str,
    rename: Option<&Located<ChannelName>>,
    mistakes: &mut Mistakes,
) {
    if !matches!(pattern, Pattern::Exact(_)) {
        mistakes.add_hint(
            &key.at,
            format!("`{path}.virtual` can't stand beside a pattern: a virtual channel is one channel"),
            "use `name:` with one name",
        );
    }
    if let Some(rename) = rename {
        mistakes.add(&rename.at, format!("`{path}.path` only goes with `upstream`"));
    }
}

/// What a virtual channel has from its members where its own entry is silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inherited {
    /// Its own `ttl`, else the shortest one of its members.
    pub ttl: Duration,
    /// As strict as its strictest member.
    pub anonymous: Anonymous,
    /// How many virtual channels stand on one another here; 0 for one that comes from an upstream.
    depth: usize,
}

/// What each entry inherits, in the order of `channels`; `None` for a virtual one that is wrong. `anonymous` tells it of an
/// upstream, `None` when there is no such upstream.
pub(super) fn inherit(
    channels: &[WrittenChannel],
    anonymous: impl Fn(&str) -> Option<Anonymous>,
    mistakes: &mut Mistakes,
) -> Vec<Option<Inherited>> {
    let placed = Placed::new(channels);
    let mut family = Family { channels, placed, anonymous: &anonymous, known: HashMap::new(), mistakes };
    (0..channels.len()).map(|n| family.of(n, &mut Vec::new())).collect()
}

/// Which entry places which channel: the same precedence as in [`super::matching`].
struct Placed<'a> {
    exact: HashMap<&'a ChannelName, usize>,
    globs: Vec<(GlobMatcher, usize)>,
    any: Option<usize>,
}

impl<'a> Placed<'a> {
    fn new(channels: &'a [WrittenChannel]) -> Self {
        let mut placed = Self { exact: HashMap::new(), globs: Vec::new(), any: None };
        for (n, channel) in channels.iter().enumerate() {
            match &channel.pattern {
                Pattern::Exact(name) => drop(placed.exact.insert(name, n)),
                Pattern::Glob(text) => {
                    placed.globs.extend(channels::glob(text).map(|glob| (glob.compile_matcher(), n)));
                }
                Pattern::Any => placed.any = Some(n),
            }
        }
        placed
    }

    fn find(&self, name: &ChannelName) -> Option<usize> {
        let glob = || self.globs.iter().rev().find(|(glob, _)| glob.is_match(name.as_str())).map(|(_, n)| *n);
        self.exact.get(name).copied().or_else(glob).or(self.any)
    }
}

/// Walks from virtual channels to their members, each entry once.
struct Family<'a, 'm> {
    channels: &'a [WrittenChannel],
    placed: Placed<'a>,
    anonymous: &'a dyn Fn(&str) -> Option<Anonymous>,
    known: HashMap<usize, Option<Inherited>>,
    mistakes: &'m mut Mistakes,
}

impl Family<'_, '_> {
    /// What the entry `n` inherits; `above` are the virtual channels that lead to it.
    fn of(&mut self, n: usize, above: &mut Vec<usize>) -> Option<Inherited> {
        if let Some(known) = self.known.get(&n) {
            return *known;
        }
        let channels = self.channels;
        let channel = channels.get(n)?;
        let found = match &channel.source {
            WrittenChannelSource::Proxied(upstream, _) => {
                let anonymous = (self.anonymous)(&upstream.value).unwrap_or(Anonymous::Anywhere);
                Some(Inherited { ttl: channel.ttl.unwrap_or(DEFAULT_TTL), anonymous, depth: 0 })
            }
            WrittenChannelSource::Hosted(_) => {
                Some(Inherited { ttl: DEFAULT_TTL, anonymous: Anonymous::Nowhere, depth: 0 })
            }
            WrittenChannelSource::Virtual(source) => {
                above.push(n);
                let found = self.of_members(channel, source, above);
                above.pop();
                found
            }
        };
        self.known.insert(n, found);
        found
    }

    fn of_members(
        &mut self,
        channel: &WrittenChannel,
        source: &WrittenVirtual,
        above: &mut Vec<usize>,
    ) -> Option<Inherited> {
        let mut all = Vec::with_capacity(source.members.len());
        for member in &source.members {
            all.push(self.member(member, above));
        }
        let all: Vec<_> = all.into_iter().collect::<Option<_>>()?;
        let shortest = all.iter().map(|member| member.ttl).min().unwrap_or(DEFAULT_TTL);
        let anonymous = all.iter().map(|member| member.anonymous).max().unwrap_or(Anonymous::Anywhere);
        let depth = all.iter().map(|member| member.depth).max().unwrap_or(0) + 1;
        if depth > MAX_DEPTH {
            let name = &channel.key.value;
            let message = format!("`{name}` is virtual and stands on {} more that are", depth - 1);
            let hint = format!("at most {MAX_DEPTH} virtual channels may stand on one another");
            self.mistakes.add_hint(&channel.key.at, message, hint);
            return None;
        }
        Some(Inherited { ttl: channel.ttl.unwrap_or(shortest), anonymous, depth })
    }

    fn member(&mut self, member: &Located<ChannelRef>, above: &mut Vec<usize>) -> Option<Inherited> {
        let channels = self.channels;
        let name = &member.value.name;
        let place = self.placed.find(name).and_then(|n| Some((n, channels.get(n)?)));
        let Some((n, entry)) = place else {
            // One that is made with the command line or the API, now or later.
            let known = self.placed.exact.keys().map(|name| name.as_str());
            self.mistakes.note(
                &member.at,
                format!(
                    "no rule places the member `{name}`: it is the hosted channel of this name, and empty as long as nobody makes one \
                     (`condagate channel create {name}`)"
                ),
                did_you_mean(name.as_str(), known.collect::<Vec<_>>()),
            );
            return Some(Inherited { ttl: DEFAULT_TTL, anonymous: Anonymous::Nowhere, depth: 0 });
        };
        if !matches!(entry.source, WrittenChannelSource::Virtual(_)) {
            return self.of(n, above);
        }
        if member.value.label.is_some() {
            self.mistakes.add(&member.at, format!("`{name}` is a virtual channel, which has no labels"));
            return None;
        }
        if above.contains(&n) || above.len() >= MAX_DEPTH {
            self.refuse_way(member, n, above);
            return None;
        }
        self.of(n, above)
    }

    /// A circle, or too many virtual channels on one another.
    fn refuse_way(&mut self, member: &Located<ChannelRef>, n: usize, above: &[usize]) {
        let circle = above.contains(&n);
        let way = above.iter().skip_while(|at| circle && **at != n).chain([&n]);
        let names: Vec<_> =
            way.filter_map(|at| self.channels.get(*at)).map(|c| c.key.value.as_str()).collect();
        let names = names.join(" → ");
        let message = if circle {
            format!("the virtual channel `{}` is made of itself: {names}", member.value.name)
        } else {
            format!("at most {MAX_DEPTH} virtual channels may stand on one another: {names}")
        };
        let hint = self.channels.get(n).map(|c| format!("`{}` stands at {}", c.key.value, c.key.at));
        self.mistakes.add_hint(&member.at, message, hint.unwrap_or_default());
    }
}

/// The compiled rule.
pub(super) fn compile(written: WrittenVirtual) -> VirtualRule {
    VirtualRule {
        members: written.members.into_iter().map(|member| member.value).collect(),
        priority: written.priority,
        owns: written.owns,
        owners: written.owners,
        as_of: written.as_of,
        claims: Vec::new(),
    }
}
