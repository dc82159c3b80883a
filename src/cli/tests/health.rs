//! `condagate health` against an address that answers, one that answers badly, and one that doesn't.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::Home;

/// Answers one request on loopback with a status and a body; gives back the address.
fn answering(status: u16, body: &'static str) -> String {
    let _only_the_first_counts = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut piece = [0; 1024];
        while !head.ends_with(b"\r\n\r\n") {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the whole head");
            head.extend_from_slice(&piece[..count]);
        }
        let path = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned();
        let body = body.replace("PATH", &path);
        let head =
            format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    });
    address
}

#[test]
fn what_answers_well_is_healthy() {
    let home = Home::new(&[]);
    let ran = home.run(&format!("condagate health --url http://{}", answering(200, "asked for PATH")));
    assert!(ran.is(0) && ran.err.is_empty(), "{}", ran.err);
    assert_eq!(ran.out, "asked for /-/healthz\n");
    let line = format!("condagate health --ready --url http://{}/base/", answering(200, "asked for PATH"));
    assert_eq!(home.run(&line).out, "asked for /base/-/readyz\n");
}

#[test]
fn the_address_is_that_of_the_settings() {
    let address = answering(200, "asked for PATH");
    let port = address.rsplit(':').next().unwrap();
    let home = Home::new(&[("etc/a.yaml", &format!("listen: [\"0.0.0.0:{port}\"]\n"))]);
    let ran = home.run("condagate health");
    assert!(ran.is(0), "{}", ran.err);
    assert_eq!(ran.out, "asked for /-/healthz\n");
}

#[test]
fn everything_else_says_why() {
    let home = Home::new(&[]);
    let ran = home.run(&format!("condagate health --ready --url http://{}", answering(503, "loading rules")));
    assert!(ran.is(1) && ran.out.is_empty());
    assert!(ran.err.ends_with("/-/readyz answers 503: loading rules\n"), "{}", ran.err);

    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = home.run(&format!("condagate health --url http://{gone}"));
    assert!(ran.is(1) && ran.out.is_empty());
    assert!(ran.err.contains(&format!("http://{gone}/-/healthz does not answer: ")), "{}", ran.err);

    for bad in ["gate.example.org", "ftp://gate.example.org", "http://gate.example.org?x=1"] {
        assert!(home.run(&format!("condagate health --url {bad}")).is(2), "{bad}");
    }
    let home = Home::new(&[("etc/a.yaml", "listen: [\"127.0.0.1:0\"]\n")]);
    let ran = home.run("condagate health");
    assert!(ran.is(1));
    assert!(ran.err.contains("--url"), "{}", ran.err);
}
