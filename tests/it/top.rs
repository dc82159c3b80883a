//! `condagate top` of a running gate: what it says is what goes on, for people and for programs.

use serde_json::Value;

use crate::harness::process::{run, text_of};
use crate::harness::{Act, Channel, Home, Latch, Process, Request, Upstream, eventually, package, rules};

struct Scene {
    gate: Process,
    upstream: Upstream,
    channel: Channel,
}

fn scene() -> Scene {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("alpha", "1.0").payload(400_000));
    channel.publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    Scene { gate: Process::serve(home), upstream, channel }
}

fn top(home: &Home, more: &[&str]) -> std::process::Output {
    let data = home.data().display().to_string();
    let mut arguments = vec!["top", "--data", &data, "--once", "--every", "20ms"];
    arguments.extend(more);
    run(&arguments)
}

fn look(home: &Home) -> Value {
    let output = top(home, &["--json"]);
    assert!(output.status.success(), "{}", text_of(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "one object a line: {text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn programs_are_told_what_is_going_on() {
    let Scene { gate, upstream, channel } = scene();
    let (path, latch) = (channel.path("alpha"), Latch::new());
    gate.get("/chan/noarch/repodata.json").expect(200);
    upstream.script(&path, [Act::HoldBody(200_000, latch.clone())]);
    let mut client = Request::get(&path).begin(gate.address());
    latch.wait_for_arrival();
    let report = eventually("the download, with its bytes", || {
        let report = look(gate.home());
        let fill = report["fills"].get(0)?.clone();
        (fill["bytes"].as_u64()? > 0 && fill["total"].is_u64()).then_some(report)
    });
    let fill = &report["fills"][0];
    let length = channel.get("alpha").bytes.len();
    assert!(fill["file"].as_str().unwrap().ends_with("/chan/noarch/alpha-1.0-0.conda"), "{fill}");
    assert!(fill["total"] == length && fill["bytes"].as_u64().unwrap() <= 200_000, "{fill}");
    assert!(
        fill["mirror"].as_str().unwrap().starts_with(&upstream.url()) && fill["age_ms"].is_u64(),
        "{fill}"
    );
    assert!(
        report["in_flight"].as_i64().unwrap() >= 1 && report["connections"].as_i64().unwrap() >= 1,
        "{report}"
    );
    let up =
        report["upstreams"].as_array().unwrap().iter().find(|up| up["name"] == "up").expect("the upstream");
    assert!(up["in_flight"] == 1 && up["mirrors"][0]["healthy"] == true, "{up}");
    latch.open();
    client.answer("GET").expect(200);
    gate.settle(&path);
    let report = look(gate.home());
    assert_eq!(report["fills"].as_array().unwrap().len(), 0);
    let chan = &report["channels"][0];
    assert!(chan["name"] == "chan" && chan["bytes"].as_u64().unwrap() > length as u64, "{chan}");
    assert!(chan["from_here"].as_u64().unwrap() >= 1 && report["hit_ratio_altogether"].is_f64(), "{report}");
    for rate in ["sent_bytes_per_second", "received_bytes_per_second", "seconds"] {
        assert!(report[rate].as_f64().unwrap() >= 0.0, "{rate}: {report}");
    }
    assert!(report["requests_per_second"]["package"].is_f64(), "{report}");
}

#[test]
fn people_are_told_too_without_a_terminal() {
    let Scene { gate, mut upstream, channel } = scene();
    gate.settle(&channel.path("alpha"));
    upstream.stop();
    gate.get("/chan/noarch/other-1-0.conda");
    let text = eventually("the upstream is ill", || {
        gate.get("/chan/noarch/other-2-0.conda");
        let output = top(gate.home(), &[]);
        assert!(output.status.success(), "{}", text_of(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        text.contains("ILL").then_some(text)
    });
    for words in
        ["requests/s", "from here", "downloads from upstream: ", "upstreams: 1", "is avoided", "chan "]
    {
        assert!(text.contains(words), "no `{words}` in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn without_a_gate_it_says_so() {
    let home = Home::new();
    let output = top(&home, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("no gate is running"), "{}", text_of(&output));
    assert_eq!(top(&home, &["--every", "0s"]).status.code(), Some(2));
}
