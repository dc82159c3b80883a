//! Everything secret that passes through a gate, marked, and then looked for wherever it may not be: the log, the access log, metrics,
//! answers, upstream, and every file. The harness looks after every test; here every form goes to every place, at the finest log level,
//! and it is shown that the harness notices.

use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use condagate::auth::token::mint;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::harness::client::look_at_metrics;
use crate::harness::people::{PASSWORD, Society};
use crate::harness::process::run;
use crate::harness::secrets::log::Listener;
use crate::harness::secrets::{self, Sieve};
use crate::harness::{Act, Channel, Home, Process, Request, Upstream, package, rules};

const RULES: &str = "access:\n  - {channels: [team], read: [\"user:ada\"]}\n";

struct Scene {
    gate: Process,
    upstream: Upstream,
    secrets: Vec<String>,
    answers: Vec<String>,
}

impl Scene {
    fn ask(&mut self, request: &Request) -> Vec<u8> {
        let answer = request.send(self.gate.address());
        self.answers.push(format!("{:?} {}", answer.head, answer.text()));
        answer.body
    }

    /// A request whose answer may hold a secret.
    fn told(&mut self, path: &str, body: &Value) -> Value {
        let answer = Request::new("POST", path).json(body).send(self.gate.address());
        assert!(answer.status < 300, "{path}: {}", answer.text());
        answer.json()
    }

    fn marked(&mut self, secret: &str) -> String {
        self.secrets.push(secret.to_owned());
        secret.to_owned()
    }
}

fn bearer(path: &str, secret: &str) -> Request {
    Request::get(path).header("Authorization", &format!("Bearer {secret}"))
}

/// With the code, once.
fn first_administrator(scene: &mut Scene, code: &str) {
    let first = json!({"code": code, "username": "root", "password": PASSWORD});
    scene.told("/-/api/v1/setup", &first);
    scene.ask(&Request::new("POST", "/-/api/v1/setup").json(&first));
    let wrong = scene.marked("WRONGCODE-MARKED-1");
    scene.ask(
        &Request::new("POST", "/-/api/v1/setup")
            .json(&json!({"code": wrong, "username": "x", "password": PASSWORD})),
    );
    scene.ask(
        &Request::new("POST", "/-/api/v1/setup").json(&json!({"code": {"a": wrong}, "password": [PASSWORD]})),
    );
}

/// A secret wherever clients put one, on good requests and bad ones.
fn every_form(scene: &mut Scene, path: &str, secret: &str, good: &str) {
    let encoded = STANDARD.encode(format!("ada:{secret}"));
    scene.marked(&encoded);
    scene.ask(&bearer(path, secret));
    scene.ask(&Request::get(&format!("/t/{secret}{path}")));
    scene.ask(&Request::get(&format!("/t/{secret}/team/noarch/missing-1-0.conda")));
    scene.ask(&Request::get(&format!("/t/{secret}/../x%zz")));
    scene.ask(&Request::get(&format!("/other/t/{secret}/noarch/repodata.json")));
    scene.ask(&Request::get(path).header("X-API-Key", secret));
    scene.ask(&Request::get(path).header("Authorization", &format!("Basic {encoded}")));
    scene.ask(&Request::get(path).header("Cookie", &format!("condagate_session={secret}")));
    scene.ask(
        &Request::get(&format!("http://conda.example.org{path}"))
            .host("conda.example.org")
            .header("Proxy-Authorization", &format!("Basic {encoded}"))
            .header("Authorization", &format!("token {secret}")),
    );
    scene.ask(&bearer(&format!("/-/api/v1/explain?url=/t/{secret}{path}"), good));
    scene.ask(&bearer(&format!("{path}?token={secret}"), secret));
}

#[test]
fn nothing_secret_is_found_where_it_may_not_be() {
    let upstream = Upstream::start();
    let team = Channel::new("team").with("noarch", &package("alpha", "1.0"));
    team.publish(&upstream);
    let home = Home::new();
    home.write_rules(&format!("{}{RULES}", rules::all_from(&upstream)));
    home.write_config("log: {level: trace}\n");
    let gate = Process::serve(home);
    let code = gate.home().setup_code();
    let mut scene =
        Scene { gate, upstream, secrets: vec![PASSWORD.to_owned(), code.clone()], answers: Vec::new() };

    first_administrator(&mut scene, &code);
    let society =
        Society::of(scene.gate.home(), condagate::clock::Clock::now(&condagate::clock::SystemClock));
    society.user("ada");
    let token = society.token("ada", &["read:*"]);
    let revoked = society.token("ada", &["read:*"]);
    society.revoke(&revoked);
    scene.marked(&token.secret);
    scene.marked(&revoked.secret);
    let session = scene.told("/-/api/v1/session", &json!({"username": "ada", "password": PASSWORD}));
    let access = scene.marked(session["access_token"].as_str().unwrap());
    let refresh = scene.marked(session["refresh_token"].as_str().unwrap());
    let mistyped = scene.marked("cg-MISTYPED-MARKED-2");
    let path = team.path("alpha");
    for secret in [&token.secret, &revoked.secret, &access, &mistyped] {
        every_form(&mut scene, &path, secret, &token.secret);
    }
    for (user, password) in [("ada", PASSWORD), ("ada", "PASSWORD-MARKED-3"), ("nobody", "PASSWORD-MARKED-3")]
    {
        let encoded = STANDARD.encode(format!("{user}:{password}"));
        scene.marked(&encoded);
        scene.ask(&Request::get(&path).header("Authorization", &format!("Basic {encoded}")));
    }
    scene.marked("PASSWORD-MARKED-3");
    let body = json!({"refresh_token": refresh});
    let renewed = scene.told("/-/api/v1/session/refresh", &body);
    for key in ["access_token", "refresh_token"] {
        scene.marked(renewed[key].as_str().unwrap());
    }
    scene.ask(&Request::new("POST", "/-/api/v1/session/refresh").json(&body));
    scene.ask(
        &Request::new("POST", "/-/api/v1/session").json(&json!({"username": PASSWORD, "password": ["x"]})),
    );
    for page in ["/-/metrics", "/-/readyz", "/-/jwks.json", "/-/api/v1/me"] {
        scene.ask(&bearer(page, &access));
    }
    look_everywhere(scene);
}

/// The harness looks at the rest: answers that are errors, pages, files, logs, metrics, upstream.
fn look_everywhere(scene: Scene) {
    let Scene { gate, upstream, secrets, answers } = scene;
    let home = gate.stop();
    let sieve = Sieve::new(secrets.iter().map(String::as_str));
    for answer in answers {
        assert_eq!(sieve.first(answer.as_bytes(), &[]), None, "{answer}");
    }
    assert!(home.data().join("store.db").exists());
    for secret in &secrets {
        secrets::learn(&home.data().display().to_string(), secret);
    }
    assert_eq!((home.leaks(), upstream.leaks()), (Vec::new(), Vec::new()));
}

/// Whether dropping it, or anything else, fails with a sentence that has this in it.
fn fails_with(said: &str, what: impl FnOnce()) {
    let panicked = catch_unwind(AssertUnwindSafe(what)).expect_err("a leak was not noticed");
    let text = panicked.downcast_ref::<String>().expect("a sentence");
    assert!(text.contains(said), "{text}");
}

fn spoken(text: &str) -> Vec<String> {
    let heard: &Mutex<Vec<String>> = Box::leak(Box::default());
    let log = tracing_subscriber::fmt().with_writer(|| Listener(heard)).finish();
    tracing::subscriber::with_default(log, || tracing::info!("{text}"));
    heard.lock().clone()
}

fn in_base64(secret: &str) -> [String; 3] {
    ["u", "me", "ada"].map(|user| STANDARD.encode(format!("{user}:{secret}")))
}

/// A token, a JWT and a marked secret in the forms they may be seen in.
fn all_forms() -> Vec<String> {
    let token = mint().secret.reveal().clone();
    let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"EdDSA"}"#);
    let jwt = format!("{head}.{}.{}", "a".repeat(30), "b".repeat(86));
    let encoded = [in_base64(&token), in_base64("MARKED-secret")].concat();
    [vec![token, jwt, "MARKED-secret".to_owned()], encoded].concat()
}

#[test]
fn a_secret_in_a_file_fails_the_test() {
    let home = Home::new();
    std::fs::create_dir_all(home.data().join("deep")).unwrap();
    let shown = "p@ss word of nobody";
    secrets::learn(&home.data().display().to_string(), shown);
    for secret in [all_forms(), in_base64(shown).to_vec(), vec![shown.to_owned()]].concat() {
        for place in ["stdout", "stderr", "data/deep/file"] {
            std::fs::write(home.path(place), format!("\0before {secret} behind\0")).unwrap();
            let leaks = home.leaks();
            assert!(leaks.len() == 1 && leaks[0].contains(place), "{secret} in {place}: {leaks:?}");
            std::fs::remove_file(home.path(place)).unwrap();
        }
    }
    std::fs::write(home.data().join("MARKED-name"), "").unwrap();
    assert_eq!(home.leaks().len(), 1);
    fails_with("MARKED-name", || drop(home));
    let home = Home::new();
    home.may_hold("stdout", "MARKED-allowed");
    std::fs::write(
        home.path("stdout"),
        "it is MARKED-allowed, and MARKED-allowed-not-here is something else",
    )
    .unwrap();
    // What begins like one that is allowed is that one.
    assert_eq!(home.leaks(), Vec::<String>::new());
    std::fs::write(home.path("stdout"), "MARKED-other").unwrap();
    fails_with("stdout", || drop(home));
}

#[test]
fn a_secret_upstream_fails_the_test() {
    for form in all_forms() {
        let upstream = Upstream::start();
        Request::get("/file").header("X-Other", &form).send(upstream.address());
        assert_eq!(upstream.leaks().len(), 1, "{form}");
        upstream.may_see(&form);
        assert_eq!(upstream.leaks(), Vec::<String>::new());
    }
    let upstream = Upstream::start();
    Request::get("/t/MARKED-token/file").send(upstream.address());
    fails_with("/t/MARKED-token/file", || drop(upstream));
    // Whatever it looks like: a client showed it to some gate.
    let upstream = Upstream::start();
    Request::get("/file").header("Authorization", "Bearer sesame-open-yourself").send(upstream.address());
    assert_eq!(upstream.leaks().len(), 1);
    upstream.may_see("sesame-open-yourself");
}

#[test]
fn a_secret_in_an_answer_in_the_log_or_in_output_fails_the_test() {
    let token = mint().secret.reveal().clone();
    let upstream = Upstream::start();
    let page = Request::get("/-/readyz");
    upstream.put("/-/readyz", token.clone()).put("/-/metrics", format!("x{{t=\"{token}\"}} 1"));
    fails_with("the page /-/readyz", || drop(page.send(upstream.address())));
    fails_with("metrics", || look_at_metrics(upstream.address()));
    let location = format!("/t/{token}/x");
    upstream.always("/-/readyz", Act::redirect(&location));
    fails_with("the header `location`", || drop(page.send(upstream.address())));
    upstream.always("/x", Act::Answer(404, Vec::new(), format!("no {token}").into()));
    fails_with("an answer 404", || drop(Request::get("/x").send(upstream.address())));
    fails_with("error output", || drop(run(&[&token])));
    let shown = "Bearer open-sesame-open";
    drop(Request::get("/x").header("Authorization", shown).bytes(upstream.address()));
    for leak in [&*token, "MARKED-word", shown] {
        assert_eq!(spoken(&format!("somebody said {leak}, and left")).len(), 1, "{leak}");
    }
    assert_eq!(spoken("somebody said nothing of cg-0123 and eyJ and left"), Vec::<String>::new());
}
