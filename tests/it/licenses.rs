//! Licences: anybody can read them, offline, and no crate that is linked is left out.

use std::collections::BTreeSet;
use std::process::Command;

use crate::harness::process::run;
use crate::harness::{Setup, Upstream, rules};

#[test]
fn every_crate_that_is_linked_is_listed() {
    let listed: BTreeSet<String> = condagate::about::CRATES
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| Some(line.split_once("  ")?.0.to_owned()))
        .collect();
    let mut linked = BTreeSet::new();
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let tree = [
            "tree",
            "--locked",
            "--offline",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--target",
            target,
        ];
        let output = Command::new(cargo).args(tree).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let mut words = line.split(' ');
            let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
            linked.insert(format!("{name} {}", version.trim_start_matches('v')));
        }
    }
    linked.retain(|line| !line.starts_with("condagate "));
    assert_eq!(listed, linked, "run .ci/licenses");
}

#[test]
fn anybody_can_read_them() {
    let upstream = Upstream::start();
    let gate = Setup::rules(&format!("anonymous: none\n{}", rules::all_from(&upstream))).start();
    let answer = gate.get("/-/licenses");
    assert!(answer.must("content-type").starts_with("text/plain"));
    let page = String::from_utf8(answer.expect(200)).unwrap();
    let printed = run(&["licenses"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap().trim_end(), page.trim_end());
    assert!(page.contains("htmx 4") && page.contains("Zero-Clause BSD"), "what browsers get");
    let listed = gate.get("/-/ui/licenses").text();
    let api = gate.get("/-/api/v1/licenses").json();
    for part in api["parts"].as_array().unwrap() {
        let name = part["name"].as_str().unwrap();
        assert!(listed.contains(&format!("<code>{name}</code>")) && page.contains(name), "{part}");
    }
    let license = include_str!("../../src/web/assets/htmx.LICENSE").trim();
    assert!(
        include_str!("../../src/web/assets/htmx.min.js").contains("version=\"4.0.1\"")
            && page.contains(license)
    );
    for words in ["Apache License", "Permission is hereby granted", "pingora-core ", "libsqlite3-sys "] {
        assert!(page.contains(words), "{words}");
    }
}
