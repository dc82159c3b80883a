//! The heart of the policy: for random channels and random rules, every form of every index and every download says what an
//! independent reading of the rules says; again after other rules, after time, after upstream's changes, after a restart.
//!
//! Belongs here: the order of events and the comparison. Random packages, documents and rules have files of their own.

mod hotfix;
mod oracle;
mod packages;
mod places;
mod unions;

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value};

use self::oracle::{Facts, Rule, amend, decider, doubter, marking};
use self::packages::MARKER;
use self::places::{Mode, Mutation, Place, Plan, mutations};
use self::unions::{Shown, UNIONS, Union};
use crate::harness::home::wait_until_quiet;
use crate::harness::views::{assert_same, difference};
use crate::harness::wait::PATIENCE;
use crate::harness::{Gate, Records, Setup, Upstream, View, eventually, rules};

/// The channels, by their names: the first is the one that upstream has.
const CHANNELS: [&[&str]; 3] = [&["one", "alias"], &["two"], &["three"]];
const SUBDIRS: [&str; 2] = ["noarch", "linux-64"];
const PAST_TTL: Duration = Duration::from_mins(21);
const CASES: u32 = 3;

#[derive(Clone, Debug)]
struct Case {
    modes: [Mode; 3],
    plans: Vec<Plan>,
    policies: Vec<Vec<Rule>>,
    mutations: Vec<Vec<Mutation>>,
    days: u32,
}

impl Case {
    fn places(&self) -> Vec<Place> {
        place_ids()
            .zip(&self.plans)
            .map(|((c, s), plan)| Place::new(CHANNELS[c].to_vec(), SUBDIRS[s], self.modes[c], plan))
            .collect()
    }
}

fn place_ids() -> impl Iterator<Item = (usize, usize)> {
    (0..CHANNELS.len()).flat_map(|channel| (0..SUBDIRS.len()).map(move |subdir| (channel, subdir)))
}

fn case() -> impl Strategy<Value = Case> {
    let count = CHANNELS.len() * SUBDIRS.len();
    let mode = || select(&[Mode::Zst, Mode::OnlyJson, Mode::WithShards, Mode::ShardsOnly][..]);
    let world = ([mode(), mode(), mode()], proptest::collection::vec(Plan::any(), count));
    let events = (proptest::collection::vec(mutations(), count), 1..8_u32);
    (world, events).prop_flat_map(|((modes, plans), (mutations, days))| {
        let case = Case { modes, plans, policies: Vec::new(), mutations, days };
        let digests = case.places().iter().flat_map(Place::digests).collect();
        let files = case.places().iter().flat_map(Place::names).collect();
        proptest::collection::vec(oracle::rules(digests, files), 3)
            .prop_map(move |policies| Case { policies, ..case.clone() })
    })
}

/// A gate in front of a random upstream, and what ought to be seen through it.
struct World {
    gate: Gate,
    upstream: Upstream,
    places: Vec<Place>,
    rules: Vec<Rule>,
    edition: u32,
}

/// The second channel takes unlisted files at their word.
fn is_lenient(place: &Place) -> bool {
    place.channel[0] == "two"
}

/// The third channel has nothing that no index ever listed.
fn is_strict(place: &Place) -> bool {
    place.channel[0] == "three"
}

fn text(upstream: &Upstream, rules: &[Rule]) -> String {
    let policy: String = rules.iter().map(Rule::text).collect();
    let policy = if policy.is_empty() { policy } else { format!("policy:\n{policy}") };
    format!(
        "builtins: false\nupstreams:\n  up: {{urls: [{}], timeouts: {{connect: 5s}}}}\nchannels:\n  \
         - {{name: one, upstream: up, ttl: 20m}}\n  - {{name: alias, upstream: up, path: one, ttl: 20m}}\n  \
         - {{name: two, upstream: up, ttl: 20m, unlisted: allow}}\n  \
         - {{name: three, upstream: up, ttl: 20m, unlisted: deny}}\n{}{policy}",
        upstream.url(),
        UNIONS.iter().map(Union::text).collect::<String>()
    )
}

impl World {
    fn new(case: &Case) -> Self {
        let upstream = Upstream::start();
        let mut places = case.places();
        for place in &mut places {
            place.publish(&upstream);
        }
        let rules = acceptable(&upstream, &case.policies[0], 1);
        let gate = Setup::rules(&text(&upstream, &rules)).start();
        Self { gate, upstream, places, rules, edition: 1 }
    }

    fn now(&self) -> i64 {
        self.gate.now().0
    }

    /// Has the gate read other rules, and asserts that downloads follow at once, whatever the indexes still say.
    fn obey(&mut self, rules: &[Rule]) {
        self.edition += 1;
        self.rules =
            if rules.is_empty() { Vec::new() } else { acceptable(&self.upstream, rules, self.edition) };
        self.gate.set_rules(&text(&self.upstream, &self.rules)).expect("good rules");
        self.check_downloads();
    }

    /// Waits until every index is made of what upstream has, under the rules that hold, and compares everything.
    fn check(&mut self) {
        for at in 0..self.places.len() {
            self.check_index(at);
        }
        self.check_unions();
        self.check_downloads();
    }

    fn check_index(&self, at: usize) {
        let place = &self.places[at];
        let expected = self.shown(place);
        for channel in &place.channel {
            let view = View::of(&self.gate, channel, place.subdir);
            self.await_records(&view, &expected);
            assert_same(&view.agreed(), &expected, &format!("{} under\n{}", view.path(""), self.policy()));
            assert_eq!(view.removed(), place.removed, "{}", view.path(""));
            for (which, file) in ["run_exports.json", "repodata_from_packages.json"].into_iter().enumerate() {
                let ruled = self.rules.iter().any(|rule| rule.concerns(&place.channel, place.subdir));
                let mut wanted = place.records_beside(which);
                if which == 0 || ruled {
                    wanted = wanted.map(|mut w| {
                        w.retain(|file, _| expected.contains_key(file));
                        w
                    });
                }
                assert_eq!(view.beside(file), wanted, "{} under\n{}", view.path(file), self.policy());
            }
        }
    }

    fn await_records(&self, view: &View<'_>, expected: &Records) {
        let mut last = None;
        let rounds = PATIENCE.as_millis() / 50;
        for round in 0..rounds {
            let found =
                eventually("an index", || Some(view.get("repodata.json")).filter(|a| a.status == 200));
            last = difference(&crate::harness::views::by_file(&found.json()), expected);
            if last.is_none() {
                return;
            }
            if round > 0 {
                pause();
            }
        }
        panic!("{} never came to what it should be: {last:?}\nunder\n{}", view.path(""), self.policy());
    }

    /// What the index of a place must list.
    fn shown(&self, place: &Place) -> Records {
        let shown = place.records().filter_map(|(record, facts)| {
            let record = self.as_shown(record, &facts)?;
            Some((facts.file, record))
        });
        shown.collect()
    }

    fn as_shown(&self, mut record: Map<String, Value>, facts: &Facts) -> Option<Value> {
        let now = self.now();
        if decider(&self.rules, facts, now).is_some_and(Rule::hides) {
            return None;
        }
        amend(&self.rules, facts, now, &mut record);
        Some(Value::Object(record))
    }

    /// The rules that may refuse a file; none: it is served.
    fn refusers(&self, place: &Place, file: &str) -> Vec<&str> {
        let (facts, is_known) = place.facts(file, is_lenient(place));
        match decider(&self.rules, &facts, self.now()) {
            Some(rule) if rule.refuses() => vec![&rule.id],
            _ if is_known || is_lenient(place) => Vec::new(),
            _ => match doubter(&self.rules, &facts, self.now()) {
                Some(rule) => vec![&rule.id],
                None if is_strict(place) => vec!["unlisted"],
                None => Vec::new(),
            },
        }
    }

    /// Every file that ever was, under every name of its channel.
    fn check_downloads(&mut self) {
        let mut had = Vec::new();
        for (at, place) in self.places.iter().enumerate() {
            for (file, bytes) in &place.files {
                let refusers = self.refusers(place, file);
                for channel in &place.channel {
                    let path = format!("/{channel}/{}/{file}", place.subdir);
                    let answer = self.gate.get(&path);
                    let under = || format!("{path}: {}\nunder\n{}", answer.text(), self.policy());
                    if refusers.is_empty() {
                        assert_eq!(answer.status, 200, "{}", under());
                        assert!(answer.body == *bytes, "wrong bytes of {path}");
                        had.push((at, file.clone()));
                    } else {
                        assert_eq!(answer.status, 403, "{path}: refused by {refusers:?}\n{}", self.policy());
                        let problem = answer.expect_problem(403);
                        assert!(refusers.iter().any(|id| problem["rule"] == **id), "{refusers:?}: {problem}");
                    }
                }
            }
        }
        wait_until_quiet(self.gate.address());
        for (at, file) in had {
            self.places[at].fetched.insert(file);
        }
    }

    /// The virtual channels show what their members show, as far as their rules let it; nothing that members refuse comes through.
    fn check_unions(&mut self) {
        let mut had: Vec<(String, String)> = Vec::new();
        for union in &UNIONS {
            for subdir in SUBDIRS {
                self.check_union(union, subdir, &mut had);
            }
        }
        wait_until_quiet(self.gate.address());
        for (path, file) in had {
            let place = self.places.iter_mut().find(|place| place.path == path);
            place.expect("a place").fetched.insert(file);
        }
    }

    /// `had`: the files that were fetched, by their places' paths.
    fn check_union(&self, union: &Union, subdir: &str, had: &mut Vec<(String, String)>) {
        let member = |name: &&str| self.places.iter().find(|p| p.subdir == subdir && p.channel[0] == *name);
        let members: Vec<&Place> = union.members.iter().map(|name| member(name).expect("a member")).collect();
        let shown: Vec<Shown> = members.iter().map(|place| self.shown_since(place)).collect();
        let merged = union.merged(&shown);
        let (expected, view) = (unions::records(&merged), View::of(&self.gate, union.name, subdir));
        self.await_records(&view, &expected);
        assert_same(&view.agreed(), &expected, &format!("{} under\n{}", view.path(""), self.policy()));
        let beside: Vec<_> = members.iter().map(|place| place.records_beside(0)).collect();
        let exports = view.beside("run_exports.json");
        assert_eq!(exports, Union::exports(&merged, &beside), "{} under\n{}", view.path(""), self.policy());
        for file in unions::files(members.iter().map(|place| &place.files)) {
            let answer = view.get(file);
            // What an unlisted file is has become known with its bytes, to whichever member they are from.
            if answer.status == 200 {
                let from = members.iter().filter(|place| place.files.get(file) == Some(&answer.body));
                had.extend(from.map(|place| (place.path.clone(), file.clone())));
            }
            let status = answer.status;
            let under = || format!("{status} {}\n{}", view.path(file), self.policy());
            if let Some((_, owner)) = merged.get(file) {
                // Listed without a digest, and its bytes say that a rule is about them.
                if !self.refusers(members[*owner], file).is_empty() {
                    assert_eq!(status, 403, "{}", under());
                    continue;
                }
                assert!(
                    answer.expect(200) == members[*owner].files[file],
                    "wrong bytes of {}",
                    view.path(file)
                );
                continue;
            }
            let refused =
                |place: &&Place| !place.files.contains_key(file) || !self.refusers(place, file).is_empty();
            if Shown::any(&shown, file) {
                assert_eq!(status, 403, "left out by the channel's rule: {}", under());
            } else if members.iter().all(refused) {
                assert!([403, 404].contains(&status), "{}", under());
            }
        }
    }

    /// What a place shows, and since when each file is known.
    fn shown_since(&self, place: &Place) -> Shown {
        let known = place.records().filter_map(|(_, facts)| Some((facts.file.clone(), facts.seen?)));
        Shown { seen: known.collect(), records: self.shown(place) }
    }

    /// Upstream changes; the gate finds out after the time to live.
    fn mutate(&mut self, mutations: &[Vec<Mutation>]) {
        // First the clock: what sees the new edition sees it at this moment.
        self.gate.advance(PAST_TTL);
        for (place, mutations) in self.places.iter_mut().zip(mutations) {
            place.change(mutations);
            place.publish(&self.upstream);
        }
        self.meet();
    }

    /// Waits until the gate has read the present edition of every place, and notes when that was.
    fn meet(&mut self) {
        for at in 0..self.places.len() {
            let place = &self.places[at];
            let marker = format!("{MARKER}-{}.0-b0.conda", place.edition());
            let view = View::of(&self.gate, place.channel[0], place.subdir);
            let mut tries = 0;
            let record = eventually("the new edition", || {
                tries += 1;
                if tries % 300 == 0 {
                    // A look at the old edition that was under way may have counted as one after the time to live.
                    self.gate.advance(PAST_TTL);
                }
                let answer = view.get("repodata.json");
                let records =
                    (answer.status == 200).then(|| crate::harness::views::by_file(&answer.json()))?;
                records.get(&marker).cloned()
            });
            let seen = record["indexed_timestamp"].as_i64().expect("a moment");
            assert!(
                seen <= self.now() && self.now() - seen <= 1_300_000,
                "seen at {seen}, not {}",
                self.now()
            );
            self.places[at].observe(seen);
        }
    }

    fn restart(self) -> Self {
        let Self { gate, upstream, places, rules, edition } = self;
        let now = gate.now();
        let gate = Setup::again(gate.stop()).at(now).start();
        Self { gate, upstream, places, rules, edition }
    }

    fn policy(&self) -> String {
        self.rules.iter().map(Rule::text).collect()
    }
}

/// The rules that do not stand in each other's way, with a marker's before them.
fn acceptable(upstream: &Upstream, wanted: &[Rule], edition: u32) -> Vec<Rule> {
    let mut accepted = marking(edition).to_vec();
    for rule in wanted {
        accepted.push(rule.clone());
        let mistakes = rules::mistakes(&text(upstream, &accepted));
        if !mistakes.is_empty() {
            let only_conflicts =
                mistakes.iter().all(|m| m.contains("never acts") || m.contains("takes its records"));
            assert!(only_conflicts, "{mistakes:?}");
            accepted.pop();
        }
    }
    accepted
}

fn pause() {
    let mut once = false;
    eventually("a moment", || std::mem::replace(&mut once, true).then_some(()));
}

fn run(case: &Case) {
    let mut world = World::new(case);
    world.meet();
    world.check();
    world.obey(&case.policies[1]);
    world.check();
    world.gate.advance(Duration::from_hours(24) * case.days);
    world.check_downloads();
    world.check();
    world.mutate(&case.mutations);
    world.check();
    let mut world = world.restart();
    world.check();
    world.obey(&case.policies[2]);
    world.check();
    world.obey(&[]);
    world.check();
}

/// A number from the environment.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// A few cases, unless `CONDAGATE_POLICY_CASES` asks for more: each is a whole gate with six subdirs and seven rounds.
/// `CONDAGATE_POLICY_SEED` has them made again that a failure has named.
#[test]
fn every_form_and_every_download_say_what_the_rules_say() {
    let seed = number("CONDAGATE_POLICY_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let cases = number("CONDAGATE_POLICY_CASES").map_or(CASES, |n| u32::try_from(n).expect("fewer cases"));
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let ran = runner.run(&case(), |case| {
        run(&case);
        Ok(())
    });
    if let Err(error) = ran {
        panic!("CONDAGATE_POLICY_SEED={seed} CONDAGATE_POLICY_CASES={cases} makes it again\n{error}");
    }
}
