//! What the API tells of hosted packages that rules hide or refuse: nothing to readers, what became of them to who looks after them.

use std::collections::BTreeSet;

use condagate::policy::access::Right;
use condagate::store::model::PackageState;
use serde_json::Value;

use crate::harness::people::Made;
use crate::harness::{Answer, Browser, Request, Society, eventually_true, package};
use crate::hosted;

const POLICY: &str = "policy:\n  \
      - {id: kept, channels: [team], hide: {names: [hidden-tool]}, download: keep}\n  \
      - {id: recall, channels: [team], deny: {names: [refused-tool]}, reason: \"bad data\"}\n  \
      - {id: theirs, channels: [team], deny: {specs: [\"acme-tool <1\"]}, audience: [\"group:acme\"]}\n";

struct Scene {
    inner: hosted::Scene,
    society: Society,
}

const ALL: [&str; 5] = ["acme-tool", "dev-tool", "hidden-tool", "old-tool", "refused-tool"];
const TOLD: [&str; 3] = ["acme-tool", "dev-tool", "old-tool"];

impl Scene {
    fn new() -> Self {
        let inner = hosted::Scene::new(POLICY);
        let id = inner.public("team");
        let put = |name: &str, labels: &[&str]| inner.stock.put(&id, "noarch", &package(name, "1.0"), labels);
        let (tool, old) = (put("acme-tool", &[]), put("old-tool", &[]));
        inner.stock.set(&old, PackageState::Yanked);
        put("hidden-tool", &[]);
        put("refused-tool", &["main", "rc"]);
        put("dev-tool", &["dev"]);
        inner.until_listed("team", "noarch", &[&tool]);
        let society = Society::of(inner.gate.home(), inner.gate.now());
        society.user("ada").user("bob").user("wes").superuser("root");
        society.grant("team", "ada", Right::Manage);
        society.grant("team", "wes", Right::Write);
        Self { inner, society }
    }

    fn ask(&self, token: Option<&Made>, path: &str) -> Answer {
        let request = Request::get(path);
        self.inner.gate.ask(&match token {
            Some(token) => request.header("X-API-Key", &token.secret),
            None => request,
        })
    }

    /// Names and what became of them, in a list of an answer.
    fn told(&self, token: Option<&Made>, path: &str, list: &str) -> Vec<(String, String)> {
        let document: Value = serde_json::from_slice(&self.ask(token, path).expect(200)).unwrap();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let rows = document[list].as_array().unwrap_or_else(|| panic!("{document}"));
        let mut rows: Vec<_> = rows.iter().map(|row| (text(row, "name"), text(row, "visibility"))).collect();
        rows.sort();
        rows
    }
}

fn names(rows: &[(String, String)]) -> Vec<&str> {
    rows.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn readers_are_not_told_of_what_rules_hide() {
    let scene = Scene::new();
    let bob = scene.society.token("bob", &["read:*"]);
    let lists = [
        ("/-/api/v1/channels/team/-/packages", "packages"),
        ("/-/api/v1/search?name=tool&channel=team", "found"),
    ];
    for token in [None, Some(&bob)] {
        for (path, list) in lists {
            let told = scene.told(token, path, list);
            // Those that were yanked are named in indexes, and found by nobody who looks for something.
            let wanted: Vec<_> =
                TOLD.into_iter().filter(|name| list == "packages" || *name != "old-tool").collect();
            assert_eq!(names(&told), wanted, "{path}");
        }
        for name in ALL {
            let one = format!("/-/api/v1/channels/team/-/packages/noarch/{name}-1.0-0.conda");
            let answer = scene.ask(token, &one);
            assert_eq!(answer.status, if TOLD.contains(&name) { 200 } else { 404 }, "{name}");
        }
        for path in ["/-/api/v1/search?spec=refused-tool", "/-/api/v1/search?spec=hidden-tool%3E%3D1"] {
            assert!(scene.told(token, path, "found").is_empty(), "{path}");
        }
    }
    // Those who publish with anaconda.org's API are told no more.
    let found = scene.ask(Some(&bob), "/api/search?name=tool").text();
    assert!(found.contains("acme-tool") && !found.contains("refused-tool"), "{found}");
    assert!(!scene.ask(Some(&bob), "/api/channels/team").text().contains("\"rc\""));
    assert_eq!(scene.ask(Some(&bob), "/api/package/team/refused-tool").status, 404);
}

#[test]
fn who_looks_after_them_is_told_what_became_of_them() {
    let scene = Scene::new();
    let tokens = [("ada", "manage:*"), ("wes", "write:*"), ("root", "manage:*")];
    for token in tokens.map(|(name, scope)| scene.society.token(name, &[scope])) {
        let told = scene.told(Some(&token), "/-/api/v1/channels/team/-/packages", "packages");
        let wanted = ["shown", "shown", "hidden", "left", "refused"];
        let wanted: Vec<_> = ALL.iter().zip(wanted).map(|(a, b)| ((*a).to_owned(), b.to_owned())).collect();
        assert_eq!(told, wanted);
        let told = scene.told(Some(&token), "/-/api/v1/search?spec=refused-tool", "found");
        assert_eq!(told, [("refused-tool".to_owned(), "refused".to_owned())]);
        let one = "/-/api/v1/channels/team/-/packages/noarch/refused-tool-1.0-0.conda";
        assert_eq!(scene.ask(Some(&token), one).json()["package"]["visibility"], "refused");
    }
    // A right to other packages is no right to these.
    let only = scene.society.token("bob", &["read:*"]);
    assert_eq!(names(&scene.told(Some(&only), "/-/api/v1/channels/team/-/packages", "packages")), TOLD);
}

#[test]
fn what_a_reader_is_not_told_of_is_not_copied_by_them_either() {
    let scene = Scene::new();
    scene.inner.stock.channel("mine", true);
    scene.inner.until_hosted("mine");
    scene.society.grant("mine", "bob", Right::Write);
    scene.society.grant("mine", "wes", Right::Write);
    let copy = |token: &Made, name: &str| {
        let path = format!("/-/api/v1/channels/team/-/packages/noarch/{name}-1.0-0.conda/copy");
        let request = Request::new("POST", &path).json(&serde_json::json!({"to": "mine"}));
        scene.inner.gate.ask(&request.header("X-API-Key", &token.secret))
    };
    let bob = scene.society.token("bob", &["write:*"]);
    eventually_true("bob's right counts", || copy(&bob, "acme-tool").status == 200);
    copy(&bob, "refused-tool").expect_problem(404);
    copy(&bob, "hidden-tool").expect_problem(404);
    let wes = scene.society.token("wes", &["write:*"]);
    eventually_true("wes' right counts", || copy(&wes, "hidden-tool").status == 200);
}

#[test]
fn pages_of_the_search_are_all_of_it_and_nothing_twice() {
    let scene = Scene::new();
    let id = scene.inner.public("stock");
    let some: Vec<_> = (0..7)
        .map(|n| scene.inner.stock.put(&id, "noarch", &package(&format!("tool-{n}"), "1"), &[]))
        .collect();
    scene.inner.until_listed("stock", "noarch", &some.iter().collect::<Vec<_>>());
    for query in ["name=tool", "spec=tool-*", "name=tool&channel=stock"] {
        let page = |limit: usize, after: Option<&str>| {
            let after = after.map_or_else(String::new, |after| format!("&after={after}"));
            scene.ask(None, &format!("/-/api/v1/search?{query}&limit={limit}{after}")).json()
        };
        let all = page(1000, None);
        assert_eq!(all["next"], Value::Null);
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let one = page(2, after.as_deref());
            found.extend(one["found"].as_array().unwrap().clone());
            after = one["next"].as_str().map(str::to_owned);
            if after.is_none() {
                break;
            }
        }
        assert_eq!(Value::Array(found), all["found"], "{query}");
    }
    scene.ask(None, "/-/api/v1/search?name=tool&after=nonsense").expect_problem(422);
}

/// Packages that the page of the search links to, in its order.
fn on_page(browser: &mut Browser, query: &str) -> Vec<String> {
    let page = browser.page(&format!("/-/ui/search?{query}"));
    let links = page.split("href=\"/-/ui/channels/").skip(1).filter_map(|rest| rest.split('"').next());
    let mut seen = BTreeSet::new();
    let packages =
        links.filter(|link| link.contains("/-/")).map(|link| link.split('?').next().unwrap().to_owned());
    packages.filter(|link| seen.insert(link.clone())).collect()
}

#[test]
fn the_page_and_the_api_find_the_same() {
    let scene = Scene::new();
    scene.inner.gate.get("/theirs/noarch/repodata.json").expect(200);
    eventually_true("the proxied channel is searched", || {
        scene.ask(None, "/-/api/v1/packages?q=foreign").json()["found"] == 1
    });
    for name in ["bob", "ada"] {
        let token = scene.society.token(name, &["manage:*"]);
        let mut browser = Browser::of(&scene.inner.gate, name);
        for q in ["tool", "o", "acme-tool", "foreign"] {
            let found = scene.ask(Some(&token), &format!("/-/api/v1/packages?q={q}&limit=100")).json();
            let found: Vec<String> = found["packages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| {
                    format!("{}/-/{}", row["channel"].as_str().unwrap(), row["name"].as_str().unwrap())
                })
                .collect();
            assert_eq!(on_page(&mut browser, &format!("q={q}")), found, "{name} {q}");
            assert!(!found.is_empty());
        }
        for spec in ["acme-tool", "refused-tool", "*-tool"] {
            let found = scene.told(Some(&token), &format!("/-/api/v1/search?spec={spec}"), "found");
            let mut paged: Vec<_> = on_page(&mut browser, &format!("by=spec&q={spec}"));
            paged.sort();
            let wanted: Vec<_> = found.iter().map(|(name, _)| format!("team/-/{name}")).collect();
            assert_eq!(paged, wanted, "{name} {spec}");
        }
    }
    scene.ask(None, "/-/api/v1/packages").expect_problem(400);
    scene.ask(None, "/-/api/v1/packages?q=tool&sort=size").expect_problem(400);
}
