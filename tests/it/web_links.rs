//! Every page that a link leads to is there, and what its parts say of each other is so.
//!
//! Belongs here: walking over all pages. Does not: what they say (the other `web_…`), how they look (`web_browser`).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::gating::Scene;
use crate::harness::{Browser, eventually_true};

/// More pages are not looked at; there are about a hundred.
const MOST: usize = 400;

/// The values of an attribute in a page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    let all = page.match_indices(&*begin).map(|(at, found)| &page[at + found.len()..]);
    all.filter_map(|rest| rest.split('"').next()).collect()
}

/// Ids are there once, and whoever names one is right.
fn assert_sound(path: &str, page: &str) {
    let mut ids = HashSet::new();
    for id in values(page, "id") {
        assert!(ids.insert(id), "{path}: the id {id} is there twice");
    }
    for attribute in ["for", "aria-describedby", "aria-labelledby", "list"] {
        for id in values(page, attribute).iter().flat_map(|all| all.split_whitespace()) {
            assert!(ids.contains(id), "{path}: {attribute} says {id}, which is not there");
        }
    }
    let outside: Vec<_> = ["src", "href", "action"]
        .iter()
        .flat_map(|name| values(page, name))
        .filter(|link| link.contains("://") || link.starts_with("//"))
        .collect();
    assert!(outside.is_empty(), "{path} leads elsewhere: {outside:?}");
    for event in ["onclick", "onload", "onerror", "style"] {
        assert!(values(page, event).is_empty(), "{path}: {event} is inline, which the policy forbids");
    }
}

fn links(page: &str) -> BTreeSet<String> {
    let all =
        values(page, "href").into_iter().chain(values(page, "src")).map(|link| link.replace("&amp;", "&"));
    let whole = all.filter(|link| link.starts_with('/'));
    whole.map(|link| link.split('#').next().unwrap_or_default().to_owned()).collect()
}

/// Follows every link of pages, from the first page on. Paths, and the pages that they are linked on.
fn walk(browser: &mut Browser) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::from([("/".to_owned(), String::new())]);
    let mut waiting = vec!["/".to_owned()];
    while let Some(path) = waiting.pop() {
        let mut answer = browser.open(&path);
        if answer.status == 303 {
            answer = browser.open(answer.must("location"));
        }
        assert_eq!(answer.status, 200, "{path}, linked on {}", seen[&path]);
        if !answer.must("content-type").starts_with("text/html") {
            continue;
        }
        let page = answer.text();
        assert_sound(&path, &page);
        for link in links(&page) {
            if seen.len() < MOST && !seen.contains_key(&link) {
                seen.insert(link.clone(), path.clone());
                waiting.push(link);
            }
        }
    }
    seen
}

#[test]
fn no_link_is_dead_and_no_page_leads_elsewhere() {
    let scene = Scene::new("policy:\n  - {id: no-beta, deny: {names: [beta]}}\n");
    for subdir in ["noarch", "linux-64"] {
        scene.gate.get(&scene.open.at(subdir, "repodata.json"));
    }
    let mut root = Browser::of(&scene.gate, "root");
    root.page("/-/ui/admin/users");
    root.submit("/-/ui/admin/users", &[("name", "robot"), ("kind", "service")]);
    root.submit("/-/ui/admin/groups", &[("name", "night shift"), ("description", "a name with a space")]);
    root.submit("/-/ui/admin/channels", &[("name", "lab"), ("description", "")]);
    eventually_true("the channel is known", || root.open("/-/ui/channels/lab").status == 200);
    let seen = walk(&mut root);
    for wanted in
        ["/-/ui/admin/settings", "/-/ui/admin/users/robot", "/-/ui/channels/open/-/alpha", "/-/ui/licenses"]
    {
        assert!(seen.contains_key(wanted), "{wanted}: {:?}", seen.keys());
    }
    assert!(seen.len() < MOST, "{} pages", seen.len());
    walk(&mut Browser::of(&scene.gate, "bob"));
    walk(&mut Browser::new(&scene.gate));
}
