//! People before a gate: logging in, what may come in the clear, what is said and written down about them.

use std::time::Duration;

use serde_json::json;

use crate::credentials::outside_address;
use crate::gating::{Scene, TEAM, basic};
use crate::harness::people::PASSWORD;
use crate::harness::{Request, eventually_true, rules};

#[test]
fn a_person_logs_in_and_stays_so_and_logs_out() {
    let scene = Scene::new("");
    let post = |path: &str, body: serde_json::Value| scene.gate.ask(&Request::new("POST", path).json(&body));
    let wrong = post("/-/api/v1/session", json!({"username": "ada", "password": "no"}));
    wrong.expect_problem(401);
    post("/-/api/v1/session", json!({"user": "ada"})).expect_problem(400);
    let issued = post("/-/api/v1/session", json!({"username": "ada", "password": PASSWORD}));
    assert_eq!(issued.must("cache-control"), "no-store");
    let issued: serde_json::Value = serde_json::from_slice(&issued.expect(200)).unwrap();
    let bearer = |access: &serde_json::Value, path: &str| {
        let value = format!("Bearer {}", access["access_token"].as_str().unwrap());
        scene.gate.ask(&Request::get(path).header("Authorization", &value))
    };
    bearer(&issued, &scene.index()).expect(200);
    let me: serde_json::Value = serde_json::from_slice(&bearer(&issued, "/-/api/v1/me").expect(200)).unwrap();
    assert_eq!((&me["user"], &me["groups"]), (&json!("ada"), &json!(["acme"])));
    let keys: serde_json::Value = serde_json::from_slice(&scene.get("/-/jwks.json").expect(200)).unwrap();
    assert_eq!(keys["keys"][0]["crv"], "Ed25519");
    assert!(keys["keys"][0].get("d").is_none(), "a private key is private");

    let refresh = json!({"refresh_token": issued["refresh_token"]});
    let renewed = post("/-/api/v1/session/refresh", refresh.clone());
    let renewed: serde_json::Value = serde_json::from_slice(&renewed.expect(200)).unwrap();
    post("/-/api/v1/session/refresh", refresh).expect_problem(401);
    // An access token runs out by itself.
    scene.gate.advance(Duration::from_mins(20));
    bearer(&renewed, &scene.index()).expect_problem(401);
    let refresh = json!({"refresh_token": renewed["refresh_token"]});
    let renewed = post("/-/api/v1/session/refresh", refresh);
    let renewed: serde_json::Value = serde_json::from_slice(&renewed.expect(200)).unwrap();
    let end =
        Request::new("DELETE", "/-/api/v1/session").json(&json!({"refresh_token": renewed["refresh_token"]}));
    scene.gate.ask(&end).expect(204);
    let refresh = json!({"refresh_token": renewed["refresh_token"]});
    post("/-/api/v1/session/refresh", refresh).expect_problem(401);
}

#[test]
fn only_the_api_takes_more_than_get() {
    let scene = Scene::new("");
    for path in ["/", "/open/noarch/repodata.json", "/-/healthz"] {
        scene.gate.ask(&Request::new("POST", path).json(&json!({}))).expect_problem(405);
    }
    scene.gate.ask(&Request::new("POST", "/-/api/v1/nothing").json(&json!({}))).expect_problem(404);
    scene.gate.ask(&Request::new("DELETE", "/-/api/v1/me").json(&json!({}))).expect_problem(405);
    let huge = json!({"username": "ada", "password": "x".repeat(1 << 20)});
    scene.gate.ask(&Request::new("POST", "/-/api/v1/session").json(&huge)).expect_problem(413);
}

#[test]
fn explanations_say_whether_somebody_may_have_it() {
    let scene = Scene::new("");
    let token = scene.society.token("root", &["read:*"]);
    let path = scene.team.path("alpha");
    scene.with_token(&scene.index(), &token).expect(200);
    let explain = |user: &str| {
        let page = format!("/-/api/v1/explain?url={path}&as={user}");
        let answer = scene.gate.ask(&Request::get(&page).header("X-API-Key", &token.secret));
        answer.expect(200)
    };
    let access = |user: &str| {
        let said: serde_json::Value = serde_json::from_slice(&explain(user)).unwrap();
        said["access"][0].clone()
    };
    let ada = access("Ada");
    assert_eq!((&ada["allowed"], &ada["channel"]), (&json!(true), &json!("team")));
    assert!(ada["sentence"].as_str().unwrap().contains("`team`"), "{ada}");
    assert!(ada["at"].as_str().unwrap().contains("50-test.yaml:"), "{ada}");
    let bob = access("bob");
    assert_eq!(bob["allowed"], false);
    assert!(bob["sentence"].as_str().unwrap().starts_with("`bob` may not read `alpha`"), "{bob}");
    let nobody = format!("/-/api/v1/explain?url={path}&as=nobody");
    scene.gate.ask(&Request::get(&nobody).header("X-API-Key", &token.secret)).expect_problem(400);

    // The command line, beside the gate and without one.
    let home = scene.gate.stop();
    let output = crate::harness::process::run(&[
        "rules",
        "explain",
        &path,
        "--as",
        "bob",
        "--data",
        &home.data().display().to_string(),
        "--rules",
        &home.rules().display().to_string(),
    ]);
    let text = crate::harness::process::text_of(&output);
    assert!(output.status.success() && text.contains("`bob` may not read `alpha`"), "{text}");
}

/// What others could read on the way is not taken, unless somebody decided so or a proxy that is trusted says that it came by https.
#[test]
fn passwords_and_tokens_that_may_write_do_not_come_in_the_clear() {
    let Some(outside) = outside_address() else {
        crate::harness::skipped("this machine has no address but loopback");
        return;
    };
    for (config, way, taken) in [
        ("", None, false),
        ("security: {allow_plaintext: true}\n", None, true),
        ("security: {trusted_proxies: [OUTSIDE]}\n", Some("http"), false),
        ("security: {trusted_proxies: [OUTSIDE]}\n", Some("https"), true),
        ("", Some("https"), false),
    ] {
        let config = config.replace("OUTSIDE", &outside.to_string());
        let scene = Scene::everywhere(&config);
        let reader = scene.society.token("ada", &["read:*"]);
        let writer = scene.society.token("ci", &["write:*"]);
        let to = std::net::SocketAddr::new(outside, scene.gate.address().port());
        let ask = |name: &str, value: &str| {
            let request = Request::get(&scene.index()).header(name, value);
            let request = match way {
                Some(way) => {
                    request.header("X-Forwarded-Proto", way).header("X-Forwarded-For", "203.0.113.9")
                }
                None => request,
            };
            request.send(to)
        };
        ask("X-API-Key", &reader.secret).expect(200);
        for (name, value) in [("X-API-Key", writer.secret.clone()), ("Authorization", basic("ada", PASSWORD))]
        {
            let answer = ask(name, &value);
            if taken {
                answer.expect(200);
            } else {
                let problem = answer.expect_problem(403);
                let detail = problem["detail"].as_str().unwrap();
                assert!(detail.contains("allow_plaintext") && detail.contains("https"), "{detail}");
            }
        }
        let login =
            Request::new("POST", "/-/api/v1/session").json(&json!({"username": "ada", "password": PASSWORD}));
        let login = match way {
            Some(way) => login.header("X-Forwarded-Proto", way),
            None => login,
        };
        assert_eq!(login.send(to).status, if taken { 200 } else { 403 }, "{config} {way:?}");
        // On the machine itself nobody else reads along.
        let local = Request::get(&scene.index()).header("X-API-Key", &writer.secret);
        scene.gate.ask(&local).expect(200);
    }
}

#[test]
fn who_got_what_is_written_down() {
    let scene = Scene::new("");
    let token = scene.society.token("ada", &["read:*"]);
    let path = scene.team.path("alpha");
    for _ in 0..3 {
        scene.with_token(&path, &token).expect(200);
    }
    scene.gate.ask(&Request::head(&path).header("X-API-Key", &token.secret)).expect(200);
    scene.get(&scene.open.path("alpha")).expect(200);
    scene.get(&path).expect_problem(401);
    // Rules change, and somebody mistypes one.
    scene
        .gate
        .set_rules(&format!("{}{TEAM}", rules::all_from_with(&scene.upstream, "max_concurrent: 3")))
        .unwrap();
    scene.gate.set_rules("chanels: []\n").unwrap_err();
    let digest = crate::harness::digest::sha256_hex(&scene.team.get("alpha").bytes);
    let (society, id) = (&scene.society, scene.society.id("ada"));
    let home = scene.gate.stop();
    let got = society.downloads(&digest);
    assert!(got.contains(&(format!("user:{id}"), token.id.clone(), 3)), "{got:?}");
    assert!(got.contains(&("anonymous".to_owned(), String::new(), 1)), "{got:?}");
    let denied = society.events(&["access.denied"]);
    assert_eq!(denied.len(), 1, "{denied:?}");
    // Both at one time by the manual clock, so in either order.
    let reloads = society.events(&["rules.reload"]);
    let mut results = reloads.iter().map(|event| event.result.as_str()).collect::<Vec<_>>();
    results.sort_unstable();
    assert_eq!(results, ["ok", "refused: the rules have mistakes"]);
    assert_eq!((denied[0].actor.as_str(), denied[0].address.as_str()), ("anonymous", "127.0.0.1"));
    let log = std::fs::read_to_string(home.path("stdout")).unwrap();
    assert!(log.contains(&format!("user=\"ada\" token={}", token.id)), "{log}");
    assert!(!log.contains(&token.secret) && !log.contains("MARKED-PASSWORD"));
}

#[test]
fn a_token_that_ended_is_forgotten_after_a_while_and_the_audit_still_knows_it() {
    let scene = Scene::with("", "auth: {token_retention: 10d}\naudit: {retention: 400d}\n");
    let (revoked, good) = (scene.society.token("ada", &["read:*"]), scene.society.token("ada", &["read:*"]));
    scene.society.revoke(&revoked);
    eventually_true("it is revoked", || scene.with_token(&scene.index(), &revoked).status == 401);
    scene.gate.advance(Duration::from_hours(24 * 9));
    scene.with_token(&scene.index(), &good).expect(200);
    assert!(scene.society.has_token(&revoked));
    scene.gate.advance(Duration::from_hours(24 * 2));
    eventually_true("it is forgotten", || !scene.society.has_token(&revoked));
    assert!(scene.society.has_token(&good));
    scene.with_token(&scene.index(), &revoked).expect_problem(401);
    scene.with_token(&scene.index(), &good).expect(200);
    let told = scene.society.events(&["token.create", "token.revoke"]);
    assert!(told.iter().filter(|event| format!("{event:?}").contains(&revoked.id)).count() >= 2, "{told:?}");
    // One that nobody revoked, too, once it is that long over.
    scene.gate.advance(Duration::from_hours(24 * 95));
    eventually_true("it is forgotten", || !scene.society.has_token(&good));
}
