//! What stands in `deploy/`: every setting, path, port and command in it is one that the gate has, and the linters have nothing to say.
//!
//! Linters that come with the Python clients are needed where those are; others are skipped with a loud line where they are missing. The
//! comparison with the gate always runs.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::home::files_below;
use crate::harness::process::{BINARY, run, text_of};
use crate::harness::{Home, Process, eventually_true, skipped};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Every document of a YAML file.
fn yaml(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// The manifest of a kind and a name.
fn manifest(kind: &str, name: &str) -> Value {
    let mut all = Vec::new();
    for file in files_below(&root().join("deploy/kubernetes")) {
        let file = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        all.extend(yaml(&file));
    }
    let found = all.into_iter().find(|m| m["kind"] == kind && m["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// `condagate check` on settings and rules; secrets that the settings name are there.
fn check(what: &str, settings: &str, rules: &[(String, String)]) {
    let home = Home::new();
    fs::write(home.path("uri"), "mongodb://condagate:secret@mongo/condagate").unwrap();
    let secret = home.path("uri").display().to_string();
    let settings: String = settings
        .lines()
        .map(|line| match line.split_once("/run/secrets/") {
            Some((before, after)) => {
                let rest = after.find([',', '}', ' ']).map_or("", |end| &after[end..]);
                format!("{before}{secret}{rest}\n")
            }
            None => format!("{line}\n"),
        })
        .collect();
    home.write_config(&settings);
    for (name, text) in rules {
        fs::write(home.rules().join(name), text).unwrap();
    }
    let (config, rules) = (home.config(), home.rules());
    let output = run(&["check", "--config", config.to_str().unwrap(), "--rules", rules.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{what}: {}\n{settings}", text_of(&output));
}

/// The settings with every key taken in that is only shown in a comment (`# key: …`).
fn uncommented(settings: &str) -> String {
    let shown = |line: &str| {
        let key = line.trim_start().strip_prefix("# ")?.split_once(": ")?.0.to_owned();
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        is_key.then(|| line.replacen("# ", "", 1))
    };
    settings.lines().map(|line| shown(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

/// That a command of the gate has these arguments: asked for its help, it prints it.
fn is_command(arguments: &[String]) {
    let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
    all.push("--help");
    let output = run(&all);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text_of(&output));
}

fn setting(key: &str, settings: &str) -> String {
    let home = Home::new();
    home.write_config(settings);
    let output = run(&["config", "get", key, "--config", home.config().to_str().unwrap()]);
    assert!(output.status.success(), "{}", text_of(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn seconds(duration: &str) -> u64 {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let (unit, factor) = units.iter().find(|(unit, _)| duration.ends_with(unit)).expect("a unit");
    duration.trim_end_matches(unit).parse::<u64>().expect("a number") * factor
}

#[test]
fn settings_and_rules_of_the_manifests_are_right() {
    let rules = manifest("ConfigMap", "condagate-rules");
    let rules: Vec<_> = rules["data"].as_object().expect("rules").iter().collect();
    let rules: Vec<_> =
        rules.iter().map(|(name, text)| ((*name).clone(), text.as_str().unwrap().to_owned())).collect();
    let map = manifest("ConfigMap", "condagate");
    let settings = map["data"]["condagate.yaml"].as_str().expect("settings");
    check("kubernetes", settings, &rules);
    check("kubernetes, all of it", &uncommented(settings), &rules);

    let rules = vec![("50-team.yaml".to_owned(), read("deploy/compose/proxy-rules/50-team.yaml"))];
    let settings = read("deploy/compose/condagate.yaml");
    check("compose", &settings, &rules);
    check("compose, all of it", &uncommented(&settings), &rules);
    check("image", &read("deploy/docker/condagate.yaml"), &[]);
}

#[test]
fn the_manifests_of_kubernetes_fit_each_other_and_the_gate() {
    let kustomization = &yaml("deploy/kubernetes/kustomization.yaml")[0];
    let listed: BTreeSet<String> = texts(&kustomization["resources"]).into_iter().collect();
    let there = files_below(&root().join("deploy/kubernetes"));
    let there = there.iter().map(|f| f.file_name().unwrap().to_str().unwrap().to_owned());
    let there: BTreeSet<String> = there.filter(|name| name != "kustomization.yaml").collect();
    assert_eq!(listed, there, "kustomization.yaml lists what is there");

    let deployment = manifest("Deployment", "condagate");
    let pod = &deployment["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let port = container["ports"][0]["containerPort"].to_string();
    let map = manifest("ConfigMap", "condagate");
    let settings = map["data"]["condagate.yaml"].as_str().unwrap();
    assert_eq!(setting("listen", settings), format!("0.0.0.0:{port}"));
    assert_eq!(pod["metadata"]["annotations"]["prometheus.io/port"], port);
    is_command(&texts(&container["args"]));
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > seconds(&setting("timeouts.stop", settings)), "the gate is killed while it stops");

    let gate = Process::serve(Home::new());
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"], container["ports"][0]["name"], "{probe}");
        gate.get(get["path"].as_str().unwrap()).expect(200);
    }
    gate.get(pod["metadata"]["annotations"]["prometheus.io/path"].as_str().unwrap()).expect(200);

    let labels = &pod["metadata"]["labels"];
    assert_eq!(labels, &deployment["spec"]["selector"]["matchLabels"]);
    let service = manifest("Service", "condagate");
    assert_eq!(labels, &service["spec"]["selector"]);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
    assert_eq!(labels, &manifest("PodDisruptionBudget", "condagate")["spec"]["selector"]["matchLabels"]);
    let network = manifest("NetworkPolicy", "condagate");
    assert_eq!(labels, &network["spec"]["podSelector"]["matchLabels"]);

    let mounts = container["volumeMounts"].as_array().unwrap();
    let mounted = |path: &str| mounts.iter().find(|m| m["mountPath"] == path).map(|m| m["name"].clone());
    for volume in pod["spec"]["volumes"].as_array().unwrap() {
        assert!(mounts.iter().any(|mount| mount["name"] == volume["name"]), "{volume} is mounted");
        if let Some(name) = volume["configMap"]["name"].as_str() {
            manifest("ConfigMap", name);
        }
        if let Some(name) = volume["persistentVolumeClaim"]["claimName"].as_str() {
            manifest("PersistentVolumeClaim", name);
        }
    }
    for (key, name) in [("data", "data"), ("rules", "rules")] {
        assert_eq!(mounted(&setting(key, settings)).expect(key), name, "`{key}` is a mount");
    }
    assert_eq!(mounted("/etc/condagate").expect("settings"), "config");
}

#[test]
fn the_compose_file_names_what_is_there() {
    let compose = &yaml("deploy/compose/compose.yaml")[0];
    let home = Home::new();
    let dir = home.path("compose");
    fs::create_dir(&dir).unwrap();
    fs::copy(root().join("deploy/compose/make-secrets"), dir.join("make-secrets")).unwrap();
    let status = Command::new("sh").arg(dir.join("make-secrets")).status().expect("a shell");
    assert!(status.success());
    let mut secrets = BTreeSet::new();
    for (name, secret) in compose["secrets"].as_object().unwrap() {
        let file = dir.join(secret["file"].as_str().unwrap());
        assert!(fs::read_to_string(&file).is_ok_and(|text| text.len() >= 64), "{name} is made");
        secrets.insert(name.clone());
    }
    let password = fs::read_to_string(dir.join("secrets/mongo_password")).unwrap();
    assert!(fs::read_to_string(dir.join("secrets/mongo_uri")).unwrap().contains(&password));

    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        for volume in texts(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            let is_there = match source.strip_prefix("./") {
                Some(file) => root().join("deploy/compose").join(file).exists(),
                None => compose["volumes"].get(source).is_some(),
            };
            assert!(is_there, "{name}: {volume}");
        }
        for secret in texts(&service["secrets"]) {
            assert!(secrets.contains(&secret), "{name}: {secret}");
        }
        for other in service["depends_on"].as_object().into_iter().flat_map(|d| d.keys()) {
            assert!(services.contains_key(other), "{name} depends on {other}");
        }
    }
    is_command(&texts(&services["setup"]["command"]));
    let gate = &services["condagate"];
    let published = texts(&gate["ports"]);
    let inside = published[0].rsplit(':').next().unwrap();
    assert!(setting("listen", &read("deploy/docker/condagate.yaml")).ends_with(&format!(":{inside}")));
    let grace = seconds(gate["stop_grace_period"].as_str().unwrap());
    assert!(grace > seconds(&setting("timeouts.stop", "")));
    let dockerfile = Path::new("deploy/compose").join(gate["build"]["context"].as_str().unwrap());
    assert!(root().join(dockerfile).join(gate["build"]["dockerfile"].as_str().unwrap()).exists());
}

#[test]
fn the_image_is_built_from_what_is_there() {
    let dockerfile = read("deploy/docker/Dockerfile");
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain.split("channel = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(dockerfile.contains(&format!("ARG RUST={version}-")), "the toolchain is {version}");
    let words = |line: &str| -> Vec<String> {
        let list = line.split_once('[').expect("a list").1.trim_end_matches(']');
        list.split(',').map(|word| word.trim().trim_matches('"').to_owned()).collect()
    };
    let line =
        |start: &str| dockerfile.lines().map(str::trim).find(|l| l.starts_with(start)).expect("a line");
    is_command(&words(line("CMD [\"/usr/bin/condagate"))[1..]);
    is_command(&words(line("CMD [\"serve")));
    let port = line("EXPOSE").trim_start_matches("EXPOSE ").to_owned();
    assert!(setting("listen", &read("deploy/docker/condagate.yaml")).ends_with(&format!(":{port}")));

    let context = read(".dockerignore");
    let named: Vec<_> = context.lines().filter_map(|line| line.strip_prefix('!')).collect();
    // Cargo wants the files of all targets, and compiles what the library includes.
    for target in ["src", "benches", "tests/it/main.rs", "Cargo.toml", "Cargo.lock", "deploy"] {
        assert!(named.contains(&target), "{target} is in the build context");
    }
    for path in named {
        assert!(root().join(path).exists(), ".dockerignore: {path}");
    }
}

/// What the image consists of, made here and run as the image is: without root, with nothing else to be seen.
#[test]
fn the_root_of_the_image_has_all_that_the_gate_needs() {
    if !rustix::process::getuid().is_root() {
        return skipped("the image's root is not tried: only root may change it");
    }
    let home = Home::new();
    let image = home.path("image");
    let made = Command::new("sh").arg(root().join("deploy/docker/rootfs")).arg(BINARY).arg(&image).output();
    let made = made.expect("a shell");
    assert!(made.status.success(), "{}", text_of(&made));
    let settings = image.join("etc/condagate/00-image.yaml");
    fs::write(&settings, read("deploy/docker/condagate.yaml").replace(":8080", ":0")).unwrap();
    let data = image.join("var/lib/condagate");
    std::os::unix::fs::chown(&data, Some(65532), Some(65532)).unwrap();
    let inside = |arguments: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg("--userspec=65532:65532").arg(&image).arg("/usr/bin/condagate").args(arguments);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("XDG_DATA_HOME", "/var/lib");
        command
    };
    let mut gate = inside(&["serve", "--ready-file", "/var/lib/condagate/ready"]).spawn().expect("chroot");
    let ready = data.join("ready");
    eventually_true("the gate answers", || {
        assert!(gate.try_wait().expect("its state").is_none(), "the gate ended");
        fs::read_to_string(&ready).is_ok_and(|text| text.ends_with('\n'))
    });
    let address = fs::read_to_string(&ready).unwrap().trim().replace("0.0.0.0", "127.0.0.1");
    let health = inside(&["health", "--ready", "--url", &format!("http://{address}")]).output().unwrap();
    let _may_be_gone = gate.kill();
    let _may_be_gone = gate.wait();
    assert!(health.status.success(), "{}", text_of(&health));
    let _left_by_kill = fs::remove_file(data.join("run/control.sock"));
}

/// Runs a linter of the test environment; it is missing only where nobody asked for the real clients either.
pub fn lint(tool: &str, arguments: &[&str]) {
    let beside = std::env::var_os("CONDAGATE_TEST_PYTHON")
        .map_or_else(|| root().join(".venv/bin/python"), PathBuf::from)
        .with_file_name(tool);
    let is_there = beside.exists();
    assert!(
        is_there || std::env::var_os("CONDAGATE_REQUIRE_CLIENTS").is_none_or(|v| v != "1"),
        "{tool} is missing beside the Python clients; run tests/run"
    );
    lint_if_there(if is_there { beside.as_os_str() } else { tool.as_ref() }, arguments);
}

/// Runs a linter that no registry for Python has.
pub fn lint_if_there(tool: &OsStr, arguments: &[&str]) {
    match Command::new(tool).args(arguments).current_dir(root()).output() {
        Ok(output) => {
            assert!(output.status.success(), "{} {arguments:?}:\n{}", tool.display(), text_of(&output));
        }
        Err(_) => skipped(&format!("{} is not installed: {arguments:?} was not checked", tool.display())),
    }
}

#[test]
fn linters_have_nothing_to_say() {
    const STYLE: &str = "{extends: default, rules: {line-length: {max: 140}, document-start: disable, \
        braces: {max-spaces-inside: 1}, comments: {min-spaces-from-content: 1}, comments-indentation: disable, \
        truthy: disable}}";
    lint("hadolint", &["deploy/docker/Dockerfile"]);
    lint("yamllint", &["--strict", "-d", STYLE, "deploy"]);
    lint("shellcheck", &["deploy/docker/rootfs", "deploy/compose/make-secrets", ".ci/run", "tests/run"]);
    let manifests = files_below(&root().join("deploy/kubernetes"));
    let manifests: Vec<_> = manifests.iter().map(|file| file.to_str().unwrap()).collect();
    // Kubernetes does not know what is meant for kustomize.
    let manifests: Vec<_> = manifests.into_iter().filter(|f| !f.ends_with("kustomization.yaml")).collect();
    lint("kubernetes-validate", &[&["--strict", "--quiet"], &*manifests].concat());
    lint_if_there("promtool".as_ref(), &["check", "rules", "deploy/prometheus/alerts.yaml"]);
    lint_if_there("promtool".as_ref(), &["test", "rules", "deploy/prometheus/alerts.test.yaml"]);
    lint_if_there(
        "promtool".as_ref(),
        &["check", "config", "--syntax-only", "deploy/prometheus/scrape.yaml"],
    );

    let home = Home::new();
    let compose = home.path("compose.yaml");
    // The older `docker-compose` is what distributions have; it doesn't know the key.
    let text = read("deploy/compose/compose.yaml");
    fs::write(
        &compose,
        text.lines().filter(|l| !l.starts_with("name:")).map(|l| format!("{l}\n")).collect::<String>(),
    )
    .unwrap();
    fs::create_dir(home.path("secrets")).unwrap();
    lint_if_there("docker-compose".as_ref(), &["--file", compose.to_str().unwrap(), "config", "--quiet"]);
}
