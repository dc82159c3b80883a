//! Eyes: access line, metrics, health; nothing secret in any of them.

use crate::harness::{
    Act, Channel, Home, Process, Request, Stage, Upstream, eventually_true, package, rules,
};

fn channel() -> Channel {
    Channel::new("chan").with("noarch", &package("alpha", "1.0").payload(50_000))
}

fn process(upstream: &Upstream) -> Process {
    let home = Home::new();
    home.write_rules(&rules::all_from(upstream));
    Process::serve(home)
}

#[test]
fn every_request_has_one_access_line() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let gate = process(&upstream);
    let path = channel.path("alpha");
    let ask = || gate.get(&path).must("x-request-id").to_owned();
    let mut ids = vec![ask()];
    gate.settle(&path);
    ids.extend([ask(), ask()]);
    let missing = gate.get("/chan/noarch/missing-1-0.conda").must("x-request-id").to_owned();
    let first = gate.home().access_line(&ids[0]);
    let bytes = channel.get("alpha").bytes.len().to_string();
    for part in ["200", &bytes, "chan", "fill"] {
        assert!(first.contains(part), "no {part} in {first}");
    }
    assert!(gate.home().access_line(&ids[1]).contains("hit"));
    assert!(gate.home().access_line(&missing).contains("404"));
    let log = gate.stop();
    let text = ["stdout", "stderr"].map(|f| std::fs::read_to_string(log.path(f)).unwrap()).concat();
    for id in ids.iter().chain([&missing]) {
        assert_eq!(text.lines().filter(|line| line.contains(id.as_str())).count(), 1, "lines with {id}");
    }
}

#[test]
fn a_client_that_left_is_told_apart() {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("huge", "1.0").payload(30_000_000));
    channel.publish(&upstream);
    let gate = process(&upstream);
    let mut client = Request::get(&channel.path("huge")).begin(gate.address());
    let id = client.head().must("x-request-id").to_owned();
    drop(client);
    let line = gate.home().access_line(&id);
    assert!(line.contains("client-left") && line.contains("200"), "{line}");
}

#[test]
fn refusals_have_an_access_line_too() {
    let upstream = Upstream::start();
    let gate = process(&upstream);
    let answer = gate.get("/chan/../x");
    assert!(gate.home().access_line(answer.must("x-request-id")).contains("400"));
    let refused = Request::get("/").header("X-Large", &"x".repeat(900_000)).send(gate.address());
    assert!(gate.home().access_line(&format!("{}", refused.status)).contains("431"));
}

#[test]
fn a_log_line_cannot_be_forged() {
    let upstream = Upstream::start();
    let gate = process(&upstream);
    let agent = "x\u{1b}[31m\" 200 \"FORGED";
    let id = Request::get("/chan/noarch/missing-1-0.conda")
        .header("User-Agent", agent)
        .send(gate.address())
        .must("x-request-id")
        .to_owned();
    let line = gate.home().access_line(&id);
    assert!(!line.contains('\u{1b}'), "{line:?}");
}

/// The value of a metric whose line starts so; 0 when it is not there yet.
fn metric(stage: &Stage, start: &str) -> f64 {
    let text = String::from_utf8(stage.get("/-/metrics").expect(200)).unwrap();
    let lines = text.lines().filter(|l| l.starts_with(start) && !l.starts_with('#'));
    lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn metrics_count_what_happened() {
    let stage = Stage::new(channel());
    let before = metric(&stage, "condagate_proxy_requests_total");
    stage.fetch("alpha");
    stage.gate.settle(&stage.channel.path("alpha"));
    stage.get("/chan/noarch/missing-1-0.conda");
    eventually_true("requests are counted", || {
        metric(&stage, "condagate_proxy_requests_total") >= before + 3.0
    });
    let page = stage.get("/-/metrics");
    assert!(
        page.must("content-type").starts_with("application/openmetrics-text")
            || page.must("content-type").starts_with("text/plain")
    );
    let text = page.text();
    for word in
        ["condagate_", "fill", "upstream", "bytes", "outcome=\"hit\"", "disk", "channel=\"chan\"", "_bucket"]
    {
        assert!(text.contains(word), "no {word} in:\n{text}");
    }
    for word in ["alpha-1.0-0", "missing-1-0"] {
        assert!(!text.contains(word), "{word}: labels come from closed sets only");
    }
}

#[test]
fn channel_labels_do_not_grow_with_what_strangers_ask() {
    let stage = Stage::new(channel());
    for n in 0..50 {
        stage.get(&format!("/made-up-{n}/noarch/repodata.json"));
    }
    let text = stage.get("/-/metrics").text();
    assert!(!text.contains("made-up-49"), "a label per made-up channel");
}

#[test]
fn health_is_about_the_process_and_readiness_about_the_service() {
    let stage = Stage::new(channel());
    for path in ["/-/healthz", "/-/readyz"] {
        stage.get(path).expect(200);
    }
    stage.upstream.always(&stage.channel.path("alpha"), Act::status(500));
    stage.get(&stage.channel.path("alpha")).expect_visibly_bad();
    for path in ["/-/healthz", "/-/readyz"] {
        stage.get(path).expect(200);
    }
    stage.get("/-/nothing").expect_problem(404);
}

#[test]
fn upstream_health_is_on_the_metrics_page() {
    let mut stage = Stage::impatient(channel());
    stage.know_index();
    let well = stage.get("/-/metrics").text();
    stage.upstream.stop();
    stage.get(&stage.channel.path("alpha")).expect_visibly_bad();
    let health = |text: &str| text.lines().filter(|l| l.contains("mirror_healthy")).collect::<String>();
    assert!(!health(&well).is_empty(), "no upstream health in:\n{well}");
    eventually_true("the upstream counts as ill", || {
        health(&stage.get("/-/metrics").text()) != health(&well)
    });
}

#[test]
fn logs_can_be_json() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    home.write_config("log: {format: json}\n");
    let gate = Process::serve(home);
    let id = gate.get(&channel.path("alpha")).must("x-request-id").to_owned();
    let line = gate.home().access_line(&id);
    let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    assert!(event.is_object());
}
