//! TLS towards clients: HTTP/2 and HTTP/1.1, names, reloads, client certificates, browsers, proxies that announce whom they speak for.

use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;

use crate::harness::process::{run, text_of};
use crate::harness::secure::{Ask, Authority, H2, Pair, ask_once, connect, paths};
use crate::harness::{
    Act, Channel, Home, Latch, Process, Publishers, Request, Upstream, eventually, eventually_true, package,
    rules,
};

const BIG: usize = 3_000_000;

/// A gate that speaks TLS on its second address as `gate.test`.
struct Secure {
    authority: Authority,
    upstream: Upstream,
    channel: Channel,
    gate: Process,
}

impl Secure {
    fn new() -> Self {
        Self::with("", "")
    }

    /// With more in `tls`, and more sections.
    fn with(tls: &str, sections: &str) -> Self {
        let authority = Authority::new();
        let upstream = Upstream::start();
        let channel = Channel::new("chan");
        let channel = channel.with("noarch", &package("big", "1.0").payload(BIG));
        let channel = channel.with("noarch", &package("small", "1.0"));
        channel.publish(&upstream);
        let home = Home::new();
        home.write_rules(&rules::all_from(&upstream));
        let entry = authority.issue(&["gate.test", "localhost"]).write(&home.path(""), "gate");
        std::fs::write(home.path("ca.pem"), &authority.pem).unwrap();
        let tls = tls.replace("CA", &home.path("ca.pem").display().to_string());
        home.write_config(&format!(
            "tls:\n  listen: [\"127.0.0.1:0\"]\n  certificates: [{entry}]\n{tls}\n{sections}"
        ));
        Self { authority, upstream, channel, gate: Process::serve(home) }
    }

    fn address(&self) -> SocketAddr {
        self.gate.addresses()[1]
    }

    fn h2(&self) -> H2 {
        H2::connect(&self.authority, self.address(), "gate.test")
    }

    /// The whole answer to a GET by HTTP/1.1 inside TLS.
    fn ask(&self, path: &str, headers: &str, own: Option<&Pair>) -> std::io::Result<String> {
        let config = self.authority.client(&["http/1.1"], own);
        let mut stream = connect(&config, TcpStream::connect(self.address())?, "gate.test")?;
        ask_once(&mut stream, path, headers)
    }
}

#[test]
fn http2_serves_what_http1_serves() {
    let secure = Secure::new();
    let (h2, channel) = (secure.h2(), &secure.channel);
    let big = channel.get("big").bytes.clone();
    let path = channel.path("big");
    h2.get("/-/healthz").expect(200);
    let index = h2.get(&channel.at("noarch", "repodata.json")).expect(200);
    assert_eq!(index, secure.gate.get(&channel.at("noarch", "repodata.json")).expect(200));
    h2.get(&channel.at("noarch", "repodata.json.zst")).expect(200);
    // A crowd on one connection, while the file is being fetched.
    let crowd: Vec<Ask<'_>> = vec![("GET", &path, &[], b""); 40];
    for answer in h2.ask_all(&crowd) {
        assert!(answer.expect(200) == big);
    }
    assert_eq!(secure.upstream.gets(&path), 1);
    secure.gate.settle(&path);
    let hit = h2.get(&path);
    let tag = hit.must("etag").to_owned();
    assert!(hit.expect(200) == big);
    let head = h2.ask("HEAD", &path, &[], b"");
    assert_eq!(head.must("content-length"), big.len().to_string());
    assert!(head.expect(200).is_empty());
    let part = h2.ask("GET", &path, &[("range", "bytes=1000-1999")], b"");
    assert!(part.expect(206) == big[1000..2000]);
    assert!(h2.ask("GET", &path, &[("if-none-match", &tag)], b"").expect(304).is_empty());
    let problem = h2.get("/chan/noarch/none-1.0-0.conda");
    assert_eq!(problem.must("content-type"), "application/problem+json");
    problem.expect(404);
    h2.ask("POST", &path, &[], b"x").expect(405);
    h2.get(&format!("/{}", "a".repeat(9000))).expect(414);
    let line = secure.gate.home().access_line("none-1.0-0.conda");
    assert!(line.contains("404"), "{line}");
    secure.gate.stop();
}

#[test]
fn a_cut_answer_never_looks_whole_in_http2() {
    let secure = Secure::new();
    let path = secure.channel.path("big");
    let h2 = secure.h2();
    h2.get(&secure.channel.at("noarch", "repodata.json")).expect(200);
    let wrong = vec![7; secure.channel.get("big").bytes.len()];
    let wrong = Bytes::from(wrong);
    secure.upstream.script(&path, [Act::Other(wrong.clone()), Act::Other(wrong)]);
    let answer = h2.get(&path);
    assert!(answer.status >= 400 || answer.body.is_err(), "{}", answer.status);
    // The connection goes on.
    h2.get("/-/healthz").expect(200);
}

#[test]
fn who_leaves_in_http2_is_written_down() {
    let secure = Secure::new();
    let path = secure.channel.path("big");
    secure.h2().get(&secure.channel.at("noarch", "repodata.json")).expect(200);
    let latch = Latch::new();
    secure.upstream.script(&path, [Act::HoldBody(BIG / 2, latch.clone())]);
    secure.h2().leave(&path);
    latch.open();
    let line = secure.gate.home().access_line(&path);
    assert!(line.contains("end=client-left"), "{line}");
    secure.gate.settle(&path);
}

#[test]
fn a_certificate_that_ends_is_said_in_time() {
    let authority = Authority::new();
    let home = Home::new();
    home.write_rules(&rules::all_from(&Upstream::start()));
    let entry = authority.issue_until(&["gate.test"], 5).write(&home.path(""), "gate");
    home.write_config(&format!("tls: {{listen: [\"127.0.0.1:0\"], certificates: [{entry}]}}\n"));
    let gate = Process::serve(home);
    assert!(gate.home().log().contains("expires in 4 days"), "{}", gate.home().log());
    let said = gate.get("/-/readyz").text();
    assert!(said.contains("\"ready\":true") && said.contains("\"certificates\":\"troubled\""), "{said}");
    assert!(said.contains("expires in 4 days"), "{said}");
    authority.issue(&["gate.test"]).write(&gate.home().path(""), "gate");
    eventually_true("it is right again", || {
        gate.get("/-/readyz").text().contains("\"certificates\":\"current\"")
    });
}

#[test]
fn http1_in_tls_says_the_same_as_without() {
    let secure = Secure::new();
    let path = secure.channel.path("small");
    secure.gate.settle(&path);
    let said = secure.ask(&path, "", None).unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    let mut plain = TcpStream::connect(secure.gate.address()).unwrap();
    let other = ask_once(&mut plain, &path, "").unwrap();
    let stable = |text: &str| -> Vec<String> {
        let lines =
            text.lines().filter(|line| !line.starts_with("Date") && !line.starts_with("x-request-id"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(stable(&said), stable(&other));
    // A plain request on the port for TLS gets nothing, and harms nobody.
    let mut rude = TcpStream::connect(secure.address()).unwrap();
    assert!(!ask_once(&mut rude, "/", "").unwrap_or_default().contains("200 OK"));
    let metrics = secure.gate.get("/-/metrics").text();
    assert!(metrics.contains("condagate_tls_handshakes_failed_total 1"), "{metrics}");
}

#[test]
fn a_stop_lets_streams_finish() {
    let secure = Secure::new();
    let h2 = secure.h2();
    h2.get("/-/healthz").expect(200);
    secure.gate.signal("TERM");
    let (status, _home) = secure.gate.wait();
    assert!(status.success(), "{status}");
}

#[test]
fn certificates_are_replaced_while_it_runs() {
    let secure = Secure::new();
    let home = secure.gate.home();
    let expiry = || {
        let metrics = secure.gate.get("/-/metrics").text();
        metrics
            .lines()
            .filter(|line| line.starts_with("condagate_tls_certificate_expiry"))
            .collect::<String>()
    };
    assert!(expiry().contains("certificate=\"gate.test\""), "{}", expiry());
    let old = secure.h2();
    // Its key is another's: the old one stays, and that is said.
    std::fs::write(paths(&home.path(""), "gate").0, secure.authority.issue(&["x.test"]).certificate).unwrap();
    eventually_true("word of it", || home.log().contains("does not belong to the certificate"));
    assert!(secure.gate.get("/-/readyz").text().contains("does not belong to the certificate"));
    secure.h2().get("/-/healthz").expect(200);
    let config = home.config().display().to_string();
    let data = home.data().display().to_string();
    let output = run(&["reload", "--config", &config, "--data", &data]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("that were read before stay"), "{}", text_of(&output));
    // A right pair is taken by itself.
    secure.authority.issue(&["new.test"]).write(&home.path(""), "gate");
    eventually_true("the new name", || expiry().contains("certificate=\"new.test\""));
    H2::connect(&secure.authority, secure.address(), "new.test").get("/-/healthz").expect(200);
    old.get("/-/healthz").expect(200);
}

#[test]
fn every_name_has_its_certificate() {
    let authority = Authority::new();
    let home = Home::new();
    home.write_rules(&rules::all_from(&Upstream::start()));
    let first = authority.issue(&["one.test"]).write(&home.path(""), "one");
    let second = authority.issue(&["*.two.test"]).write(&home.path(""), "two");
    home.write_config(&format!("tls: {{listen: [\"127.0.0.1:0\"], certificates: [{first}, {second}]}}\n"));
    let gate = Process::serve(home);
    for (name, is_there) in [("one.test", true), ("a.two.test", true), ("three.test", false)] {
        let stream = TcpStream::connect(gate.addresses()[1]).unwrap();
        let connected = connect(&authority.client(&["http/1.1"], None), stream, name);
        assert_eq!(connected.is_ok(), is_there, "{name}");
    }
}

#[test]
fn clients_show_certificates_where_that_is_asked() {
    let secure = Secure::with("  client_ca: CA\n", "");
    let (own, strange) = (secure.authority.issue(&["client"]), Authority::new().issue(&["client"]));
    assert!(secure.ask("/-/healthz", "", None).is_err());
    assert!(secure.ask("/-/healthz", "", Some(&strange)).is_err());
    assert!(secure.ask("/-/healthz", "", Some(&own)).unwrap().contains("200 OK"));
    let secure = Secure::with("  client_ca: CA\n  client_certificates: optional\n", "");
    assert!(secure.ask("/-/healthz", "", None).unwrap().contains("200 OK"));
}

#[test]
fn a_wrong_pair_is_said_before_anything_runs() {
    let authority = Authority::new();
    let home = Home::new();
    let (one, other) = (authority.issue(&["a"]), authority.issue(&["a"]));
    let entry = Pair { certificate: one.certificate, key: other.key }.write(&home.path(""), "gate");
    home.write_config(&format!("tls: {{listen: [\"127.0.0.1:0\"], certificates: [{entry}]}}\n"));
    let (config, data) = (home.config().display().to_string(), home.data().display().to_string());
    let rules = home.rules().display().to_string();
    for (command, code) in [("check", 2), ("serve", 1)] {
        let mut arguments = vec![command, "--config", &config, "--rules", &rules, "--data", &data];
        if command == "serve" {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{command}: {}", text_of(&output));
        assert!(text_of(&output).contains("does not belong to the certificate"), "{}", text_of(&output));
        assert!(!text_of(&output).contains("PRIVATE"), "{}", text_of(&output));
    }
}

#[test]
fn browsers_are_sent_to_tls_and_clients_are_not() {
    let secure = Secure::with("  redirect_browsers: true\n", "");
    let browser = Request::get("/?a=b").host("gate.test:8080");
    let browser = browser.header("Upgrade-Insecure-Requests", "1");
    let sent = browser.send(secure.gate.address());
    assert_eq!(sent.status, 307);
    assert_eq!(sent.must("location"), format!("https://gate.test:{}/?a=b", secure.address().port()));
    secure.gate.get(&secure.channel.at("noarch", "repodata.json")).expect(200);
    assert!(secure.ask("/", "Upgrade-Insecure-Requests: 1\r\n", None).unwrap().contains("200 OK"));
}

#[test]
fn proxies_announce_whom_they_speak_for() {
    let trusted = "security: {trusted_proxies: [127.0.0.1/32], proxy_protocol: true}\n";
    let secure = Secure::with("", trusted);
    let announced = |address: SocketAddr| {
        let mut stream = TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut stream, b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n").unwrap();
        stream
    };
    let password = "Authorization: Basic YW5uYTp3cm9uZw==\r\n";
    let mut plain = announced(secure.gate.address());
    let said = ask_once(&mut plain, "/-/api/v1/me", password).unwrap();
    assert!(said.contains(" 403 ") && said.contains("came over plain HTTP"), "{said}");
    let config = secure.authority.client(&["http/1.1"], None);
    let mut stream = connect(&config, announced(secure.address()), "gate.test").unwrap();
    let said = ask_once(&mut stream, "/-/api/v1/me", password).unwrap();
    assert!(said.contains(" 401 "), "{said}");
    let line = secure.gate.home().access_line("status=401");
    assert!(line.contains("192.0.2.7:4711"), "{line}");
    // Whom it does not name is not taken for somebody on this machine.
    let mut unknown = TcpStream::connect(secure.gate.address()).unwrap();
    std::io::Write::write_all(&mut unknown, b"PROXY UNKNOWN\r\n").unwrap();
    let said = ask_once(&mut unknown, "/-/metrics", "").unwrap();
    assert!(said.contains(" 403 "), "{said}");
    // Without the header a trusted proxy is not understood.
    let mut silent = TcpStream::connect(secure.gate.address()).unwrap();
    assert!(ask_once(&mut silent, "/-/healthz", "").unwrap_or_default().is_empty());
}

#[test]
fn nobody_else_may_announce_anything() {
    let secure = Secure::with("", "security: {trusted_proxies: [10.9.8.7/32], proxy_protocol: true}\n");
    let mut stream = TcpStream::connect(secure.gate.address()).unwrap();
    std::io::Write::write_all(&mut stream, b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n").unwrap();
    let said = ask_once(&mut stream, "/-/healthz", "").unwrap();
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
}

#[test]
fn uploads_come_by_http2() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let entry = authority.issue(&["gate.test"]).write(dir.path(), "gate");
    let hosted = Publishers::new(&format!("tls: {{listen: [\"127.0.0.1:0\"], certificates: [{entry}]}}\n"));
    let big = package("upload", "1.0").payload(BIG).build("noarch");
    let h2 = H2::connect(&authority, hosted.gate.addresses()[1], "gate.test");
    let key = [("x-api-key", hosted.writer.secret.as_str())];
    let path = format!("/team/noarch/{}", big.file);
    h2.ask("PUT", &path, &key, &big.bytes).expect(201);
    let got = eventually("the package", || {
        let answer = h2.ask("GET", &path, &key, b"");
        (answer.status == 200).then(|| answer.expect(200))
    });
    assert!(got == big.bytes);
    // Refused before the body is read.
    h2.ask("PUT", &path, &[], &big.bytes).expect(401);
}
