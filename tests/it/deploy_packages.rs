//! What the Debian and RPM packages are made of, and the release.
//!
//! Belongs here: that everything they name is there and agrees. Does not: what the service may do (`service_manager`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::deploy::{lint, lint_if_there};
use crate::harness::Home;
use crate::harness::process::{run, text_of};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// The files of a source, which may end in `*` and a suffix.
fn files_of(source: &str) -> Vec<PathBuf> {
    let Some((dir, suffix)) = source.split_once('*') else { return vec![root().join(source)] };
    let entries = fs::read_dir(root().join(dir)).unwrap_or_else(|e| panic!("{dir}: {e}"));
    let all = entries.map(|entry| entry.unwrap().path());
    all.filter(|file| file.to_str().unwrap().ends_with(suffix)).collect()
}

/// Where a package puts what: destination → source, from a section of `Cargo.toml`.
fn assets(section: &str) -> BTreeMap<String, PathBuf> {
    let manifest = read("Cargo.toml");
    let section = manifest.split(&format!("\n[package.metadata.{section}]")).nth(1).expect("the section");
    let list =
        section.split("\nassets = [\n").nth(1).and_then(|rest| rest.split("\n]").next()).expect("assets");
    let mut found = BTreeMap::new();
    for line in list.lines() {
        let quoted: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        let [source, to, ..] = quoted[..] else { panic!("{line}") };
        if source.starts_with("target/") {
            continue;
        }
        let files = files_of(source);
        assert!(!files.is_empty(), "{source} names nothing");
        for file in files {
            assert!(file.is_file(), "{} is not there", file.display());
            let name = file.file_name().unwrap().to_str().unwrap();
            let to = to.trim_start_matches('/');
            let to = if to.ends_with('/') { format!("{to}{name}") } else { to.to_owned() };
            // Debian's old name of the same directory.
            found.insert(to.replace("usr/lib/systemd", "lib/systemd"), file);
        }
    }
    found
}

#[test]
fn both_packages_have_the_same_in_the_same_places() {
    let (deb, rpm) = (assets("deb"), assets("generate-rpm"));
    let licence = "usr/share/licenses/condagate/LICENSE";
    for (to, file) in &deb {
        assert_eq!(rpm.get(to), Some(file), "{to}");
    }
    for to in rpm.keys() {
        // Debian has the text of the licence once for all packages.
        assert!(deb.contains_key(to) || to == licence, "{to} is in the RPM only");
    }
    let manifest = read("Cargo.toml");
    for to in deb.keys().filter(|to| to.starts_with("etc/")) {
        assert!(manifest.contains(&format!("    \"/{to}\",\n")), "{to} is a file of configuration");
    }
    for script in ["debian/postinst", "debian/prerm", "debian/postrm", "rpm/post", "rpm/preun", "rpm/postun"]
    {
        assert!(root().join("deploy").join(script).is_file(), "{script}");
    }
}

#[test]
fn the_settings_of_the_packages_are_right_and_fit_the_service() {
    let home = Home::new();
    let rules = home.rules();
    let settings = root().join("deploy/packages/condagate.yaml");
    let text = read("deploy/packages/condagate.yaml");
    let output = run(&["check", "--config", settings.to_str().unwrap(), "--rules", rules.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    let whole = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(shown)
            if shown.split(": ").next().unwrap().bytes().all(|b| b.is_ascii_lowercase() || b == b'_') =>
        {
            format!("{shown}\n")
        }
        _ => format!("{line}\n"),
    });
    home.write_config(&whole.collect::<String>());
    let config = home.config();
    let output = run(&["check", "--config", config.to_str().unwrap(), "--rules", rules.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    let unit = read("deploy/systemd/condagate.service");
    for (line, place) in
        [("User=condagate", "the account"), ("StateDirectory=condagate", "the data directory")]
    {
        assert!(unit.lines().any(|l| l == line), "{place}: {line}");
    }
    assert!(read("deploy/sysusers.d/condagate.conf").contains("\nu condagate "), "the account is made");
    assert!(text.contains("\ndata: /var/lib/condagate\n"), "the state directory of the service");
}

#[test]
fn scripts_and_workflows_have_no_mistakes() {
    lint("shellcheck", &["deploy/debian/postinst", "deploy/debian/prerm", "deploy/debian/postrm"]);
    // Pieces without a first line of their own.
    let pieces = ["deploy/rpm/post", "deploy/rpm/preun", "deploy/rpm/postun"];
    lint("shellcheck", &[&["--shell=sh", "--exclude=SC2148"], &pieces[..]].concat());
    lint_if_there("actionlint".as_ref(), &[".github/workflows/release.yml"]);
    assert!(Path::new(&root()).join(".ci/run").is_file(), "what the workflow runs");
}
