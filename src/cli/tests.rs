//! Commands from their arguments to what is printed.

mod documents;
mod health;

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::JoinHandle;

use clap::CommandFactory;
use serde_json::json;

use super::{CacheRequest, Cli, Commands, Terminal, main};
use crate::config::{Flags, Sources, Variables};

/// Commands whose effects can be seen: `serve` writes what it was given to the ready-file, `offline` answers.
const COMMANDS: Commands = Commands {
    serve: |config, rules, ready_file, _| {
        let text = format!("{} {}", config.listen[0], rules.channels().len());
        fs::write(ready_file.ok_or("no ready-file")?, text)?;
        Ok(ExitCode::from(7))
    },
    certificates: |config| match config.tls.certificates.first() {
        Some(pair) => Err(format!("{} can't be used", pair.certificate.display()).into()),
        None => Ok(Vec::new()),
    },
    offline: |_, rules, request| match request {
        CacheRequest::Gc => Err("the disk is gone".into()),
        CacheRequest::Verify => Ok(json!({"right": 2, "quarantined": 1, "missing": 0})),
        _ => Ok(json!({"offline": format!("{request:?}"), "upstreams": rules.upstreams().len()})),
    },
    explain: |_, rules, question| match &question.spec {
        Some(spec) if spec == "nothing" => Err("the spec can't be used".into()),
        _ => Ok(json!({"question": question, "upstreams": rules.upstreams().len()})),
    },
    try_notifying: |_| Ok(Vec::new()),
    probe: |_, _| Ok(Vec::new()),
};

/// What a command left behind.
struct Ran {
    code: ExitCode,
    out: String,
    err: String,
}

impl Ran {
    fn is(&self, code: u8) -> bool {
        self.code == ExitCode::from(code)
    }
}

struct Home(tempfile::TempDir);

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            fs::create_dir_all(home.path(name).parent().unwrap()).unwrap();
            fs::write(home.path(name), text).unwrap();
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command line; `~` stands for this directory.
    fn run(&self, line: &str) -> Ran {
        let root = self.0.path().display().to_string();
        let arguments = line.split(' ').map(|word| OsString::from(word.replace('~', &root)));
        let sources = |flags: Flags| Sources {
            system: self.path("etc"),
            variables: Variables::of(&[("XDG_DATA_HOME", &root)]),
            flags,
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut input = std::io::empty();
        let mut terminal = Terminal { out: &mut out, err: &mut err, input: &mut input, is_person: false };
        let code = main(arguments, &COMMANDS, &sources, &mut terminal);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&root, "~");
        Ran { code, out: text(out), err: text(err) }
    }

    /// A gate that answers one question on the control socket; gives back the question.
    fn gate(&self, status: u16, answer: &str) -> JoinHandle<String> {
        let _only_the_first_counts = rustls::crypto::ring::default_provider().install_default();
        fs::create_dir_all(self.path("condagate/run")).unwrap();
        let listener = UnixListener::bind(self.path("condagate/run/control.sock")).unwrap();
        let answer = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
            answer.len()
        );
        std::thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut question = Vec::new();
                let mut piece = [0; 1024];
                while !is_whole(&question) {
                    match stream.read(&mut piece).unwrap() {
                        0 => break,
                        n => question.extend_from_slice(&piece[..n]),
                    }
                }
                // The first connection only looks whether somebody is there.
                if !question.is_empty() {
                    stream.write_all(answer.as_bytes()).unwrap();
                    return String::from_utf8(question).unwrap();
                }
            }
        })
    }
}

fn is_whole(question: &[u8]) -> bool {
    let text = String::from_utf8_lossy(question).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}

#[test]
fn arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_is_a_result_and_bad_usage_is_not() {
    let home = Home::new(&[]);
    let help = home.run("condagate --help");
    assert!(help.is(0) && help.err.is_empty());
    for word in [
        "serve",
        "check",
        "config",
        "cache",
        "rules",
        "db",
        "user",
        "group",
        "token",
        "channel",
        "audit",
        "reload",
        "client-config",
        "doctor",
        "licenses",
        "CONDAGATE_SECTION__KEY",
    ] {
        assert!(help.out.contains(word), "{word}");
    }
    assert!(home.run("condagate --version").out.starts_with("condagate 0."));
    for line in [
        "condagate",
        "condagate srve",
        "condagate cache purge",
        "condagate cache purge --all",
        "condagate cache purge --channel a --digest b",
        "condagate cache purge a --url b",
        "condagate rules",
        "condagate rules explain",
    ] {
        let ran = home.run(line);
        assert!(ran.is(2) && ran.out.is_empty() && !ran.err.is_empty(), "{line}: {}", ran.err);
    }
}

#[test]
fn serve_hands_over_what_it_read() {
    let home = Home::new(&[("rules/a.yaml", "channels: [{name: x, upstream: anaconda}]")]);
    let ran =
        home.run("condagate serve --rules ~/rules --listen 127.0.0.1:0 --ready-file ~/ready --data ~/d");
    assert!(ran.is(7), "{}", ran.err);
    assert_eq!(fs::read_to_string(home.path("ready")).unwrap(), "127.0.0.1:0 3");

    let ran = home.run("condagate serve");
    assert!(ran.is(1));
    assert_eq!(ran.err, "condagate: no ready-file\n");
    let ran = home.run("condagate serve --rules ~/absent --listen nowhere");
    assert!(ran.is(2));
    assert_eq!(ran.err.lines().count(), 3, "{}", ran.err);
}

#[test]
fn check_tells_every_mistake_of_settings_and_rules() {
    let home = Home::new(&[
        ("rules/a.yaml", "chanels: []\nchannels: [{name: x}]\n"),
        ("rules/b.yaml", "a: [\n"),
        ("c.yaml", "cache: {size: much}\n"),
    ]);
    let ran = home.run("condagate check --config ~/c.yaml --rules ~/rules");
    assert!(ran.is(2) && ran.out.is_empty());
    let places: Vec<_> =
        ran.err.lines().filter(|l| l.starts_with('~')).map(|l| l.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["~/c.yaml:1:15", "~/rules/a.yaml:1:1", "~/rules/a.yaml:2:12", "~/rules/b.yaml:1:4"]);
    assert!(ran.err.contains("\n  hint: did you mean `channels`?\n"), "{}", ran.err);
    assert!(ran.err.ends_with("condagate: 4 mistakes in configuration and rules\n"), "{}", ran.err);

    let ran = home.run("condagate check --config ~/c.yaml --rules ~/rules --json");
    assert!(ran.is(2) && ran.err.is_empty());
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["mistakes"][1]["hint"], "did you mean `channels`?");

    let ran = home.run("condagate check");
    assert!(ran.is(0) && ran.err.is_empty());
    assert!(
        ran.out.starts_with(
            "configuration and rules are right: 2 upstreams, 2 channel entries, 2 file prefixes"
        )
    );
}

#[test]
fn check_counts_policy_rules_and_tells_notes() {
    let text = "policy:\n\
                - {id: mit, allow: {licenses: [MIT]}}\n\
                - {id: recall, deny: {names: [xz]}}\n\
                notices: [{id: n, message: hello}]\n";
    let home = Home::new(&[("rules/a.yaml", text)]);
    let ran = home.run("condagate check --rules ~/rules");
    assert!(ran.is(0), "{}", ran.err);
    assert!(ran.out.contains("2 file prefixes, 2 policy rules, 1 notice ("), "{}", ran.out);
    assert!(ran.out.contains("\nnote: ~/rules/a.yaml:3:3: the deny `recall` does not act on"), "{}", ran.out);
    let ran = home.run("condagate check --rules ~/rules --json");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (json["notes"][0]["line"].as_u64(), json["mistakes"].as_array().map(Vec::len)),
        (Some(3), Some(0))
    );
}

#[test]
fn check_notes_rules_that_are_about_no_channel() {
    let text = "builtins: false\n\
                upstreams: {up: {urls: [https://c.example]}}\n\
                channels:\n\
                - {name: forge, upstream: up, path: conda-forge}\n\
                - {match: \"Lab-*\", upstream: up}\n\
                - {name: prod, virtual: [forge]}\n\
                policy:\n\
                - {id: good, channels: [Forge, Conda-forge, lab-x, \"x*\"], deny: {names: [a]}}\n\
                - {id: view, channels: [prod], deny: {names: [b]}}\n\
                - {id: typo, channels: [forgo], deny: {names: [c]}}\n";
    let home = Home::new(&[("rules/a.yaml", text)]);
    let ran = home.run("condagate check --rules ~/rules");
    assert!(ran.is(0), "{}", ran.err);
    let notes: Vec<_> = ran.out.lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(notes.len(), 2, "{}", ran.out);
    assert!(
        notes[0].contains("a.yaml:9:3: the rule `view` is about `prod`, which is a virtual channel"),
        "{}",
        notes[0]
    );
    assert!(ran.out.contains("name the members: `forge`"), "{}", ran.out);
    assert!(notes[1].contains("a.yaml:10:3: the rule `typo` is about the channel `forgo`"), "{}", notes[1]);
    assert!(ran.out.contains("did you mean `forge`?"), "{}", ran.out);
    let with_host = text.replace("c.example]", "c.example], hosts: [c.example]");
    let home = Home::new(&[("rules/a.yaml", &with_host)]);
    let ran = home.run("condagate check --rules ~/rules");
    assert_eq!(ran.out.matches("note: ").count(), 1, "a host may have any channel: {}", ran.out);
}

#[test]
fn settings_are_shown_with_their_origin() {
    let home = Home::new(&[("c.yaml", "cache:\n  size: 2048MiB\n")]);
    let ran = home.run("condagate config show --origin --config ~/c.yaml");
    let line = |key: &str| {
        let line = ran.out.lines().find(|l| l.starts_with(key)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("cache.size"), "cache.size: 2GiB # ~/c.yaml:2");
    assert_eq!(line("data"), "data: ~/condagate # default");
    assert_eq!(home.run("condagate config get cache.size --config ~/c.yaml").out, "2GiB\n");
    let json: serde_json::Value =
        serde_json::from_str(&home.run("condagate config show --json").out).unwrap();
    assert_eq!(json["cache.size"], "50GiB");
    let ran = home.run("condagate config get cache.siz");
    assert!(ran.is(2) && ran.err.contains("did you mean `cache.size`?"), "{}", ran.err);
}

#[test]
fn a_running_gate_is_asked() {
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let by_digest = format!("condagate cache purge {digest}");
    for (line, first, body) in [
        ("condagate cache status", "GET /cache/status HTTP/1.1", ""),
        ("condagate cache verify", "POST /cache/verify HTTP/1.1", ""),
        ("condagate cache gc", "POST /cache/gc HTTP/1.1", ""),
        ("condagate cache purge --channel team", "POST /cache/purge HTTP/1.1", r#"{"channel":"team"}"#),
        ("condagate cache purge /x/noarch/a", "POST /cache/purge HTTP/1.1", r#"{"url":"/x/noarch/a"}"#),
        ("condagate cache purge --all --yes", "POST /cache/purge HTTP/1.1", r#"{"all":true}"#),
        (
            "condagate rules explain /x/noarch/a-1-0.conda --json",
            "POST /explain HTTP/1.1",
            r#"{"url":"/x/noarch/a-1-0.conda"}"#,
        ),
        (
            "condagate rules explain xz --channel c --json",
            "POST /explain HTTP/1.1",
            r#"{"spec":"xz","channel":"c"}"#,
        ),
        (&by_digest, "POST /cache/purge HTTP/1.1", &format!(r#"{{"digest":"{digest}"}}"#)),
    ] {
        let home = Home::new(&[]);
        let gate = home.gate(200, r#"{"blobs": 3, "bytes": 2048}"#);
        let ran = home.run(line);
        let question = gate.join().unwrap();
        assert!(question.starts_with(first), "{line}: {question}");
        assert!(question.ends_with(&format!("\r\n\r\n{body}")), "{line}: {question}");
        assert!(ran.is(0), "{}", ran.err);
        let (json, lines) = ("{\n  \"blobs\": 3,\n  \"bytes\": 2048\n}\n", "blobs: 3\nbytes: 2.0 KiB\n");
        assert_eq!(ran.out, if line.contains("--json") { json } else { lines });
    }
}

#[test]
fn bad_rules_keep_nobody_from_asking_a_running_gate() {
    let home = Home::new(&[("etc/proxy-rules/a.yaml", "chanels: []\n")]);
    let gate = home.gate(200, "{\"blobs\": 3}");
    assert_eq!(home.run("condagate cache status").out, "blobs: 3\n");
    drop(gate.join().unwrap());
    fs::remove_file(home.path("condagate/run/control.sock")).unwrap();
    assert!(home.run("condagate cache status").is(2));
    assert!(home.run("condagate cache status --rules ~/etc").is(0));
}

#[test]
fn what_a_gate_refuses_is_printed() {
    let home = Home::new(&[]);
    let gate = home.gate(400, r#"{"title": "t", "status": 400, "detail": "no rule places this channel"}"#);
    let ran = home.run("condagate cache purge --channel x");
    assert!(ran.is(1));
    assert_eq!(ran.err, "condagate: no rule places this channel\n");
    drop(gate.join().unwrap());

    let home = Home::new(&[]);
    let gate = home.gate(500, r#"{"detail": "a.yaml:1:1: unknown key `x`"}"#);
    let ran = home.run("condagate reload");
    assert!(ran.is(1));
    assert_eq!(
        ran.err,
        "condagate: the old rules or certificates stay in force:\na.yaml:1:1: unknown key `x`\n"
    );
    drop(gate.join().unwrap());

    let home = Home::new(&[]);
    let gate = home.gate(200, "<html>");
    assert!(home.run("condagate cache status").err.contains("does it run the same version?"));
    drop(gate.join().unwrap());
}

#[test]
fn without_a_gate_the_directory_is_worked_on() {
    let home = Home::new(&[]);
    let ran = home.run("condagate cache status --json");
    assert!(ran.is(0), "{}", ran.err);
    assert_eq!(ran.out, "{\n  \"offline\": \"Status\",\n  \"upstreams\": 2\n}\n");
    let ran = home.run("condagate cache gc");
    assert!(ran.is(1));
    assert_eq!(ran.err, "condagate: the disk is gone\n");
    let ran = home.run("condagate cache verify");
    assert!(ran.is(1) && ran.out.starts_with("right: 2\n"));
    assert!(ran.err.starts_with("condagate: 1 file was not as they should be"), "{}", ran.err);
    let ran = home.run("condagate reload");
    assert!(ran.is(1));
    assert!(
        ran.err.starts_with("condagate: no gate is running on this data directory (`~/condagate/run/"),
        "{}",
        ran.err
    );

    // A socket that a killed gate left behind is nobody, too.
    fs::create_dir_all(home.path("condagate/run")).unwrap();
    drop(UnixListener::bind(home.path("condagate/run/control.sock")).unwrap());
    assert!(home.run("condagate cache status").out.contains("offline"));
}

#[test]
fn explanations_without_a_gate_come_from_the_disk() {
    let home = Home::new(&[("bad/a.yaml", "chanels: []\n")]);
    let ran = home.run("condagate rules explain xz --subdir noarch --json");
    assert!(ran.is(0), "{}", ran.err);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json, json!({"question": {"spec": "xz", "subdir": "noarch"}, "upstreams": 2}));
    let ran = home.run("condagate rules explain nothing");
    assert!(ran.is(1));
    assert_eq!(ran.err, "condagate: the spec can't be used\n");
    assert!(home.run("condagate rules explain xz --rules ~/bad").is(2));
    let ran = home.run("condagate rules explain xz --as anna --json");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["question"], json!({"spec": "xz", "as": "anna"}));
}

#[test]
fn explanations_of_files_are_printed_for_people() {
    let home = Home::new(&[]);
    let rule = json!({"id": "recall", "at": "a.yaml:3", "reason": "CVE", "effect": "deny", "standing": "decides",
        "sentence": "denies it: spec `xz`."});
    let file = json!({
        "about": "file", "sentence": "It is denied.", "channel": "c", "subdir": "noarch", "file": "xz-1-0.conda",
        "state": "withheld", "download": {"outcome": "refused", "sentence": "no"},
        "package": {"name": "xz", "version": "1", "build": "0", "size": 2048, "license": "MIT", "sha256": "ab"},
        "first_seen": {"at": "2026-01-01T00:00:00+00:00", "origin": "seen by the gate"}, "until": null,
        "rules": [rule], "patches": [],
        "index": {"built_at": "T1", "checked_at": "T2", "current": false}
    });
    let gate = home.gate(200, &file.to_string());
    let ran = home.run("condagate rules explain /c/noarch/xz-1-0.conda");
    drop(gate.join().unwrap());
    assert_eq!(
        ran.out,
        "It is denied.\n  \
           package     xz 1 0, 2.0 KiB, license MIT\n  \
           sha256      ab\n  \
           first seen  2026-01-01T00:00:00+00:00 (seen by the gate)\n  \
           index       built T1, checked T2; it is to be built again\n  \
           rule        `recall` (a.yaml:3) decides: denies it: spec `xz`. Reason: CVE\n"
    );
}

#[test]
fn explanations_of_specs_are_printed_for_people() {
    let home = Home::new(&[]);
    let record = |version: &str, hidden: bool| {
        let mut record = json!({"channel": "c", "subdir": "noarch", "name": "xz", "version": version, "build": "0",
            "build_number": 0, "file": "f", "shown": !hidden});
        if hidden {
            record["hidden_by"] = json!({"id": "recall", "at": "a.yaml:3", "reason": "CVE"});
            record["sentence"] = json!("denies it.");
        }
        record
    };
    let spec = json!({
        "about": "spec", "sentence": "2 records.", "spec": "xz", "searched": ["c/noarch"],
        "counts": {"records": 3, "shown": 1, "hidden": 1, "by_rule": {"recall": 1}},
        "records": [record("10.0", false), record("5", true)], "more": 1
    });
    let gate = home.gate(200, &spec.to_string());
    let ran = home.run("condagate rules explain xz");
    drop(gate.join().unwrap());
    assert_eq!(
        ran.out,
        "2 records.\n  \
           c/noarch  xz 10.0  0  shown\n  \
           c/noarch  xz 5     0  not shown: `recall` (a.yaml:3) denies it. Reason: CVE\n  \
           … and 1 more; name a channel, a subdir or versions\n\
         `recall` hides 1 of them\n"
    );
    let home = Home::new(&[]);
    let gate = home.gate(200, r#"{"about": "weather"}"#);
    assert!(home.run("condagate rules explain xz").err.contains("does it run the same version?"));
    drop(gate.join().unwrap());
}

#[test]
fn clients_are_told_what_to_set() {
    let home = Home::new(&[
        ("c.yaml", "public_url: http://gate.example.org/conda/\n"),
        ("any.yaml", "listen: 0.0.0.0:80\n"),
    ]);
    let conda = home.run("condagate client-config conda --url http://gate/");
    assert_eq!(
        conda.out,
        "# ~/.condarc\nchannel_alias: http://gate\ndefault_channels:\n  - http://gate/pkgs/main\n  - http://gate/pkgs/r\n"
    );
    for client in ["mamba", "pixi", "py-rattler"] {
        let ran = home.run(&format!("condagate client-config {client} --config ~/c.yaml"));
        assert!(ran.is(0) && ran.out.contains("http://gate.example.org/conda"), "{}", ran.out);
    }
    assert!(home.run("condagate client-config conda").out.contains("channel_alias: http://127.0.0.1:8080\n"));
    for line in [
        "conda --config ~/any.yaml",
        "conda --url gate",
        "conda --url http://g/?x",
        "conda --url http://g/'x",
    ] {
        let ran = home.run(&format!("condagate client-config {line}"));
        assert!(ran.is(2) && ran.err.contains("--url"), "{line}: {}", ran.err);
    }
}
