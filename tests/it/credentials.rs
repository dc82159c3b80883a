//! The gate's own credentials: shown to the right upstream only, never printed, and their channels closed to strangers.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::harness::{Act, Channel, Home, Process, Request, Upstream, package, skipped};

const SECRET: &str = "MARKED-0815-secret";

struct Scene {
    gate: Process,
    upstream: Upstream,
    channel: Channel,
}

fn scene(credentials: &str, prefix: &str) -> Scene {
    let upstream = Upstream::start();
    upstream.may_see(SECRET);
    let channel = Channel::new("chan").with("noarch", &package("alpha", "1.0"));
    channel.publish(&upstream);
    for path in upstream.paths() {
        upstream.put(&format!("{prefix}{path}"), upstream.content(&path));
    }
    let home = Home::new();
    fs::write(home.path("secret"), format!("{SECRET}\n")).unwrap();
    let credentials = credentials.replace("FILE", &home.path("secret").display().to_string());
    home.write_rules(&format!(
        "builtins: false\nupstreams:\n  up: {{urls: [{}], credentials: {credentials}}}\nchannels:\n  - {{match: \"*\", upstream: up}}\n",
        upstream.url()
    ));
    Scene { gate: Process::serve(home), upstream, channel }
}

/// Everything the gate said anywhere.
fn everything_said(scene: Scene) -> String {
    let metrics = scene.gate.get("/-/metrics").text();
    let ready = scene.gate.get("/-/readyz").text();
    let home = scene.gate.stop();
    let logs = ["stdout", "stderr"].map(|f| fs::read_to_string(home.path(f)).unwrap()).concat();
    format!("{metrics}{ready}{logs}")
}

#[test]
fn a_token_in_the_path() {
    let scene = scene("{token_file: FILE}", &format!("/t/{SECRET}"));
    let body = scene.gate.get(&scene.channel.path("alpha")).expect(200);
    assert_eq!(body, scene.channel.get("alpha").bytes);
    assert!(scene.upstream.seen().iter().all(|s| s.path.starts_with(&format!("/t/{SECRET}/"))));
    assert!(!everything_said(scene).contains(SECRET));
}

#[test]
fn bearer_and_basic() {
    for (credentials, expected) in [
        ("{bearer_file: FILE}", format!("Bearer {SECRET}")),
        (
            "{basic: {user: me, password_file: FILE}}",
            format!("Basic {}", STANDARD.encode(format!("me:{SECRET}"))),
        ),
    ] {
        let scene = scene(credentials, "");
        scene.gate.get(&scene.channel.path("alpha")).expect(200);
        assert!(scene.upstream.seen().iter().all(|s| s.header("authorization") == Some(&expected)));
        let said = everything_said(scene);
        assert!(!said.contains(SECRET) && !said.contains("bWU6"), "{said}");
    }
}

#[test]
fn redirects_to_another_host_carry_nothing() {
    for credentials in ["{bearer_file: FILE}", "{basic: {user: me, password_file: FILE}}"] {
        let scene = scene(credentials, "");
        let elsewhere = Upstream::start();
        elsewhere.put("/signed", scene.channel.get("alpha").bytes.clone());
        let path = scene.channel.path("alpha");
        let url = elsewhere.url().replace("127.0.0.1", "localhost");
        scene.upstream.script(&path, [Act::redirect(&format!("{url}/signed"))]);
        assert_eq!(scene.gate.get(&path).expect(200), scene.channel.get("alpha").bytes);
        let seen = format!("{:?}", elsewhere.seen());
        assert!(
            !seen.contains(SECRET) && !seen.contains("authorization") && !seen.contains("referer"),
            "{seen}"
        );
    }
}

#[test]
fn errors_of_upstream_do_not_print_the_token() {
    let scene = scene("{token_file: FILE}", &format!("/t/{SECRET}"));
    let path = format!("/t/{SECRET}{}", scene.channel.path("alpha"));
    for act in [Act::status(500), Act::redirect("http://["), Act::html(), Act::ResetHead] {
        scene.upstream.always(&path, act);
        let answer = scene.gate.get(&scene.channel.path("alpha"));
        answer.expect_visibly_bad();
        let all = format!("{:?}{}", answer.head, answer.text());
        assert!(!all.contains(SECRET), "{all}");
    }
    assert!(!everything_said(scene).contains(SECRET));
}

#[test]
fn a_secret_that_upstream_reflects_does_not_reach_the_client() {
    let scene = scene("{bearer_file: FILE}", "");
    let path = scene.channel.at("noarch", "missing-1-0.conda");
    scene.upstream.always(&path, Act::Answer(404, Vec::new(), format!("no, Bearer {SECRET}").into()));
    let answer = scene.gate.get(&path);
    assert!(!answer.text().contains(SECRET));
}

/// An address of this machine that is not loopback, if it has one.
pub fn outside_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn channels_with_credentials_are_closed_to_strangers_off_loopback() {
    let Some(outside) = outside_address() else {
        skipped("this machine has no address but loopback");
        return;
    };
    let Scene { gate, upstream, channel } = scene("{bearer_file: FILE}", "");
    let gate = Process::serve_with(gate.stop(), &["--listen", &format!("{outside}:0")]);
    let addresses = gate.addresses();
    let address =
        *addresses.iter().find(|a| a.ip() == outside).expect("the second address in the ready file");
    let asked = upstream.total();
    for path in [channel.path("alpha"), channel.at("noarch", "repodata.json")] {
        let status = Request::get(&path).send(address).status;
        assert!([401, 403].contains(&status), "{path}: {status}");
    }
    assert_eq!(upstream.total(), asked);
    gate.get(&channel.path("alpha")).expect(200);
    let status = Request::get(&channel.path("alpha")).send(address).status;
    assert!([401, 403].contains(&status), "out of the cache: {status}");
}
