//! The pages in a real browser: Debian's chromium and its driver, driven by `tests/python/browser.py`.
//!
//! The work of everybody is done on both stores: signing in, tokens, uploads, search, dry runs, recalls, purges, users, groups, grants; then
//! cases that only a browser shows: sessions that end, old forms, no scripts, no mouse. With one of the stores every page is checked by axe,
//! in light and dark, wide and narrow, too. Everywhere it counts what the browser itself has against a page (its policy on content, pages that
//! are wider than the screen), and whom it asks: nobody but the gate. `$CONDAGATE_TEST_SHOTS` names a directory for pictures of all pages.
//!
//! The script asks for what no browser can do, a line each: `ask gets PATH` (how often upstream was asked for it), `ask advance SECONDS`.
//!
//! Belongs here: what the browser finds, and finding a browser. Does not: what is done in it (the scripts).

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::people::PASSWORD;
use crate::harness::{Channel, Databases, Gate, Setup, Upstream, eventually, package, rules, skipped};

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
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/axe/axe.min.js");
    Scene::new("").walk(&python, &axe.display().to_string());
}

#[test]
fn people_do_the_same_on_mongodb() {
    let Some(python) = browser() else { return };
    let Some(databases) = Databases::new() else { return };
    let scene = Scene::new(&databases.config());
    databases.used_by(&scene.gate);
    scene.walk(&python, "-");
}

/// Pages that are checked beside those on the way.
const MORE: &str = "/-/ui/channels/forge /-/ui/channels/forge/-/tool /-/ui/channels/forge/-/tool?version=2.0 \
                    /-/ui/channels/forge/-/tool?why=linux-64/tool-2.0-0.conda /-/ui/search?q=lib \
                    /-/ui/admin/rules?what=forge::tool /-/ui/admin/downloads?range=month \
                    /-/ui/admin/downloads?range=year /-/ui/licenses /-/ui/forgotten \
                    /-/ui/new-password?code=x";

/// A gate where nobody is yet.
struct Scene {
    gate: Gate,
    upstream: Upstream,
    /// Of a file that somebody has downloaded.
    digest: String,
}

impl Scene {
    fn new(config: &str) -> Self {
        let upstream = Upstream::start();
        let mut forge = Channel::new("forge");
        for n in 0..130 {
            forge = forge.with("noarch", &package(&format!("lib-{n:03}"), "1.0"));
        }
        forge = ["1.0", "1.1", "1.9", "1.10", "2.0"].iter().fold(forge, |forge, version| {
            forge.with("linux-64", &package("tool", version).needs("lib-001 >=1").needs("lib-002 >=1,<2"))
        });
        forge.publish(&upstream);
        let policy =
            "policy:\n  - {id: recall-7, deny: {specs: [\"tool >=2\"]}, reason: \"wrong results\"}\n";
        let setup = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream)));
        let setup = if config.is_empty() { setup } else { setup.config(config) };
        let gate = setup.start();
        for subdir in ["noarch", "linux-64"] {
            gate.get(&forge.at(subdir, "repodata.json")).expect(200);
        }
        let bytes = gate.get("/forge/linux-64/tool-1.10-0.conda").expect(200);
        let digest = condagate::conda::digest::Sha256::of(&bytes).to_hex();
        Self { gate, upstream, digest }
    }

    /// A package that is to be uploaded, in a directory of its own.
    fn save(&self, place: &str, name: &str, payload: usize) -> PathBuf {
        let made = package(name, "0.3.1").payload(payload).about().build("noarch");
        let dir = self.gate.home().path("packages").join(place);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(&made.file), &made.bytes).unwrap();
        dir.join(&made.file)
    }

    /// What the script asks for.
    fn answer(&self, line: &str) -> String {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["ask", "gets", path] => self.upstream.gets(path).to_string(),
            ["ask", "advance", seconds] => {
                self.gate.advance(Duration::from_secs(seconds.parse().expect("a number")));
                "done".to_owned()
            }
            _ => panic!("the script asks for what nobody knows: {line}"),
        }
    }

    fn command(&self, python: &Path, axe: &str) -> Command {
        let home = self.gate.home();
        let file = home.data().join("setup-code");
        let code = eventually("a code is laid down", || std::fs::read_to_string(&file).ok());
        let own = self.save("walk", "labtool", 0);
        for (place, name, payload) in
            [("drop", "droptool", 0), ("plain", "plaintool", 0), ("slow", "slowtool", 200_000)]
        {
            self.save(place, name, payload);
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/browser.py");
        // Other tests run beside it.
        let mut command = Command::new("nice");
        command.arg(python).arg(script).args([&self.gate.url(), "root", PASSWORD, axe]).arg(&own);
        command.args(std::env::var_os("CONDAGATE_TEST_SHOTS").filter(|_| axe != "-"));
        command.env("CONDAGATE_TEST_CODE", code.lines().next().unwrap());
        command.env("CONDAGATE_TEST_DIGEST", &self.digest).env("CONDAGATE_TEST_PAGES", MORE);
        command.env("CONDAGATE_TEST_PACKAGES", home.path("packages"));
        command.env("SE_OFFLINE", "true").env("PYTHONDONTWRITEBYTECODE", "1").env("HOME", home.path(""));
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_ascii_uppercase());
        }
        command
    }

    fn walk(&self, python: &Path, axe: &str) {
        let mut errors = tempfile::tempfile().unwrap();
        let mut command = self.command(python, axe);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors.try_clone().unwrap());
        let mut script = command.spawn().expect("running python");
        let (mut to, from) = (script.stdin.take().unwrap(), BufReader::new(script.stdout.take().unwrap()));
        let mut last = String::new();
        for line in from.lines() {
            last = line.unwrap();
            if last.starts_with("ask ") {
                writeln!(to, "{}", self.answer(&last)).unwrap();
            }
        }
        let (status, mut said) = (script.wait().unwrap(), String::new());
        errors.rewind().and_then(|()| errors.read_to_string(&mut said)).unwrap();
        assert!(status.success() && last == r#"{"good": true}"#, "{last}\n{said}");
    }
}
