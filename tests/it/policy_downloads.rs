//! What rules mean for downloads: they act as soon as they are loaded, whatever is cached and whatever the indexes still say.

use std::time::Duration;

use crate::harness::digest::sha256_hex;
use crate::harness::home::files_below;
use crate::harness::{
    Act, Channel, End, Gate, Latch, Request, Setup, Upstream, View, eventually, eventually_true, package,
    rules,
};

const TTL: Duration = Duration::from_mins(21);

/// A gate in front of `chan`, which is also `forge`; `all` is a virtual channel of `forge`.
struct Scene {
    gate: Gate,
    upstream: Upstream,
    channel: Channel,
}

fn channel() -> Channel {
    let gpl = package("copyleft", "1.0");
    Channel::new("chan")
        .with("noarch", &package("alpha", "1.0"))
        .with("noarch", &package("beta", "1.0").payload(300_000))
        .with_record("noarch", &gpl, |record| drop(record.insert("license".into(), "GPL-3.0-only".into())))
}

fn text(upstream: &Upstream, unlisted: &str, policy: &str) -> String {
    let policy = if policy.is_empty() { String::new() } else { format!("policy:\n{policy}") };
    format!(
        "builtins: false\nupstreams:\n  up: {{urls: [{}], retries: 0, {}}}\nchannels:\n  \
         - {{name: chan, upstream: up, ttl: 20m, unlisted: {unlisted}}}\n  \
         - {{name: forge, upstream: up, path: chan, ttl: 20m, unlisted: {unlisted}}}\n  \
         - {{name: all, virtual: [forge]}}\n{policy}",
        upstream.url(),
        rules::IMPATIENT
    )
}

impl Scene {
    fn new(policy: &str) -> Self {
        Self::with("auto", policy)
    }

    fn with(unlisted: &str, policy: &str) -> Self {
        let upstream = Upstream::start();
        let channel = channel();
        channel.publish(&upstream);
        let gate = Setup::rules(&text(&upstream, unlisted, policy)).start();
        Self { gate, upstream, channel }
    }

    fn obey(&self, policy: &str) {
        self.gate.set_rules(&text(&self.upstream, "auto", policy)).expect("good rules");
    }

    fn view(&self, channel: &'static str) -> View<'_> {
        View::of(&self.gate, channel, "noarch")
    }

    fn status(&self, file: &str) -> u16 {
        self.view("chan").get(file).status
    }

    /// Upstream's index forgets a package; its file stays.
    fn depart(&self, name: &str) {
        let rest = Channel::new("chan").with("noarch", &package("beta", "1.0").payload(300_000));
        assert_ne!(name, "beta");
        self.gate.advance(TTL);
        rest.publish(&self.upstream);
        eventually_true("an index without it", || !self.view("chan").records().contains_key(&file(name)));
    }
}

fn file(name: &str) -> String {
    format!("{name}-1.0-0.conda")
}

const RECALL: &str = "  - {id: recall-42, deny: {specs: [\"alpha >=1\"]}, reason: \"CVE-2024-3094\"}\n";

#[test]
fn a_recall_acts_at_once_on_what_is_cached_and_still_listed() {
    let scene = Scene::new("");
    let path = scene.channel.path("alpha");
    scene.gate.settle(&path);
    scene.view("chan").agreed();
    // The new index can't be made yet.
    let latch = Latch::new();
    for file in ["repodata.json", "repodata.json.zst"] {
        scene.upstream.always(&scene.channel.at("noarch", file), Act::HoldHead(latch.clone()));
    }
    scene.gate.advance(Duration::from_secs(1));
    scene.obey(RECALL);
    let problem = scene.gate.get(&path).expect_problem(403);
    assert_eq!(problem["rule"], "recall-42");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("`recall-42`: CVE-2024-3094") && detail.contains("alpha-1.0-0.conda"),
        "{detail}"
    );
    assert!(
        problem["at"].as_str().unwrap().contains("50-test.yaml:"),
        "this machine may know where: {problem}"
    );
    assert_eq!(scene.gate.ask(&Request::head(&path)).status, 403);
    for range in ["bytes=0-9", "bytes=-5", "bytes=999999999-"] {
        scene.gate.ask(&Request::get(&path).header("Range", range)).expect_problem(403);
    }
    let etag = format!("\"{}\"", sha256_hex(&scene.channel.get("alpha").bytes));
    assert_eq!(scene.gate.ask(&Request::get(&path).header("If-None-Match", &etag)).status, 403);
    latch.open();
    for channel in ["chan", "forge", "all"] {
        eventually_true("an index without it", || {
            !scene.view(channel).records().contains_key(&file("alpha"))
        });
        assert_eq!(scene.view(channel).agreed().len(), 2, "{channel}");
        assert!([403, 404].contains(&scene.view(channel).get(&file("alpha")).status), "{channel}");
        scene.view(channel).get(&file("beta")).expect(200);
    }
}

/// Rules can't be asked before there is an index, and until then nothing of the file goes out, however long it takes.
#[test]
fn nothing_goes_out_while_the_index_is_on_its_way() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let latch = Latch::new();
    for file in ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"] {
        upstream.always(&channel.at("noarch", file), Act::HoldHead(latch.clone()));
    }
    let policy = "  - {id: no-beta, deny: {names: [beta]}}\n";
    // Held on purpose for longer than any upstream may take in other tests.
    let text = text(&upstream, "auto", policy).replace(rules::IMPATIENT, "timeouts: {first_byte: 60s}");
    let gate = Setup::rules(&text).impatient().start();
    let (denied, allowed) = (channel.path("beta"), channel.path("alpha"));
    for path in [&denied, &allowed] {
        let problem = gate.get(path).expect_problem(503);
        assert!(problem["detail"].as_str().unwrap().contains("still on its way"), "{problem}");
        assert_eq!(upstream.gets(path), 0, "nobody has asked for the file");
    }
    latch.open();
    eventually_true("the index", || gate.get(&allowed).status == 200);
    gate.get(&denied).expect_problem(403);
    assert_eq!(upstream.gets(&denied), 0);
}

#[test]
fn a_recall_needs_no_upstream() {
    let mut scene = Scene::new("");
    scene.view("all").agreed();
    scene.gate.settle(&scene.channel.path("alpha"));
    scene.upstream.stop();
    scene.obey(RECALL);
    assert_eq!(scene.status(&file("alpha")), 403);
    for channel in ["chan", "all"] {
        eventually_true("an index without it", || {
            !scene.view(channel).records().contains_key(&file("alpha"))
        });
        assert_eq!(scene.view(channel).agreed().len(), 2);
    }
    let home = scene.gate.stop();
    let gate = Setup::again(home).start();
    gate.get(&scene.channel.path("alpha")).expect_problem(403);
}

#[test]
fn a_rule_on_one_name_of_a_channel_acts_on_all() {
    for name in ["chan", "forge", "f*"] {
        let policy = format!("  - {{id: recall, channels: [\"{name}\"], deny: {{names: [alpha]}}}}\n");
        let scene = Scene::new(&policy);
        for channel in ["forge", "chan", "all"] {
            let view = scene.view(channel);
            assert_eq!(view.agreed().len(), 2, "{name} in {channel}");
            assert!([403, 404].contains(&view.get(&file("alpha")).status), "{name} in {channel}");
        }
    }
    let scene = Scene::new("  - {id: recall, channels: [all], deny: {names: [alpha]}}\n");
    assert_eq!(scene.view("all").agreed().len(), 3, "rules are about sources");
}

/// Labels are views of a channel, and a path may be written in many ways.
#[test]
fn no_way_to_a_refused_file_is_left() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    channel.renamed("chan/label/rc").publish(&upstream);
    let policy = "policy:\n  - {id: recall, channels: [chan], deny: {names: [alpha]}}\n";
    let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).start();
    let society = crate::harness::Society::of(gate.home(), gate.now());
    let secret = society.superuser("ada").token("ada", &["read:*"]).secret;
    for round in 0..2 {
        for (name, status) in [("alpha", 403), ("beta", 200)] {
            for path in [
                format!("/chan/noarch/{name}-1.0-0.conda"),
                format!("/chan/noarch/%{:x}{}-1.0-0.conda", name.as_bytes()[0], &name[1..]),
                format!("/chan/noarch/{name}-1%2e0-0%2Econda?x=1"),
                format!("/chan/label/rc/noarch/{name}-1.0-0.conda"),
                format!("/chan/label/main/noarch/{name}-1.0-0.conda"),
                format!("/t/{secret}/chan/noarch/{name}-1.0-0.conda"),
                format!("http://conda.example.org/chan/noarch/{name}-1.0-0.conda"),
            ] {
                let found = gate.get(&path).status;
                let is_absent = path.contains("/label/main/") && found == 404;
                assert!(found == status || is_absent, "{path}: {found} in round {round}");
            }
            let by_host = Request::get(&format!("/chan/noarch/{name}-1.0-0.conda")).host("conda.example.org");
            assert_eq!(gate.ask(&by_host).status, status, "{name} in round {round}");
        }
        for view in [View::of(&gate, "chan", "noarch"), View::of(&gate, "chan/label/rc", "noarch")] {
            assert_eq!(view.agreed().len(), 2, "{}", view.path(""));
        }
    }
    assert_eq!(upstream.gets(&channel.path("alpha")), 0);
}

#[test]
fn a_response_under_way_may_finish_and_no_other_begins() {
    let scene = Scene::new("");
    scene.view("chan").agreed();
    let path = scene.channel.path("beta");
    let latch = Latch::new();
    scene.upstream.script(&path, [Act::HoldBody(1_000, latch.clone())]);
    let mut client = Request::get(&path).begin(scene.gate.address());
    let head = client.head();
    assert_eq!(head.status, 200);
    scene.obey("  - {id: recall, deny: {names: [beta]}}\n");
    scene.gate.get(&path).expect_problem(403);
    latch.open();
    client.must_become(&head, &[], &scene.channel.get("beta").bytes);
    scene.gate.get(&path).expect_problem(403);
}

#[test]
fn a_package_asked_before_any_index_is_refused_with_a_sentence() {
    for policy in [RECALL, "  - {id: recall-42, deny: {licenses: [Apache-2.0]}}\n"] {
        let scene = Scene::new(policy);
        let answer = scene.gate.get(&scene.channel.path("alpha"));
        assert_eq!(answer.end, End::Complete);
        assert_eq!(answer.expect_problem(403)["rule"], "recall-42");
        scene.gate.get(&scene.channel.path("copyleft")).expect(200);
        assert_eq!(scene.upstream.gets(&scene.channel.path("alpha")), 0, "not even asked for");
    }
    let scene = Scene::new(RECALL);
    scene.view("all").get(&file("alpha")).expect_problem(403);
}

#[test]
fn shards_that_tell_a_digest_tell_what_rules_want_to_know_too() {
    let upstream = Upstream::start();
    let channel = channel().sharded();
    channel.publish(&upstream);
    for path in upstream.paths().iter().filter(|path| path.contains("repodata.json")) {
        upstream.always(path, Act::status(500));
    }
    let policy = "  - {id: free, deny: {licenses: [\"GPL-*\"]}}\n  - {id: cool, hide: {younger_than: 1d}}\n";
    let gate = Setup::rules(&text(&upstream, "auto", policy)).start();
    gate.get(&channel.path("alpha")).expect(200);
    assert_eq!(gate.get(&channel.path("copyleft")).expect_problem(403)["rule"], "free");
}

/// Unlisted files: `gone` was in the index once, `copyleft` too under another license, `stray` never.
#[test]
fn files_in_no_index() {
    let needs_metadata = "  - {id: rule, deny: {licenses: [\"GPL-*\"]}}\n";
    let by_name = "  - {id: rule, hide: {names: [\"str*\"]}}\n";
    let by_digest = "  - {id: rule, deny: {digests: [\"md5:d41d8cd98f00b204e9800998ecf8427e\"]}}\n";
    let by_age = "  - {id: rule, hide: {younger_than: 7d}}\n";
    let kept = "  - {id: rule, hide: {licenses: [\"GPL-*\"]}, download: keep}\n";
    let other = "  - {id: rule, deny: {names: [nothing]}}\n";
    let trial = "  - {id: rule, dry_run: true, deny: {licenses: [\"*\"]}}\n";
    for (policy, unlisted, [alpha, copyleft, stray]) in [
        (needs_metadata, "auto", [200, 403, 403]),
        (needs_metadata, "allow", [200, 403, 200]),
        (needs_metadata, "deny", [200, 403, 403]),
        (by_name, "auto", [200, 200, 403]),
        (by_name, "allow", [200, 200, 403]),
        (by_digest, "auto", [200, 200, 403]),
        (by_digest, "allow", [200, 200, 200]),
        (by_age, "auto", [200, 200, 403]),
        (by_age, "allow", [200, 200, 200]),
        (kept, "auto", [200, 200, 200]),
        (other, "auto", [200, 200, 200]),
        (other, "deny", [200, 200, 403]),
        (trial, "auto", [200, 200, 200]),
        ("", "auto", [200, 200, 200]),
    ] {
        let scene = Scene::with(unlisted, policy);
        scene.view("chan").agreed();
        scene.upstream.put("/chan/noarch/stray-1.0-0.conda", &b"never listed"[..]);
        scene.depart("alpha");
        for _ in 0..2 {
            for (name, expected) in [("alpha", alpha), ("copyleft", copyleft), ("stray", stray)] {
                let answer = scene.view("chan").get(&file(name));
                assert_eq!(answer.status, expected, "{name} {unlisted}\n{policy}{}", answer.text());
                if expected == 403 {
                    let rule = answer.expect_problem(403)["rule"].clone();
                    assert!(rule == "rule" || (unlisted == "deny" && rule == "unlisted"), "{rule}");
                }
            }
            // The same when the index is past its time and must be asked for first.
            scene.gate.advance(TTL);
        }
    }
}

#[test]
fn a_recall_by_digest_takes_a_cached_file_that_was_never_listed() {
    for unlisted in ["auto", "allow"] {
        let scene = Scene::with(unlisted, "");
        scene.view("chan").agreed();
        let path = "/chan/noarch/stray-1.0-0.conda";
        scene.upstream.put(path, &b"never listed"[..]);
        scene.gate.settle(path);
        let policy = format!("  - {{id: recall, deny: {{digests: [{}]}}}}\n", sha256_hex(b"never listed"));
        scene.gate.set_rules(&text(&scene.upstream, unlisted, &policy)).unwrap();
        assert_eq!(scene.gate.get(path).expect_problem(403)["rule"], "recall", "{unlisted}");
    }
}

#[test]
fn what_lies_beside_a_refused_package_is_refused() {
    let scene = Scene::new("");
    scene.view("chan").agreed();
    for name in ["alpha", "beta"] {
        let path = format!("{}.v0.sigs", scene.channel.path(name));
        scene.upstream.put(&path, &b"[]"[..]);
        scene.gate.get(&path).expect(200);
    }
    scene.obey(RECALL);
    let path = |channel: &str, name: &str| format!("/{channel}/noarch/{}.v0.sigs", file(name));
    for channel in ["chan", "forge", "all"] {
        assert!([403, 404].contains(&scene.gate.get(&path(channel, "alpha")).status), "{channel}");
        scene.gate.get(&path(channel, "beta")).expect(200);
    }
}

#[test]
fn rules_on_trial_change_nothing_and_rules_that_go_leave_nothing() {
    let scene = Scene::new("");
    let before = scene.view("chan").agreed();
    scene.obey("  - {id: t, dry_run: true, deny: {names: [\"*\"]}}\n  - {id: p, dry_run: true, patch: {match: {names: [alpha]}, set: {license: X}}}\n");
    for name in ["alpha", "beta", "copyleft"] {
        assert_eq!(scene.status(&file(name)), 200);
    }
    let counted = || {
        let files = files_below(&scene.gate.home().data()).into_iter();
        let mut manifests = files.filter(|path| path.ends_with("manifest.json"));
        manifests.any(|path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.contains("\"t\": 3") && text.contains("\"p\": 1")
        })
    };
    eventually_true("the index under the rule on trial", counted);
    assert_eq!(scene.view("chan").agreed(), before);
    scene.obey("  - {id: all, deny: {names: [\"*\"]}}\n");
    for name in ["alpha", "beta", "copyleft"] {
        assert_eq!(scene.status(&file(name)), 403);
    }
    eventually_true("an empty index", || scene.view("chan").records().is_empty());
    assert!(scene.view("chan").agreed().is_empty());
    scene.obey("");
    for name in ["alpha", "beta", "copyleft"] {
        assert_eq!(scene.status(&file(name)), 200, "{name} at once");
    }
    eventually_true("all of it again", || scene.view("chan").records() == before);
    assert_eq!(scene.view("chan").agreed(), before);
}

#[test]
fn a_hidden_record_may_keep_its_download() {
    let scene = Scene::new(
        "  - {id: h, hide: {names: [alpha]}, download: keep}\n  - {id: i, hide: {names: [beta]}}\n",
    );
    assert_eq!(scene.view("chan").agreed().keys().collect::<Vec<_>>(), [&file("copyleft")]);
    assert_eq!(scene.status(&file("alpha")), 200);
    assert_eq!(scene.status(&file("beta")), 403);
}

#[test]
fn a_hotfix_file_changes_removes_and_revokes() {
    let scene = Scene::new("");
    scene.view("chan").agreed();
    let instructions = serde_json::json!({
        "patch_instructions_version": 1,
        "packages": {"alpha-1.0-0.tar.bz2": {"license": "MIT", "depends": ["new >=1"]}},
        "revoke": ["copyleft-1.0-0.conda"],
        "remove": ["beta-1.0-0.tar.bz2"],
    });
    std::fs::write(scene.gate.home().rules().join("hotfix.json"), instructions.to_string()).unwrap();
    scene.obey("  - {id: hotfix, subdirs: [noarch], patch: {instructions: hotfix.json}}\n");
    assert_eq!(scene.gate.get(&scene.channel.path("beta")).expect_problem(403)["rule"], "hotfix");
    let records = eventually("the hotfix", || {
        Some(scene.view("chan").records()).filter(|records| !records.contains_key(&file("beta")))
    });
    assert_eq!(scene.view("chan").agreed(), records);
    let alpha = &records[&file("alpha")];
    assert_eq!((&alpha["license"], &alpha["depends"]), (&"MIT".into(), &serde_json::json!(["new >=1"])));
    let revoked = &records[&file("copyleft")];
    assert_eq!(revoked["revoked"], true);
    assert!(revoked["depends"].to_string().contains("package_has_been_revoked"), "{revoked}");
    assert_eq!(scene.status(&file("copyleft")), 200);
}

#[test]
fn a_refusal_by_a_cooldown_says_when_it_ends() {
    let scene = Scene::new("  - {id: cool, hide: {younger_than: 7d}}\n");
    scene.view("chan").agreed();
    scene.gate.advance(TTL);
    channel().with("noarch", &package("gamma", "1.0")).publish(&scene.upstream);
    let path = "/chan/noarch/gamma-1.0-0.conda";
    let detail = eventually("a refusal", || {
        scene.view("chan").records();
        let problem = Some(scene.gate.get(path)).filter(|a| a.status == 403)?.expect_problem(403);
        Some(problem["detail"].as_str().unwrap().to_owned()).filter(|detail| detail.contains("until"))
    });
    assert!(detail.contains("until 2026-11-11T"), "{detail}");
    scene.gate.advance(Duration::from_hours(7 * 24));
    eventually_true("the end of it", || scene.gate.get(path).status == 200);
}

/// What is passed through with a caller's own upstream token can't be held against rules.
#[test]
fn a_callers_own_token_is_no_way_around_rules() {
    let upstream = crate::harness::Upstream::start();
    let channel =
        crate::harness::Channel::new("chan").with("noarch", &crate::harness::package("evil", "1.0"));
    channel.publish(upstream.may_see("secret-token"));
    upstream.put("/t/secret-token/chan/noarch/evil-1.0-0.conda", channel.get("evil").bytes.clone());
    upstream.put("/t/secret-token/other/noarch/x-1.0-0.conda", &b"other"[..]);
    let rules = |policy: &str| {
        format!(
            "builtins: false\nupstreams:\n  up: {{urls: [{}], hosts: [conda.example.org], pass_foreign_tokens: true}}\n\
             channels:\n  - {{match: \"*\", upstream: up}}\n{policy}",
            upstream.url()
        )
    };
    let policy = "policy:\n  - {id: no-evil, channels: [chan], deny: {names: [evil]}}\n";
    let gate = crate::harness::Setup::rules(&rules(policy)).start();
    let ask = |path: &str| {
        gate.ask(&crate::harness::Request::get(&format!("/t/secret-token{path}")).host("conda.example.org"))
    };
    let problem = ask("/chan/noarch/evil-1.0-0.conda").expect_problem(403);
    assert!(!problem.to_string().contains("secret-token"), "{problem}");
    assert_eq!(ask("/other/noarch/x-1.0-0.conda").expect(200), b"other");
    gate.set_rules(&rules("")).expect("good rules");
    assert_eq!(ask("/chan/noarch/evil-1.0-0.conda").expect(200), channel.get("evil").bytes);
}

/// The packages are 390 days old when the test begins.
#[test]
fn what_the_clock_changes_holds_for_downloads_before_any_index_is_made_anew() {
    for (condition, before, after) in [("older_than", 200, 403), ("younger_than", 403, 200)] {
        let scene = Scene::new(&format!("  - {{id: age, hide: {{{condition}: 395d}}}}\n"));
        let shown = scene.view("chan").agreed().len();
        assert_eq!(scene.status(&file("alpha")), before, "{condition}");
        let latch = Latch::new();
        for file in ["repodata.json", "repodata.json.zst"] {
            scene.upstream.always(&scene.channel.at("noarch", file), Act::HoldHead(latch.clone()));
        }
        scene.gate.advance(Duration::from_hours(24 * 6));
        assert_eq!(scene.status(&file("alpha")), after, "{condition}");
        assert_eq!(scene.view("chan").records().len(), shown, "the index is still the old one");
        latch.open();
        eventually_true("the new index", || scene.view("chan").records().len() == 3 - shown);
        assert_eq!(scene.status(&file("alpha")), after, "{condition}");
    }
}

/// Upstream's shard index in the cache may be older than the index in force: it does not say that a file is still listed.
#[test]
fn old_shards_do_not_bring_back_what_has_left_the_index() {
    let upstream = Upstream::start();
    let all = channel().sharded();
    all.publish(&upstream);
    let policy = "  - {id: listed, deny: {names: [alpha], removed: false}}\n";
    let gate = Setup::rules(&text(&upstream, "auto", "")).start();
    // Before there is any index, a shard says what the file must be.
    assert_eq!(gate.get(&all.path("alpha")).status, 200);
    let view = View::of(&gate, "chan", "noarch");
    view.records();
    gate.get("/chan/noarch/nobody-1.0-0.conda");
    gate.set_rules(&text(&upstream, "auto", policy)).unwrap();
    assert_eq!(gate.get(&all.path("alpha")).expect_problem(403)["rule"], "listed");
    let rest = Channel::new("chan").with("noarch", &package("beta", "1.0").payload(300_000)).sharded();
    rest.publish(&upstream);
    let mut document = rest.repodata("noarch");
    document["removed"] = serde_json::json!([file("alpha")]);
    let document = serde_json::to_vec(&document).unwrap();
    upstream.put("/chan/noarch/repodata.json.zst", crate::harness::archive::zstd_of(&document));
    upstream.put("/chan/noarch/repodata.json", document);
    // The shard index can't be had at the moment.
    upstream.always("/chan/noarch/repodata_shards.msgpack.zst", Act::status(503));
    gate.advance(TTL);
    eventually_true("the next index", || !view.records().contains_key(&file("copyleft")));
    let answer = gate.get(&all.path("alpha"));
    assert_eq!(answer.status, 200, "it was removed, so the rule is not about it: {}", answer.text());
}
