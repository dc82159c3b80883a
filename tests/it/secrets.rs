//! Everything secret that passes through a gate, marked, and then looked for wherever it may not be: the log, the access log, metrics,
//! answers, upstream, and every file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::home::files_below;
use crate::harness::people::{PASSWORD, Society};
use crate::harness::{Channel, Home, Process, Request, Upstream, eventually, package, rules};

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
    let code = eventually("a set-up code", || {
        let text = std::fs::read_to_string(gate.home().data().join("setup-code")).ok()?;
        Some(text.lines().next()?.to_owned())
    });
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

fn look_everywhere(scene: Scene) {
    let Scene { gate, upstream, secrets, answers } = scene;
    let home = gate.stop();
    let clean = |place: &str, bytes: &[u8]| {
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "`{}…` is in {place}", &secret[..secret.len().min(12)]);
        }
    };
    for (n, answer) in answers.iter().enumerate() {
        clean(&format!("answer {n}: {answer}"), answer.as_bytes());
    }
    for seen in upstream.seen() {
        clean("a request to upstream", format!("{seen:?}").as_bytes());
    }
    let files = files_below(&home.path(""));
    assert!(files.iter().any(|path| path.ends_with("store.db")), "{files:?}");
    for path in files.into_iter().filter(|path| path.is_file()) {
        clean(&path.display().to_string(), &std::fs::read(&path).unwrap());
    }
}
