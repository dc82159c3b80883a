//! Real clients that publish, unmodified: anaconda-client, py-rattler-build's upload functions, quetz-client, curl. On SQLite, and once
//! through everything on MongoDB.
//!
//! Belongs here: that each of them succeeds, and says why where it can't. Does not: how they are driven (`tests/python/publish.py`), what
//! they send (`upload_*`).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::clients_python::python;
use crate::harness::channel::Package;
use crate::harness::digest::sha256_hex;
use crate::harness::people::Made;
use crate::harness::process::text_of;
use crate::harness::{Home, Publishers, package, skipped};

/// An interpreter with a client in it.
fn python_with(module: &str) -> Option<PathBuf> {
    let python = python()?;
    let found = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    if found.is_ok_and(|out| out.status.success()) {
        return Some(python);
    }
    let required = std::env::var("CONDAGATE_REQUIRE_CLIENTS").is_ok_and(|v| v == "1");
    assert!(!required, "no {module} in {}; tests/run makes it", python.display());
    skipped(&format!("no {module} in {}; run tests/run", python.display()));
    None
}

/// A package in a file of its own.
fn saved(hosted: &Publishers, package: &Package) -> PathBuf {
    let dir = hosted.home().path("built");
    std::fs::create_dir_all(&dir).expect("a directory");
    let path = dir.join(&package.file);
    std::fs::write(&path, &package.bytes).expect("a file");
    path
}

/// Without what this machine has set up, in a home of its own.
fn alone(command: &mut Command, hosted: &Publishers) -> Output {
    let home = hosted.home().path("home");
    std::fs::create_dir_all(&home).expect("a home");
    command.env("HOME", &home).env("RATTLER_AUTH_FILE", home.join("none.json")).env("NO_COLOR", "1");
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    command.output().expect("running a client")
}

fn publish(python: &Path, hosted: &Publishers, way: &str, to: (&str, &str), packages: &[&Package]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/publish.py");
    let mut command = Command::new(python);
    command.arg(script).args([way, to.0, to.1, &hosted.writer.secret]);
    command.args(packages.iter().map(|package| saved(hosted, package)));
    alone(&mut command, hosted)
}

fn succeeded(way: &str, output: &Output) {
    assert!(output.status.success(), "{way}: {}", text_of(output));
}

fn listed(package: &Package, subdir: &str, labels: &str) -> String {
    format!("{subdir}/{} {} {labels}", package.file, sha256_hex(&package.bytes))
}

#[test]
fn every_function_of_py_rattler_build_publishes() {
    let Some(python) = python_with("rattler_build") else { return };
    let hosted = Publishers::new("");
    let url = hosted.gate.url();
    let mut expected = Vec::new();
    for (way, labels) in [
        ("quetz", "main"),
        ("artifactory", "main"),
        ("prefix", "main"),
        ("anaconda", "main,rc"),
        ("cloudsmith", "main"),
    ] {
        let new = package(&format!("by-{way}"), "1.0").needs("other >=1").about().build("linux-64");
        let old = package(&format!("by-{way}"), "1.0").tar_bz2().about().build("linux-64");
        let noarch = package(&format!("by-{way}"), "2.0").about().build("noarch");
        succeeded(way, &publish(&python, &hosted, way, (&url, "team"), &[&new, &old, &noarch]));
        expected.extend([listed(&new, "linux-64", labels), listed(&old, "linux-64", labels)]);
        expected.push(listed(&noarch, "noarch", labels));
        // The same again is no mistake, where the client itself does not think so.
        succeeded(way, &publish(&python, &hosted, way, (&url, "team"), &[&new]));
        let other = package(&format!("by-{way}"), "1.0").payload(7).about().build("linux-64");
        let refused = publish(&python, &hosted, way, (&url, "team"), &[&other]);
        assert!(!refused.status.success(), "{way} published other bytes: {}", text_of(&refused));
    }
    expected.sort();
    assert_eq!(hosted.files("team"), expected);
}

#[test]
fn py_rattler_build_with_a_base_path_a_channel_of_two_parts_and_force() {
    let Some(python) = python_with("rattler_build") else { return };
    let hosted = Publishers::new("");
    let url = format!("{}/api", hosted.gate.url());
    let alpha = package("alpha", "1.0").about().build("noarch");
    succeeded("anaconda below /api", &publish(&python, &hosted, "anaconda", (&url, "team"), &[&alpha]));
    let other = package("alpha", "1.0").payload(7).about().build("noarch");
    let forced = publish(&python, &hosted, "anaconda-force", (&url, "team"), &[&other]);
    succeeded("anaconda --force", &forced);
    assert_eq!(hosted.files("team"), [listed(&other, "noarch", "main")]);
    let url = hosted.gate.url();
    succeeded("prefix, skipping", &publish(&python, &hosted, "prefix-skipping", (&url, "team"), &[&alpha]));
    for way in ["quetz", "artifactory", "prefix"] {
        let package = package(&format!("by-{way}"), "1.0").about().build("noarch");
        succeeded(way, &publish(&python, &hosted, way, (&url, "team/dev"), &[&package]));
        assert!(hosted.files("team/dev").contains(&listed(&package, "noarch", "main")), "{way}");
    }
}

#[test]
fn quetz_client_publishes() {
    let Some(python) = python_with("quetz_client") else { return };
    let hosted = Publishers::new("");
    let url = hosted.gate.url();
    let alpha = package("alpha", "1.0").about().build("linux-64");
    succeeded("quetz-client", &publish(&python, &hosted, "quetz-client", (&url, "team"), &[&alpha]));
    assert_eq!(hosted.files("team"), [listed(&alpha, "linux-64", "main")]);
    let other = package("alpha", "1.0").payload(7).about().build("linux-64");
    let refused = publish(&python, &hosted, "quetz-client", (&url, "team"), &[&other]);
    assert!(text_of(&refused).contains("409"), "{}", text_of(&refused));
}

fn anaconda(python: &Path, hosted: &Publishers, args: &[&str]) -> Output {
    let config = hosted.home().path("home/.config/binstar");
    std::fs::create_dir_all(&config).expect("a directory");
    let url = format!("url: {}\n", hosted.gate.url());
    std::fs::write(config.join("config.yaml"), url).expect("a configuration");
    let mut command = Command::new(python.with_file_name("anaconda"));
    command.args(["--token", &hosted.writer.secret]).args(args);
    alone(&mut command, hosted)
}

#[test]
fn anaconda_client_publishes_and_takes_back() {
    let Some(python) = python_with("binstar_client") else { return };
    let hosted = Publishers::new("");
    let alpha = package("alpha", "1.0").about().build("linux-64");
    let old = package("alpha", "1.1").tar_bz2().about().build("noarch");
    let files = [&alpha, &old].map(|package| saved(&hosted, package).display().to_string());
    let upload = |args: &[&str]| anaconda(&python, &hosted, &[&["upload", "-u", "team"], args].concat());
    succeeded("anaconda upload", &upload(&["--label", "rc", &files[0], &files[1]]));
    let expected = [listed(&alpha, "linux-64", "rc"), listed(&old, "noarch", "rc")];
    assert_eq!(hosted.files("team"), expected);
    succeeded("anaconda upload --skip-existing", &upload(&["--skip-existing", &files[0]]));
    assert!(!upload(&[&files[0]]).status.success());
    let other = package("alpha", "1.0").payload(7).about().build("linux-64");
    let file = saved(&hosted, &other).display().to_string();
    succeeded("anaconda upload --force", &upload(&["--force", &file]));
    assert_eq!(hosted.files("team"), [listed(&other, "linux-64", "main"), listed(&old, "noarch", "rc")]);
    let shown = anaconda(&python, &hosted, &["show", "team/alpha"]);
    succeeded("anaconda show", &shown);
    assert!(text_of(&shown).contains("1.1"), "{}", text_of(&shown));
    let found = anaconda(&python, &hosted, &["search", "lph"]);
    succeeded("anaconda search", &found);
    assert!(
        text_of(&found).contains("team/alpha") && text_of(&found).contains("Found 1 packages"),
        "{}",
        text_of(&found)
    );
    succeeded("anaconda remove", &anaconda(&python, &hosted, &["remove", "-f", "team/alpha/1.1"]));
    assert_eq!(hosted.files("team"), [listed(&other, "linux-64", "main")]);
    let junk = hosted.home().path("built/junk-1.0-0.conda");
    std::fs::write(&junk, "junk").expect("a file");
    assert!(!upload(&[&junk.display().to_string()]).status.success());
}

fn curl(hosted: &Publishers, token: &Made, package: &Package, subdir: &str) -> Output {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail-with-body", "--upload-file"])
        .arg(saved(hosted, package));
    command.arg(format!("{}/team/{subdir}/", hosted.gate.url()));
    alone(command.args(["--header", &format!("Authorization: Bearer {}", token.secret)]), hosted)
}

#[test]
fn curl_publishes() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skipped("no curl");
    }
    let hosted = Publishers::new("");
    // Long enough that curl waits for a word.
    let large = package("large", "1.0").payload(3_000_000).about().build("noarch");
    let refused = curl(&hosted, &hosted.reader, &large, "noarch");
    assert!(!refused.status.success() && text_of(&refused).contains("403"), "{}", text_of(&refused));
    succeeded("curl", &curl(&hosted, &hosted.writer, &large, "noarch"));
    assert_eq!(hosted.files("team"), [listed(&large, "noarch", "main")]);
}

/// Solves and installs with py-rattler, with this credential in its home.
fn install(python: &Path, (gate, channel): (&str, &str), credential: Option<&str>, spec: &str) -> Output {
    let home = Home::new();
    if let Some(credential) = credential {
        std::fs::create_dir_all(home.path(".rattler")).expect("a directory");
        let stored = format!("{{\"127.0.0.1\":{credential}}}");
        std::fs::write(home.path(".rattler/credentials.json"), stored).expect("a file");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/install.py");
    let mode = if credential.is_some() { "auth" } else { "channel" };
    let mut command = Command::new(python);
    command.args([script, mode, gate, channel]).arg(home.path("prefix")).arg(spec);
    command.env("HOME", home.path("")).env("RATTLER_CACHE_DIR", home.path("cache"));
    command.env_remove("RATTLER_AUTH_FILE").env_remove("NETRC");
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    command.output().expect("running python")
}

#[test]
fn py_rattler_installs_what_was_just_published() {
    let Some(python) = python_with("rattler_build") else { return };
    let hosted = Publishers::new("");
    let (gate, reader) = (hosted.gate.url(), hosted.reader.secret.clone());
    let with_token = format!("{gate}/t/{reader}");
    let bearer = format!("{{\"BearerToken\":\"{reader}\"}}");
    for (at, way) in ["quetz", "artifactory", "prefix", "anaconda", "cloudsmith"].into_iter().enumerate() {
        let version = format!("{}.0", at + 1);
        let tool = package("tool", &version).needs("base >=1").about().build("linux-64");
        let base = package("base", &version).about().build("noarch");
        succeeded(way, &publish(&python, &hosted, way, (&gate, "team"), &[&base, &tool]));
        let spec = format!("tool =={version}");
        for (what, place, credential) in [
            ("a token in the path", (&*with_token, "team"), None),
            ("a bearer token", (&*gate, "team"), Some(&*bearer)),
            ("the label", (&*with_token, "team/label/main"), None),
        ] {
            let installed = install(&python, place, credential, &spec);
            assert!(installed.status.success(), "{way}, {what}: {}", text_of(&installed));
            assert!(text_of(&installed).contains(&tool.file), "{way}, {what}: {}", text_of(&installed));
        }
    }
    // The one that was published with this label, although there is a newer one without it.
    let labelled = install(&python, (&with_token, "team/label/rc"), None, "tool");
    assert!(text_of(&labelled).contains("tool-4.0-0.conda"), "{}", text_of(&labelled));
    let stranger = install(&python, (&gate, "team"), None, "tool");
    assert!(!stranger.status.success(), "{}", text_of(&stranger));
}

/// Both packages by one client.
fn publish_by(way: &str, python: &Path, hosted: &Publishers, noarch: &Package, linux: &Package) {
    match way {
        "anaconda-client" => {
            let files = [noarch, linux].map(|package| saved(hosted, package).display().to_string());
            let uploaded = anaconda(python, hosted, &["upload", "-u", "team", &files[0], &files[1]]);
            succeeded(way, &uploaded);
        }
        "curl" => {
            succeeded(way, &curl(hosted, &hosted.writer, noarch, "noarch"));
            succeeded(way, &curl(hosted, &hosted.writer, linux, "linux-64"));
        }
        _ => {
            let url = hosted.gate.url();
            succeeded(way, &publish(python, hosted, way, (&url, "team"), &[noarch, linux]));
        }
    }
}

/// The whole way of every client with the other store: published, listed, solved with and installed.
#[test]
fn what_every_client_publishes_is_installed_on_mongodb_too() {
    let Some(python) = python_with("rattler_build") else { return };
    if python_with("quetz_client").is_none() || python_with("binstar_client").is_none() {
        return;
    }
    let Some(hosted) = Publishers::on_mongodb() else { return };
    let (gate, reader) = (hosted.gate.url(), hosted.reader.secret.clone());
    let with_token = format!("{gate}/t/{reader}");
    let bearer = format!("{{\"BearerToken\":\"{reader}\"}}");
    let places: [(&str, (&str, &str), Option<&str>); 3] = [
        ("a token in the path", (&with_token, "team"), None),
        ("a bearer token", (&gate, "team"), Some(&bearer)),
        ("the label", (&with_token, "team/label/main"), None),
    ];
    let ways = [
        "quetz",
        "artifactory",
        "prefix",
        "anaconda",
        "cloudsmith",
        "quetz-client",
        "anaconda-client",
        "curl",
    ];
    let mut expected = Vec::new();
    for (at, way) in ways.into_iter().enumerate() {
        let version = format!("{}.0", at + 1);
        let base = package("base", &version).about().build("noarch");
        let tool = package("tool", &version).needs(&format!("base =={version}")).about().build("linux-64");
        publish_by(way, &python, &hosted, &base, &tool);
        let labels = if way == "anaconda" { "main,rc" } else { "main" };
        expected.extend([listed(&base, "noarch", labels), listed(&tool, "linux-64", labels)]);
        let (what, place, credential) = places[at % places.len()];
        let installed = install(&python, place, credential, &format!("tool =={version}"));
        let text = text_of(&installed);
        assert!(installed.status.success(), "{way}, {what}: {text}");
        assert!(text.contains(&tool.file) && text.contains(&base.file), "{way}, {what}: {text}");
    }
    expected.sort();
    assert_eq!(hosted.files("team"), expected);
    let other = package("tool", "1.0").payload(7).about().build("linux-64");
    assert!(!publish(&python, &hosted, "quetz", (&gate, "team"), &[&other]).status.success());
    let stranger = install(&python, (&gate, "team"), None, "tool");
    assert!(!stranger.status.success(), "{}", text_of(&stranger));
}
