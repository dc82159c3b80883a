//! Pages for administrators: users, groups, grants, channels, rules, the cache, the audit trail, settings.

use crate::gating::Scene;
use crate::harness::people::PASSWORD;
use crate::harness::{Browser, Request, Setup, Society, Upstream, eventually_true, rules};
use crate::web_tokens::{id_of, secret};

const PAGES: [&str; 11] = [
    "users",
    "groups",
    "grants",
    "channels",
    "rules",
    "upstreams",
    "cache",
    "jobs",
    "audit",
    "downloads",
    "settings",
];

#[test]
fn only_administrators_get_in() {
    let scene = Scene::new("");
    let mut root = Browser::of(&scene.gate, "root");
    let mut ada = Browser::of(&scene.gate, "ada");
    assert!(root.page("/").contains("/-/ui/admin\"") && !ada.page("/").contains("/-/ui/admin\""));
    for page in PAGES {
        let path = format!("/-/ui/admin/{page}");
        assert!(root.page(&path).contains("aria-label=\"Administration\""), "{page}");
        assert_eq!(ada.open(&path).status, 403, "{page}");
        assert_eq!(Browser::new(&scene.gate).open(&path).status, 401, "{page}");
    }
    for path in [
        "users",
        "users/bob",
        "groups",
        "groups/acme",
        "grants",
        "channels",
        "cache/purge",
        "cache/warm",
        "rules",
        "rules/recall",
        "rules/recall/undo?id=x",
    ] {
        let answer = ada.post(&format!("/-/ui/admin/{path}"), &[("action", "delete"), ("confirm", "bob")]);
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_eq!(ada.open("/-/ui/admin/audit/export").status, 403);
}

#[test]
fn users_are_made_changed_and_deleted() {
    let scene = Scene::new("");
    let mut root = Browser::of(&scene.gate, "root");
    root.page("/-/ui/admin/users");
    let new = |name: &'static str, again| {
        [
            ("name", name),
            ("email", "eve@example.org"),
            ("kind", "person"),
            ("password", PASSWORD),
            ("again", again),
        ]
    };
    assert!(root.submit("/-/ui/admin/users", &new("eve", "other")).contains("are not the same"));
    assert!(root.submit("/-/ui/admin/users", &new("ada", PASSWORD)).contains("is taken"));
    let page = root.submit("/-/ui/admin/users", &new("eve", PASSWORD));
    assert!(page.contains("eve is there now.") && page.contains("eve@example.org"), "{page}");
    let service = root.submit("/-/ui/admin/users", &[("name", "robot"), ("kind", "service")]);
    assert!(service.contains("service account") && service.contains("/-/ui/tokens?user=robot"), "{service}");

    let mut eve = Browser::of(&scene.gate, "eve");
    let act = |root: &mut Browser, action: &str| {
        root.submit(
            "/-/ui/admin/users/eve",
            &[
                ("action", action),
                ("password", "a new horse and battery"),
                ("again", "a new horse and battery"),
            ],
        )
    };
    let mail = |root: &mut Browser, email: &'static str| {
        root.submit("/-/ui/admin/users/eve", &[("action", "email"), ("email", email)])
    };
    assert!(mail(&mut root, "eve@example.com").contains("Mail to eve goes to eve@example.com."));
    assert!(mail(&mut root, "nowhere").contains("class=\"note bad\""));
    assert!(mail(&mut root, "").contains("eve has no address any more"));
    assert!(act(&mut root, "promote").contains("is an administrator now"));
    eventually_true("eve may", || eve.open("/-/ui/admin/users").status == 200);
    assert!(act(&mut root, "demote").contains("no administrator any more"));
    assert!(act(&mut root, "password").contains("has a new password"));
    assert!(act(&mut root, "disable").contains("let in nowhere"));
    assert_eq!(eve.sign_in("eve", "a new horse and battery").status, 401);
    assert!(act(&mut root, "enable").contains("is let in again"));
    let wrong = root.submit("/-/ui/admin/users/eve", &[("action", "delete"), ("confirm", "bob")]);
    assert!(wrong.contains("Type eve to delete the account"), "{wrong}");
    let gone = root.submit("/-/ui/admin/users/eve", &[("action", "delete"), ("confirm", "eve")]);
    assert!(gone.contains("eve is deleted"), "{gone}");
    assert_eq!(root.open("/-/ui/admin/users/eve").status, 404);
    // The last one can't lock everybody out.
    let last = root.submit("/-/ui/admin/users/root", &[("action", "demote")]);
    assert!(last.contains("is the last superuser"), "{last}");
}

#[test]
fn administrators_make_tokens_of_service_accounts_and_of_nobody_else() {
    let scene = Scene::new("");
    let (mut root, mut bob) = (Browser::of(&scene.gate, "root"), Browser::of(&scene.gate, "bob"));
    root.page("/-/ui/admin/users");
    root.submit("/-/ui/admin/users", &[("name", "robot"), ("kind", "service")]);
    assert!(root.page("/-/ui/tokens?user=robot").contains("Tokens of robot"));
    let new =
        |user| [("user", user), ("name", "nightly"), ("right", "read"), ("channels", "open"), ("life", "30")];
    let made = String::from_utf8(root.post("/-/ui/tokens", &new("robot")).expect(200)).unwrap();
    let token = secret(&made);
    let me = Request::get("/-/api/v1/me").header("Authorization", &format!("Bearer {token}"));
    eventually_true("the token is known", || {
        let answer = scene.gate.ask(&me);
        answer.status == 200 && answer.json()["user"] == "robot"
    });
    let listed = root.page("/-/ui/tokens?user=robot");
    let id = id_of(&listed, "nightly");
    let rotate = [("user", "robot"), ("id", &*id)];
    let rotated = String::from_utf8(root.post("/-/ui/tokens/rotate", &rotate).expect(200)).unwrap();
    assert_ne!(secret(&rotated), token);
    assert!(!root.page("/-/ui/tokens").contains("nightly"), "it is not the administrator's own");
    // People sign in and make their own; nobody else makes any for others.
    assert_eq!(root.post("/-/ui/tokens", &new("ada")).status, 403);
    assert_eq!(root.open("/-/ui/tokens?user=ada").status, 403);
    bob.page("/-/ui/tokens");
    assert_eq!(bob.post("/-/ui/tokens", &new("robot")).status, 403);
    assert_eq!(bob.post("/-/ui/tokens/rotate", &rotate).status, 404);
    assert_eq!(bob.open("/-/ui/tokens?user=robot").status, 403);
}

#[test]
fn groups_and_grants_open_a_channel() {
    let scene = Scene::new("");
    let mut root = Browser::of(&scene.gate, "root");
    root.page("/-/ui/admin/groups");
    let page = root.submit("/-/ui/admin/groups", &[("name", "guests"), ("description", "for a while")]);
    assert!(page.contains("The group guests is there now") && page.contains("Nobody yet"), "{page}");
    let path = "/-/ui/admin/groups/guests";
    assert!(root.submit(path, &[("action", "add"), ("users", "bob nobody")]).contains("There is no user"));
    assert!(
        root.submit(path, &[("action", "add"), ("users", "bob, ci")]).contains("In guests now: bob, ci.")
    );
    let mut bob = Browser::of(&scene.gate, "bob");
    assert_eq!(bob.open("/-/ui/channels/team").status, 404);
    let grant = |action| {
        [("action", action), ("channels", "team"), ("right", "read"), ("kind", "group"), ("name", "guests")]
    };
    let given = root.submit("/-/ui/admin/grants", &grant("give"));
    assert!(given.contains("guests may read team."), "{given}");
    eventually_true("bob may", || bob.open("/-/ui/channels/team").status == 200);
    assert!(root.submit("/-/ui/admin/grants", &grant("take")).contains("no longer"));
    eventually_true("bob may not", || bob.open("/-/ui/channels/team").status == 404);
    assert!(
        root.submit(path, &[("action", "remove"), ("users", "bob")]).contains("No longer in guests: bob.")
    );
    assert!(root.submit(path, &[("action", "delete")]).contains("The group guests is deleted"));
}

#[test]
fn hosted_channels_are_made_set_deleted_and_restored() {
    let scene = Scene::new("");
    let mut root = Browser::of(&scene.gate, "root");
    root.page("/-/ui/admin/channels");
    let new = |name: &'static str| [("name", name), ("description", "of the lab"), ("quota", "3")];
    assert!(root.submit("/-/ui/admin/channels", &new("Lab")).contains("lower-case"));
    assert!(root.submit("/-/ui/admin/channels", &new("api")).contains("belongs to the gate itself"));
    let page = root.submit("/-/ui/admin/channels", &new("lab"));
    assert!(
        page.contains("The channel lab is there now") && page.contains("Nothing has been published here yet"),
        "{page}"
    );
    let settings = "/-/ui/admin/channels/lab";
    let set = [
        ("action", "set"),
        ("description", "renamed"),
        ("owns", "lab-*, x"),
        ("licenses", "MIT"),
        ("overwrite", "yes"),
        ("public", "yes"),
    ];
    let page = root.submit(settings, &set);
    assert!(
        page.contains("lab is set.")
            && page.contains("value=\"lab-*, x\"")
            && page.contains("value=\"renamed\""),
        "{page}"
    );
    assert!(root.submit(settings, &[("action", "set"), ("quota", "many")]).contains("whole number of GiB"));
    assert!(Browser::new(&scene.gate).open("/-/ui/channels/lab").status == 200, "it is public now");
    assert!(root.submit(settings, &[("action", "delete"), ("confirm", "la")]).contains("Type lab to delete"));
    let gone = root.submit(settings, &[("action", "delete"), ("confirm", "lab")]);
    assert!(gone.contains("lab is deleted") && gone.contains("value=\"restore\""), "{gone}");
    assert_eq!(root.open("/-/ui/channels/lab").status, 404);
    assert!(root.submit(settings, &[("action", "restore")]).contains("lab is back"));
    let mut ada = Browser::of(&scene.gate, "ada");
    ada.page("/");
    assert_eq!(ada.post(settings, &set).status, 403);
}

#[test]
fn the_trail_is_filtered_and_taken_away() {
    let scene = Scene::new("");
    let mut root = Browser::of(&scene.gate, "root");
    let mut wrong = Browser::new(&scene.gate);
    wrong.sign_in("=cmd", "wrong");
    eventually_true("it is written down", || root.page("/-/ui/admin/audit").contains("login.failed"));
    let only = root.page("/-/ui/admin/audit?kind=login&actor=root&since=2026-01-01");
    assert!(only.contains("<code>login</code>") && !only.contains("<code>login.failed</code>"), "{only}");
    assert!(root.page("/-/ui/admin/audit?kind=nothing").contains("Nothing of that kind"));
    assert!(root.page("/-/ui/admin/audit?since=yesterday").contains("is a day such as"));
    let csv = root.open("/-/ui/admin/audit/export?kind=login");
    assert_eq!(csv.must("content-disposition"), "attachment; filename=\"condagate-audit.csv\"");
    let text = csv.text();
    assert!(text.starts_with("at,actor,actor_name,kind,") && text.contains(",root,login,"), "{text}");
    let json = root.open("/-/ui/admin/audit/export?kind=login&format=json").json();
    assert_eq!((&json["complete"], &json["events"][0]["kind"]), (&true.into(), &"login".into()));
}

#[test]
fn rules_are_shown_and_explained_and_the_cache_is_emptied() {
    let upstream = Upstream::start();
    let channel =
        crate::harness::Channel::new("chan").with("noarch", &crate::harness::package("alpha", "1.0"));
    channel.publish(&upstream);
    let policy = "policy:\n  - {id: no-alpha, hide: {names: [alpha], download: keep}}\n";
    let policy = policy.replace(", download: keep", "");
    let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).start();
    Society::of(gate.home(), gate.now()).superuser("root");
    gate.get(&channel.at("noarch", "repodata.json")).expect(200);
    let mut root = Browser::of(&gate, "root");
    let page = root.page("/-/ui/admin/rules");
    assert!(page.contains("id: no-alpha") && page.contains("50-test.yaml"), "{page}");
    let spec = root.page("/-/ui/admin/rules?what=chan%3A%3Aalpha");
    assert!(spec.contains("hidden</span>") && spec.contains("50-test.yaml:"), "{spec}");
    let file = root.page(&format!("/-/ui/admin/rules?what={}&as=root", channel.path("alpha")));
    assert!(file.contains("no-alpha") && file.contains("root"), "{file}");
    assert!(root.page("/-/ui/admin/rules?what=%5B%5B").contains("role=\"alert\""));

    let page = root.page("/-/ui/admin/cache");
    assert!(page.contains("Indexes at hand"), "{page}");
    let purge = |root: &mut Browser, fields: &[(&str, &str)]| root.submit("/-/ui/admin/cache/purge", fields);
    assert!(purge(&mut root, &[("kind", "one"), ("what", "")]).contains("Say what is to be removed"));
    assert!(
        purge(&mut root, &[("kind", "one"), ("what", "chan")]).contains("removed. What is asked for again")
    );
    assert!(purge(&mut root, &[("kind", "all"), ("confirm", "yes")]).contains("Type “everything”"));
    let all = purge(&mut root, &[("kind", "all"), ("confirm", "everything")]);
    assert!(all.contains("note good"), "{all}");
    let settings = root.page("/-/ui/admin/settings");
    assert!(
        settings.contains("auth.session.idle") && settings.contains("<td data-label=\"From\""),
        "{settings}"
    );
    let head = root.send(Request::head("/-/ui/admin/settings"));
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn long_lists_go_on_on_the_next_page() {
    let scene = Scene::new("");
    for n in 0..101 {
        scene.society.group(&format!("group-{n:03}"), &[]);
        scene.society.grant(&format!("chan-{n:03}"), "bob", condagate::policy::access::Right::Read);
        scene.society.token("bob", &["read:*"]);
    }
    let (mut root, mut bob) = (Browser::of(&scene.gate, "root"), Browser::of(&scene.gate, "bob"));
    let next = |page: &str| {
        let link = page.split("rel=\"next\" href=\"").nth(1)?;
        Some(link.split('"').next()?.replace("&#38;", "&"))
    };
    for (path, marks, all) in [
        ("admin/groups", "admin/groups/group-", 101),
        ("admin/grants", "name=\"channels\" value=\"chan-", 101),
        ("tokens", "tokens/revoke", 101),
    ] {
        let browser = if path == "tokens" { &mut bob } else { &mut root };
        let first = browser.page(&format!("/-/ui/{path}"));
        let more = browser.page(&next(&first).unwrap_or_else(|| panic!("{path}: no next page")));
        assert_eq!(next(&more), None, "{path}");
        assert!(more.contains("First page"), "{path}");
        let count = |page: &str| page.matches(marks).count();
        assert!(
            (1..=100).contains(&count(&first)) && count(&first) + count(&more) == all,
            "{path}: {} and {}",
            count(&first),
            count(&more)
        );
    }
}
