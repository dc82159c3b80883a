//! Everything that the pages do is a call of the API: a table of forms and operations, and what the page of a package says.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::gating::Scene;
use crate::harness::home::files_below;
use crate::harness::people::PASSWORD;
use crate::harness::{
    Answer, Browser, Channel, Request, Setup, Society, Upstream, eventually, eventually_true, package, rules,
};
use crate::hosted;

/// Where a form is sent, what its button says, and the operation that does the same. `*` stands for a name.
const FORMS: &[(&str, &str, &str)] = &[
    ("sign-in", "", "logIn"),
    ("sign-out", "", "logOut"),
    ("setup", "", "setUp"),
    ("forgotten", "", "forgotPassword"),
    ("new-password", "", "resetPassword"),
    ("upload", "", "uploadPackage"),
    ("tokens", "", "createToken"),
    ("tokens/revoke", "", "revokeToken"),
    ("tokens/rotate", "", "rotateToken"),
    ("profile/password", "", "setOwnPassword"),
    ("profile/sessions/end", "", "endSession"),
    ("channels/*", "load", "loadIndexes"),
    ("channels/*/-/*", "labels", "changeLabels"),
    ("channels/*/-/*", "yank", "yankPackage"),
    ("channels/*/-/*", "restore", "restorePackage"),
    ("channels/*/-/*", "delete", "deletePackage"),
    // A way back from any of them, in a message.
    ("undo", "", "restorePackage"),
    ("admin/users", "", "createUser"),
    ("admin/users/*", "promote", "changeUser"),
    ("admin/users/*", "demote", "changeUser"),
    ("admin/users/*", "enable", "changeUser"),
    ("admin/users/*", "disable", "changeUser"),
    ("admin/users/*", "email", "changeUser"),
    ("admin/users/*", "password", "setPassword"),
    ("admin/users/*", "delete", "deleteUser"),
    ("admin/groups", "", "createGroup"),
    ("admin/groups/*", "add", "joinGroup"),
    ("admin/groups/*", "remove", "leaveGroup"),
    ("admin/groups/*", "delete", "deleteGroup"),
    ("admin/grants", "give", "createGrant"),
    ("admin/grants", "take", "deleteGrant"),
    ("admin/channels", "", "createChannel"),
    ("admin/channels/*", "set", "changeChannel"),
    ("admin/channels/*", "delete", "deleteChannel"),
    ("admin/channels/*", "restore", "restoreChannel"),
    ("admin/rules", "try", "rehearseRules"),
    ("admin/rules", "save", "putRulesFile"),
    ("admin/rules/recall", "", "recall"),
    ("admin/rules/recall/undo", "", "takeRecallBack"),
    ("admin/cache/purge", "", "purgeCache"),
    ("admin/cache/warm", "", "warmCache"),
    ("admin/jobs", "retry", "retryJob"),
    ("admin/jobs", "cancel", "cancelJob"),
];

/// What a page shows, beside what its forms do.
const PAGES: &[(&str, &str)] = &[
    ("channels", "listIndexes"),
    ("channels/*", "listPackages"),
    ("channels/*/-/*", "listFiles"),
    ("channels/*/-/*", "describePackage"),
    ("channels/*/-/*?needs", "listDependants"),
    ("channels/*/-/*?why", "explainFile"),
    ("channels/*/-/* (downloads)", "countDownloads"),
    ("search", "listPackages"),
    ("search?by=spec", "search"),
    ("tokens", "listTokens"),
    ("profile", "getProfile"),
    ("profile (sessions)", "listSessions"),
    ("admin/users", "listUsers"),
    ("admin/groups", "listGroups"),
    ("admin/grants", "listGrants"),
    ("admin/channels", "listChannels"),
    ("admin/rules", "getRules"),
    ("admin/rules (recalls)", "listRecalls"),
    ("admin/rules?explain", "explain"),
    ("admin/upstreams", "listUpstreams"),
    ("admin/downloads", "listDownloads"),
    ("admin/downloads (traffic)", "listTraffic"),
    ("admin/cache", "getCache"),
    ("admin/cache (contents)", "getCacheContents"),
    ("admin/jobs", "listJobs"),
    ("admin/audit", "listEvents"),
    ("admin/settings", "listSettings"),
    ("licenses", "listLicenses"),
];

/// Only the browser has a theme.
const BROWSERS_OWN: [&str; 1] = ["theme"];

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

fn below(root: &str) -> Vec<std::path::PathBuf> {
    files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root))
}

/// A template's address behind `/-/ui/`, with `*` for what stands in braces.
fn address(text: &str) -> String {
    let mut address = String::new();
    for part in text.split("{{") {
        match part.split_once("}}") {
            Some((inside, rest)) if inside.trim() == "page.base" => address.push_str(rest),
            Some((_, rest)) => {
                address.push('*');
                address.push_str(rest);
            }
            None => address.push_str(part),
        }
    }
    let address = address.split(['#', '?']).next().unwrap().to_owned();
    address.strip_prefix("/-/ui/").map_or_else(|| "undo".to_owned(), str::to_owned)
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!("{name}=\""))?.1.split('"').next()
}

/// Every form that is posted: where to, and what its buttons say.
fn forms() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for file in below("src/web/templates") {
        let text = read(&file);
        for form in text.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            let tag = form.split('\n').next().unwrap();
            if !tag.contains("method=\"post\"") {
                continue;
            }
            let address =
                address(attribute(tag, "action").unwrap_or_else(|| panic!("{}: {tag}", file.display())));
            let buttons: Vec<_> = form
                .split("name=\"action\"")
                .skip(1)
                .filter_map(|rest| attribute(rest.split('>').next().unwrap(), "value"))
                .collect();
            if buttons.is_empty() {
                found.insert((address, String::new()));
            } else {
                found.extend(buttons.iter().map(|button| (address.clone(), (*button).to_owned())));
            }
        }
    }
    found
}

fn operations() -> BTreeSet<String> {
    let document: Value =
        serde_json::from_str(&read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/docs/openapi.json")))
            .unwrap();
    let items = document["paths"].as_object().unwrap().values();
    let operations = items.flat_map(|item| item.as_object().unwrap().values());
    operations.filter_map(|one| one["operationId"].as_str()).map(str::to_owned).collect()
}

#[test]
fn every_form_of_the_pages_is_a_call_of_the_api() {
    let (forms, operations) = (forms(), operations());
    assert!(forms.len() > 30, "{forms:?}");
    for (address, button) in &forms {
        let known = FORMS.iter().any(|(to, says, _)| to == address && says == button);
        assert!(
            known || BROWSERS_OWN.contains(&address.as_str()),
            "the form `{address}` with `{button}` is not in this file's table; name the operation that does the same"
        );
    }
    for (address, button, operation) in FORMS {
        assert!(operations.contains(*operation), "`{operation}` is not in the API's description");
        let there = forms.contains(&((*address).to_owned(), (*button).to_owned()));
        assert!(there, "no page has the form `{address}` with `{button}`; take it out of the table");
    }
    for (page, operation) in PAGES {
        assert!(
            operations.contains(*operation),
            "`{operation}` of the page {page} is not in the API's description"
        );
    }
}

#[test]
fn every_address_that_takes_forms_is_in_the_table() {
    let mut count = 0;
    for file in below("src/web").into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
        let text = read(&file);
        for route in text.split(".route(\"/ui/").skip(1) {
            let (path, rest) = route.split_once('"').unwrap();
            if !rest.split(".route(").next().unwrap().contains("post(") {
                continue;
            }
            count += 1;
            let path = path.replace("{name}", "*").replace("{*name}", "*").replace("{*rest}", "*");
            let known = FORMS.iter().any(|(to, ..)| *to == path) || BROWSERS_OWN.contains(&path.as_str());
            assert!(known, "`/ui/{path}` takes forms and is not in this file's table");
        }
    }
    assert!(count > 15, "{count}");
}

fn get(gate: &crate::harness::Gate, path: &str) -> Value {
    serde_json::from_slice(&gate.get(&format!("/-/api/v1/{path}")).expect(200)).unwrap()
}

/// A channel of which a rule refuses a version.
fn refusing() -> (Upstream, crate::harness::Gate, Channel) {
    let upstream = Upstream::start();
    let channel = Channel::new("chan")
        .with("noarch", &package("alpha", "1.0"))
        .with("noarch", &package("alpha", "2.0").needs("beta >=1"))
        .with("noarch", &package("gamma", "1.0").needs("beta"))
        .with("linux-64", &package("beta", "1.0"));
    channel.publish(&upstream);
    let policy = "policy:\n  - {id: no-two, deny: {specs: [\"alpha >=2\"]}, reason: \"wrong data\"}\n";
    let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).start();
    for subdir in ["noarch", "linux-64"] {
        gate.get(&channel.at(subdir, "repodata.json")).expect(200);
    }
    (upstream, gate, channel)
}

#[test]
fn what_the_page_of_a_package_says_the_api_says() {
    let (_upstream, gate, channel) = refusing();
    let about = get(&gate, "package?channel=chan&name=alpha");
    assert_eq!(
        (&about["version"], &about["latest"], &about["depends"]),
        (&json!("1.0"), &json!(true), &json!([]))
    );
    let about = get(&gate, "package?channel=chan&name=alpha&version=2.0");
    assert_eq!(about["depends"], json!([{"spec": "beta >=1", "package": "beta"}]));
    assert_eq!(about["latest"], false);
    let files = get(&gate, "files?channel=chan&name=alpha&limit=1");
    assert_eq!((&files["found"], &files["next"]), (&json!(2), &json!(1)));
    assert_eq!(files["files"][0]["state"], "refused");
    assert_eq!(get(&gate, "files?channel=chan&name=alpha&after=1")["files"][0]["version"], "1.0");
    // The one that needs it and is hidden does not count.
    assert_eq!(get(&gate, "package/dependants?channel=chan&name=beta")["dependants"], json!(["gamma"]));
    gate.get(&channel.path("beta")).expect(200);
    eventually_true("a download is counted", || {
        let counted = get(&gate, "package/downloads?channel=chan&name=beta&days=7");
        assert_eq!(counted["days"].as_array().unwrap().len(), 7);
        counted["total"] == 1 && counted["days"][6]["count"] == 1
    });
    for path in [
        "package?channel=chan&name=nothing",
        "package?channel=chan&name=alpha&version=3",
        "package/downloads?channel=chan&name=nothing",
        "package/why?channel=chan&subdir=..&file=alpha-2.0-0.conda",
    ] {
        gate.get(&format!("/-/api/v1/{path}")).expect_problem(404);
    }
    gate.get("/-/api/v1/package/downloads?channel=chan&name=beta&days=0").expect_problem(400);
}

#[test]
fn readers_are_told_why_and_administrators_where() {
    let (_upstream, gate, _) = refusing();
    let path = "package/why?channel=chan&subdir=noarch&file=alpha-2.0-0.conda";
    let why = get(&gate, path);
    assert_eq!((&why["download"], &why["rules"][0]["id"]), (&json!("refused"), &json!("no-two")));
    assert_eq!((&why["rules"][0]["reason"], &why["rules"][0]["at"]), (&json!("wrong data"), &Value::Null));
    assert!(!why.to_string().contains("50-test.yaml"), "strangers do not learn where rules are written");
    let page = Browser::new(&gate).page("/-/ui/channels/chan/-/alpha?why=noarch/alpha-2.0-0.conda");
    assert!(page.contains("no-two") && page.contains("wrong data"), "{page}");
    let society = Society::of(gate.home(), gate.now());
    let root = society.superuser("root").token("root", &["manage:*"]);
    let asked = Request::get(&format!("/-/api/v1/{path}")).header("X-API-Key", &root.secret);
    let why = gate.ask(&asked).json();
    assert!(why["rules"][0]["at"].as_str().unwrap().contains("50-test.yaml"), "{why}");
    let open = "package/why?channel=chan&subdir=noarch&file=alpha-1.0-0.conda";
    assert_eq!(get(&gate, open)["download"], "served");
}

#[test]
fn who_got_a_file_is_told_in_pages() {
    let scene = Scene::new("");
    let root = scene.society.token("root", &["manage:*"]);
    let path = scene.open.path("alpha");
    for token in
        [None, Some(scene.society.token("ada", &["read:*"])), Some(scene.society.token("bob", &["read:*"]))]
    {
        let request = match &token {
            Some(token) => Request::get(&path).header("X-API-Key", &token.secret),
            None => Request::get(&path),
        };
        scene.gate.ask(&request).expect(200);
    }
    let digest = crate::harness::digest::sha256_hex(&scene.open.get("alpha").bytes);
    let page = |more: &str| {
        let path = format!("/-/api/v1/downloads?sha256={digest}{more}");
        let answer = scene.gate.ask(&Request::get(&path).header("X-API-Key", &root.secret));
        let page: Value = serde_json::from_slice(&answer.expect(200)).unwrap();
        page
    };
    eventually_true("all are written down", || page("")["downloads"].as_array().unwrap().len() == 3);
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let one = page(&format!("&limit=1{after}"));
        found.extend(one["downloads"].as_array().unwrap().clone());
        let Some(next) = one["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(Value::Array(found), page("")["downloads"]);
    let wrong = format!("/-/api/v1/downloads?sha256={digest}&after=nonsense");
    scene.gate.ask(&Request::get(&wrong).header("X-API-Key", &root.secret)).expect_problem(400);
}

#[test]
fn channels_that_can_be_restored_are_listed_for_who_can() {
    let scene = Scene::new("");
    let root = scene.society.token("root", &["manage:*"]);
    let ask = |request: Request| scene.gate.ask(&request.header("X-API-Key", &root.secret));
    ask(Request::new("POST", "/-/api/v1/channels").json(&json!({"name": "lab", "public": true}))).expect(201);
    ask(Request::new("DELETE", "/-/api/v1/channels/lab?confirm=lab")).expect(200);
    let names = |answer: Answer| answer.json()["channels"].as_array().unwrap().len();
    assert_eq!(names(ask(Request::get("/-/api/v1/channels"))), 0);
    assert_eq!(names(ask(Request::get("/-/api/v1/channels?deleted=true"))), 1);
    assert_eq!(names(scene.gate.get("/-/api/v1/channels?deleted=true")), 0);
    for wrong in ["limit=0", "limit=1001", "nonsense=1"] {
        scene.gate.get(&format!("/-/api/v1/channels?{wrong}")).expect_problem(400);
        scene.gate.get(&format!("/-/api/v1/search?name=x&{wrong}")).expect_problem(400);
    }
}

#[test]
fn a_hosted_package_says_more_and_only_to_who_may_read_it() {
    let scene = hosted::Scene::new("");
    let society = Society::of(scene.gate.home(), scene.gate.now());
    let root = society.superuser("root").token("root", &["manage:*"]);
    let ask = |request: Request| scene.gate.ask(&request.header("X-API-Key", &root.secret));
    ask(Request::new("POST", "/-/api/v1/channels").json(&json!({"name": "team"}))).expect(201);
    let alpha = package("alpha", "1.0").build("noarch");
    let put = format!("/-/api/v1/channels/team/-/packages/noarch/{}", alpha.file);
    ask(Request::new("PUT", &put).body(&alpha.bytes)).expect(201);
    let about = ask(Request::get("/-/api/v1/package?channel=team&name=alpha"));
    assert_eq!(about.json()["files"], 1);
    for what in ["package", "package/dependants", "package/downloads"] {
        scene.gate.get(&format!("/-/api/v1/{what}?channel=team&name=alpha")).expect_problem(401);
    }
    scene.gate.get("/-/api/v1/package/why?channel=team&subdir=noarch&file=a-1-0.conda").expect_problem(401);
    let load = json!({"channel": "team"});
    scene.gate.ask(&Request::new("POST", "/-/api/v1/indexes/load").json(&load)).expect_problem(401);
}

#[test]
fn a_reader_loads_indexes_as_the_button_does() {
    let scene = Scene::new("");
    let load = |channel: &str| {
        scene.gate.ask(&Request::new("POST", "/-/api/v1/indexes/load").json(&json!({"channel": channel})))
    };
    load("open").expect(202);
    load("team").expect_problem(401);
    eventually("the indexes come", || {
        let found = get(&scene.gate, "packages?channel=open");
        (found["found"].as_u64()? > 1).then_some(())
    });
}

fn send(scene: &Scene, bearer: &str, (method, path): (&str, &str), body: &Value) -> Answer {
    let request = Request::new(method, &format!("/-/api/v1/{path}")).header("Authorization", bearer);
    scene.gate.ask(&request.json(body))
}

#[test]
fn people_see_their_profile_and_change_their_password() {
    let scene = Scene::new("");
    let log_in = |password: &str| {
        let body = json!({"username": "ada", "password": password});
        scene.gate.ask(&Request::new("POST", "/-/api/v1/session").json(&body))
    };
    let session = log_in(PASSWORD).json();
    let bearer = format!("Bearer {}", session["access_token"].as_str().unwrap());
    let profile = send(&scene, &bearer, ("GET", "profile"), &json!({})).json();
    assert_eq!((&profile["name"], &profile["groups"]), (&json!("ada"), &json!(["acme"])));
    scene.gate.get("/-/api/v1/profile").expect_problem(401);
    let new = "a kettle of unrelated herons";
    let change = |current: &str, password: &str| {
        let body = json!({"current": current, "password": password});
        send(&scene, &bearer, ("PUT", "me/password"), &body)
    };
    change("wrong", new).expect_problem(403);
    change(PASSWORD, "short").expect_problem(400);
    let nobody =
        Request::new("PUT", "/-/api/v1/me/password").json(&json!({"current": PASSWORD, "password": new}));
    scene.gate.ask(&nobody).expect_problem(401);
    change(PASSWORD, new).expect(204);
    eventually_true("the new one is good", || log_in(new).status == 200);
    log_in(PASSWORD).expect_problem(401);
    let renew = json!({"refresh_token": session["refresh_token"]});
    send(&scene, &bearer, ("POST", "session/refresh"), &renew).expect_problem(401);
}
