//! The pages in a real browser: Debian's chromium and its driver, driven by `tests/python/browser.py`.
//!
//! Every page is checked by axe, in light and dark, wide and narrow, and for what the browser itself has against it (its policy on content,
//! pages that are wider than the screen). `$CONDAGATE_TEST_SHOTS` names a directory for pictures of all of them.
//!
//! Belongs here: what the browser finds, and finding a browser. Does not: what is done in it (the script).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::people::PASSWORD;
use crate::harness::process::text_of;
use crate::harness::{Channel, Setup, Upstream, eventually, package, rules, skipped};

/// The interpreter with selenium in it, where there is a browser too; `None` where they may be missing.
fn browser() -> Option<PathBuf> {
    let place = std::env::var_os("CONDAGATE_TEST_PYTHON")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"), PathBuf::from);
    let driver =
        std::env::var("CONDAGATE_TEST_CHROMEDRIVER").unwrap_or_else(|_| "/usr/bin/chromedriver".to_owned());
    let runs = |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
    let missing = if !runs(Command::new(&place).args(["-c", "import selenium"])) {
        format!("no selenium at {}; run tests/run", place.display())
    } else if !runs(Command::new(&driver).arg("--version")) {
        format!("no driver at {driver}; apt-get install chromium chromium-driver")
    } else {
        return Some(place);
    };
    let required = std::env::var("CONDAGATE_REQUIRE_BROWSER").is_ok_and(|v| v == "1");
    assert!(!required, "{missing}");
    skipped(&missing);
    None
}

#[test]
fn people_do_their_work_in_a_browser() {
    let Some(python) = browser() else { return };
    let upstream = Upstream::start();
    let mut forge = Channel::new("forge");
    for n in 0..130 {
        forge = forge.with("noarch", &package(&format!("lib-{n:03}"), "1.0"));
    }
    forge = ["1.0", "1.1", "1.9", "1.10", "2.0"].iter().fold(forge, |forge, version| {
        forge.with("linux-64", &package("tool", version).needs("lib-001 >=1").needs("lib-002 >=1,<2"))
    });
    forge.publish(&upstream);
    let policy = "policy:\n  - {id: recall-7, deny: {specs: [\"tool >=2\"]}, reason: \"wrong results\"}\n";
    let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).start();
    for subdir in ["noarch", "linux-64"] {
        gate.get(&forge.at(subdir, "repodata.json")).expect(200);
    }
    let bytes = gate.get("/forge/linux-64/tool-1.10-0.conda").expect(200);
    let digest = condagate::conda::digest::Sha256::of(&bytes).to_hex();
    let file = gate.home().data().join("setup-code");
    let code = eventually("a code is laid down", || std::fs::read_to_string(&file).ok());
    let made = package("labtool", "0.3.1").about().build("noarch");
    let path = gate.home().path(&made.file);
    std::fs::write(&path, &made.bytes).unwrap();

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Other tests run beside it.
    let mut command = Command::new("nice");
    command.arg(python).arg(root.join("tests/python/browser.py")).args([&gate.url(), "root", PASSWORD]);
    command.arg(root.join("tests/fixtures/axe/axe.min.js")).arg(&path);
    command.args(std::env::var_os("CONDAGATE_TEST_SHOTS"));
    command.env("CONDAGATE_TEST_CODE", code.lines().next().unwrap());
    let more = "/-/ui/channels/forge /-/ui/channels/forge/-/tool /-/ui/channels/forge/-/tool?version=2.0 \
                /-/ui/channels/forge/-/tool?why=linux-64/tool-2.0-0.conda /-/ui/search?q=lib \
                /-/ui/admin/rules?what=forge::tool";
    command.env("CONDAGATE_TEST_DIGEST", digest);
    command.env("CONDAGATE_TEST_PAGES", more).env("SE_OFFLINE", "true").env("HOME", gate.home().path(""));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    let output = command.output().expect("running python");
    assert!(output.status.success(), "{}", text_of(&output));
}
