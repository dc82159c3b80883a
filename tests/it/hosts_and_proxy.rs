//! Clients that change nothing or only a proxy: absolute-form, routing by Host, CONNECT, and tokens that belong to upstream.

use crate::harness::{Channel, Home, Process, Request, Stage, package, rules};

const TOKEN: &str = "tk-FOREIGN-4711";

fn channel() -> Channel {
    Channel::new("chan").with("noarch", &package("alpha", "1.0"))
}

#[test]
fn absolute_form_is_routed_by_its_host() {
    let stage = Stage::new(channel());
    for scheme in ["http", "HTTP"] {
        let target = format!("{scheme}://conda.example.org{}", stage.channel.path("alpha"));
        let request = Request::get(&target).host("conda.example.org");
        assert_eq!(stage.gate.ask(&request).expect(200), stage.channel.get("alpha").bytes);
    }
    let target = format!("http://conda.example.org:80{}", stage.channel.at("noarch", "repodata.json"));
    stage.gate.ask(&Request::get(&target).host("conda.example.org:80")).expect(200);
    assert_eq!(stage.upstream.gets(&stage.channel.path("alpha")), 1);
}

#[test]
fn host_routes_and_the_plain_path_share_one_cache() {
    let stage = Stage::new(channel());
    stage.fetch("alpha");
    for host in ["conda.example.org", "CONDA.example.org", "conda.example.org:80"] {
        let request = Request::get(&stage.channel.path("alpha")).host(host);
        assert_eq!(stage.gate.ask(&request).expect(200), stage.channel.get("alpha").bytes, "{host}");
    }
    assert_eq!(stage.upstream.gets(&stage.channel.path("alpha")), 1);
}

#[test]
fn absolute_form_to_an_unknown_host_is_refused_with_a_sentence() {
    let stage = Stage::new(channel());
    let target = format!("http://nobody.example.net{}", stage.channel.path("alpha"));
    let answer = stage.gate.ask(&Request::get(&target).host("nobody.example.net"));
    assert!((400..=502).contains(&answer.status), "{}", answer.status);
    let status = answer.status;
    answer.expect_problem(status);
    assert_eq!(stage.upstream.total(), 0, "the gate is no open proxy");
}

#[test]
fn a_path_in_absolute_form_is_checked_like_any_other() {
    let stage = Stage::new(channel());
    for path in ["/chan/../x", "/chan/noarch/a%2Fb", "/chan/noarch/%00"] {
        let target = format!("http://conda.example.org{path}");
        stage.gate.ask(&Request::get(&target).host("conda.example.org")).expect_problem(400);
    }
    assert_eq!(stage.upstream.total(), 0);
}

#[test]
fn connect_is_refused_and_says_what_to_set_instead() {
    let stage = Stage::new(channel());
    let answer =
        stage.gate.ask(&Request::new("CONNECT", "conda.example.org:443").host("conda.example.org:443"));
    assert!([405, 501].contains(&answer.status), "{}", answer.status);
    let text = answer.text();
    assert!(text.contains("channel_alias") || text.contains("mirror"), "no way out in: {text}");
}

#[test]
fn foreign_tokens_are_neither_forwarded_nor_logged() {
    let upstream = crate::harness::Upstream::start();
    let channel = channel();
    channel.publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    let gate = Process::serve(home);
    let request = |target: &str| {
        Request::get(target)
            .host("conda.example.org")
            .header("Authorization", &format!("Bearer {TOKEN}"))
            .header("Proxy-Authorization", "Basic dTpway1QUk9YWS00NzEx")
            .header("Cookie", &format!("session={TOKEN}"))
            .header("X-API-Key", TOKEN)
    };
    let package = channel.path("alpha");
    let targets = [
        format!("http://conda.example.org/t/{TOKEN}{package}"),
        format!("/t/{TOKEN}{package}"),
        format!("/t/{TOKEN}/chan/noarch/repodata.json?token={TOKEN}"),
        format!("http://conda.example.org/t/{TOKEN}/chan/noarch/missing-1-0.conda"),
    ];
    for target in &targets {
        request(target).send(gate.address());
    }
    for seen in upstream.seen() {
        let all = format!("{seen:?}");
        assert!(!all.contains(TOKEN) && !all.contains("dTpw"), "forwarded: {all}");
    }
    let metrics = gate.get("/-/metrics").text();
    let address = gate.address();
    let home = gate.stop();
    let logs = ["stdout", "stderr"].map(|f| std::fs::read_to_string(home.path(f)).unwrap()).concat();
    assert!(!logs.is_empty(), "the gate at {address} logged nothing at all");
    for (what, text) in [("log", &logs), ("metrics", &metrics)] {
        assert!(!text.contains(TOKEN) && !text.contains("dTpw"), "in the {what}: {text}");
    }
}

#[test]
fn upstream_sees_the_gate_and_not_the_client() {
    let stage = Stage::new(channel());
    let request = Request::get(&stage.channel.path("alpha"))
        .header("User-Agent", "conda/26.7.1 secret-machine")
        .header("Referer", "http://intranet.example.org/t/tk-1/")
        .header("X-Forwarded-For", "10.1.2.3")
        .header("Via", "1.1 inner-proxy");
    stage.gate.ask(&request).expect(200);
    let seen = stage.upstream.seen_at(&stage.channel.path("alpha"));
    let seen = seen.iter().find(|s| s.method == "GET").unwrap();
    assert!(seen.header("user-agent").unwrap().starts_with("condagate/"));
    assert_eq!(seen.header("referer"), None);
    assert_eq!(seen.header("x-forwarded-for"), None);
    let via = seen.header("via").expect("loops are detected by Via");
    assert!(via.contains("inner-proxy") && via.contains("1.1"), "{via}");
}
