//! The API of administrators and of people with an account: who may do what, what is answered, what is written down.

use serde_json::{Value, json};

use crate::gating::Scene;
use crate::harness::people::{Made, PASSWORD};
use crate::harness::{Answer, Request, eventually_true};

fn ask(scene: &Scene, method: &str, path: &str, token: Option<&Made>, body: Option<&Value>) -> Answer {
    let request = Request::new(method, &format!("/-/api/v1/{path}"));
    let request = match token {
        Some(token) => request.header("Authorization", &format!("Bearer {}", token.secret)),
        None => request,
    };
    scene.gate.ask(&match body {
        Some(body) => request.json(body),
        None => request,
    })
}

/// An administrator with a token that is good for it.
struct Root<'a>(&'a Scene, Made);

impl<'a> Root<'a> {
    fn of(scene: &'a Scene) -> Self {
        Self(scene, scene.society.token("root", &["manage:*"]))
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_slice(&ask(self.0, "GET", path, Some(&self.1), None).expect(200)).unwrap()
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        ask(self.0, method, path, Some(&self.1), Some(body))
    }

    fn with(&self, method: &str, path: &str, (name, value): (&str, &str), body: &Value) -> Answer {
        let request = Request::new(method, &format!("/-/api/v1/{path}")).header(name, value);
        let request = request.header("Authorization", &format!("Bearer {}", self.1.secret));
        self.0.gate.ask(&request.json(body))
    }
}

const FOR_ADMINISTRATORS: [&str; 12] = [
    "users",
    "users/ada",
    "groups",
    "groups/acme",
    "grants",
    "rules",
    "cache",
    "audit",
    "settings",
    "upstreams",
    "jobs",
    "tokens?all=true",
];

#[test]
fn administration_takes_an_administrator_and_a_token_that_is_good_for_it() {
    let scene = Scene::new("");
    let root = Root::of(&scene);
    let (reader, ada) = (scene.society.token("root", &["read:*"]), scene.society.token("ada", &["manage:*"]));
    for path in FOR_ADMINISTRATORS {
        root.get(path);
        ask(&scene, "GET", path, None, None).expect_problem(401);
        for other in [&reader, &ada] {
            ask(&scene, "GET", path, Some(other), None).expect_problem(403);
        }
    }
    let recall = json!({"id": "x", "specs": ["alpha"], "reason": "no"});
    for (method, path, body) in [
        ("POST", "users", json!({"username": "eve", "service": true})),
        ("PATCH", "users/ada", json!({"superuser": true})),
        ("DELETE", "users/bob", json!({})),
        ("PUT", "users/root/password", json!({"password": PASSWORD})),
        ("PUT", "groups/acme/members/ada", json!({})),
        ("POST", "grants", json!({"channels": "*", "right": "manage", "user": "ada"})),
        ("POST", "tokens", json!({"name": "x", "user": "root"})),
        ("POST", "rules/recalls", recall),
        ("PUT", "rules/files/90-ui.yaml", json!({"text": "policy: []"})),
        ("POST", "cache/purge", json!({"all": true})),
    ] {
        ask(&scene, method, path, Some(&ada), Some(&body)).expect_problem(403);
    }
    // A token that only reads makes none that writes.
    let reads = scene.society.token("ada", &["read:*"]);
    let wish = json!({"name": "more", "scopes": ["write:*"]});
    ask(&scene, "POST", "tokens", Some(&reads), Some(&wish)).expect_problem(403);
    assert_eq!(ask(&scene, "GET", "health", None, None).json().get("detail"), None);
    assert!(root.get("health").get("detail").is_some());
}

#[test]
fn users_are_made_once_and_changed_by_who_has_looked() {
    let scene = Scene::new("");
    let root = Root::of(&scene);
    let new = json!({"username": "Eve", "password": PASSWORD, "email": "eve@example.org"});
    let made = root.with("POST", "users", ("Idempotency-Key", "k1"), &new);
    let first: Value = serde_json::from_slice(&made.expect(201)).unwrap();
    assert_eq!((&first["name"], &first["superuser"]), (&json!("Eve"), &json!(false)));
    let again = root.with("POST", "users", ("Idempotency-Key", "k1"), &new);
    assert_eq!(again.must("idempotency-replayed"), "true");
    assert_eq!(again.json(), first);
    let other = json!({"username": "Mallory", "service": true});
    root.with("POST", "users", ("Idempotency-Key", "k1"), &other).expect_problem(422);
    root.send("POST", "users", &new).expect_problem(409);
    // What was refused can be tried again with its key.
    root.with("POST", "users", ("Idempotency-Key", "k2"), &json!({"username": "x"})).expect_problem(422);
    root.with("POST", "users", ("Idempotency-Key", "k2"), &other).expect(201);

    let one = ask(&scene, "GET", "users/eve", Some(&root.1), None);
    let tag = one.must("etag").to_owned();
    one.expect(200);
    let same = Request::get("/-/api/v1/users/eve").header("If-None-Match", &tag);
    scene.gate.ask(&same.header("Authorization", &format!("Bearer {}", root.1.secret))).expect(304);
    let changed = root.with("PATCH", "users/eve", ("If-Match", &tag), &json!({"disabled": true}));
    assert_eq!(changed.json()["disabled"], true);
    root.with("PATCH", "users/eve", ("If-Match", &tag), &json!({"superuser": true})).expect_problem(412);
    let email = |text: &str| root.send("PATCH", "users/eve", &json!({"email": text}));
    assert_eq!(email("eve@example.com").json()["email"], "eve@example.com");
    email("no address").expect_problem(422);
    assert_eq!(email("").json()["email"], Value::Null);
    assert_eq!(root.get("users/eve")["disabled"], true, "all else stays");
    root.with("DELETE", "users/eve", ("If-Match", &tag), &json!({})).expect_problem(412);
    root.send("DELETE", "users/eve", &json!({})).expect(204);
    root.send("PATCH", "users/eve", &json!({})).expect_problem(404);
    root.send("PATCH", "users/root", &json!({"superuser": false})).expect_problem(409);
    let told = root.get("audit?kind=user.create,user.delete&actor=root");
    let mut told: Vec<_> =
        told["events"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, ["user.create", "user.create", "user.delete"]);
}

#[test]
fn lists_come_in_pages() {
    let scene = Scene::new("");
    let root = Root::of(&scene);
    for n in 0..5 {
        scene.society.group(&format!("g{n}"), &["ada"]);
        scene.society.grant(&format!("c{n}"), "ada", condagate::policy::access::Right::Read);
    }
    for (list, key) in
        [("users", "name"), ("groups", "name"), ("grants", "id"), ("tokens?all=true", "id"), ("audit", "id")]
    {
        let joint = if list.contains('?') { '&' } else { '?' };
        let name = list.split('?').next().unwrap();
        let field = if name == "audit" { "events" } else { name };
        let all = root.get(&format!("{list}{joint}limit=1000"));
        assert_eq!(all["next"], Value::Null, "{list}");
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = root.get(&format!("{list}{joint}limit=2{after}"));
            found.extend(page[field].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        let ids = |rows: &[Value]| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found), ids(all[field].as_array().unwrap()), "{list}");
        for limit in ["0", "1001", "x", "-1"] {
            ask(&scene, "GET", &format!("{list}{joint}limit={limit}"), Some(&root.1), None)
                .expect_problem(400);
        }
        ask(&scene, "GET", &format!("{list}{joint}nonsense=1"), Some(&root.1), None).expect_problem(400);
    }
    ask(&scene, "GET", "nothing", Some(&root.1), None).expect_problem(404);
    ask(&scene, "DELETE", "users", Some(&root.1), None).expect_problem(405);
    root.send("POST", "groups", &json!(["no object"])).expect_problem(422);
    let secret = root.send("POST", "users", &json!({"username": "x", "password": 7})).expect_problem(422);
    assert!(!secret.to_string().contains("hunter"), "{secret}");
}

#[test]
fn people_look_after_their_own_tokens_and_sessions() {
    let scene = Scene::new("");
    let root = Root::of(&scene);
    let log_in = json!({"username": "ada", "password": PASSWORD});
    let session = ask(&scene, "POST", "session", None, Some(&log_in)).json();
    let bearer = format!("Bearer {}", session["access_token"].as_str().unwrap());
    let send = |method: &str, path: &str, body: Value| {
        let request = Request::new(method, &format!("/-/api/v1/{path}")).header("Authorization", &bearer);
        scene.gate.ask(&request.json(&body))
    };
    let made = send("POST", "tokens", json!({"name": "laptop", "scopes": ["read:team"], "expires": "7d"}));
    let made: Value = serde_json::from_slice(&made.expect(201)).unwrap();
    let secret = made["token"].as_str().unwrap();
    let index = scene.index();
    scene.gate.ask(&Request::get(&index).header("X-API-Key", secret)).expect(200);
    let listed = send("GET", "tokens", json!({})).json();
    assert!(!listed.to_string().contains(secret) && listed["tokens"].as_array().unwrap().len() == 1);
    let theirs = scene.society.token("bob", &["read:*"]);
    send("GET", &format!("tokens/{}", theirs.id), json!({})).expect_problem(404);
    send("DELETE", &format!("tokens/{}", theirs.id), json!({})).expect_problem(404);
    let path = format!("tokens/{}", made["id"].as_str().unwrap());
    let rotated = send("POST", &format!("{path}/rotate"), json!({"overlap": "1h"}));
    assert_ne!(rotated.json()["token"], made["token"]);
    send("DELETE", &path, json!({})).expect(204);
    eventually_true("the token is no longer good", || {
        scene.gate.ask(&Request::get(&index).header("X-API-Key", secret)).status == 401
    });
    for wrong in [
        json!({"name": ""}),
        json!({"name": "x", "scopes": ["all"]}),
        json!({"name": "x", "expires": "soon"}),
    ] {
        send("POST", "tokens", wrong).expect_problem(422);
    }
    assert!(root.get("tokens?user=ada")["tokens"].as_array().unwrap().len() == 2);

    let sessions = send("GET", "sessions", json!({})).json();
    let id = sessions["sessions"][0]["id"].as_str().unwrap().to_owned();
    assert!(!sessions.to_string().contains(session["refresh_token"].as_str().unwrap()));
    ask(&scene, "DELETE", &format!("sessions/{id}"), Some(&root.1), None).expect_problem(404);
    send("DELETE", &format!("sessions/{id}"), json!({})).expect(204);
    let renew = json!({"refresh_token": session["refresh_token"]});
    ask(&scene, "POST", "session/refresh", None, Some(&renew)).expect_problem(401);
}

#[test]
fn groups_and_grants_open_channels() {
    let scene = Scene::new("");
    let root = Root::of(&scene);
    let bob = scene.society.token("bob", &["read:*"]);
    scene.with_token(&scene.index(), &bob).expect_problem(403);
    root.send("POST", "groups", &json!({"name": "lab", "description": "the lab"})).expect(201);
    root.send("PUT", "groups/lab/members/bob", &json!({})).expect(204);
    assert_eq!(root.get("groups/lab")["members"], json!(["bob"]));
    let grant = json!({"channels": "team", "right": "read", "group": "lab"});
    let given = root.send("POST", "grants", &grant);
    let given: Value = serde_json::from_slice(&given.expect(201)).unwrap();
    root.send("POST", "grants", &grant).expect(200);
    root.send("POST", "grants", &json!({"channels": "team", "right": "read"})).expect_problem(422);
    eventually_true("bob may read", || scene.with_token(&scene.index(), &bob).status == 200);
    assert_eq!(root.get("grants?group=lab")["grants"][0]["id"], given["id"]);
    root.send("DELETE", &format!("grants/{}", given["id"].as_str().unwrap()), &json!({})).expect(204);
    eventually_true("bob may not", || scene.with_token(&scene.index(), &bob).status == 403);
    root.send("DELETE", "groups/lab/members/bob", &json!({})).expect(204);
    root.send("DELETE", "groups/lab", &json!({})).expect(204);
    root.send("DELETE", "groups/lab", &json!({})).expect_problem(404);
}
