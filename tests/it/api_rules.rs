//! The rules and the cache by the API: what is proposed is tried, what is written is in force at once, and hand-written files stay as they are.

use serde_json::{Value, json};

use crate::gating::Scene;
use crate::harness::people::Made;
use crate::harness::{Answer, Browser, Request, eventually_true};

struct Root<'a>(&'a Scene, Made);

impl<'a> Root<'a> {
    fn of(scene: &'a Scene) -> Self {
        Self(scene, scene.society.token("root", &["manage:*"]))
    }

    fn ask(&self, method: &str, path: &str, more: Option<(&str, &str)>, body: &Value) -> Answer {
        let request = Request::new(method, &format!("/-/api/v1/{path}"));
        let request = request.header("Authorization", &format!("Bearer {}", self.1.secret));
        let request = more.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        self.0.gate.ask(&if method == "GET" { request } else { request.json(body) })
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_slice(&self.ask("GET", path, None, &Value::Null).expect(200)).unwrap()
    }
}

const NO_ALPHA: &str =
    "# mine\npolicy:\n  - {id: no-alpha, deny: {names: [alpha]}, reason: \"wrong data\"}\n";
const OWN: &str = "rules/files/90-ui.yaml";

#[test]
fn a_proposal_is_tried_before_it_is_in_force() {
    let scene = Scene::new("");
    let root = Root::of(&scene);
    for channel in [&scene.open, &scene.team] {
        for subdir in ["noarch", "linux-64"] {
            let path = channel.at(subdir, "repodata.json");
            root.0.gate.ask(&Request::get(&path).header("X-API-Key", &root.1.secret)).expect(200);
        }
    }
    let file = scene.open.path("alpha");
    scene.gate.get(&file).expect(200);
    let proposal = json!({"text": NO_ALPHA});
    let checked = root.ask("POST", "rules/check", None, &proposal).json();
    assert_eq!(checked["mistakes"], json!([]));
    let tried = root.ask("POST", "rules/dry-run", None, &proposal).json();
    assert_eq!(
        (&tried["disappear"], &tried["appear"], &tried["refused"]),
        (&json!(2), &json!(0), &json!(2)),
        "{tried}"
    );
    assert_eq!(tried["complete"], true);
    let change = &tried["changes"][0];
    assert_eq!(
        (&change["channel"], &change["now"], &change["then"]),
        (&json!("open"), &json!("shown"), &json!("refused"))
    );
    assert_eq!(change["rule"], "no-alpha");
    scene.gate.get(&file).expect(200);
    let bad = json!({"text": "policy:\n  - {id: x, deny: {namez: [alpha]}}\n"});
    let mistakes = root.ask("POST", "rules/check", None, &bad).json();
    assert!(mistakes["mistakes"][0].as_str().unwrap().contains("90-ui.yaml:2"), "{mistakes}");
    root.ask("POST", "rules/dry-run", None, &bad).expect_problem(422);
    root.ask("PUT", OWN, None, &bad).expect_problem(422);
    scene.gate.get(&file).expect(200);

    let put = root.ask("PUT", OWN, None, &proposal);
    let tag = put.must("etag").to_owned();
    put.expect(200);
    // In force when the answer comes.
    let refused = scene.gate.get(&file).expect_problem(403);
    assert_eq!(refused["rule"], "no-alpha");
    assert_eq!(root.get(OWN)["text"], NO_ALPHA);
    let back = root.ask("POST", "rules/dry-run", None, &json!({})).json();
    assert_eq!((&back["appear"], &back["changes"][0]["then"]), (&json!(2), &json!("shown")), "{back}");
    root.ask("PUT", OWN, Some(("If-Match", "\"own.0000\"")), &proposal).expect_problem(412);
    root.ask("PUT", OWN, Some(("If-Match", &tag)), &json!({"text": "# nothing\n"})).expect(200);
    root.ask("DELETE", OWN, Some(("If-Match", &tag)), &json!({})).expect_problem(412);
    root.ask("DELETE", OWN, None, &json!({})).expect(204);
    scene.gate.get(&file).expect(200);
    eventually_true("all of it is in the trail", || {
        root.get("audit?kind=rules.write")["events"].as_array().unwrap().len() == 3
    });
}

#[test]
fn only_the_gates_own_file_is_written() {
    let scene = Scene::new("");
    let root = Root::of(&scene);
    let before = root.get("rules");
    let names: Vec<_> = before["files"].as_array().unwrap().iter().map(|f| f["name"].clone()).collect();
    assert_eq!(names, ["50-test.yaml"]);
    assert_eq!(before["files"][0]["writable"], false);
    for path in ["rules/files/50-test.yaml", "rules/files/..%2F90-ui.yaml", "rules/files/x"] {
        let status = root.ask("PUT", path, None, &json!({"text": "channels: []"})).status;
        assert!([400, 404, 405].contains(&status), "{path}: {status}");
    }
    root.ask("PUT", OWN, None, &json!({"text": "x: http://***@h/"})).expect_problem(422);
    root.ask("PUT", OWN, None, &json!({"text": "x".repeat(300_000)})).expect_problem(422);
    assert_eq!(root.get("rules"), before);
}

#[test]
fn a_recall_is_one_request() {
    let scene = Scene::new("");
    let root = Root::of(&scene);
    let file = scene.open.path("alpha");
    scene.gate.get(&file).expect(200);
    let recall = json!({"id": "recall-1", "specs": ["alpha ==1.0"], "reason": "CVE-2026-1"});
    root.ask("POST", "rules/recalls", None, &recall).expect(201);
    assert_eq!(scene.gate.get(&file).expect_problem(403)["rule"], "recall-1");
    let twice = root.ask("POST", "rules/recalls", None, &recall).expect_problem(422);
    assert!(twice["detail"].as_str().unwrap().contains("recall-1"), "{twice}");
    let more = json!({"id": "recall-2", "digests": ["ab".repeat(32)], "reason": "no", "channels": ["open"]});
    root.ask("POST", "rules/recalls", None, &more).expect(201);
    let text = root.get(OWN)["text"].clone();
    assert!(
        text.as_str().unwrap().contains("recall-1") && text.as_str().unwrap().contains("recall-2"),
        "{text}"
    );
    root.ask("POST", "rules/recalls", None, &json!({"id": "x", "reason": "y"})).expect_problem(422);
    let listed = |query: &str| {
        let page = root.ask("GET", &format!("rules/recalls{query}"), None, &json!({})).json();
        let ids = page["recalls"].as_array().unwrap().iter().map(|one| one["id"].clone());
        (ids.collect::<Vec<_>>(), page["next"].clone())
    };
    assert_eq!(listed(""), (vec![json!("recall-1"), json!("recall-2")], Value::Null));
    assert_eq!(listed("?limit=1"), (vec![json!("recall-1")], json!("recall-1")));
    assert_eq!(listed("?after=recall-1").0, [json!("recall-2")]);
    root.ask("DELETE", "rules/recalls/recall-1", None, &json!({})).expect(200);
    scene.gate.get(&file).expect(200);
    root.ask("DELETE", "rules/recalls/recall-1", None, &json!({})).expect_problem(404);
    root.ask("DELETE", "rules/recalls/recall-2", None, &json!({})).expect(200);
    assert_eq!(root.get("rules")["files"].as_array().unwrap().len(), 1, "an empty file is taken away");
}

#[test]
fn a_recall_is_one_form_and_taken_back_in_the_editor() {
    let scene = Scene::new("");
    scene.gate.get(&scene.open.at("noarch", "repodata.json")).expect(200);
    let mut root = Browser::of(&scene.gate, "root");
    let page = root.page("/-/ui/channels/open/-/alpha");
    assert!(page.contains("value=\"alpha ==1.0\""), "{page}");
    assert!(!Browser::of(&scene.gate, "ada").page("/-/ui/channels/open/-/alpha").contains("/rules/recall"));
    let fields = [("what", "alpha ==1.0"), ("reason", "CVE-2026-1")];
    let told = root.submit("/-/ui/admin/rules/recall", &fields);
    assert!(told.contains("is refused everywhere from now on") && told.contains("CVE-2026-1"), "{told}");
    scene.gate.get(&scene.open.path("alpha")).expect_problem(403);
    let undo = told.split("action=\"").find_map(|part| {
        part.split('"').next().filter(|way| way.contains("recall/undo?id=recall-alpha-1.0-"))
    });
    let back = root.submit(undo.expect("a way to take it back"), &[]);
    assert!(back.contains("is taken back"), "{back}");
    scene.gate.get(&scene.open.path("alpha")).expect(200);
    let told = root.submit("/-/ui/admin/rules/recall", &fields);
    scene.gate.get(&scene.open.path("alpha")).expect_problem(403);
    let tag = told.split("name=\"tag\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let tried = root.post("/-/ui/admin/rules", &[("action", "try"), ("text", ""), ("tag", &tag)]).text();
    assert!(tried.contains("1 would appear"), "{tried}");
    let mistake = [("action", "save"), ("text", "policy: 7"), ("tag", &tag)];
    let page = root.post("/-/ui/admin/rules", &mistake).text();
    assert!(page.contains("There are mistakes in it") && page.contains("policy: 7"), "{page}");
    let late = root.post("/-/ui/admin/rules", &[("action", "save"), ("text", "# x"), ("tag", "0000")]).text();
    assert!(late.contains("changed meanwhile"), "{late}");
    let saved = root.submit("/-/ui/admin/rules", &[("action", "save"), ("text", ""), ("tag", &tag)]);
    assert!(saved.contains("The rules are in force"), "{saved}");
    scene.gate.get(&scene.open.path("alpha")).expect(200);
}

#[test]
fn the_cache_is_warmed_looked_at_and_purged() {
    let scene = Scene::new("");
    let root = Root::of(&scene);
    root.ask("POST", "cache/warm", None, &json!({"channel": "open", "subdirs": ["noarch"]})).expect(202);
    eventually_true("the index comes", || {
        root.get("indexes?channel=open")["channels"][0]["indexes"][0]["subdir"] == "noarch"
    });
    for wrong in [json!({"channel": "-"}), json!({"channel": "open", "subdirs": ["../x"]})] {
        root.ask("POST", "cache/warm", None, &wrong).expect_problem(422);
    }
    let file = scene.open.path("alpha");
    scene.gate.settle(&file).expect(200);
    let cache = root.get("cache");
    assert!(cache["blobs"].as_u64().unwrap() >= 1, "{cache}");
    assert!(cache["answers"].as_u64().unwrap() > cache["from_here"].as_u64().unwrap(), "{cache}");
    let contents = root.get("cache/contents");
    assert_eq!(contents["channels"][0]["channel"], "open", "{contents}");
    assert_eq!(contents["channels"][0]["bytes"], cache["bytes"], "{contents}");
    let largest = contents["largest"].as_array().unwrap();
    assert!(
        largest.iter().any(|held| format!("/{}", held["path"].as_str().unwrap()).ends_with(&file)),
        "{contents}"
    );
    root.ask("POST", "cache/purge", None, &json!({})).expect_problem(422);
    root.ask("POST", "cache/purge", None, &json!({"url": file, "all": true})).expect_problem(422);
    let length = scene.open.get("alpha").bytes.len();
    let purged = root.ask("POST", "cache/purge", None, &json!({"url": file})).json();
    assert_eq!(purged, json!({"removed": 1, "bytes": length}));
    eventually_true("both are in the trail", || {
        root.get("audit?kind=cache.purge,cache.warm")["events"].as_array().unwrap().len() == 2
    });
    let upstreams = root.get("upstreams");
    assert_eq!(upstreams["upstreams"][0]["mirrors"][0]["healthy"], true, "{upstreams}");
    let settings = root.get("settings");
    assert!(settings["settings"].as_array().unwrap().iter().any(|s| s["key"] == "cache.size"), "{settings}");
}

#[test]
fn what_there_is_is_told_to_who_may_read_it() {
    let scene = Scene::new("");
    let root = Root::of(&scene);
    let (ada, bob) = (scene.society.token("ada", &["read:*"]), scene.society.token("bob", &["read:*"]));
    for channel in [&scene.open, &scene.team] {
        let path = channel.at("noarch", "repodata.json");
        scene.gate.ask(&Request::get(&path).header("X-API-Key", &ada.secret)).expect(200);
    }
    let ask = |token: Option<&Made>, path: &str| {
        let request = Request::get(&format!("/-/api/v1/{path}"));
        scene.gate.ask(&match token {
            Some(token) => request.header("X-API-Key", &token.secret),
            None => request,
        })
    };
    let named = |token: Option<&Made>| {
        let all = ask(token, "indexes").json();
        all["channels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["channel"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    eventually_true("the channels are listed", || named(Some(&ada)) == ["open", "team"]);
    assert_eq!(named(Some(&bob)), ["open"]);
    assert_eq!(named(None), ["open"]);
    for path in ["indexes?channel=team", "packages?channel=team", "files?channel=team&name=alpha"] {
        ask(Some(&ada), path).expect(200);
        ask(Some(&bob), path).expect_problem(404);
        ask(None, path).expect_problem(401);
    }
    let packages = ask(None, "packages?channel=open&limit=1").json();
    assert_eq!((&packages["found"], &packages["next"]), (&json!(2), &json!(1)), "{packages}");
    assert_eq!(packages["packages"][0]["name"], "acme-tool");
    let rest = ask(None, "packages?channel=open&after=1&q=alp&sort=size").json();
    assert_eq!(rest["packages"], json!([]), "{rest}");
    let files = ask(None, "files?channel=open&name=alpha").json();
    assert_eq!(
        (&files["files"][0]["file"], &files["files"][0]["state"]),
        (&json!("alpha-1.0-0.conda"), &json!("shown"))
    );
    ask(None, "files?channel=open&name=none").expect_problem(404);
    ask(None, "packages?channel=open&sort=nonsense").expect_problem(400);
    drop(root);
}
