//! Lists of people and of what they have stay pages, however long they are: on the pages and in the API.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::gating::Scene;
use crate::harness::people::PASSWORD;
use crate::harness::{Browser, Request};

/// A page and all behind it.
fn all_pages(browser: &mut Browser, path: &str) -> Vec<String> {
    let mut pages = vec![browser.page(path)];
    while let Some((_, rest)) = pages.last().and_then(|page| page.split_once("rel=\"next\" href=\"")) {
        let next = rest.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
        pages.push(browser.page(&next));
    }
    pages
}

/// What stands between two texts, everywhere.
fn between(pages: &[String], before: &str, after: &str) -> BTreeSet<String> {
    let found = pages.iter().flat_map(|page| page.split(before).skip(1));
    found.map(|rest| rest.split(after).next().unwrap().to_owned()).collect()
}

#[test]
fn many_members_of_a_group_come_in_pages() {
    let scene = Scene::new("");
    let names: Vec<String> = (0..130).map(|n| format!("person-{n:03}")).collect();
    for name in &names {
        scene.society.user(name);
    }
    let members: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.society.group("crowd", &members);
    let mut root = Browser::of(&scene.gate, "root");
    let pages = all_pages(&mut root, "/-/ui/admin/groups/crowd");
    assert_eq!(pages.len(), 2);
    let shown = between(&pages, "name=\"users\" value=\"", "\"");
    assert_eq!(shown, names.iter().cloned().collect());
    assert!(root.page("/-/ui/admin/groups").contains(">130</td>"));

    let token = scene.society.token("root", &["manage:*"]);
    let get = |path: &str| {
        let request = Request::get(&format!("/-/api/v1/{path}"));
        scene.gate.ask(&request.header("X-API-Key", &token.secret)).json()
    };
    let group = get("groups/crowd");
    assert_eq!((group["members"].as_array().unwrap().len(), &group["more"]), (100, &json!(true)));
    assert_eq!(get("groups/acme").get("more"), None);
    let (mut found, mut path) = (BTreeSet::new(), "groups/crowd/members?limit=40".to_owned());
    loop {
        let page = get(&path);
        let here = page["members"].as_array().unwrap();
        assert!(here.len() <= 40);
        found.extend(here.iter().map(|name| name.as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("groups/crowd/members?limit=40&after={next}");
    }
    assert_eq!(found, names.into_iter().collect());
}

#[test]
fn many_tokens_of_a_user_come_in_pages() {
    let scene = Scene::new("");
    let ids: BTreeSet<String> = (0..130).map(|_| scene.society.token("ada", &["read:*"]).id).collect();
    let mut root = Browser::of(&scene.gate, "root");
    let pages = all_pages(&mut root, "/-/ui/admin/users/ada");
    assert_eq!((pages.len(), between(&pages, "name=\"id\" value=\"", "\"")), (2, ids.clone()));
    let mut ada = Browser::of(&scene.gate, "ada");
    let pages = all_pages(&mut ada, "/-/ui/tokens");
    assert_eq!((pages.len(), between(&pages, "name=\"id\" value=\"", "\"")), (2, ids));
}

/// Sessions that are over do not end the list before those that are not.
#[test]
fn sessions_that_are_over_hide_no_others() {
    let scene = Scene::new("");
    let log_in = || {
        let account = json!({"username": "ada", "password": PASSWORD});
        scene.gate.ask(&Request::new("POST", "/-/api/v1/session").json(&account)).json()
    };
    for _ in 0..8 {
        log_in();
    }
    scene.gate.advance(Duration::from_hours(24 * 400));
    let good: Vec<Value> = (0..5).map(|_| log_in()).collect();
    let bearer = format!("Bearer {}", good[0]["access_token"].as_str().unwrap());
    let (mut found, mut after) = (BTreeSet::new(), String::new());
    loop {
        let request = Request::get(&format!("/-/api/v1/sessions?limit=2{after}"));
        let page = scene.gate.ask(&request.header("Authorization", &bearer)).json();
        let rows = page["sessions"].as_array().unwrap();
        found.extend(rows.iter().map(|session| session["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(found.len(), 5);
}
