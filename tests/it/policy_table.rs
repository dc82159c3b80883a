//! Every kind of match with every effect of the policy language, through the front door: index, shards, downloads.
//!
//! Belongs here: one case each, by the letter of the documentation. Does not: how they play together (`policy_agree`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Channel, Gate, Records, Setup, Upstream, View, eventually_true, package, rules};

const PLACES: [(&str, &str); 3] = [("chan", "noarch"), ("chan", "linux-64"), ("other", "noarch")];

/// What is in the places: `target` came when the gate knew the channel, `gone` left it then and stands in `removed`, and `mark` tells
/// which rules an index is made under.
fn files(place: (&str, &str)) -> &'static [&'static str] {
    if place == PLACES[0] { &["plain", "target", "gone"] } else { &["plain"] }
}

fn file(name: &str) -> String {
    let version = if name == "target" { "2.1" } else { "1.0" };
    format!("{name}-{version}-0.conda")
}

/// Which files of which places a condition means.
type Means = fn(place: (&str, &str), name: &str) -> bool;

struct Kind {
    name: &'static str,
    /// What stands beside the effect.
    scope: &'static str,
    condition: String,
    means: Means,
}

fn kinds(target: &crate::harness::channel::Package) -> Vec<Kind> {
    let kind =
        |name, condition: &str, means| Kind { name, scope: "", condition: condition.to_owned(), means };
    let digest = |key: &str, algorithm: &str| {
        format!("digests: [\"{algorithm}:{}\"]", target.record[key].as_str().expect("a digest"))
    };
    let is_target: Means = |_, name| name == "target";
    let others: Means = |_, name| name != "target";
    vec![
        Kind { scope: "channels: [chan], ", ..kind("channel", "names: [\"*\"]", |(c, _), _| c == "chan") },
        Kind {
            scope: "channels: [\"oth*\"], ",
            ..kind("channel glob", "names: [\"*\"]", |(c, _), _| c == "other")
        },
        Kind { scope: "subdirs: [noarch], ", ..kind("subdir", "names: [\"*\"]", |(_, s), _| s == "noarch") },
        kind("name glob", "names: [\"tar*\"]", is_target),
        kind("MatchSpec", "specs: [\"target >=2,<3\"]", is_target),
        kind("MatchSpec of another version", "specs: [\"target >=3\"]", |_, _| false),
        kind("SPDX expression", "licenses: [GPL-3.0-only]", is_target),
        kind("licence that can be avoided", "licenses: [MIT]", |_, _| false),
        kind("licence family", "license_families: [GPL]", is_target),
        kind("larger", "larger_than: 20000B", is_target),
        kind("smaller", "smaller_than: 20000B", others),
        kind("SHA-256", &digest("sha256", "sha256"), is_target),
        kind("MD5", &digest("md5", "md5"), is_target),
        kind("depends on", "depends_on: [openssl]", is_target),
        kind("younger", "younger_than: 7d", is_target),
        kind("older", "older_than: 100d", others),
        kind("removed", "removed: true", |_, name| name == "gone"),
        kind("two at once", "names: [\"*\"], depends_on: [openssl]", is_target),
    ]
}

const EFFECTS: [&str; 6] = ["hide", "keep", "deny", "allow", "patch", "dry_run"];

fn rule(effect: &str, Kind { scope, condition, .. }: &Kind) -> String {
    let rule = match effect {
        "keep" => format!("{{id: r, {scope}hide: {{{condition}}}, download: keep}}"),
        "allow" => {
            return format!(
                "  - {{id: ok, {scope}allow: {{{condition}}}}}\n  - {{id: r, deny: {{names: [\"*\"]}}}}\n"
            );
        }
        "patch" => format!("{{id: r, {scope}patch: {{match: {{{condition}}}, set: {{x_patched: true}}}}}}"),
        "dry_run" => format!("{{id: r, {scope}dry_run: true, deny: {{{condition}}}}}"),
        effect => format!("{{id: r, {scope}{effect}: {{{condition}}}}}"),
    };
    format!("  - {rule}\n")
}

/// Whether it is shown, whether it is changed, whether its file may be had.
fn expected(effect: &str, meant: bool) -> (bool, bool, bool) {
    match (effect, meant) {
        ("hide" | "deny", true) | ("allow", false) => (false, false, false),
        ("keep", true) => (false, false, true),
        ("patch", true) => (true, true, true),
        _ => (true, false, true),
    }
}

struct Scene {
    gate: Gate,
    upstream: Upstream,
    edition: u32,
}

impl Scene {
    fn new() -> (Self, crate::harness::channel::Package) {
        let upstream = Upstream::start();
        let old = |name: &str| {
            Channel::new(name)
                .with("noarch", &package("plain", "1.0"))
                .with("noarch", &package("mark", "1.0"))
                .with("linux-64", &package("plain", "1.0"))
                .with("linux-64", &package("mark", "1.0"))
        };
        old("chan").with("noarch", &package("gone", "1.0")).publish(&upstream);
        old("other").publish(&upstream);
        let gate = Setup::rules(&rules::all_from(&upstream)).start();
        let scene = Self { gate, upstream, edition: 0 };
        for place in PLACES {
            scene.view(place).records();
        }
        let target = package("target", "2.1").needs("openssl >=3").payload(50_000);
        let now = old("chan").with_record("noarch", &target, |record| {
            record.insert("license".into(), json!("(MIT OR Zlib) AND GPL-3.0-only"));
            record.insert("license_family".into(), json!("GPL"));
        });
        now.publish(&scene.upstream);
        let mut document = now.repodata("noarch");
        document["removed"] = json!([file("gone")]);
        let document = serde_json::to_vec(&document).expect("JSON");
        scene.upstream.put("/chan/noarch/repodata.json", document.clone());
        scene.upstream.put("/chan/noarch/repodata.json.zst", crate::harness::archive::zstd_of(&document));
        scene.gate.advance(Duration::from_mins(21));
        eventually_true("the gate sees it come", || {
            let records = scene.view(PLACES[0]).records();
            records.contains_key(&file("target")) && !records.contains_key(&file("gone"))
        });
        (scene, now.get("target").clone())
    }

    fn view(&self, (channel, subdir): (&'static str, &'static str)) -> View<'_> {
        View::of(&self.gate, channel, subdir)
    }

    /// Puts rules in force, which act on downloads at once.
    fn obey(&mut self, policy: &str) {
        self.edition += 1;
        let marking = format!(
            "policy:\n  - {{id: mark, allow: {{names: [mark]}}}}\n  \
             - {{id: edition, patch: {{match: {{names: [mark]}}, set: {{x_edition: {}}}}}}}\n",
            self.edition
        );
        let text = format!("{}{marking}{policy}", rules::all_from(&self.upstream));
        self.gate.set_rules(&text).expect("good rules");
    }

    fn await_index(&self, place: (&'static str, &'static str)) -> Records {
        let mut records = BTreeMap::new();
        eventually_true("an index under these rules", || {
            records = self.view(place).records();
            records[&file("mark")]["x_edition"] == self.edition
        });
        records
    }
}

#[test]
fn every_match_has_every_effect() {
    let (mut scene, target) = Scene::new();
    for kind in kinds(&target) {
        for effect in EFFECTS {
            let policy = rule(effect, &kind);
            let what = format!("{}, {effect}\n{policy}", kind.name);
            scene.obey(&policy);
            for place in PLACES {
                for name in files(place) {
                    let (_, _, served) = expected(effect, (kind.means)(place, name));
                    let answer = scene.view(place).get(&file(name));
                    if served {
                        assert_eq!(answer.status, 200, "{name} of {place:?}: {what}{}", answer.text());
                    } else {
                        assert_eq!(answer.expect_problem(403)["rule"], "r", "{name} of {place:?}: {what}");
                    }
                }
            }
            for place in PLACES {
                let records = scene.await_index(place);
                assert_eq!(scene.view(place).sharded(), records, "{place:?}: {what}");
                for name in files(place) {
                    let (shown, changed, _) = expected(effect, (kind.means)(place, name));
                    let record = records.get(&file(name));
                    assert_eq!(record.is_some(), shown && *name != "gone", "{name} of {place:?}: {what}");
                    let is_changed = |record: &Value| record["x_patched"] == true;
                    assert!(record.is_none_or(|r| is_changed(r) == changed), "{name} of {place:?}: {what}");
                }
            }
        }
    }
}
