//! Trouble with the gate's own disk: clients are told to come again, older indexes go on, and the log and metrics say it.

use std::fs;
use std::time::Duration;

use crate::harness::{Channel, Gate, Home, Process, Setup, Upstream, eventually_true, package, rules};

fn channel() -> Channel {
    Channel::new("chan").with("noarch", &package("alpha", "1.0"))
}

fn staging(home: &Home) -> std::path::PathBuf {
    let generations = home.data().join("cache/generations");
    let entries = fs::read_dir(&generations).unwrap().map(|entry| entry.unwrap().path());
    let hidden = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().starts_with('.');
    entries.into_iter().find(hidden).expect("where indexes are built")
}

/// Nothing can be built any more: where builds work, there is a file.
fn block(home: &Home) {
    let staging = staging(home);
    fs::remove_dir_all(&staging).unwrap();
    fs::write(staging, "full").unwrap();
}

fn failed_builds(gate: &Gate) -> u64 {
    let page = gate.get("/-/metrics").text();
    let line =
        page.lines().find(|line| line.starts_with("condagate_repodata_builds_total{result=\"failed\"}"));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn an_index_that_can_not_be_written_is_503_without_a_path() {
    let upstream = Upstream::start();
    channel().publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    let gate = Process::serve(home);
    block(gate.home());
    for file in ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"] {
        let answer = gate.get(&format!("/chan/noarch/{file}"));
        assert!(answer.header("retry-after").is_some(), "{:?}", answer.head);
        let problem = answer.expect_problem(503);
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains("generations") && detail.contains("log"), "{detail}");
    }
    let home = gate.stop();
    let log = home.log();
    assert!(log.contains("an index can't be made") && log.contains("generations"), "{log}");
}

#[test]
fn older_indexes_are_served_while_new_ones_can_not_be_written() {
    let upstream = Upstream::start();
    channel().publish(&upstream);
    let gate = Setup::rules(&rules::all_from(&upstream)).start();
    let path = "/chan/noarch/repodata.json";
    let before = gate.get(path).expect(200);
    assert_eq!(failed_builds(&gate), 0);
    block(gate.home());
    channel().with("noarch", &package("beta", "1.0")).publish(&upstream);
    gate.advance(Duration::from_hours(1));
    eventually_true("a refresh was tried and failed", || {
        assert_eq!(gate.get(path).expect(200), before);
        failed_builds(&gate) > 0
    });
    // A document that is made when it is first asked for.
    let failed = failed_builds(&gate);
    gate.get("/chan/noarch/current_repodata.json").expect_problem(503);
    assert!(failed_builds(&gate) > failed);
    assert_eq!(gate.get(path).expect(200), before);
}

#[test]
fn malformed_records_are_counted() {
    let upstream = Upstream::start();
    let broken = channel().with_record("noarch", &package("broken", "1.0"), |record| {
        record.insert("depends".into(), serde_json::json!("not a list"));
    });
    broken.publish(&upstream);
    let gate = Setup::rules(&rules::all_from(&upstream)).start();
    gate.get("/chan/noarch/repodata.json").expect(200);
    let series = "condagate_policy_malformed_records{channel=\"chan\",subdir=\"noarch\"} 1";
    let page = gate.get("/-/metrics").text();
    assert!(page.lines().any(|line| line == series), "{page}");
    channel().publish(&upstream);
    gate.advance(Duration::from_hours(1));
    eventually_true("the next index has none", || {
        gate.get("/chan/noarch/repodata.json").expect(200);
        !gate.get("/-/metrics").text().contains("malformed_records{")
    });
}
