//! What one caller may take, and what all together may: each limit on its own, and that nobody else is hurt.

use std::time::Duration;

use crate::harness::{
    Act, Answer, Channel, Connection, Gate, Home, Latch, Process, Request, Setup, Society, Upstream,
    eventually_true, package, rules,
};

struct Scene {
    gate: Gate,
    upstream: Upstream,
    channel: Channel,
}

fn channel() -> Channel {
    Channel::new("chan").with("noarch", &package("alpha", "1.0").payload(300_000))
}

fn scene(config: &str) -> Scene {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let gate = Setup::rules(&rules::all_from(&upstream)).config(config).start();
    Scene { gate, upstream, channel }
}

const PAGE: &str = "/chan/noarch/repodata.json";

fn refused(answer: Answer, status: u16, setting: &str) {
    let id = answer.must("x-request-id").to_owned();
    assert!(answer.must("retry-after").parse::<u64>().expect("seconds") >= 1);
    let problem = answer.expect_problem(status);
    let sentence = problem["detail"].as_str().expect("a sentence");
    assert!(sentence.contains(setting), "no {setting} in {sentence}");
    assert_eq!(problem["request_id"], id.as_str());
}

fn counted(page: &Answer, limit: &str) -> u64 {
    let start = format!("condagate_proxy_refused_by_limit_total{{limit=\"{limit}\"}} ");
    let text = page.text();
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0, |n| n.parse().expect("a number"))
}

#[test]
fn a_user_who_asks_too_often_is_told_when_to_come_again() {
    let Scene { gate, upstream: _upstream, .. } = scene("limits: {user_rate: 2, user_burst: 3}");
    let people = Society::of(gate.home(), gate.now());
    people.user("ada").user("bob");
    let (ada, bob) = (people.token("ada", &["read:*"]), people.token("bob", &["read:*"]));
    let second = people.token("ada", &["read:*"]);
    let ask = |token: &str| Request::get(PAGE).header("Authorization", &format!("Bearer {token}"));
    for _ in 0..3 {
        gate.ask(&ask(&ada.secret)).expect(200);
    }
    refused(gate.ask(&ask(&ada.secret)), 429, "limits.user_rate");
    refused(gate.ask(&ask(&second.secret)), 429, "`ada`");
    gate.ask(&ask(&bob.secret)).expect(200);
    gate.get(PAGE).expect(200);
    gate.advance(Duration::from_millis(500));
    gate.ask(&ask(&ada.secret)).expect(200);
    refused(gate.ask(&ask(&ada.secret)), 429, "limits.user_rate");
    assert_eq!(counted(&gate.get("/-/metrics"), "user_rate"), 3);
}

#[test]
fn an_address_that_asks_too_often_is_the_clients_not_the_proxys() {
    let config = "limits: {address_rate: 1}\nsecurity: {trusted_proxies: [127.0.0.1/32]}";
    let Scene { gate, upstream: _upstream, .. } = scene(config);
    let from = |address: &str| Request::get(PAGE).header("X-Forwarded-For", address);
    gate.ask(&from("203.0.113.1")).expect(200);
    refused(gate.ask(&from("203.0.113.1")), 429, "limits.address_rate");
    refused(gate.ask(&from("198.51.100.9, 203.0.113.1")), 429, "203.0.113.1");
    gate.ask(&from("203.0.113.2")).expect(200);
    for _ in 0..3 {
        for path in ["/-/healthz", "/-/readyz", "/-/metrics"] {
            gate.get(path).expect(200);
        }
    }
    gate.advance(Duration::from_secs(1));
    gate.ask(&from("203.0.113.1")).expect(200);
    assert_eq!(counted(&gate.get("/-/metrics"), "address_rate"), 2);
}

#[test]
fn nobody_gets_another_share_by_naming_addresses() {
    let Scene { gate, upstream: _upstream, .. } = scene("limits: {address_rate: 1}");
    let from = |address: &str| Request::get(PAGE).header("X-Forwarded-For", address);
    gate.ask(&from("203.0.113.1")).expect(200);
    refused(gate.ask(&from("203.0.113.2")), 429, "127.0.0.1");
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out() {
    let Scene { gate, upstream: _upstream, .. } = scene("limits: {address_rate: 1}");
    gate.get(PAGE).expect(200);
    gate.set_back(Duration::from_hours(1));
    refused(gate.get(PAGE), 429, "limits.address_rate");
    gate.advance(Duration::from_secs(1));
    gate.get(PAGE).expect(200);
}

#[test]
fn requests_under_way_are_counted_by_caller_until_they_end() {
    let Scene { gate, upstream, channel } = scene("limits: {address_at_once: 1}");
    let (path, latch) = (channel.path("alpha"), Latch::new());
    upstream.script(&path, [Act::HoldBody(1_000, latch.clone())]);
    let mut first = Request::get(&path).begin(gate.address());
    latch.wait_for_arrival();
    refused(gate.get(PAGE), 429, "limits.address_at_once");
    gate.get("/-/healthz").expect(200);
    latch.open();
    first.answer("GET").expect(200);
    eventually_true("the place is free again", || gate.get(PAGE).status == 200);
    assert!(counted(&gate.get("/-/metrics"), "address_at_once") >= 1);
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let Scene { gate, upstream, channel } = scene("limits: {address_at_once: 1}");
    let (path, latch) = (channel.path("alpha"), Latch::new());
    upstream.script(&path, [Act::HoldBody(150_000, latch.clone())]);
    let first = Request::get(&path).begin(gate.address());
    latch.wait_for_arrival();
    drop(first);
    latch.open();
    eventually_true("the place is free again", || gate.get(PAGE).status == 200);
}

#[test]
fn too_many_requests_at_one_time_are_turned_away_and_health_is_told() {
    let Scene { gate, upstream, channel } = scene("limits: {requests: 1}");
    let (path, latch) = (channel.path("alpha"), Latch::new());
    upstream.script(&path, [Act::HoldBody(1_000, latch.clone())]);
    let mut first = Request::get(&path).begin(gate.address());
    latch.wait_for_arrival();
    refused(gate.get(PAGE), 503, "limits.requests");
    for path in ["/-/healthz", "/-/readyz", "/-/metrics"] {
        gate.get(path).expect(200);
    }
    latch.open();
    first.answer("GET").expect(200);
    eventually_true("there is room again", || gate.get(PAGE).status == 200);
    assert!(counted(&gate.get("/-/metrics"), "requests") >= 1);
}

#[test]
fn too_many_connections_are_turned_away_and_health_is_told() {
    let Scene { gate, upstream: _upstream, .. } = scene("limits: {connections: 2}");
    gate.get(PAGE).expect(200);
    let idle: Vec<_> = (0..2)
        .map(|_| {
            let mut idle = Request::get("/-/healthz").begin(gate.address());
            idle.answer("GET").expect(200);
            idle
        })
        .collect();
    refused(gate.get(PAGE), 503, "limits.connections");
    let head = Request::head(PAGE).send(gate.address());
    assert_eq!((head.status, head.body.len()), (503, 0));
    for path in ["/-/healthz", "/-/readyz", "/-/metrics"] {
        let mut asking = Request::get(path).begin(gate.address());
        asking.answer("GET").expect(200);
        assert!(asking.is_closed_by_gate(), "connections above the limit do not stay");
    }
    let line = gate.home().access_line("status=503");
    assert!(line.contains(PAGE), "{line}");
    drop(idle);
    eventually_true("there is room again", || gate.get(PAGE).status == 200);
    assert!(counted(&gate.get("/-/metrics"), "connections") >= 2);
}

#[test]
fn connections_that_say_nothing_can_not_take_the_way_to_health() {
    let Scene { gate, upstream: _upstream, .. } = scene("limits: {connections: 2}");
    let silent: Vec<_> = (0..200).map(|_| Connection::open(gate.address())).collect();
    refused(Request::get("/-/healthz").send(gate.address()), 503, "limits.connections");
    drop(silent);
    eventually_true("there is room again", || gate.get(PAGE).status == 200);
}

#[test]
fn descriptors_do_not_run_out() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    home.write_config("limits: {open_files: 60}");
    let gate = Process::serve_with_files(home, 400);
    gate.get(PAGE).expect(200);
    let mut idle = Vec::new();
    eventually_true("no further connection is served", || {
        idle.extend((0..10).map(|_| Connection::open(gate.address())));
        gate.get(PAGE).status == 503
    });
    assert!(idle.len() < 240, "{} connections were taken in", idle.len());
    refused(gate.get(PAGE), 503, "limits.open_files");
    gate.get("/-/healthz").expect(200);
    let page = gate.get("/-/metrics");
    assert!(counted(&page, "open_files") >= 2);
    assert!(page.text().contains("\ncondagate_process_open_files_limit 400\n"), "{}", page.text());
    drop(idle);
    eventually_true("there is room again", || gate.get(PAGE).status == 200);
    gate.stop();
}

/// More than one percent of the memory is always in use.
#[test]
fn memory_does_not_run_out() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    home.write_config("limits: {memory: 1}");
    let gate = Process::serve(home);
    eventually_true("it has been asked for", || gate.get(PAGE).status == 503);
    refused(gate.get(PAGE), 503, "limits.memory");
    gate.get("/-/healthz").expect(200);
    assert!(gate.home().log().contains("hardly any memory is left"), "{}", gate.home().log());
    gate.stop();
}

#[test]
fn a_channel_with_a_bandwidth_is_sent_no_faster_and_whole() {
    let upstream = Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let text = rules::all_from(&upstream)
        .replace("channels:\n", "channels:\n  - {name: chan, upstream: up, bandwidth: 1MiB}\n");
    let gate = Setup::rules(&text).start();
    let path = channel.path("alpha");
    let paced = || {
        let text = gate.get("/-/metrics").text();
        let line = text.lines().find_map(|l| l.strip_prefix("condagate_proxy_paced_seconds_total "));
        line.expect("the metric").parse::<f64>().expect("a number")
    };
    assert!(paced() < 1e-9);
    let cold = gate.get(&path).expect(200);
    assert!(cold == channel.get("alpha").bytes);
    let hit = gate.settle(&path).expect(200);
    assert!(hit == channel.get("alpha").bytes);
    let part = gate.ask(&Request::get(&path).header("Range", "bytes=1000-150000")).expect(206);
    assert!(part[..] == channel.get("alpha").bytes[1000..=150_000]);
    // 750 KB or more were sent, of which a quarter of a megabyte could go at once.
    assert!(paced() > 0.2, "{}", paced());
    let before = paced();
    gate.set_rules(&rules::all_from(&upstream)).expect("the rules");
    gate.get(&path).expect(200);
    assert!((paced() - before).abs() < 1e-9, "a limit ends with its rule");
}

#[test]
fn a_bandwidth_of_nothing_is_a_mistake() {
    for (value, word) in [("0B", "64KiB"), ("fast", "a size")] {
        let text = format!(
            "upstreams:\n  up: {{urls: [http://127.0.0.1:9]}}\nchannels:\n  - {{name: a, upstream: up, bandwidth: {value}}}\n"
        );
        let mistakes = rules::mistakes(&text);
        assert!(mistakes.len() == 1 && mistakes[0].contains(word), "{mistakes:?}");
    }
}
