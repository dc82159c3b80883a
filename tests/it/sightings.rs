//! First sightings: the age that cooldowns and `indexed_timestamp` (CEP 47) go by.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::gate::START;
use crate::harness::process::run;
use crate::harness::{
    Channel, Gate, Home, Request, Setup, Stage, Upstream, View, eventually, eventually_true, package, rules,
};

const TTL: Duration = Duration::from_mins(21);
const DAY: i64 = 24 * 3600 * 1000;

fn stamped(channel: Channel, name: &str, timestamp: Option<i64>, indexed: Option<i64>) -> Channel {
    channel.with_record("noarch", &package(name, "1.0"), |record| {
        record.remove("timestamp");
        record.extend(timestamp.map(|at| ("timestamp".to_owned(), json!(at))));
        record.extend(indexed.map(|at| ("indexed_timestamp".to_owned(), json!(at))));
    })
}

/// Packages whose records say this and that of their age.
fn channel() -> Channel {
    let old = START.0 - 30 * DAY;
    let channel = stamped(Channel::new("chan"), "both", Some(old), Some(old + DAY));
    let channel = stamped(channel, "built", Some(old), None);
    let channel = stamped(channel, "seconds", Some(old / 1000), None);
    let channel = stamped(channel, "silent", None, None);
    stamped(channel, "future", Some(old), Some(START.0 + DAY))
}

fn seen(view: View<'_>, name: &str) -> Value {
    view.records().get(&format!("{name}-1.0-0.conda")).map_or(Value::Null, |r| r["indexed_timestamp"].clone())
}

fn text(upstream: &Upstream, policy: &str) -> String {
    format!("{}{policy}", rules::all_from(upstream))
}

const COOLDOWN: &str = "policy:\n  - {id: cool, hide: {younger_than: 7d}}\n";

/// Publishes a channel after the time to live of what was there.
fn publish(gate: &Gate, upstream: &Upstream, channel: &Channel) {
    gate.advance(TTL);
    channel.publish(upstream);
}

#[test]
fn on_the_first_meeting_records_tell_their_age() {
    let stage = Stage::new(channel());
    let view = View::of(&stage.gate, "chan", "noarch");
    view.agreed();
    let old = START.0 - 30 * DAY;
    for (name, at) in [
        ("both", old + DAY),
        ("built", old),
        ("seconds", old / 1000 * 1000),
        ("silent", START.0),
        ("future", START.0),
    ] {
        assert_eq!(seen(view, name), at, "{name}");
    }
}

#[test]
fn later_the_clock_tells_it_whatever_records_say() {
    let stage = Stage::new(channel());
    let view = View::of(&stage.gate, "chan", "noarch");
    view.agreed();
    let newer = stamped(channel(), "late", Some(START.0 - 30 * DAY), None);
    publish(&stage.gate, &stage.upstream, &newer);
    let at = eventually("the new package", || Some(seen(view, "late")).filter(Value::is_i64));
    assert_eq!(at, stage.gate.now().0);
    assert_eq!(seen(view, "silent"), START.0, "what was there stays as old as it was");
    // Of what the gate saw come, upstream can't say that it is older.
    let claims = stamped(newer, "claims", None, Some(START.0 - 30 * DAY));
    publish(&stage.gate, &stage.upstream, &claims);
    let at = eventually("the other package", || Some(seen(view, "claims")).filter(Value::is_i64));
    assert_eq!(at, stage.gate.now().0);
    stage.gate.set_rules(&text(&stage.upstream, COOLDOWN)).unwrap();
    for name in ["late", "claims", "silent", "future"] {
        stage.gate.get(&format!("/chan/noarch/{name}-1.0-0.conda")).expect_problem(403);
        eventually_true("it is hidden", || seen(view, name).is_null());
    }
    assert_eq!(seen(view, "built"), START.0 - 30 * DAY);
    view.agreed();
}

#[test]
fn they_outlive_a_restart_and_a_purge() {
    let (upstream, channel) = (Upstream::start(), channel());
    channel.publish(&upstream);
    let gate = Setup::rules(&text(&upstream, "")).start();
    let before = View::of(&gate, "chan", "noarch").agreed();
    publish(&gate, &upstream, &stamped(channel.clone(), "late", None, None));
    let view = View::of(&gate, "chan", "noarch");
    let late = eventually("the new package", || Some(seen(view, "late")).filter(Value::is_i64));
    let later = gate.now().plus(Duration::from_hours(48));
    let home = gate.stop();
    purge(&home, &["--channel", "chan"]);
    let gate = Setup::again(home).at(later).start();
    let view = View::of(&gate, "chan", "noarch");
    assert_eq!(seen(view, "late"), late);
    assert_eq!(seen(view, "silent"), before["silent-1.0-0.conda"]["indexed_timestamp"]);
    // What comes after a purge is new, not met for the first time.
    let home = gate.stop();
    purge(&home, &["--all", "--yes"]);
    stamped(channel, "latest", Some(START.0 - 30 * DAY), None).publish(&upstream);
    let gate = Setup::again(home).at(later).start();
    assert_eq!(seen(View::of(&gate, "chan", "noarch"), "latest"), later.0);
}

fn purge(home: &Home, what: &[&str]) {
    let (data, rules) = (home.data(), home.rules());
    let place = ["--data", data.to_str().unwrap(), "--rules", rules.to_str().unwrap()];
    let output = run(&[&["cache", "purge"], what, &place].concat());
    assert!(output.status.success(), "{}", crate::harness::process::text_of(&output));
}

#[test]
fn other_bytes_under_an_old_name_are_new() {
    let stage = Stage::new(channel());
    let view = View::of(&stage.gate, "chan", "noarch");
    stage.gate.set_rules(&text(&stage.upstream, COOLDOWN)).unwrap();
    let path = "/chan/noarch/again-1.0-0.conda";
    let again = |payload| channel().with("noarch", &package("again", "1.0").payload(payload));
    view.agreed();
    publish(&stage.gate, &stage.upstream, &again(500));
    eventually_true("the index with it", || stage.gate.get(path).text().contains("until"));
    stage.gate.advance(Duration::from_hours(8 * 24));
    eventually_true("the end of its cooldown", || seen(view, "again").is_i64());
    stage.gate.get(path).expect(200);
    publish(&stage.gate, &stage.upstream, &again(900));
    eventually_true("another file", || seen(view, "again").is_null());
    stage.gate.get(path).expect_problem(403);
}

#[test]
fn a_cooldown_ends_by_itself_without_a_download() {
    for policy in [COOLDOWN, "policy:\n  - {id: old, hide: {older_than: 10d}}\n"] {
        let upstream = Upstream::start();
        channel().publish(&upstream);
        let gate = Setup::rules(&text(&upstream, policy)).start();
        let view = View::of(&gate, "chan", "noarch");
        let before = view.agreed().len();
        let asked = upstream.total();
        gate.advance(Duration::from_hours(24 * 11));
        // Nobody asks for anything, and the index is made anew.
        eventually_true("a look at upstream", || upstream.total() > asked);
        let now = eventually("the index after it", || {
            let answer = gate.get("/chan/noarch/repodata.json");
            let now = crate::harness::views::by_file(&answer.json());
            (now.len() != before).then_some(now)
        });
        assert_eq!(view.agreed(), now);
        assert_eq!(now.len(), if policy == COOLDOWN { 5 } else { 0 });
        for seen in &upstream.seen()[asked..] {
            assert!(seen.header("if-none-match").is_some(), "a whole download of {}", seen.path);
        }
    }
}

/// No rule names the channel, and nobody has asked for it since the start.
#[test]
fn a_cooldown_ends_by_itself_after_a_restart() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    channel.renamed("idle").publish(&upstream);
    let cooldown = "policy:\n  - {id: cool, channels: [chan], hide: {younger_than: 7d}}\n";
    let gate = Setup::rules(&text(&upstream, cooldown)).start();
    let before = View::of(&gate, "chan", "noarch").agreed().len();
    View::of(&gate, "idle", "noarch").agreed();
    let later = gate.now().plus(Duration::from_hours(24));
    let gate = Setup::again(gate.stop()).at(later).start();
    let asked = upstream.total();
    gate.advance(Duration::from_hours(24 * 11));
    eventually_true("a look at upstream", || upstream.total() > asked);
    eventually_true("the index after it", || {
        let all = crate::harness::home::files_below(&gate.home().data());
        let read = |path: &std::path::Path| -> Value {
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
        };
        all.iter().filter(|path| path.ends_with("current")).any(|current| {
            let id = read(current)["id"].as_str().unwrap().to_owned();
            let manifest = read(&current.with_file_name(id).join("manifest.json"));
            manifest["built_at"] == gate.now().0 && manifest["report"]["records"] == 5
        })
    });
    let seen = &upstream.seen()[asked..];
    assert!(
        seen.iter().all(|seen| !seen.path.contains("idle")),
        "an unused channel costs its upstream nothing"
    );
    assert!(seen.iter().all(|seen| seen.header("if-none-match").is_some()));
    assert!(before < 5);
    // The files come first, then what the gate has in mind.
    eventually_true("the index in force", || {
        View::of(&gate, "chan", "noarch").get("repodata.json").json()["packages.conda"]
            .as_object()
            .map(serde_json::Map::len)
            == Some(5)
    });
    assert_eq!(View::of(&gate, "chan", "noarch").agreed().len(), 5);
}

#[test]
fn a_frozen_channel_goes_by_first_sightings() {
    let upstream = Upstream::start();
    let old = |name: &str| package(name, "1.0");
    let channel = Channel::new("chan").with("noarch", &old("early"));
    channel.publish(&upstream);
    let frozen = "  - {name: frozen, virtual: [chan], as_of: 2026-11-05}\n";
    let all = rules::all_from(&upstream).replace("channels:\n", &format!("channels:\n{frozen}"));
    let gate = Setup::rules(&all).start();
    let view = View::of(&gate, "frozen", "noarch");
    assert_eq!(view.agreed().len(), 1);
    gate.advance(Duration::from_hours(72));
    // Its record says that it is older than the date; the gate had not seen it by then.
    channel.with("noarch", &old("backdated")).publish(&upstream);
    let member = View::of(&gate, "chan", "noarch");
    eventually_true("the member has it", || member.records().len() == 2);
    gate.advance(TTL);
    eventually_true("the view was looked after", || {
        gate.ask(&Request::get("/frozen/noarch/repodata.json")).header("x-cache") != Some("STALE")
    });
    assert_eq!(view.agreed().into_keys().collect::<Vec<_>>(), ["early-1.0-0.conda"]);
}
