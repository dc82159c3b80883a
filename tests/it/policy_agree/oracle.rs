//! Random rules, and what they mean by the letter of the documentation: no index, no cache, no laziness.
//!
//! Belongs here: rules as text and as plain questions. Does not: what is known of a file (`places`).

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::hotfix::Hotfix;
use super::packages::{DAY, LICENSES, MARKER, NAMES, VERSIONS};

/// What is known of a file.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub channel: Vec<&'static str>,
    pub subdir: &'static str,
    pub file: String,
    pub name: String,
    pub version: Option<String>,
    pub build: String,
    pub license: Option<usize>,
    pub family: Option<&'static str>,
    pub depends: Vec<&'static str>,
    pub size: Option<u64>,
    pub sha256: Option<String>,
    pub md5: Option<String>,
    pub seen: Option<i64>,
    pub removed: bool,
}

#[derive(Clone, Debug)]
pub enum Condition {
    Names(Vec<&'static str>),
    Named(&'static str),
    AtLeast(&'static str, &'static str),
    Exactly(&'static str, &'static str, Option<u8>),
    Files(&'static str),
    Licenses(Vec<&'static str>),
    Family(&'static str),
    DependsOn(Vec<&'static str>),
    Larger(u64),
    Smaller(u64),
    Younger(i64),
    Older(i64),
    Removed(bool),
    /// Which package of all, by MD5 or not, and then the digest.
    Digest(usize, bool, String),
}

#[derive(Clone, Debug)]
pub enum Change {
    License,
    NoFeatures,
    Depends,
    Constrains,
    NoConstrains,
    Edition(u32),
}

#[derive(Clone, Debug)]
pub enum Effect {
    Hide,
    Keep,
    Deny,
    Allow,
    Patch(Change),
    Hotfix(Hotfix),
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub effect: Effect,
    pub conditions: Vec<Condition>,
    pub unless: Option<Condition>,
    pub dry_run: bool,
    pub channels: Option<&'static str>,
    pub subdirs: bool,
}

impl Condition {
    /// Conditions of the same key can't stand in one matcher.
    fn key(&self) -> u8 {
        match self {
            Self::Names(_) => 0,
            Self::Named(_) | Self::AtLeast(..) | Self::Exactly(..) => 1,
            Self::Files(_) => 2,
            Self::Licenses(_) => 3,
            Self::Family(_) => 4,
            Self::DependsOn(_) => 5,
            Self::Larger(_) => 6,
            Self::Smaller(_) => 7,
            Self::Younger(_) => 8,
            Self::Older(_) => 9,
            Self::Removed(_) => 10,
            Self::Digest(..) => 11,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Names(names) => format!("names: {names:?}"),
            Self::Named(name) => format!("specs: [\"{name}\"]"),
            Self::AtLeast(name, version) => format!("specs: [\"{name} >={version}\"]"),
            Self::Exactly(name, version, None) => format!("specs: [\"{name} =={version}\"]"),
            Self::Exactly(name, version, Some(build)) => format!("specs: [\"{name} =={version} b{build}\"]"),
            Self::Files(glob) => format!("files: [\"{glob}\"]"),
            Self::Licenses(entries) => format!("licenses: {entries:?}"),
            Self::Family(family) => format!("license_families: [{family}]"),
            Self::DependsOn(entries) => format!("depends_on: {entries:?}"),
            Self::Larger(size) => format!("larger_than: {size}B"),
            Self::Smaller(size) => format!("smaller_than: {size}B"),
            Self::Younger(days) => format!("younger_than: {days}d"),
            Self::Older(days) => format!("older_than: {days}d"),
            Self::Removed(is) => format!("removed: {is}"),
            Self::Digest(_, by_md5, hex) => {
                format!("digests: [\"{}:{hex}\"]", if *by_md5 { "md5" } else { "sha256" })
            }
        }
    }

    /// `strict`: a version that nobody knows fits.
    fn holds(&self, f: &Facts, now: i64, strict: bool) -> bool {
        let named = |pattern: &str| glob(pattern, &f.name);
        let major = |version: &str| version.split('.').next().unwrap().parse::<u32>().unwrap();
        let version =
            |fits: &dyn Fn(u32) -> bool| f.version.as_ref().map_or(strict, |version| fits(major(version)));
        match self {
            Self::Names(patterns) => patterns.iter().any(|pattern| named(pattern)),
            Self::Named(name) => named(name),
            Self::AtLeast(name, least) => named(name) && version(&|has| has >= major(least)),
            Self::Exactly(name, wanted, build) => {
                let fits = build.is_none_or(|number| f.build == format!("b{number}"));
                named(name) && fits && version(&|has| has == major(wanted))
            }
            Self::Files(pattern) => glob(pattern, &f.file),
            Self::Licenses(entries) => f.license.is_some_and(|license| {
                let hit = |term: &&str| entries.iter().any(|entry| glob(entry, term));
                LICENSES[license].1.iter().all(|way| way.iter().any(hit))
            }),
            Self::Family(family) => f.family == Some(family),
            Self::DependsOn(entries) => {
                f.depends.iter().any(|depend| entries.iter().any(|entry| admits(entry, depend)))
            }
            Self::Larger(size) => f.size.is_some_and(|has| has > *size),
            Self::Smaller(size) => f.size.is_some_and(|has| has < *size),
            Self::Younger(days) => f.seen.is_none_or(|seen| now < seen + days * DAY),
            Self::Older(days) => f.seen.is_some_and(|seen| now >= seen + days * DAY),
            Self::Removed(is) => f.removed == *is,
            Self::Digest(_, true, hex) => f.md5.as_ref() == Some(hex),
            Self::Digest(_, false, hex) => f.sha256.as_ref() == Some(hex),
        }
    }

    /// Whether it asks for more than a file name tells, and nobody knows.
    fn is_open(&self, f: &Facts) -> bool {
        match self {
            Self::Licenses(_) | Self::Family(_) | Self::DependsOn(_) => true,
            Self::Larger(_) | Self::Smaller(_) => f.size.is_none(),
            Self::Digest(_, true, _) => f.md5.is_none(),
            Self::Digest(_, false, _) => f.sha256.is_none(),
            _ => false,
        }
    }
}

/// Whether `pattern`, in any case, with any number of `*`, means all of `text`.
fn glob(pattern: &str, text: &str) -> bool {
    fn at(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|from| at(rest, &text[from..])),
            Some((c, rest)) => text.split_first().is_some_and(|(t, more)| t == c && at(rest, more)),
        }
    }
    at(pattern.to_lowercase().as_bytes(), text.to_lowercase().as_bytes())
}

/// What is in `depends_on`, against what is in `depends`.
fn admits(entry: &str, depend: &str) -> bool {
    match entry {
        "dep-a ==1.5" => ["dep-a", "dep-a >=1"].contains(&depend),
        "dep-a ==2.5" => depend.starts_with("dep-a"),
        "dep-b ==1.2" => depend == "dep-b 1.*",
        pattern => glob(pattern, depend.split(' ').next().unwrap()),
    }
}

impl Change {
    fn text(&self) -> String {
        match self {
            Self::License => "set: {license: LicenseRef-Patched, x_note: 1}".to_owned(),
            Self::NoFeatures => "set: {track_features: }".to_owned(),
            Self::Depends => "remove_depends: [dep-a, python], add_depends: [\"dep-new >=1\"]".to_owned(),
            Self::Constrains => "set: {constrains: [\"old <1\"]}, add_constrains: [\"pin <2\"]".to_owned(),
            Self::NoConstrains => "remove_constrains: [old, gone]".to_owned(),
            Self::Edition(edition) => format!("set: {{x_rules: {edition}}}"),
        }
    }

    pub fn apply(&self, record: &mut Map<String, Value>) {
        let mut set = |key: &str, value: Value| drop(record.insert(key.to_owned(), value));
        match self {
            Self::License => {
                set("license", json!("LicenseRef-Patched"));
                set("x_note", json!(1));
            }
            Self::NoFeatures => drop(record.remove("track_features")),
            Self::Depends => {
                let list = record["depends"].as_array_mut().expect("depends");
                let name = |entry: &Value| entry.as_str().unwrap().split(' ').next().unwrap().to_owned();
                list.retain(|entry| !["dep-a", "python"].contains(&name(entry).as_str()));
                let new = json!("dep-new >=1");
                if !list.contains(&new) {
                    list.push(new);
                }
            }
            Self::Constrains => set("constrains", json!(["old <1", "pin <2"])),
            Self::NoConstrains => {
                if let Some(list) = record.get_mut("constrains").and_then(Value::as_array_mut) {
                    list.retain(|entry| !entry.as_str().expect("a spec").starts_with("old"));
                }
            }
            Self::Edition(edition) => set("x_rules", json!(edition)),
        }
    }
}

impl Rule {
    pub fn text(&self) -> String {
        let conditions: Vec<_> = self.conditions.iter().map(Condition::text).collect();
        let conditions = conditions.join(", ");
        let effect = match &self.effect {
            Effect::Hide => format!("hide: {{{conditions}}}"),
            Effect::Keep => format!("hide: {{{conditions}}}, download: keep"),
            Effect::Deny => format!("deny: {{{conditions}}}"),
            Effect::Allow => format!("allow: {{{conditions}}}"),
            Effect::Patch(change) => format!("patch: {{match: {{{conditions}}}, {}}}", change.text()),
            Effect::Hotfix(hotfix) => {
                let keep = if hotfix.keep { ", download: keep" } else { "" };
                format!("patch: {{instructions: \"{}\"}}{keep}", hotfix.write().display())
            }
        };
        let unless = self.unless.as_ref().map_or_else(String::new, |c| format!(", unless: {{{}}}", c.text()));
        let channels = self.channels.map_or_else(String::new, |glob| format!(", channels: [\"{glob}\"]"));
        let subdirs = if self.subdirs { ", subdirs: [noarch]" } else { "" };
        format!("  - {{id: {}, {effect}{unless}, dry_run: {}{channels}{subdirs}}}\n", self.id, self.dry_run)
    }

    pub fn concerns(&self, channel: &[&str], subdir: &str) -> bool {
        let named = self.channels.is_none_or(|pattern| channel.iter().any(|name| glob(pattern, name)));
        named && (!self.subdirs || subdir == "noarch")
    }

    const fn hotfix(&self) -> Option<&Hotfix> {
        match &self.effect {
            Effect::Hotfix(hotfix) => Some(hotfix),
            _ => None,
        }
    }

    /// Whether it says what becomes of a file that it means.
    fn decides(&self, file: &str) -> bool {
        match &self.effect {
            Effect::Patch(_) => false,
            Effect::Hotfix(hotfix) => hotfix.removes(file),
            _ => true,
        }
    }

    /// Whether it takes the records that it decides about out of indexes.
    pub const fn hides(&self) -> bool {
        matches!(self.effect, Effect::Hide | Effect::Keep | Effect::Deny | Effect::Hotfix(_))
    }

    /// Whether it refuses the files that it decides about.
    pub const fn refuses(&self) -> bool {
        matches!(self.effect, Effect::Hide | Effect::Deny | Effect::Hotfix(Hotfix { keep: false, .. }))
    }

    fn is_excepted(&self, f: &Facts, now: i64) -> bool {
        self.unless.as_ref().is_some_and(|unless| unless.holds(f, now, false))
    }

    fn means(&self, f: &Facts, now: i64) -> bool {
        let strict = matches!(self.effect, Effect::Deny);
        let knows = |hotfix: &Hotfix| hotfix.knows(&f.file);
        !self.dry_run
            && self.concerns(&f.channel, f.subdir)
            && self.conditions.iter().all(|c| c.holds(f, now, strict))
            && self.hotfix().is_none_or(knows)
            && !self.is_excepted(f, now)
    }

    /// Whether it would refuse the file if what nobody knows were so.
    fn might_refuse(&self, f: &Facts, now: i64) -> bool {
        matches!(self.effect, Effect::Hide | Effect::Deny)
            && !self.dry_run
            && self.concerns(&f.channel, f.subdir)
            && self.conditions.iter().any(|c| c.is_open(f))
            && self.conditions.iter().all(|c| c.is_open(f) || c.holds(f, now, true))
            && !self.is_excepted(f, now)
    }
}

/// The rule that decides about a file.
pub fn decider<'r>(rules: &'r [Rule], f: &Facts, now: i64) -> Option<&'r Rule> {
    rules.iter().find(|rule| rule.decides(&f.file) && rule.means(f, now))
}

/// Changes a record that is shown.
pub fn amend(rules: &[Rule], f: &Facts, now: i64, record: &mut Map<String, Value>) {
    for rule in rules.iter().filter(|rule| rule.means(f, now)) {
        match &rule.effect {
            Effect::Patch(change) => change.apply(record),
            Effect::Hotfix(hotfix) => hotfix.apply(&f.file, record),
            Effect::Hide | Effect::Keep | Effect::Deny | Effect::Allow => {}
        }
    }
}

/// The rule that refuses a file of which no record is known, because it might mean it.
pub fn doubter<'r>(rules: &'r [Rule], f: &Facts, now: i64) -> Option<&'r Rule> {
    for rule in rules.iter().filter(|rule| rule.decides(&f.file)) {
        if rule.means(f, now) {
            return None;
        }
        if rule.might_refuse(f, now) {
            return Some(rule);
        }
    }
    None
}

fn condition() -> impl Strategy<Value = Condition> {
    let names = &["alpha", "alp*", "*m*", "beta", "MIXED", "x264"][..];
    let (spec, version) =
        (|| select(&["alpha", "al*", "beta", "gamma", "mixed", "*"][..]), || select(VERSIONS));
    let licenses = &["MIT", "GPL-3.0-only", "GPL-*", "proprietary", "*ODD*"][..];
    let depends = &["dep-a", "dep-*", "python", "dep-a ==1.5", "dep-a ==2.5", "dep-b ==1.2"][..];
    let days = || select(&[1_i64, 3, 7][..]);
    prop_oneof![
        4 => subsequence(names, 1..3).prop_map(Condition::Names),
        1 => select(NAMES).prop_map(Condition::Named),
        3 => (spec(), version()).prop_map(|(name, version)| Condition::AtLeast(name, version)),
        2 => (spec(), version(), proptest::option::of(0..2_u8))
            .prop_map(|(name, version, build)| Condition::Exactly(name, version, build)),
        1 => select(&["*.conda", "*.whl", "*-2.0-*"][..]).prop_map(Condition::Files),
        3 => subsequence(licenses, 1..3).prop_map(Condition::Licenses),
        1 => select(&["GPL", "PROPRIETARY"][..]).prop_map(Condition::Family),
        2 => subsequence(depends, 1..3).prop_map(Condition::DependsOn),
        1 => select(&[500_u64, 1_000, 2_000][..]).prop_map(Condition::Larger),
        1 => select(&[500_u64, 1_000][..]).prop_map(Condition::Smaller),
        3 => days().prop_map(Condition::Younger),
        3 => days().prop_map(Condition::Older),
        2 => any::<bool>().prop_map(Condition::Removed),
        2 => (0..1_000_usize, any::<bool>()).prop_map(|(at, md5)| Condition::Digest(at, md5, String::new())),
    ]
}

fn effect() -> impl Strategy<Value = Effect> {
    let change = select(vec![
        Change::License,
        Change::NoFeatures,
        Change::Depends,
        Change::Constrains,
        Change::NoConstrains,
    ]);
    prop_oneof![
        3 => Just(Effect::Hide),
        1 => Just(Effect::Keep),
        3 => Just(Effect::Deny),
        2 => Just(Effect::Allow),
        3 => change.prop_map(Effect::Patch),
        1 => Hotfix::any().prop_map(Effect::Hotfix),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let conditions = proptest::collection::vec(condition(), 1..3).prop_map(|mut conditions| {
        conditions.sort_by_key(Condition::key);
        conditions.dedup_by_key(|c| c.key());
        conditions
    });
    let channels = proptest::option::weighted(0.3, select(&["one", "two", "alias", "t*"][..]));
    let rarely = || proptest::bool::weighted(0.15);
    (effect(), conditions, proptest::option::weighted(0.3, condition()), rarely(), channels, rarely())
        .prop_map(|(effect, mut conditions, unless, dry_run, channels, subdirs)| {
            let id = String::new();
            if matches!(effect, Effect::Hotfix(_)) {
                conditions.clear();
            }
            Rule { id, effect, conditions, unless, dry_run, channels, subdirs }
        })
}

/// One to six rules; `digests` and `files` of packages that rules may name, SHA-256 and MD5.
pub fn rules(digests: Vec<(String, String)>, files: Vec<String>) -> impl Strategy<Value = Vec<Rule>> {
    proptest::collection::vec(rule(), 1..7).prop_map(move |mut rules| {
        let name = |condition: &mut Condition| {
            if let Condition::Digest(at, by_md5, hex) = condition {
                let (sha256, md5) = &digests[*at % digests.len()];
                hex.clone_from(if *by_md5 { md5 } else { sha256 });
            }
        };
        for (at, rule) in rules.iter_mut().enumerate() {
            rule.id = format!("r{at}");
            rule.conditions.iter_mut().chain(&mut rule.unless).for_each(name);
            if let Effect::Hotfix(hotfix) = &mut rule.effect {
                hotfix.name(&files);
            }
        }
        rules
    })
}

/// Rules that keep the marker in every index and let it tell which rules an index is made under.
pub fn marking(edition: u32) -> [Rule; 2] {
    let rule = |id: &str, effect| Rule {
        id: id.to_owned(),
        effect,
        conditions: vec![Condition::Names(vec![MARKER])],
        unless: None,
        dry_run: false,
        channels: None,
        subdirs: false,
    };
    [rule("marker", Effect::Allow), rule("edition", Effect::Patch(Change::Edition(edition)))]
}
