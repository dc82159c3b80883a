//! Who may do what: rights on channels and on prefixes of files.
//!
//! **Default.** What comes from a public upstream may be read by everybody; `anonymous: none` in the rules asks for a credential
//! there. Everything else is closed: hosted channels, what the gate reads with credentials of its own, and every channel or
//! prefix that an entry of `access:` names, whatever it gives and to whom.
//!
//! **Giving.** Entries and the grants of the store only add: a caller has a right when any of them gives it. `write` includes
//! `read`, `manage` both. `anonymous` in `read` means everybody, because a credential can be left out. A superuser passes.
//!
//! **Packages.** The `packages` of an entry or scope limit files of packages: downloads, what stands beside them, uploads.
//! An index is shown as a whole as soon as any reading is given. What is about a channel as a whole and more than reading
//! is not given by an entry or scope that is limited to packages.
//!
//! **Tokens.** Scopes cut down what a token's owner has. What everybody has they leave: nobody gets less for showing a
//! credential. Plain files belong to no channel, so only a scope on all channels (`*`) and packages reaches those that are closed.
//!
//! A label and a subdir belong to their channel. A channel that is made of others is asked about under its own name *and* its
//! members are asked about one by one: reading it needs reading each member. A channel with several names is private when
//! any of its names [is closed](Access::is_closed), and what opens it is an entry about the name that is asked for.
//!
//! Belongs here: rights, entries, what a token is good for, the decision. Does not: who a caller is (`auth`), what is kept of
//! rights (`store`), which packages of a channel are shown ([`super::judge`]).

pub mod compile;
pub mod globs;
pub mod names;
pub mod read;
pub mod right;
pub mod scope;
pub mod who;
pub mod why;

use std::fmt;
use std::sync::Arc;

use ahash::AHashMap;

pub use globs::Globs;
pub use right::Right;
pub use scope::{Scope, ScopeError};
pub use why::{AccessRef, Verdict, Why};

use who::Given;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The key of the user's name ([`names::key`]); `None` for somebody who shows no credential.
    pub user: Option<&'a str>,
    /// The keys of the names of the user's groups.
    pub groups: &'a [Box<str>],
    /// Whether the user passes every access rule.
    pub superuser: bool,
    /// What the token is good for; `None` where the credential is no token.
    pub scopes: Option<&'a [Scope]>,
    /// What the store gives the user and the user's groups.
    pub grants: &'a [Granted],
}

impl Caller<'static> {
    /// Somebody who shows no credential.
    pub const ANONYMOUS: Self = Self { user: None, groups: &[], superuser: false, scopes: None, grants: &[] };
}

/// A grant of the store, ready to be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// Of the grant.
    pub id: Box<str>,
    /// The channels it is about.
    pub channels: Globs,
    /// What it gives.
    pub right: Right,
}

impl Granted {
    /// A grant of `right` on the channels that `glob` matches; `None` where it can match nothing.
    #[must_use]
    pub fn new(id: impl Into<Box<str>>, glob: &str, right: Right) -> Option<Self> {
        let channels = Globs::channels(vec![glob.to_owned()]);
        channels.check().is_ok().then(|| Self { id: id.into(), channels, right })
    }
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// About what.
    pub what: Thing<'a>,
    /// What is to be done with it.
    pub right: Right,
}

/// What a question is about.
#[derive(Clone, Copy, Debug)]
pub enum Thing<'a> {
    /// A channel, or a package of it.
    Channel {
        /// Its name, label excluded.
        name: &'a str,
        /// Whether it is closed whatever the entries say: hosted, or read with the gate's own credentials.
        private: bool,
        /// The name of the package whose file it is about; `None` for indexes and the channel as a whole.
        package: Option<&'a str>,
    },
    /// A file below a prefix of `files:`.
    File {
        /// The prefix, as the rule has it.
        prefix: &'a str,
        /// Whether it is closed whatever the entries say: read with the gate's own credentials.
        private: bool,
    },
}

impl Thing<'_> {
    const fn is_private(&self) -> bool {
        match self {
            Self::Channel { private, .. } | Self::File { private, .. } => *private,
        }
    }
}

/// For whom something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Whoever asks.
    Everybody,
    /// Some callers only.
    Some,
}

/// What gives a right, as long as it is looked at.
#[derive(Clone, Copy)]
enum Reason<'a> {
    Superuser,
    Public,
    Rule(&'a Arc<AccessRef>),
    Grant(&'a str),
}

impl From<Reason<'_>> for Why {
    fn from(reason: Reason<'_>) -> Self {
        match reason {
            Reason::Superuser => Self::Superuser,
            Reason::Public => Self::Public,
            Reason::Rule(rule) => Self::Rule(Arc::clone(rule)),
            Reason::Grant(id) => Self::Grant(id.into()),
        }
    }
}

/// One entry of `access:`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    source: Arc<AccessRef>,
    channels: Globs,
    files: Globs,
    packages: Option<Globs>,
    given: Given,
}

/// What it says, without its place.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = (&self.channels, &self.files, &self.packages);
        write!(f, "{} {what:?} {:?}", self.source.id, self.given)
    }
}

/// All entries of `access:`, compiled.
#[derive(Clone)]
pub struct Access {
    entries: Vec<Entry>,
    /// Whether strangers may read what is public.
    anonymous: bool,
    /// Channel in lower case → positions of the entries that name it in a word, ascending.
    by_word: AHashMap<Box<str>, Vec<u32>>,
    /// Positions of the entries that name channels in globs, ascending.
    by_glob: Vec<u32>,
}

impl Access {
    pub(super) fn new(entries: Vec<Entry>, anonymous: bool) -> Self {
        let mut by_word: AHashMap<Box<str>, Vec<u32>> = AHashMap::new();
        let mut by_glob = Vec::new();
        for (at, entry) in (0..).zip(&entries).filter(|(_, entry)| !entry.channels.is_empty()) {
            match entry.channels.only_words() {
                Some(words) => {
                    for word in words {
                        by_word.entry(word.into()).or_default().push(at);
                    }
                }
                None => by_glob.push(at),
            }
        }
        // An entry may name a channel twice.
        by_word.values_mut().for_each(Vec::dedup);
        Self { entries, anonymous, by_word, by_glob }
    }

    /// Whether there is nothing to ask about public things: no entry, and strangers may read them.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.anonymous
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether any entry is about a channel: then it is for nobody whom entries and grants don't name.
    #[must_use]
    pub fn is_closed(&self, channel: &str) -> bool {
        self.about_channel(channel).next().is_some()
    }

    /// Whether a caller may do something, and why.
    #[must_use]
    pub fn decide(&self, caller: &Caller<'_>, ask: &Ask<'_>) -> Verdict {
        match self.judged(caller, ask) {
            Ok((_, reason)) => Verdict::Allowed(reason.into()),
            Err(why) => Verdict::Denied(why),
        }
    }

    /// For whom is what a caller may do, without the reason; `None` where the caller may not. The same answer as [`Self::decide`], and
    /// no worker waits for another to count the uses of an entry.
    #[must_use]
    pub fn reach(&self, caller: &Caller<'_>, ask: &Ask<'_>) -> Option<Reach> {
        self.judged(caller, ask).ok().map(|(reach, _)| reach)
    }

    fn judged<'a>(&'a self, caller: &Caller<'a>, ask: &Ask<'a>) -> Result<(Reach, Reason<'a>), Why> {
        if let Ok(reason) = self.given(&Caller::ANONYMOUS, ask) {
            return Ok((Reach::Everybody, reason));
        }
        match self.given(caller, ask)? {
            _ if !within(caller.scopes, ask) => Err(Why::Scopes(ask.right)),
            reason => Ok((Reach::Some, reason)),
        }
    }

    /// What gives a caller the right, scopes aside; or why nothing does.
    fn given<'a>(&'a self, caller: &Caller<'a>, ask: &Ask<'a>) -> Result<Reason<'a>, Why> {
        match ask.what {
            Thing::Channel { name, .. } => given(self.about_channel(name), self.anonymous, caller, ask),
            Thing::File { prefix, .. } => {
                let about = self.entries.iter().filter(|entry| entry.files.is_match(prefix));
                given(about, self.anonymous, caller, ask)
            }
        }
    }

    /// The entries about a channel, in the order written.
    fn about_channel<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> + 'a {
        let words = if self.by_word.is_empty() {
            None
        } else if name.bytes().any(|b| b.is_ascii_uppercase()) {
            self.by_word.get(name.to_ascii_lowercase().as_str())
        } else {
            self.by_word.get(name)
        };
        let mut words = words.map_or(&[][..], Vec::as_slice).iter().copied().peekable();
        let matches = move |at: &u32| self.entry(*at).is_some_and(|entry| entry.channels.is_match(name));
        let mut globs = self.by_glob.iter().copied().filter(matches).peekable();
        let positions = std::iter::from_fn(move || match (words.peek(), globs.peek()) {
            (Some(a), Some(b)) if a < b => words.next(),
            (Some(_), None) => words.next(),
            _ => globs.next(),
        });
        positions.filter_map(|at| self.entry(at))
    }

    fn entry(&self, at: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(at).ok()?)
    }
}

/// See [`Access::given`]; `about` are the entries about the thing, `anonymous` is whether strangers may read what is public.
fn given<'a>(
    about: impl Iterator<Item = &'a Entry>,
    anonymous: bool,
    caller: &Caller<'a>,
    ask: &Ask<'a>,
) -> Result<Reason<'a>, Why> {
    if caller.superuser {
        return Ok(Reason::Superuser);
    }
    let mut closed = ask.what.is_private();
    let mut limited = false;
    for entry in about {
        closed = true;
        if entry.given.right_of(caller).is_some_and(|right| right >= ask.right) {
            if reaches(entry.packages.as_ref(), ask) {
                return Ok(Reason::Rule(&entry.source));
            }
            limited = true;
        }
    }
    if let Some(grant) = caller.grants.iter().find(|grant| grant.gives(ask)) {
        return Ok(Reason::Grant(&grant.id));
    }
    let is_public = !closed && ask.right == Right::Read;
    match caller.user {
        None if is_public && anonymous => Ok(Reason::Public),
        Some(_) if is_public => Ok(Reason::Public),
        None => Err(Why::NeedsCredential),
        Some(_) if limited => Err(Why::OtherPackages(ask.right)),
        Some(_) => Err(Why::NotGiven(ask.right)),
    }
}

impl Granted {
    fn gives(&self, ask: &Ask<'_>) -> bool {
        match ask.what {
            Thing::Channel { name, .. } => self.right >= ask.right && self.channels.is_match(name),
            Thing::File { .. } => false,
        }
    }
}

/// Whether something that is limited to `packages` reaches what is asked about.
fn reaches(packages: Option<&Globs>, ask: &Ask<'_>) -> bool {
    let Some(packages) = packages else { return true };
    match ask.what {
        Thing::Channel { package: Some(package), .. } => packages.is_match(package),
        Thing::Channel { package: None, .. } => ask.right == Right::Read,
        Thing::File { .. } => false,
    }
}

/// Whether scopes leave what is asked for.
fn within(scopes: Option<&[Scope]>, ask: &Ask<'_>) -> bool {
    let covers = |scope: &Scope| {
        let packages = Some(&scope.packages).filter(|packages| !packages.is_empty());
        let there = match ask.what {
            Thing::Channel { name, .. } => scope.channels.is_match(name),
            Thing::File { .. } => scope.channels.is_any(),
        };
        scope.right >= ask.right && there && reaches(packages, ask)
    };
    scopes.is_none_or(|scopes| scopes.iter().any(covers))
}

impl Default for Access {
    fn default() -> Self {
        Self::new(Vec::new(), true)
    }
}

/// Equal when the same entries stand at the same places: the places are part of what is told.
impl PartialEq for Access {
    fn eq(&self, other: &Self) -> bool {
        // The look-up is made from these.
        self.anonymous == other.anonymous && self.entries == other.entries
    }
}

impl Eq for Access {}

/// What the entries say.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "anonymous {} {:?}", self.anonymous, self.entries)
    }
}
