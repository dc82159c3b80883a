//! A real client from PyPI: py-rattler, unmodified, in `.venv` (made by `tests/run`) or `$CONDAGATE_TEST_PYTHON`.
//!
//! Belongs here: what must hold of a solve and an install through the gate. Does not: how py-rattler is driven
//! (`tests/python/install.py`).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::home::files_below;
use crate::harness::{Channel, Gate, Home, Setup, Upstream, package, rules, skipped};

/// The interpreter with py-rattler in it, or `None` where it may be missing.
pub fn python() -> Option<PathBuf> {
    let place = std::env::var_os("CONDAGATE_TEST_PYTHON")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"), PathBuf::from);
    let works = |python: &Path| {
        Command::new(python).args(["-c", "import rattler"]).output().is_ok_and(|out| out.status.success())
    };
    if works(&place) {
        return Some(place);
    }
    let required = std::env::var("CONDAGATE_REQUIRE_CLIENTS").is_ok_and(|v| v == "1");
    assert!(!required, "no py-rattler at {}; tests/run makes it", place.display());
    skipped(&format!("no py-rattler at {}; run tests/run", place.display()));
    None
}

/// What an installation is asked to do.
struct Job<'a> {
    mode: &'a str,
    gate: &'a str,
    channel: &'a str,
    specs: &'a [&'a str],
}

/// Solves and installs into a new prefix with empty caches; the installed files below it.
fn install(python: &Path, job: &Job<'_>) -> Vec<String> {
    let home = Home::new();
    let prefix = home.path("prefix");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/install.py");
    let mut command = Command::new(python);
    command.arg(script).args([job.mode, job.gate, job.channel]).arg(&prefix).args(job.specs);
    command.env("HOME", home.path("")).env("RATTLER_CACHE_DIR", home.path("cache"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    if job.mode == "proxy" {
        command.env("http_proxy", job.gate);
    }
    let output = command.output().expect("running python");
    let text = crate::harness::process::text_of(&output);
    assert!(output.status.success(), "{} {}: {text}", job.mode, job.channel);
    let files = files_below(&prefix);
    let shown = files.iter().map(|f| f.strip_prefix(&prefix).expect("below").display().to_string());
    shown.filter(|f| !f.starts_with("conda-meta/history")).collect()
}

/// By channel URL, by mirror setting and by proxy: with upstream, then without.
fn all_ways(upstream: &mut Upstream, channel: &str, specs: &[&str], expected: &[&str]) {
    let Some(python) = python() else { return };
    let gate: Gate = Setup::rules(&rules::all_from(upstream)).start();
    let url = gate.url();
    for round in ["cold", "warm", "without upstream"] {
        for mode in ["channel", "mirror", "proxy"] {
            let files = install(&python, &Job { mode, gate: &url, channel, specs });
            for file in expected {
                assert!(files.iter().any(|f| f == file), "{mode}, {round}: no {file} in {files:?}");
            }
        }
        match round {
            "cold" => {
                let archives = upstream.seen().into_iter().filter(|s| s.path.ends_with(".conda"));
                let mut paths: Vec<_> = archives.filter(|s| s.method == "GET").map(|s| s.path).collect();
                let all = paths.len();
                paths.sort();
                paths.dedup();
                assert_eq!(paths.len(), all, "a package was fetched twice");
            }
            _ => upstream.stop(),
        }
    }
}

/// Everything the client knows of `names` and of what they need, with an empty cache; one record a line.
fn records(python: &Path, gate: &Gate, form: &str, names: &[&str]) -> Vec<String> {
    let home = Home::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/records.py");
    let mut command = Command::new(python);
    command.arg(script).args([&format!("{}/chan", gate.url()), form]).arg(home.path("cache")).args(names);
    command.env("HOME", home.path(""));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    let output = command.output().expect("running python");
    let text = crate::harness::process::text_of(&output);
    assert!(output.status.success(), "{form}: {text}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn py_rattler_knows_the_same_records_with_shards_and_without() {
    let Some(python) = python() else { return };
    let policy = "policy:\n  - {id: recall, deny: {names: [evil]}}\n  \
                  - {id: newer, patch: {match: {names: [app]}, add_depends: [\"tool >=1\"], set: {license: MIT}}}\n";
    for channel in [fixture(), fixture().sharded()] {
        let channel = channel
            .with("noarch", &package("evil", "1.0"))
            .with("noarch", &package("wants-evil", "1.0").needs("evil"))
            .with("linux-64", &package("tool", "1.0"));
        let upstream = Upstream::start();
        channel.publish(&upstream);
        let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).start();
        let names = ["app", "wants-evil", "evil"];
        let [whole, sharded] = ["whole", "shards"].map(|form| records(&python, &gate, form, &names));
        assert_eq!(whole, sharded);
        let has = |file: &str| whole.iter().filter(|line| line.contains(file)).count();
        assert_eq!((has("/app-1.0-0.conda "), has("/tool-1.0-0.conda "), has("/evil-1.0")), (1, 1, 0));
        assert!(
            whole.iter().all(|line| !line.contains(" None {")),
            "every record says since when: {whole:?}"
        );
    }
}

fn fixture() -> Channel {
    Channel::new("chan")
        .with("noarch", &package("app", "1.0").needs("lib >=2").payload(200_000))
        .with("noarch", &package("lib", "1.0").tar_bz2())
        .with("noarch", &package("lib", "2.0").tar_bz2())
}

const INSTALLED: [&str; 4] = [
    "share/app/payload.bin",
    "share/lib/payload.bin",
    "conda-meta/app-1.0-0.json",
    "conda-meta/lib-2.0-0.json",
];

#[test]
fn py_rattler_installs_from_repodata() {
    let mut upstream = Upstream::start();
    fixture().publish(&upstream);
    all_ways(&mut upstream, "chan", &["app"], &INSTALLED);
}

#[test]
fn py_rattler_installs_from_shards() {
    let mut upstream = Upstream::start();
    fixture().sharded().publish(&upstream);
    all_ways(&mut upstream, "chan", &["app"], &INSTALLED);
}

/// Serves a real channel as any file server would, when it lies beside the checkout.
fn real(name: &str) -> Option<Upstream> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/channels").join(name);
    if !dir.is_dir() {
        skipped(&format!("no {}", dir.display()));
        return None;
    }
    let upstream = Upstream::start();
    for file in files_below(&dir) {
        let path = format!("/{name}/{}", file.strip_prefix(&dir).expect("below").display());
        upstream.put(&path, std::fs::read(&file).expect("a channel file"));
    }
    Some(upstream)
}

#[test]
fn py_rattler_installs_from_testchan() {
    let Some(mut upstream) = real("testchan-full") else { return };
    let expected = ["conda-meta/another_dependent-2.0-0.json", "conda-meta/dependency-2.0-0.json"];
    all_ways(&mut upstream, "testchan-full", &["another_dependent", "small-executable"], &expected);
}

/// Stand-ins for what the packages of `jancaha` need from other channels.
fn stand_ins() -> Channel {
    let needed = [
        ("libgcc", "15.1"),
        ("libstdcxx", "15.1"),
        ("libgdal", "3.12.2"),
        ("libgdal-core", "3.12.2"),
        ("mesalib", "25.3.5"),
        ("qt-main", "5.15.15"),
    ];
    needed.iter().fold(Channel::new("needed"), |c, (name, version)| c.with("noarch", &package(name, version)))
}

#[test]
fn py_rattler_installs_from_jancaha() {
    let Some(mut upstream) = real("jancaha") else { return };
    stand_ins().publish(&upstream);
    let expected = ["conda-meta/libviewshed-5.0.0-h29872b0_0.json", "conda-meta/libgdal-3.12.2-0.json"];
    all_ways(&mut upstream, "jancaha,needed", &["libviewshed"], &expected);
}

#[test]
fn the_fixtures_are_channels_to_this_client() {
    let Some(python) = python() else { return };
    for channel in [fixture(), fixture().sharded()] {
        let upstream = Upstream::start();
        channel.publish(&upstream);
        for mode in ["channel", "mirror", "proxy"] {
            let job = Job { mode, gate: &upstream.url(), channel: "chan", specs: &["app"] };
            let files = install(&python, &job);
            assert!(INSTALLED.iter().all(|name| files.iter().any(|f| f == name)), "{mode}: {files:?}");
        }
    }
}

#[test]
fn the_real_channels_are_channels_to_this_client() {
    let Some(python) = python() else { return };
    for (name, channel, spec) in [
        ("testchan-full", "testchan-full", "another_dependent"),
        ("jancaha", "jancaha,needed", "libviewshed"),
    ] {
        let Some(upstream) = real(name) else { return };
        stand_ins().publish(&upstream);
        let files =
            install(&python, &Job { mode: "channel", gate: &upstream.url(), channel, specs: &[spec] });
        assert!(files.iter().any(|f| f.starts_with(&format!("conda-meta/{spec}-"))), "{files:?}");
    }
}

/// What the client reads of the gated channel with these files in its home; its exit code and what it printed.
fn read_gated(python: &Path, gate: &Gate, files: &[(&str, &str)]) -> (Option<i32>, String) {
    let home = Home::new();
    for (name, text) in files {
        let path = home.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file of credentials");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/gated.py");
    let mut command = Command::new(python);
    command.arg(script).arg(format!("{}/chan", gate.url())).arg(home.path("cache")).args(["app"]);
    command.env("HOME", home.path("")).env_remove("RATTLER_AUTH_FILE").env_remove("NETRC");
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    let output = command.output().expect("running python");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn py_rattler_finds_its_credentials_and_a_gated_channel_opens() {
    let Some(python) = python() else { return };
    for channel in [fixture(), fixture().sharded()] {
        let upstream = Upstream::start();
        channel.publish(&upstream);
        let access = "access:\n  - {channels: [chan], read: [\"user:ada\"]}\n";
        let gate = Setup::rules(&format!("{}{access}", rules::all_from(&upstream))).start();
        let society = crate::harness::Society::of(gate.home(), gate.now());
        society.user("ada").user("bob");
        let (ada, bob) = (society.token("ada", &["read:*"]).secret, society.token("bob", &["read:*"]).secret);
        let password = crate::harness::people::PASSWORD;
        let stored = |value: String| [(".rattler/credentials.json", format!("{{\"127.0.0.1\":{value}}}"))];
        let netrc = |secret: &str| [(".netrc", format!("machine 127.0.0.1\nlogin ada\npassword {secret}\n"))];
        let basic = |secret: &str| {
            stored(format!("{{\"BasicHTTP\":{{\"username\":\"ada\",\"password\":\"{secret}\"}}}}"))
        };
        for (what, files, opens) in [
            ("nothing", None, false),
            ("a token in the path", Some(stored(format!("{{\"CondaToken\":\"{ada}\"}}"))), true),
            ("a bearer token", Some(stored(format!("{{\"BearerToken\":\"{ada}\"}}"))), true),
            ("a password", Some(basic(password)), true),
            ("a token as password", Some(basic(&ada)), true),
            ("netrc", Some(netrc(&ada)), true),
            ("somebody else's token", Some(stored(format!("{{\"CondaToken\":\"{bob}\"}}"))), false),
            ("a wrong password", Some(basic("MARKED-wrong-password")), false),
        ] {
            let files: Vec<_> = files.iter().flatten().map(|(name, text)| (*name, text.as_str())).collect();
            let (code, said) = read_gated(&python, &gate, &files);
            if opens {
                assert_eq!(code, Some(0), "{what}: {said}");
                assert!(said.contains("app-1.0-0.conda"), "{what}: {said}");
            } else {
                assert_eq!(code, Some(3), "{what}: {said}");
                assert!(said.contains("401") || said.contains("403"), "{what}: {said}");
            }
        }
    }
}
