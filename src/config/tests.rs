//! Layers, keys and mistakes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::policy::Mistake;

mod auth;
mod edges;

/// Compares with a file of the project; `CONDAGATE_UPDATE=1` writes it instead.
pub(super) fn same_as_file(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("CONDAGATE_UPDATE").is_some() {
        fs::write(&path, text).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "{name} is not what the code says; write it with CONDAGATE_UPDATE=1 and look at the difference"
    );
}

/// A machine of its own: `files` below a temporary directory, these variables, these flags.
pub(super) struct Place {
    dir: tempfile::TempDir,
    pub(super) sources: Sources,
}

pub(super) fn place(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Place {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let home = dir.path().join("home").display().to_string();
    let mut all = vec![("HOME", home.as_str())];
    all.extend_from_slice(variables);
    let sources =
        Sources { system: dir.path().join("etc"), variables: Variables::of(&all), flags: Flags::default() };
    Place { dir, sources }
}

impl Place {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// The mistakes as printed, without the temporary directory.
    fn shown(&self, mistakes: &[Mistake]) -> Vec<String> {
        let root = format!("{}/", self.dir.path().display());
        mistakes.iter().map(|m| m.to_string().replace(&root, "")).collect()
    }

    fn mistakes(&self) -> Vec<String> {
        self.shown(&load(&self.sources).map(|c| c.listen).unwrap_err())
    }
}

fn origin<'c>(config: &'c Config, key: &str) -> (&'c str, &'c str) {
    let setting = config.origins.iter().find(|s| s.key == key).unwrap();
    (setting.value.as_str(), setting.origin.rsplit('/').next().unwrap())
}

#[test]
fn nothing_configured_is_a_safe_gate() {
    let place = place(&[], &[]);
    let config = load(&place.sources).unwrap();
    assert_eq!(config.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(config.data, place.path("home/.local/share/condagate"));
    assert_eq!(config.storage.packages, config.data.join("packages"));
    assert_eq!((config.cache.size, config.cache.keep_free), (50 << 30, KeepFree::Percent(5)));
    assert_eq!(config.rules, RulesDir { path: place.path("etc/proxy-rules"), named: None });
    assert!(config.threads >= 1);
    assert!(config.origins.iter().all(|s| s.origin == "default"));
    let rules = rules::load(&config.rules, &place.sources.machine()).unwrap();
    assert_eq!(rules, crate::policy::Rules::builtin());
}

#[test]
fn later_layers_win_key_by_key() {
    let mut place = place(
        &[
            ("etc/20.yaml", "cache: {size: 2GiB}\n"),
            ("etc/10.yaml", "cache: {size: 1GiB, memory: 1MiB, keep_free: 1GiB}\nthreads: 2\n"),
            ("etc/30.txt", "not: [read"),
            ("env.yaml", "cache:\n  memory: 2MiB\nlimits: {header_count: 7}\n"),
            ("flag.yaml", "limits:\n  header_count: 8\ndata: data-of-flag-file\nlog: {level: warn}\n"),
        ],
        &[
            ("CONDAGATE_LOG__LEVEL", "debug"),
            ("CONDAGATE_LISTEN", "127.0.0.1:1, [::1]:2"),
            ("CONDAGATE_PORT", "x"),
        ],
    );
    let env_file = place.path("env.yaml").display().to_string();
    let home = place.path("home").display().to_string();
    place.sources.variables = Variables::of(&[
        ("HOME", &home),
        ("CONDAGATE_CONFIG", &env_file),
        ("CONDAGATE_LOG__LEVEL", "debug"),
        ("CONDAGATE_LISTEN", "127.0.0.1:1, [::1]:2"),
        // What an orchestrator sets for a service that is called condagate.
        ("CONDAGATE_PORT", "tcp://10.0.0.1:80"),
        ("CONDAGATE_SERVICE_HOST", "10.0.0.1"),
    ]);
    place.sources.flags = Flags {
        config: vec![place.path("flag.yaml")],
        listen: vec!["localhost:3".into()],
        ..Flags::default()
    };
    let config = load(&place.sources).unwrap();
    assert_eq!(origin(&config, "cache.size"), ("2GiB", "20.yaml:1"));
    assert_eq!(origin(&config, "cache.keep_free"), ("1GiB", "10.yaml:1"));
    assert_eq!(origin(&config, "cache.memory"), ("2MiB", "env.yaml:2"));
    assert_eq!(origin(&config, "limits.header_count"), ("8", "flag.yaml:2"));
    assert_eq!(origin(&config, "log.level"), ("debug", "environment variable CONDAGATE_LOG__LEVEL"));
    assert_eq!(origin(&config, "listen"), ("127.0.0.1:3", "flag --listen"));
    assert_eq!(origin(&config, "threads").1, "10.yaml:2");
    assert_eq!(config.data, place.path("data-of-flag-file"), "relative to the file that says it");

    place.sources.flags.listen.clear();
    assert_eq!(load(&place.sources).unwrap().listen.len(), 2);
}

#[test]
fn every_mistake_in_every_layer_is_told() {
    let mut place = place(
        &[
            ("etc/1.yaml", "cahce: {size: 1GiB}\ncache: {size: 12}\n"),
            ("etc/2.yaml", "cache: {size: 1GiB}\nlisten: [\"8080\", 127.0.0.1:80]\nlog: {access: maybe}\n"),
            ("etc/3.yaml", "a: [1\nb: 2\n"),
            ("etc/4.yaml", "users: {}\ntimeouts: 5s\nlog:\n  level: loud\n  level: info\n"),
        ],
        &[],
    );
    let home = place.path("home").display().to_string();
    place.sources.variables = Variables::of(&[
        ("HOME", &home),
        ("CONDAGATE_LIMITS__URL_LENGHT", "1KiB"),
        ("CONDAGATE_THREADS", "0"),
    ]);
    place.sources.flags.config = vec![place.path("absent.yaml")];
    insta::assert_snapshot!(place.mistakes().join("\n"), @r"
absent.yaml: the file can't be read: it is not there
etc/1.yaml:1:1: unknown key `cahce`
  hint: did you mean `cache`?
etc/1.yaml:2:15: `cache.size` must be a size with a unit (B, KiB, MiB, GiB, TiB; KB, MB, GB, TB), such as `200GiB`, not `12`
etc/2.yaml:2:10: `listen` must be an IP address and a port, such as `127.0.0.1:8080` or `[::]:80`, not `8080`
etc/2.yaml:3:15: `log.access` must be `on`, `off` or the path of a file (with a `/`)
etc/3.yaml:2:2: this is not valid YAML: illegal placement of ':' indicator
  hint: everything behind this place was not read
etc/4.yaml:1:1: `users` is not there yet in this version
  hint: take it out: it would not be obeyed
etc/4.yaml:2:11: `timeouts` must be a map of keys and values, not a single value
etc/4.yaml:4:10: `log.level` must be a level or a list of `room=level`, not `loud`
  hint: levels are `off`, `error`, `warn`, `info`, `debug`, `trace`; for one room, `info,condagate::cache=debug`
etc/4.yaml:5:3: `log.level` is written twice
  hint: the other one is at etc/4.yaml:4; keep one of them
environment variable CONDAGATE_LIMITS__URL_LENGHT: unknown key `url_lenght` in `limits`
  hint: did you mean `url_length`?
environment variable CONDAGATE_THREADS: `threads` must be a whole number from 1 to 1024, not `0`
");
}

#[test]
fn values() {
    for (text, message) in [
        (
            "public_url: gate.example.org",
            "`public_url` must be an absolute URL that begins with `http://` or `https://`",
        ),
        ("public_url: http://me:pw@gate/", "`public_url` must be a URL without credentials"),
        ("public_url: http://gate/?x", "`public_url` must be a URL without `?` and `#`"),
        ("cache: {keep_free: 91%}", "`cache.keep_free` must be a whole number of percent"),
        ("cache: {size: 10B}", "`cache.size` must be at least 1MiB"),
        ("limits: {header_timeout: 0s}", "`limits.header_timeout` must be longer than nothing"),
        (
            "limits: {header_count: 257}",
            "`limits.header_count` must be a whole number from 1 to 256, not `257`",
        ),
        ("limits: {header_size: 1GiB}", "`limits.header_size` must lie between 256B and 1MiB"),
        ("log: {format: xml}", "`log.format` must be one of `human`, `json`, not `xml`"),
        ("control: {allow: [10.0.0.1/8]}", "`control.allow` must have networks or addresses"),
        ("egress: {proxy: \"ftp://x\"}", "`egress.proxy` must be an absolute URL that begins with `http://`"),
        ("egress: {ca_file: absent.pem}", "`egress.ca_file` names `"),
        (
            "storage: {packages: d, cache: d}",
            "`storage.packages` and `storage.cache` must be two directories",
        ),
        ("listen: []", "`listen` must name at least one address"),
        ("listen: [127.0.0.1:80, 127.0.0.1:80]", "`listen` has `127.0.0.1:80` twice"),
        ("- listen", "the document must be a map of keys and values, not a list"),
        ("data:\n  - x", "`data` must be a text, not a list"),
    ] {
        let place = place(&[("etc/c.yaml", text)], &[]);
        let mistakes = place.mistakes();
        assert_eq!(mistakes.len(), 1, "{text}: {mistakes:?}");
        assert!(mistakes[0].contains(message), "{text}: {mistakes:?}");
    }
}

#[test]
fn good_values() {
    let text = "public_url: http://gate.example.org/conda\ncontrol: {allow: 10.0.0.0/8}\nlog: {access: off, format: json}\n\
                egress: {proxy: http://me:hunter2@proxy:3128}\nlisten: 0.0.0.0:80\ntimeouts: {stop: 0s}\n";
    let place = place(&[("etc/c.yaml", text)], &[]);
    let config = load(&place.sources).unwrap();
    let public = config.public_url.as_ref().unwrap();
    assert_eq!(
        (public.url.to_string().as_str(), public.base_path.as_str()),
        ("http://gate.example.org/conda/", "/conda")
    );
    assert_eq!(config.log.access, AccessTarget::Off);
    assert_eq!(config.timeouts.stop, Duration::ZERO);
    assert!(config.control.allow[0].contains("10.1.1.1".parse().unwrap()));
    assert_eq!(origin(&config, "egress.proxy").0, "http://***@proxy:3128/");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_named_rules_directory_must_be_there() {
    let place = place(
        &[("rules/a.yaml", "builtins: false\n"), ("rules/b.yml", "hosts: {}\n"), ("rules/c.txt", "?")],
        &[],
    );
    let machine = place.sources.machine();
    let named = |name: &str| RulesDir {
        path: place.path(name),
        named: Some(crate::policy::At::outside("flag --rules")),
    };
    let mistakes = rules::load(&named("absent"), &machine).unwrap_err();
    let shown = place.shown(&mistakes);
    assert_eq!(shown, ["flag --rules: the rules directory `absent` can't be read: it is not there"]);
    let rules = rules::load(&named("rules"), &machine).unwrap();
    assert!(rules.channels().is_empty() && rules.upstreams().is_empty());
}

#[test]
fn the_examples_are_right_and_the_builtin_rules_are_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = |name: &str| fs::read_to_string(root.join(name)).unwrap();

    let text = format!("builtins: false\n{}", example("proxy-rules/00-builtin.yaml.example"));
    let place = place(&[("rules/a.yaml", &text)], &[]);
    let dir = RulesDir { path: place.path("rules"), named: None };
    let shown = rules::load(&dir, &place.sources.machine()).unwrap();
    assert_eq!(shown, crate::policy::Rules::builtin());
    assert_eq!(shown.revision(), crate::policy::Rules::builtin().revision());

    let settings = example("deploy/config/condagate.yaml");
    let rules = example("proxy-rules/50-team.yaml.example");
    let place = self::place(
        &[("etc/c.yaml", &settings), ("rules/b.yaml", &rules), ("rules/extras/x", ""), ("rules/ca.pem", "")],
        &[("TEAM_PASSWORD", "hunter2")],
    );
    let config = load(&place.sources).unwrap();
    for setting in &config.origins {
        let key = setting.key.rsplit('.').next().unwrap();
        assert!(settings.contains(&format!("{key}:")), "{} is not in the example", setting.key);
    }
    fs::write(place.path("rules/private.token"), "tk-123\n").unwrap();
    let dir = RulesDir { path: place.path("rules"), named: None };
    let rules =
        rules::load(&dir, &place.sources.machine()).unwrap_or_else(|m| panic!("{:?}", place.shown(&m)));
    assert!(rules.has_credentials());
    assert!(!format!("{rules:?}").contains("hunter2"));
}
