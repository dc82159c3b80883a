//! Web servers in front of the gate: the files of `deploy/nginx` and `deploy/caddy`, with real servers where they are installed.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use condagate::clock::{Clock as _, SystemClock};

use crate::harness::channel::Package;
use crate::harness::process::text_of;
use crate::harness::{Channel, Home, Process, Society, Upstream, eventually_true, package, rules, skipped};

/// A web server that ends with its owner.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _may_be_gone = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status();
        let _may_be_gone = self.0.wait();
    }
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn is_installed(tool: &str) -> bool {
    Command::new(tool).arg("--help").stdin(Stdio::null()).output().is_ok()
}

/// One that no connection of this machine is given by chance, and no other process of these tests tries first.
fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() as usize * 16;
    let mut ports = std::iter::repeat_with(|| TRIED.fetch_add(1, Ordering::Relaxed));
    let port = ports.find_map(|n| {
        let port = u16::try_from(10_000 + (start + usize::from(n)) % 20_000).ok()?;
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    });
    port.expect("a port")
}

/// A gate with a channel from upstream and one of its own, and people.
struct Scene {
    gate: Process,
    channel: Channel,
    _upstream: Upstream,
    reader: String,
    writer: String,
}

fn scene() -> Scene {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("alpha", "1.0").payload(3_000_000));
    channel.publish(&upstream);
    let home = Home::new();
    let own = "channels:\n  - {name: team, hosted: true}\n";
    let access = "access:\n  - {channels: [team], read: [\"user:ada\"], write: [\"user:ci\"]}\n";
    home.write_rules(&(rules::all_from(&upstream).replace("channels:\n", own) + access));
    home.write_config("cache: {keep_free: 0%}\nsecurity: {trusted_proxies: [127.0.0.1/32]}\ncontrol: {allow: [127.0.0.9/32]}\n");
    let society = Society::of(&home, SystemClock.now());
    society.user("ada").user("ci");
    let (reader, writer) =
        (society.token("ada", &["read:*"]).secret, society.token("ci", &["write:*"]).secret);
    Scene { gate: Process::serve(home), channel, _upstream: upstream, reader, writer }
}

/// curl from an address of loopback that is not the web server's.
fn curl(from: &str, arguments: &[&str]) -> Output {
    let common =
        ["--silent", "--show-error", "--insecure", "--noproxy", "*", "--max-time", "60", "--interface", from];
    Command::new("curl").args(common).args(arguments).output().expect("curl")
}

fn status_of(from: &str, arguments: &[&str]) -> String {
    let all = [&["--output", "/dev/null", "--write-out", "%{http_code}"], arguments].concat();
    let output = curl(from, &all);
    assert!(output.status.success(), "{arguments:?}: {}", text_of(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What has to hold behind any web server.
fn holds_behind(plain: &str, tls: &str, scene: &Scene) {
    let home = scene.gate.home();
    eventually_true("the web server answers", || {
        curl("127.0.0.1", &["--fail", &format!("{plain}/-/healthz")]).status.success()
    });

    // A download arrives whole, and the access line has the caller's address, whatever the caller says.
    let path = scene.channel.path("alpha");
    let got = curl("127.0.0.2", &["--header", "X-Forwarded-For: 203.0.113.7", &format!("{plain}{path}")]);
    assert!(got.status.success(), "{}", text_of(&got));
    assert!(got.stdout == scene.channel.get("alpha").bytes, "the bytes are others; {}", home.log());
    let line = home.access_line(&path);
    assert!(line.contains("client=127.0.0.2 "), "{line}");

    // Callers behind it are not on the gate's machine, and those that are named see its insides.
    assert_eq!(status_of("127.0.0.2", &[&format!("{plain}/-/metrics")]), "403");
    assert_eq!(status_of("127.0.0.9", &[&format!("{plain}/-/metrics")]), "200");

    // An upload is streamed through; over plain HTTP a token that may write is not taken.
    let Package { file, bytes, .. } = package("tool", "1.0").payload(5_000_000).build("noarch");
    let source = home.path(&file);
    fs::write(&source, &bytes).unwrap();
    let (source, token) = (source.to_str().unwrap(), format!("Authorization: Bearer {}", scene.writer));
    let put = |base: &str| {
        let url = format!("{base}/team/noarch/{file}");
        status_of("127.0.0.2", &["--header", &token, "--upload-file", source, &url])
    };
    assert_eq!(put(plain), "403");
    assert_eq!(put(tls), "201");
    let url = format!("{tls}/team/noarch/{file}");
    let got = curl("127.0.0.2", &["--header", &format!("X-API-Key: {}", scene.reader), &url]);
    assert!(got.stdout == bytes, "{}", String::from_utf8_lossy(&got.stderr));
    assert_eq!(status_of("127.0.0.2", &[&url]), "401");
}

#[test]
fn nginx_in_front() {
    if !is_installed("nginx") || !is_installed("curl") {
        return skipped("nginx or curl is not installed: deploy/nginx was not tried");
    }
    let scene = scene();
    let home = scene.gate.home();
    let (plain, tls) = (free_port(), free_port());
    let keys = file("src/upstream/tests/tls");
    let mut text = fs::read_to_string(file("deploy/nginx/condagate.conf")).unwrap();
    for (theirs, here) in [
        ("server 127.0.0.1:8080", format!("server {}", scene.gate.address())),
        ("listen 80;", format!("listen 127.0.0.1:{plain};")),
        ("listen 443 ssl", format!("listen 127.0.0.1:{tls} ssl")),
        ("/etc/ssl/certs/gate.example.org.pem", keys.join("leaf.pem").display().to_string()),
        ("/etc/ssl/private/gate.example.org.key", keys.join("leaf.key").display().to_string()),
    ] {
        assert_eq!(text.matches(theirs).count(), 1, "{theirs}");
        text = text.replace(theirs, &here);
    }
    let dir = home.path("nginx");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("condagate.conf"), text).unwrap();
    let shown = dir.display();
    // Whoever runs the tests may not write where nginx keeps its files.
    let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places = places.map(|place| format!("{place}_temp_path {shown}/{place}; ")).concat();
    let user = if rustix::process::getuid().is_root() { "user root; " } else { "" };
    let whole = format!(
        "{user}daemon off; pid {shown}/pid; error_log {shown}/error.log; events {{}}\n\
         http {{ access_log off; {places}include {shown}/condagate.conf; }}\n"
    );
    fs::write(dir.join("nginx.conf"), whole).unwrap();
    let arguments = ["-e", "stderr", "-p", dir.to_str().unwrap(), "-c", "nginx.conf"];
    let tested = Command::new("nginx").args(arguments).arg("-t").output().expect("nginx");
    assert!(tested.status.success(), "{}", text_of(&tested));
    let log = fs::File::create(dir.join("log")).unwrap();
    let nginx = Command::new("nginx").args(arguments).stdin(Stdio::null()).stderr(log).spawn();
    let _nginx = Server(nginx.expect("nginx"));
    holds_behind(&format!("http://127.0.0.1:{plain}"), &format!("https://127.0.0.1:{tls}"), &scene);
    let errors = fs::read_to_string(dir.join("error.log")).unwrap_or_default();
    assert!(!errors.contains("[error]") && !errors.contains("[crit]"), "{errors}");
}

#[test]
fn caddy_in_front() {
    if !is_installed("caddy") || !is_installed("curl") {
        return skipped("caddy or curl is not installed: deploy/caddy was not tried");
    }
    let ours = file("deploy/caddy/Caddyfile");
    let check = |file: &Path| {
        let arguments = ["validate", "--adapter", "caddyfile", "--config"];
        let checked = Command::new("caddy").args(arguments).arg(file).output().expect("caddy");
        assert!(checked.status.success(), "{}", text_of(&checked));
    };
    check(&ours);
    let scene = scene();
    let home = scene.gate.home();
    let (plain, tls) = (free_port(), free_port());
    let keys = file("src/upstream/tests/tls");
    let (leaf, key) = (keys.join("leaf.pem"), keys.join("leaf.key"));
    // Callers by address name nobody; the certificate is for this name.
    let head = "{\n\tadmin off\n\tauto_https off\n\tdefault_sni mirror.test\n}\n";
    let text = fs::read_to_string(&ours)
        .unwrap()
        .replace("reverse_proxy 127.0.0.1:8080", &format!("reverse_proxy {}", scene.gate.address()))
        .replace("http://gate.example.org {", &format!("http://127.0.0.1:{plain} {{"))
        .replace(
            "https://gate.example.org {",
            &format!(
                "https://mirror.test:{tls}, https://127.0.0.1:{tls} {{\n\ttls {} {}",
                leaf.display(),
                key.display()
            ),
        );
    let changed = home.path("Caddyfile");
    fs::write(&changed, format!("{head}{text}")).unwrap();
    check(&changed);
    let log = fs::File::create(home.path("caddy.log")).unwrap();
    let caddy = Command::new("caddy")
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&changed)
        .env("HOME", home.path("caddy"))
        .env("XDG_DATA_HOME", home.path("caddy"))
        .env("XDG_CONFIG_HOME", home.path("caddy"))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn();
    let _caddy = Server(caddy.expect("caddy"));
    holds_behind(&format!("http://127.0.0.1:{plain}"), &format!("https://127.0.0.1:{tls}"), &scene);
}
