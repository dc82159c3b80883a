//! `condagate doctor`: with and without a gate, in front of an upstream that is there and of one that is not.

use serde_json::Value;

use crate::harness::process::{run, text_of};
use crate::harness::secure::{Authority, Pair};
use crate::harness::{Home, Process, Upstream, rules};

fn doctor(home: &Home, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let (data, rules) = (home.data(), home.rules());
    let mut words =
        vec!["doctor", "--json", "--data", data.to_str().unwrap(), "--rules", rules.to_str().unwrap()];
    let config = home.config();
    if config.exists() {
        words.extend(["--config", config.to_str().unwrap()]);
    }
    words.extend(more);
    let output = run(&words);
    let said: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text_of(&output)));
    let findings = said["findings"].as_array().unwrap().clone();
    let is_wrong = findings.iter().any(|finding| finding["state"] == "wrong");
    assert_eq!(said["well"], !is_wrong);
    for finding in findings.iter().filter(|f| f["state"] == "wrong") {
        assert!(finding["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "a fix for {finding}");
    }
    (output.status.code(), findings)
}

fn of<'f>(findings: &'f [Value], about: &str, state: &str) -> Vec<&'f str> {
    let wanted = findings.iter().filter(|f| f["about"] == about && f["state"] == state);
    wanted.map(|finding| finding["says"].as_str().unwrap()).collect()
}

/// Rules without the built-in upstreams, which are not there in a test.
fn home(upstream: &Upstream, listen: &str) -> Home {
    let home = Home::new();
    home.write_rules(&rules::all_from(upstream));
    home.write_config(&format!("listen: \"{listen}\"\ncache: {{size: 1GiB, keep_free: 0%}}\n"));
    home
}

#[test]
fn a_well_machine_has_nothing_wrong() {
    let upstream = Upstream::start();
    let home = home(&upstream, "127.0.0.1:0");
    let (code, findings) = doctor(&home, &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    for about in ["settings", "rules", "address", "data", "packages", "indexes", "store", "upstreams"] {
        assert!(!of(&findings, about, "good").is_empty(), "{about}: {findings:#?}");
    }
    assert!(!home.data().exists(), "it changes nothing");
    let (code, findings) = doctor(&home, &["--offline"]);
    assert_eq!((code, of(&findings, "upstreams", "skipped").len()), (Some(0), 1), "{findings:#?}");
}

#[test]
fn it_works_beside_a_running_gate() {
    let upstream = Upstream::start();
    let gate = Process::serve(home(&upstream, "127.0.0.1:0"));
    let (code, findings) = doctor(gate.home(), &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    assert_eq!(of(&findings, "gate", "good").len(), 1, "{findings:#?}");
    assert!(of(&findings, "store", "good")[0].contains("schema"), "{findings:#?}");
}

#[test]
fn what_is_wrong_is_told_with_a_fix_all_at_once() {
    let upstream = Upstream::start();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let home = home(&upstream, &busy.local_addr().unwrap().to_string());
    home.write_rules(&format!(
        "builtins: false\nupstreams: {{gone: {{urls: [\"http://{gone}\"]}}}}\nchannels: [{{match: \"*\", upstream: gone}}]\n"
    ));
    std::fs::write(home.data(), "a file").unwrap();
    let (code, findings) = doctor(&home, &[]);
    assert_eq!(code, Some(1));
    assert!(of(&findings, "address", "wrong")[0].contains("something else listens on"), "{findings:#?}");
    assert!(of(&findings, "data", "wrong")[0].contains("is not a directory"), "{findings:#?}");
    assert!(of(&findings, "upstreams", "wrong")[0].contains("can't be reached"), "{findings:#?}");

    home.write_rules("channels: 7\n");
    let (code, findings) = doctor(&home, &[]);
    assert_eq!((code, of(&findings, "rules", "wrong").len()), (Some(1), 1), "{findings:#?}");
    home.write_config("cahce: {}\n");
    let (code, findings) = doctor(&home, &[]);
    assert_eq!((code, of(&findings, "settings", "wrong").len()), (Some(1), 1), "{findings:#?}");
}

#[test]
fn certificates_are_looked_at() {
    let upstream = Upstream::start();
    let home = home(&upstream, "127.0.0.1:0");
    let authority = Authority::new();
    let write = |entry: &str| {
        home.write_config(&format!(
            "listen: \"127.0.0.1:0\"\ntls: {{listen: [\"127.0.0.1:0\"], certificates: [{entry}]}}\ncache: {{size: 1GiB, keep_free: 0%}}\n"
        ));
    };
    let (good, soon) = (authority.issue(&["gate.test"]), authority.issue_until(&["gate.test"], 3));
    write(&good.write(&home.path(""), "gate"));
    let (code, findings) = doctor(&home, &["--offline"]);
    assert_eq!((code, of(&findings, "certificate", "good").len()), (Some(0), 1), "{findings:#?}");
    write(&soon.write(&home.path(""), "soon"));
    let (code, findings) = doctor(&home, &["--offline"]);
    assert_eq!(code, Some(1));
    assert!(of(&findings, "certificate", "wrong")[0].contains("expires in"), "{findings:#?}");
    let mixed = Pair { certificate: good.certificate, key: soon.key };
    write(&mixed.write(&home.path(""), "mixed"));
    let (_, findings) = doctor(&home, &["--offline"]);
    assert!(of(&findings, "certificate", "wrong")[0].contains("does not belong"), "{findings:#?}");
}
