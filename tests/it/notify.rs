//! Notifications: what programs and people are told, by a tiny mail server and a scripted receiver.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::harness::secure::Authority;
use crate::harness::wait::PATIENCE;
use crate::harness::{
    Channel, Gate, Home, Process, Publishers, Request, Setup, Upstream, eventually, eventually_true, package,
    rules,
};
use crate::people_cli::{done_with, ends_with, json_of, output};

const SECRET: &str = "marked-signing-key";
pub const PASSWORD: &str = "marked-mail-password";

/// What arrived at a server.
type Kept<T> = Arc<Mutex<Vec<T>>>;

/// Takes connections on threads of its own, for as long as the test process lives.
fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A mail as a server took it.
#[derive(Clone, Debug)]
pub struct Mail {
    pub to: String,
    pub text: String,
}

/// A mail server that says no to `no@…` for good, and to `later@…` for now.
pub struct MailServer {
    address: SocketAddr,
    mails: Kept<Mail>,
    logins: Kept<String>,
}

impl MailServer {
    pub fn start() -> Self {
        let (mails, logins) = (Kept::default(), Kept::default());
        let (kept, seen) = (Arc::clone(&mails), Arc::clone(&logins));
        let address = listen(move |stream| {
            let _client_may_leave = converse(&stream, &kept, &seen);
        });
        Self { address, mails, logins }
    }

    pub fn to(&self, who: &str) -> Vec<Mail> {
        self.mails.lock().iter().filter(|mail| mail.to == who).cloned().collect()
    }

    pub fn settings(&self) -> String {
        let port = self.address.port();
        format!(
            "  smtp: {{host: 127.0.0.1, port: {port}, tls: none, from: gate@example.org, username: gate, password_file: mail-password}}\n"
        )
    }
}

fn converse(stream: &TcpStream, mails: &Kept<Mail>, logins: &Kept<String>) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    out.write_all(b"220 tiny\r\n")?;
    let mut to = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let said: &[u8] = match word.as_str() {
            "EHLO" => b"250-tiny\r\n250 AUTH PLAIN\r\n",
            "AUTH" => {
                logins.lock().push(line.to_owned());
                b"235 welcome\r\n"
            }
            "RCPT" => {
                line.split(['<', '>']).nth(1).unwrap_or_default().clone_into(&mut to);
                match to.split('@').next() {
                    Some("no") => b"550 5.1.1 nobody of that name\r\n",
                    Some("later") => b"451 4.3.0 not now\r\n",
                    _ => b"250 ok\r\n",
                }
            }
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                let mut text = String::new();
                while lines.read_line(&mut text)? > 0 && !text.ends_with("\r\n.\r\n") {}
                mails.lock().push(Mail { to: to.clone(), text });
                b"250 taken\r\n"
            }
            "QUIT" => {
                out.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => b"250 ok\r\n",
        };
        out.write_all(said)?;
    }
}

/// A message as a receiver got it.
#[derive(Clone, Debug)]
struct Message {
    headers: Vec<(String, String)>,
    body: String,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// As a receiver checks it.
    fn is_signed(&self) -> bool {
        let signed = format!("{}.{}", self.header("x-condagate-timestamp"), self.body);
        let tag = condagate::auth::hmac::sha256(SECRET.as_bytes(), signed.as_bytes());
        self.header("x-condagate-signature") == format!("v1={}", hex::encode(tag))
    }
}

/// A program that is told; it answers by script, then 204.
struct Receiver {
    address: SocketAddr,
    messages: Kept<Message>,
}

impl Receiver {
    fn start(script: &[&'static str]) -> Self {
        let messages: Kept<Message> = Kept::default();
        let kept = Arc::clone(&messages);
        let script: Vec<&'static str> = script.to_vec();
        let address = listen(move |mut stream| {
            let message = read_request(&stream);
            let turn = {
                let mut kept = kept.lock();
                kept.push(message);
                kept.len() - 1
            };
            let answer = script.get(turn).copied().unwrap_or("204 No Content");
            let _client_may_leave = stream.write_all(
                format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
            );
        });
        Self { address, messages }
    }

    fn about(&self, event: &str) -> Vec<Message> {
        self.messages.lock().iter().filter(|m| m.header("x-condagate-event") == event).cloned().collect()
    }

    fn first(&self, event: &str) -> Message {
        eventually(&format!("a message about {event}"), || self.about(event).into_iter().next())
    }

    /// The path is a secret.
    fn settings(&self, events: &str) -> String {
        let address = self.address;
        format!(
            "  webhooks:\n    - {{url: \"http://{address}/marked-path\", secret_file: hook-secret{events}}}\n"
        )
    }
}

/// As certificates end by themselves, the one of this gate does soon from the start on.
#[test]
fn a_certificate_that_ends_soon_is_told_once() {
    let receiver = Receiver::start(&[]);
    let home = Home::new();
    home.write_rules("# Nothing.\n");
    std::fs::write(home.path("hook-secret"), format!("{SECRET}\n")).unwrap();
    let entry = Authority::new().issue_until(&["gate.test"], 3).write(&home.path(""), "gate");
    home.write_config(&format!(
        "tls: {{listen: [\"127.0.0.1:0\"], certificates: [{entry}]}}\nnotify:\n{}",
        receiver.settings(", events: [certificate]")
    ));
    let gate = Process::serve(home);
    let body = receiver.first("certificate").json();
    assert_eq!((&body["detail"]["names"], &body["detail"]["ended"]), (&json!(["gate.test"]), &json!(false)));
    assert!(body["text"].as_str().unwrap().contains("expires in"), "{body}");
    let home = gate.stop();
    let gate = Process::serve(home);
    eventually_true("jobs are done", || waiting_in(gate.home(), "notify.webhook").is_empty());
    assert_eq!(receiver.about("certificate").len(), 1);
}

fn read_request(stream: &TcpStream) -> Message {
    let mut lines = BufReader::new(stream);
    let mut headers = Vec::new();
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.starts_with("POST /marked-path HTTP/1.1"), "{line}");
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
    let mut body = vec![0; length];
    std::io::Read::read_exact(&mut lines, &mut body).unwrap();
    Message { headers, body: String::from_utf8(body).unwrap() }
}

/// The files with secrets that the settings name.
fn with_secrets(setup: Setup) -> Setup {
    let home = setup.home();
    std::fs::write(home.path("hook-secret"), format!("{SECRET}\n")).unwrap();
    std::fs::write(home.path("mail-password"), format!("{PASSWORD}\n")).unwrap();
    setup
}

fn waiting(gate: &Gate, kind: &str) -> Vec<Value> {
    waiting_in(gate.home(), kind)
}

fn waiting_in(home: &Home, kind: &str) -> Vec<Value> {
    let jobs = json_of(home, &["jobs", "list", "--state", "waiting"]);
    jobs.as_array().unwrap().iter().filter(|job| job["kind"] == kind).cloned().collect()
}

/// Taken, refused for good, and tried again: one of each.
fn mail_is_told_too(gate: &Gate, mail: &MailServer) {
    let letter = eventually("the mail", || mail.to("ops@example.org").into_iter().next());
    for part in [
        "Subject: [condagate] team/noarch/alpha-1.0-0.conda was published",
        "From: gate@example.org",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(letter.text.contains(part), "no {part} in {}", letter.text);
    }
    let dead = eventually("the dead one", || {
        let jobs = json_of(gate.home(), &["jobs", "list", "--state", "dead"]);
        jobs.as_array().unwrap().first().cloned()
    });
    assert!(dead["error"].as_str().unwrap().contains("nobody of that name"), "{dead}");
}

#[test]
fn what_is_published_is_told_signed_and_again_until_it_is_taken() {
    let receiver = Receiver::start(&["500 Oh No", "302 Found\r\nLocation: http://127.0.0.1:1/"]);
    let mail = MailServer::start();
    let lists =
        "  mail:\n    - {to: [ops@example.org, no@example.org, later@example.org], events: [publish]}\n";
    let config = format!("notify:\n{}{}{lists}", mail.settings(), receiver.settings(", events: [publish]"));
    let hosted = Publishers::of(with_secrets(Setup::rules("# Nothing.\n")).config(&config));
    let alpha = package("alpha", "1.0").build("noarch");
    let put = || Request::new("PUT", &format!("/team/noarch/{}", alpha.file)).body(&alpha.bytes);
    hosted.ask(put()).expect(201);
    let gate = &hosted.gate;
    // The receiver says 500, then sends elsewhere, which is not followed; then it takes it.
    for (tries, says) in [(1, "answered 500"), (2, "redirects are not followed")] {
        let job = eventually("a failed attempt", || {
            waiting(gate, "notify.webhook").into_iter().find(|job| job["attempts"] == tries)
        });
        let error = job["error"].as_str().unwrap();
        assert!(error.contains(says) && !error.contains("marked-path"), "{error}");
        gate.advance(Duration::from_mins(2));
    }
    let messages =
        eventually("the third attempt", || Some(receiver.about("publish")).filter(|all| all.len() == 3));
    assert!(messages.iter().all(Message::is_signed));
    let ids: Vec<_> = messages.iter().map(|m| m.header("x-condagate-delivery").to_owned()).collect();
    assert!(!ids[0].is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let times: Vec<i64> =
        messages.iter().map(|m| m.header("x-condagate-timestamp").parse().unwrap()).collect();
    assert!(times[0] < times[1] && times[1] < times[2], "of the attempt: {times:?}");
    let body = messages[2].json();
    assert_eq!((&body["event"], &body["id"]), (&json!("publish"), &json!(ids[0])));
    assert_eq!((&body["detail"]["channel"], &body["detail"]["file"]), (&json!("team"), &json!(alpha.file)));
    mail_is_told_too(gate, &mail);
    assert_eq!(waiting(gate, "notify.mail").len(), 1);
    // The same bytes again are no news.
    hosted.ask(put()).expect(200);
    eventually_true("nothing is on its way", || waiting(gate, "notify.webhook").is_empty());
    assert_eq!((receiver.about("publish").len(), mail.to("ops@example.org").len()), (3, 1));
    assert!(!mail.logins.lock().is_empty());
    let metrics = gate.get("/-/metrics").text();
    let jobs = crate::people_cli::done(gate.home(), &["jobs", "list", "--json"]);
    let shown = crate::people_cli::done(gate.home(), &["config", "show", "--origin"]);
    for text in [gate.home().log(), metrics, jobs, shown] {
        assert!(!text.contains("marked-"), "a secret in {text}");
    }
}

#[test]
fn recalls_are_told_once_and_rules_on_trial_not() {
    let receiver = Receiver::start(&[]);
    let upstream = Upstream::start();
    let text = rules::all_from(&upstream);
    let rule = |policy: &str| format!("{text}policy:\n{policy}");
    let old = "  - {id: old, deny: {names: [old]}, reason: \"long ago\"}\n";
    let config = format!("notify:\n{}", receiver.settings(""));
    let gate = with_secrets(Setup::rules(&rule(old))).config(&config).start();
    let trial = "  - {id: trial, deny: {names: [trial]}, dry_run: true}\n";
    let new = "  - {id: recall-42, deny: {specs: [\"xz >=5.6.0,<5.6.2\"]}, reason: \"CVE-2024-3094\"}\n";
    gate.set_rules(&rule(&format!("{old}{trial}{new}"))).unwrap();
    let told = receiver.first("recall").json();
    assert_eq!(told["detail"], json!({"rule": "recall-42", "reason": "CVE-2024-3094"}));
    // Taken away and put back it is the same rule.
    gate.set_rules(&rule(old)).unwrap();
    gate.set_rules(&rule(&format!("{old}{new}"))).unwrap();
    gate.set_rules(&rule(&format!("{old}{new}  - {{id: last, deny: {{names: [last]}}}}\n"))).unwrap();
    eventually_true("the last one", || {
        receiver.about("recall").iter().any(|m| m.json()["detail"]["rule"] == "last")
    });
    assert_eq!(receiver.about("recall").len(), 2);
}

#[test]
fn upstreams_that_go_and_come_back_are_told() {
    let receiver = Receiver::start(&[]);
    let mut upstream = Upstream::start();
    Channel::new("chan").with("noarch", &package("alpha", "1.0")).publish(&upstream);
    let config = format!("notify:\n{}", receiver.settings(", events: [upstream]"));
    let gate = with_secrets(Setup::rules(&rules::all_from(&upstream))).config(&config).start();
    upstream.stop();
    // Another channel each time: what failed a moment ago is not asked for again.
    let mut turn = 0;
    let mut ask = || {
        turn += 1;
        gate.get(&format!("/chan{turn}/noarch/repodata.json"));
    };
    eventually_true("word of it", || {
        ask();
        !receiver.about("upstream").is_empty()
    });
    let down = receiver.first("upstream").json();
    assert_eq!((&down["detail"]["upstream"], &down["detail"]["up"]), (&json!("up"), &json!(false)));
    upstream.start_again();
    eventually_true("word of its return", || {
        gate.advance(Duration::from_mins(1));
        ask();
        receiver.about("upstream").iter().any(|message| message.json()["detail"]["up"] == true)
    });
}

/// How often tokens were looked at.
fn rounds(gate: &Gate) -> usize {
    let jobs = json_of(gate.home(), &["jobs", "list", "--state", "done"]);
    jobs.as_array().unwrap().iter().filter(|job| job["kind"] == "notify.tokens").count()
}

#[test]
fn owners_are_told_before_their_tokens_end() {
    let mail = MailServer::start();
    let config = format!("notify:\n{}  tokens_before: 3d\n", mail.settings());
    let gate = with_secrets(Setup::rules("# Nothing.\n")).config(&config).start();
    eventually_true("the first round", || rounds(&gate) == 1);
    let home = gate.home();
    let create = ["user", "create", "--username", "ada", "--email", "ada@example.org", "--password-stdin"];
    done_with(home, &create, &format!("{}\n", crate::people_cli::PASSWORD));
    // The command line makes tokens by the machine's clock, the gate goes by its own.
    let real = condagate::clock::Clock::now(&condagate::clock::SystemClock);
    let behind = real.since(gate.now());
    let token =
        json_of(home, &["token", "create", "--user", "ada", "--name", "pipeline", "--expires", "30d"]);
    gate.advance(behind + Duration::from_hours(24 * 20));
    eventually_true("a round without news", || rounds(&gate) >= 2);
    assert_eq!(mail.to("ada@example.org").len(), 0);
    gate.advance(Duration::from_hours(24 * 8 + 4));
    let letter = eventually("the mail", || mail.to("ada@example.org").into_iter().next());
    let id = token["id"].as_str().unwrap();
    assert!(letter.text.contains("pipeline") && letter.text.contains(id), "{}", letter.text);
    assert!(!letter.text.contains(token["token"].as_str().unwrap()));
    gate.advance(Duration::from_hours(24));
    let before = rounds(&gate);
    gate.advance(Duration::from_hours(24));
    eventually_true("another round", || rounds(&gate) > before);
    assert_eq!(mail.to("ada@example.org").len(), 1, "once");
}

#[test]
fn settings_are_tried() {
    let receiver = Receiver::start(&["204 No Content", "401 Who"]);
    let mail = MailServer::start();
    let home = Home::new();
    std::fs::write(home.path("hook-secret"), SECRET).unwrap();
    std::fs::write(home.path("mail-password"), PASSWORD).unwrap();
    assert!(crate::people_cli::done(&home, &["notify", "test"]).contains("the settings name nobody"));
    let lists = "  mail:\n    - {to: [ops@example.org], events: [disk]}\n";
    home.write_config(&format!(
        "notify:\n{}{}{lists}",
        mail.settings(),
        receiver.settings(", events: [disk]")
    ));
    let said = crate::people_cli::done(&home, &["notify", "test"]);
    assert_eq!(said, format!("http://{}: taken\nops@example.org: taken\n", receiver.address));
    assert!(receiver.first("test").is_signed());
    assert!(mail.to("ops@example.org")[0].text.contains("Subject: [condagate] a test"));
    let failed = output(&home, &["notify", "test", "--json"], "");
    let rows: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!((failed.status.code(), &rows[1]["error"]), (Some(1), &Value::Null));
    assert!(rows[0]["error"].as_str().unwrap().contains("answered 401"), "{rows}");
}

#[test]
fn mistakes_in_the_settings_have_file_and_line() {
    let home = Home::new();
    std::fs::write(home.path("s"), "x").unwrap();
    std::fs::write(home.path("empty"), "\n").unwrap();
    let cases = [
        ("notify:\n  mail: [{to: [a@b]}]\n", ":2", "needs a mail server"),
        ("notify:\n  smtp: {host: h}\n", ":2", "`notify.smtp.from` is missing"),
        ("notify:\n  smtp: {host: \"http://h\", from: a@b}\n", ":2", "without a scheme"),
        ("notify:\n  smtp: {host: h, from: nobody}\n", ":2", "must be an address"),
        ("notify:\n  smtp: {host: h, from: a@b, username: u}\n", ":2", "and not the other"),
        (
            "notify:\n  smtp: {host: h, from: a@b, tls: none, username: u, password_file: s}\n",
            ":2",
            "in the clear",
        ),
        (
            "notify:\n  smtp: {host: h, from: a@b, username: u, password_file: nowhere}\n",
            ":2",
            "it is not there",
        ),
        ("notify:\n  smtp: {host: h, from: a@b, username: u, password_file: empty}\n", ":2", "it is empty"),
        ("notify:\n  smtp: {host: h, from: a@b, prot: 25}\n", ":2", "did you mean `port`?"),
        ("notify:\n  webhooks:\n    - {url: \"https://h/x\"}\n", ":3", "must have one of `secret_file`"),
        (
            "notify:\n  webhooks:\n    - {url: \"https://u:hunter2@h/x\", secret_file: s}\n",
            ":3",
            "without credentials",
        ),
        (
            "notify:\n  webhooks:\n    - {url: \"ftp://h/hunter2\", secret_file: s}\n",
            ":3",
            "`https://` or `http://`",
        ),
        (
            "notify:\n  webhooks:\n    - {url: \"https://h\", secret_file: s, events: [pulbish]}\n",
            ":3",
            "must be one of `publish`",
        ),
        (
            "notify:\n  webhooks:\n    - {url: \"https://h\", secret_file: s, events: []}\n",
            ":3",
            "must name at least one",
        ),
        ("notify:\n  tokens_before: 90d\n", ":2", "must lie between 1d and 30d"),
    ];
    for (config, line, said) in cases {
        home.write_config(config);
        let text = ends_with(&home, 2, &["notify", "test"], "");
        assert!(text.contains(&format!("condagate.yaml{line}")) && text.contains(said), "{config}: {text}");
        assert!(text.contains("1 mistake in") && !text.contains("hunter2"), "{config}: {text}");
    }
}
