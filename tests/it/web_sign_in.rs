//! Pages for people: signing in, staying so, forms that are not ours, the first administrator, what every page carries.

use std::collections::HashSet;
use std::io::Read as _;
use std::time::Duration;

use crate::credentials::outside_address;
use crate::gating::{Scene, basic};
use crate::harness::people::PASSWORD;
use crate::harness::{Browser, Gate, Request, Setup, Upstream, eventually, rules, skipped};

const SESSION: &str = "condagate_session";

#[test]
fn a_person_signs_in_and_out() {
    let scene = Scene::new("");
    let mut browser = Browser::new(&scene.gate);
    let page = browser.page("/-/ui/sign-in");
    assert!(page.contains("<h1>Sign in</h1>"), "{page}");
    let wrong = browser.post("/-/ui/sign-in", &[("username", "ada"), ("password", "wrong")]);
    assert_eq!((wrong.status, wrong.must("www-authenticate")), (401, "Bearer realm=\"condagate\""));
    assert!(wrong.text().contains("class=\"note bad\" role=\"alert\""), "{}", wrong.text());
    assert!(wrong.text().contains("value=\"ada\""), "the name need not be typed again");

    let good = browser
        .post("/-/ui/sign-in", &[("username", "Ada"), ("password", PASSWORD), ("next", "/-/ui/sign-in")]);
    assert_eq!((good.status, good.must("location")), (303, "/-/ui/sign-in"));
    let cookie =
        good.headers.iter().find(|(name, value)| name == "set-cookie" && value.starts_with(SESSION)).unwrap();
    for part in ["Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=604800"] {
        assert!(cookie.1.contains(part), "{part}: {}", cookie.1);
    }
    assert!(!cookie.1.contains("Secure"), "it came over plain http: {}", cookie.1);
    let home = browser.page("/");
    assert!(home.contains("class=\"who\">ada<") && home.contains("Sign out"), "{home}");

    let secret = browser.cookie(SESSION).unwrap().to_owned();
    let out = browser.submit("/-/ui/sign-out", &[]);
    assert!(out.contains("You are signed out."), "{out}");
    assert_eq!(browser.cookie(SESSION), None);
    // What the browser had is good for nothing any more.
    browser.set_cookie(SESSION, &secret);
    assert!(!browser.page("/").contains("class=\"who\">ada<"));
    eventually("both are written down", || {
        (scene.society.events(&["login", "logout"]).len() == 2).then_some(())
    });
}

#[test]
fn each_log_in_has_a_session_of_its_own() {
    let scene = Scene::new("");
    let mut browser = Browser::new(&scene.gate);
    // Somebody planted a session that they know.
    let planted = "cg-planted";
    browser.set_cookie(SESSION, planted);
    browser.sign_in("ada", PASSWORD);
    let first = browser.cookie(SESSION).unwrap().to_owned();
    assert_ne!(first, planted);
    browser.page("/");
    browser.sign_in("ada", PASSWORD);
    let second = browser.cookie(SESSION).unwrap().to_owned();
    assert_ne!(first, second);
    browser.set_cookie(SESSION, &first);
    assert!(!browser.page("/").contains("class=\"who\">ada<"), "the session before it has ended");
}

#[test]
fn sessions_end_when_they_rest_and_when_they_are_old() {
    let scene = Scene::new("");
    let mut browser = Browser::of(&scene.gate, "ada");
    for _ in 0..3 {
        scene.gate.advance(Duration::from_hours(7));
        assert!(browser.page("/").contains("class=\"who\">ada<"), "it was used within eight hours");
    }
    scene.gate.advance(Duration::from_hours(24 * 7 - 22));
    assert!(!browser.page("/").contains("class=\"who\">ada<"), "it rested for too long");
    let mut busy = Browser::of(&scene.gate, "ada");
    for hour in 0..(24 * 7 / 6) {
        scene.gate.advance(Duration::from_hours(6));
        // Who there is, is believed for a day without a word from the store, which the gate asks by the clock on the wall.
        eventually("a week at most", || {
            (busy.page("/").contains("class=\"who\">ada<") == (hour < 27)).then_some(())
        });
    }
    let mut idle = Browser::of(&scene.gate, "ada");
    scene.gate.advance(Duration::from_hours(9));
    assert!(!idle.page("/").contains("class=\"who\">ada<"));
    assert_eq!(idle.cookie(SESSION), None, "the browser is told to forget it");
    let mut other = Browser::of(&scene.gate, "bob");
    scene.society.disable("bob");
    eventually("a disabled user is nobody", || {
        (!other.page("/").contains("class=\"who\">bob<")).then_some(())
    });
}

#[test]
fn forms_from_elsewhere_change_nothing() {
    let scene = Scene::new("");
    let mut browser = Browser::of(&scene.gate, "ada");
    browser.page("/");
    let good = browser.csrf.clone();
    for bad in ["", "0123456789", &good[1..]] {
        browser.csrf = bad.to_owned();
        let refused = browser.post("/-/ui/sign-out", &[]);
        assert_eq!(refused.status, 403, "{bad}");
        assert!(
            refused.text().contains("This form was not sent from a page of this gate"),
            "{}",
            refused.text()
        );
    }
    // The token of another browser.
    let mut stranger = Browser::new(&scene.gate);
    stranger.page("/");
    browser.csrf.clone_from(&stranger.csrf);
    assert_eq!(browser.post("/-/ui/sign-out", &[]).status, 403);
    // A browser that says where it comes from.
    browser.csrf.clone_from(&good);
    let mut crossing = Browser::new(&scene.gate).with_header("Sec-Fetch-Site", "same-site");
    crossing.set_cookie(SESSION, browser.cookie(SESSION).unwrap());
    crossing.csrf.clone_from(&good);
    assert_eq!(crossing.post("/-/ui/sign-out", &[]).status, 403);
    assert!(browser.page("/").contains("class=\"who\">ada<"));
    // A form to sign in has to be one of ours, too.
    let answer =
        Browser::new(&scene.gate).post("/-/ui/sign-in", &[("username", "ada"), ("password", PASSWORD)]);
    assert_eq!(answer.status, 403);
    // A password that the browser sends by itself does not make a page somebody's.
    let mut helpful = Browser::new(&scene.gate).with_header("Authorization", &basic("ada", PASSWORD));
    helpful.page("/");
    assert_eq!(helpful.open("/-/ui/tokens").status, 401);
}

#[test]
fn the_cookie_reads_channels_and_changes_nothing_but_pages() {
    let scene = Scene::new("");
    let mut browser = Browser::of(&scene.gate, "ada");
    browser.open(&scene.team.path("alpha")).expect(200);
    for (method, path) in
        [("PUT", scene.team.path("alpha")), ("DELETE", "/-/api/v1/channels/team".to_owned())]
    {
        let problem = browser.send(Request::new(method, &path).body(b"x")).expect_problem(401);
        assert!(problem["detail"].as_str().unwrap().contains("show a token"), "{problem}");
    }
    // Cookies and refresh tokens can't take each other's place.
    let secret = browser.cookie(SESSION).unwrap().to_owned();
    let renew = serde_json::json!({"refresh_token": secret});
    scene.gate.ask(&Request::new("POST", "/-/api/v1/session/refresh").json(&renew)).expect_problem(401);
}

#[test]
fn every_page_is_safe_to_show() {
    let scene = Scene::new("");
    let mut browser = Browser::of(&scene.gate, "ada");
    for path in ["/", "/-/ui/sign-in?next=/", "/-/ui/nothing-here", "/-/ui/tokens", "/-/ui/admin"] {
        let answer = browser.open(path);
        let policy = answer.must("content-security-policy").to_owned();
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.must("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.must("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.must("referrer-policy"), "same-origin", "{path}");
        assert_eq!(answer.must("cache-control"), "no-store", "{path}");
        let text = answer.text();
        for inline in ["<style", " style=", "<script>", "onclick", "javascript:"] {
            assert!(!text.contains(inline), "{path} has `{inline}`");
        }
        for (at, _) in text.match_indices("src=\"").chain(text.match_indices("href=\"")) {
            let target = text[at..].split('"').nth(1).unwrap();
            assert!(target.starts_with(['/', '#']), "{path} leads to {target}");
        }
    }
    let missing = browser.open("/-/ui/nothing-here");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("There is nothing here"));
}

#[test]
fn only_pages_of_the_gate_are_led_to() {
    let scene = Scene::new("");
    for bad in ["https://example.org/", "//example.org/", "/\\example.org", "/-/api/v1/me", "/team/noarch/x"]
    {
        let mut browser = Browser::new(&scene.gate);
        browser.page("/");
        let fields = [("username", "ada"), ("password", PASSWORD), ("next", bad)];
        assert_eq!(browser.post("/-/ui/sign-in", &fields).must("location"), "/", "{bad:?}");
    }
}

#[test]
fn assets_are_kept_for_good_and_packed() {
    let scene = Scene::new("");
    let mut browser = Browser::new(&scene.gate);
    let page = browser.page("/");
    let mut weight = page.len();
    for (at, _) in page.match_indices("/-/ui/assets/") {
        let path = page[at..].split('"').next().unwrap();
        let plain = browser.open(path);
        assert!(plain.must("cache-control").contains("immutable"), "{path}");
        let packed = browser.send(Request::get(path).header("Accept-Encoding", "br, gzip"));
        assert_eq!(packed.must("content-encoding"), "gzip", "{path}");
        assert!(packed.body.len() < plain.body.len(), "{path}");
        weight += packed.body.len();
        let stale = path.replace("/assets/", "/assets/0");
        assert_eq!(browser.open(&stale).status, 404, "{stale}");
    }
    assert!(weight < 60_000, "{weight} bytes");
}

#[test]
fn addresses_that_make_no_sense_are_answered_with_pages() {
    let scene = Scene::new("");
    let mut browser = Browser::of(&scene.gate, "ada");
    for path in [
        "/-/ui/channels/open?page=99999999999999999999999",
        "/-/ui/channels/open?page=x",
        "/-/ui/search?q=a&q=b",
    ] {
        let answer = browser.open(path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(
            answer.text().contains("The gate does not understand this request."),
            "{path}: {}",
            answer.text()
        );
    }
    assert_eq!(browser.open("/-/ui/channels/open/-/alpha?version=%FF").status, 404);
}

#[test]
fn colours_are_remembered_without_a_script() {
    let scene = Scene::new("");
    let mut browser = Browser::new(&scene.gate);
    assert!(!browser.page("/").contains("data-theme"));
    let dark = browser.submit("/-/ui/theme", &[("theme", "dark"), ("next", "/-/ui/sign-in")]);
    assert!(
        dark.contains("<html lang=\"en\" data-theme=\"dark\">") && dark.contains("<h1>Sign in"),
        "{dark}"
    );
    let auto = browser.submit("/-/ui/theme", &[("theme", "auto")]);
    assert!(!auto.contains("data-theme"));
}

#[test]
fn the_base_path_of_the_public_url_is_in_every_link() {
    let upstream = Upstream::start();
    let gate = Setup::rules(&rules::all_from(&upstream))
        .config("public_url: http://gate.example.org/conda\n")
        .start();
    crate::harness::Society::of(gate.home(), gate.now()).superuser("root");
    let mut browser = Browser::new(&gate);
    let page = browser.page("/conda/");
    assert!(page.contains("channel_alias: http://gate.example.org/conda\n"), "{page}");
    for (at, _) in page.match_indices("href=\"").chain(page.match_indices("action=\"")) {
        let target = page[at..].split('"').nth(1).unwrap();
        assert!(target.starts_with("/conda/") || target.starts_with('#'), "{target}");
    }
    let fields = [("username", "root"), ("password", PASSWORD), ("next", "/conda/-/ui/sign-in")];
    let answer = browser.post("/conda/-/ui/sign-in", &fields);
    assert_eq!(answer.must("location"), "/conda/-/ui/sign-in");
    assert!(
        answer.headers.iter().any(|(name, value)| name == "set-cookie" && value.contains("Path=/conda;"))
    );
}

#[test]
fn passwords_over_plain_http_are_not_taken() {
    let Some(outside) = outside_address() else {
        skipped("this machine has no address but loopback");
        return;
    };
    let ask = |config: &str, proto: Option<&str>| {
        let scene = Scene::everywhere(config);
        let mut browser = Browser::at((outside, scene.gate.address().port()).into());
        if let Some(proto) = proto {
            browser = browser.with_header("X-Forwarded-Proto", proto);
        }
        let page = browser.page("/-/ui/sign-in");
        let answer = browser.post("/-/ui/sign-in", &[("username", "ada"), ("password", PASSWORD)]);
        (page, answer)
    };
    let (page, answer) = ask("", None);
    assert!(!page.contains("type=\"password\"") && page.contains("allow_plaintext"), "{page}");
    assert_eq!(answer.status, 403);
    assert_eq!(ask("security: {allow_plaintext: true}\n", None).1.status, 303);
    let behind = format!("security: {{trusted_proxies: [{outside}/32]}}\n");
    assert_eq!(ask(&behind, Some("http")).1.status, 403);
    let (_, answer) = ask(&behind, Some("https"));
    assert_eq!(answer.status, 303);
    let is_secure = |(name, value): &(String, String)| name == "set-cookie" && value.contains("; Secure");
    assert!(
        answer.headers.iter().filter(|(name, _)| name == "set-cookie").all(is_secure),
        "{:?}",
        answer.head
    );
}

#[test]
fn the_first_administrator_sets_the_gate_up_in_the_browser() {
    let upstream = Upstream::start();
    let gate = Gate::in_front_of(&upstream);
    let file = gate.home().data().join("setup-code");
    let text = eventually("a code is laid down", || std::fs::read_to_string(&file).ok());
    let code = text.lines().next().unwrap();
    let mut browser = Browser::new(&gate);
    assert_eq!(browser.open("/-/ui/sign-in").must("location"), "/-/ui/setup");
    let page = browser.page("/-/ui/setup");
    assert!(page.contains("setup-code") && !page.contains(code), "{page}");
    let fields =
        |code, again| [("code", code), ("username", "root"), ("password", PASSWORD), ("again", again)];
    let wrong = browser.post("/-/ui/setup", &fields("not-the-code", PASSWORD));
    assert_eq!(wrong.status, 403);
    let other = browser.post("/-/ui/setup", &fields(code, "something else"));
    assert_eq!(other.status, 422);
    assert!(other.text().contains("The two passwords are not the same."));
    let weak = browser
        .post("/-/ui/setup", &[("code", code), ("username", "root"), ("password", "a"), ("again", "a")]);
    assert_eq!(weak.status, 422);
    let welcome = browser.submit("/-/ui/setup", &fields(code, PASSWORD));
    assert!(welcome.contains("class=\"who\">root<") && welcome.contains("first administrator"), "{welcome}");
    assert!(!file.exists());
    let mut late = Browser::new(&gate);
    assert_eq!(late.open("/-/ui/setup").must("location"), "/-/ui/sign-in");
}

#[test]
fn pages_are_packed_and_the_proof_in_their_forms_is_never_written_twice() {
    let scene = Scene::new("");
    let mut browser = Browser::of(&scene.gate, "ada");
    let plain = browser.open("/-/ui/tokens");
    assert_eq!(plain.header("content-encoding"), None);
    assert!(plain.must("vary").contains("Accept-Encoding"));
    let packed = browser.send(Request::get("/-/ui/tokens").header("Accept-Encoding", "br, gzip"));
    assert_eq!((packed.must("content-encoding"), packed.status), ("gzip", 200));
    assert!(packed.must("vary").contains("Accept-Encoding") && packed.body.len() * 2 < plain.body.len());
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut unpacked).unwrap();
    let proofs = |page: &str| -> HashSet<String> {
        let all = page.match_indices("name=\"csrf\" value=\"").map(|(at, found)| &page[at + found.len()..]);
        all.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let (first, second) = (proofs(&plain.text()), proofs(&unpacked));
    assert!(!first.is_empty() && first.is_disjoint(&second), "{first:?} {second:?}");
    assert!(unpacked.contains("You have no token yet"), "{unpacked}");
    // All of them are good.
    for proof in first.iter().chain(&second) {
        browser.csrf.clone_from(proof);
        browser.submit("/-/ui/theme", &[("theme", "dark")]);
    }
    browser.csrf = "0".repeat(80);
    assert_eq!(browser.post("/-/ui/theme", &[("theme", "dark")]).status, 403);
}

#[test]
fn a_form_that_is_sent_when_the_session_is_over_leads_back_to_its_page() {
    let scene = Scene::new("");
    let from = |referer: &str| {
        let mut browser = Browser::of(&scene.gate, "ada").with_header("Referer", referer);
        browser.page("/-/ui/tokens");
        scene.gate.advance(Duration::from_hours(9));
        let answer = browser.post("/-/ui/tokens/revoke", &[("id", "none")]);
        assert_eq!(answer.status, 401, "{}", answer.text());
        let page = answer.text();
        assert!(page.contains("so nothing was changed") && page.contains("Your session is over"), "{page}");
        let next = page.split("name=\"next\" value=\"").nth(1).expect("a way back");
        next.split('"').next().unwrap().to_owned()
    };
    assert_eq!(from("http://gate.example.org/-/ui/tokens?after=abc"), "/-/ui/tokens?after=abc");
    // Only pages of the gate, and nothing that the browser did not mean.
    for odd in
        ["https://evil.example.org/elsewhere", "http://gate.example.org//evil.example.org/", "nonsense"]
    {
        assert_eq!(from(odd), "/-/ui/tokens/revoke", "{odd}");
    }
}
