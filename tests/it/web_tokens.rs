//! Pages of whoever has signed in: tokens, the password, uploads.

use condagate::policy::access::Right;

use crate::gating::Scene;
use crate::harness::people::PASSWORD;
use crate::harness::{Browser, Request, Society, package};
use crate::hosted;

/// The secret that a page shows.
pub(crate) fn secret(page: &str) -> String {
    let rest = page.split("aria-label=\"the token\">").nth(1).unwrap_or_else(|| panic!("no token: {page}"));
    rest.split('<').next().unwrap().to_owned()
}

/// The public id behind the name of a token.
pub(crate) fn id_of(page: &str, name: &str) -> String {
    let rest = page.split(&format!("<strong>{name}</strong>")).nth(1).expect("a token");
    rest.split("<code>").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

#[test]
fn tokens_are_made_shown_once_rotated_and_revoked() {
    let scene = Scene::new("");
    let mut ada = Browser::of(&scene.gate, "ada");
    assert!(ada.page("/-/ui/tokens").contains("You have no token yet"));
    let new = [("name", "laptop"), ("right", "read"), ("channels", "team, open"), ("life", "30")];
    let made = String::from_utf8(ada.post("/-/ui/tokens", &new).expect(200)).unwrap();
    let first = secret(&made);
    assert!(made.contains("shown this once") && made.contains("read:team,open"), "{made}");
    let index = scene.index();
    let asked = |token: &str| scene.gate.get(&format!("/t/{token}{index}")).status;
    scene.gate.get(&format!("/t/{first}{index}")).expect(200);
    let page = ada.page("/-/ui/tokens");
    assert!(!page.contains(&first) && page.contains("ends <time"), "{page}");
    let id = id_of(&page, "laptop");

    // Somebody else's token is nobody's business, not even by its id.
    let mut bob = Browser::of(&scene.gate, "bob");
    bob.page("/-/ui/tokens");
    for what in ["revoke", "rotate"] {
        assert_eq!(bob.post(&format!("/-/ui/tokens/{what}"), &[("id", &id)]).status, 404, "{what}");
    }
    let rotated = String::from_utf8(ada.post("/-/ui/tokens/rotate", &[("id", &id)]).expect(200)).unwrap();
    let second = secret(&rotated);
    assert_ne!(first, second);
    assert_eq!((asked(&first), asked(&second)), (200, 200), "the old one is good for a day");
    let told = ada.submit("/-/ui/tokens/revoke", &[("id", &id)]);
    assert!(told.contains("is revoked"), "{told}");
    crate::harness::eventually_true("every gate knows", || asked(&first) == 401);
    assert_eq!(asked(&second), 200);
    for bad in [
        [("name", ""), ("right", "read"), ("channels", ""), ("life", "7")],
        [("name", "x"), ("right", "own"), ("channels", ""), ("life", "7")],
        [("name", "x"), ("right", "read"), ("channels", "["), ("life", "7")],
        [("name", "x"), ("right", "read"), ("channels", ""), ("life", "13")],
    ] {
        assert_eq!(ada.post("/-/ui/tokens", &bad).status, 422, "{bad:?}");
    }
    assert_eq!(Browser::new(&scene.gate).open("/-/ui/tokens").status, 401);
}

#[test]
fn a_token_can_not_open_the_pages_of_its_owner() {
    let scene = Scene::new("");
    let token = scene.society.token("root", &["manage:*"]);
    for path in ["/-/ui/tokens", "/-/ui/profile", "/-/ui/upload", "/-/ui/admin/users"] {
        let asked = Request::get(path).header("Authorization", &format!("Bearer {}", token.secret));
        assert_eq!(scene.gate.ask(&asked).status, 401, "{path}");
    }
}

#[test]
fn the_password_is_changed_by_who_knows_it() {
    let scene = Scene::new("");
    let (mut ada, mut elsewhere) = (Browser::of(&scene.gate, "ada"), Browser::of(&scene.gate, "ada"));
    assert!(ada.page("/-/ui/profile").contains("acme"), "groups are shown");
    let new = "another horse, another battery";
    let fields = |current, again| [("current", current), ("new", new), ("again", again)];
    let path = "/-/ui/profile/password";
    assert!(ada.submit(path, &fields("wrong", new)).contains("The present password was not right"));
    assert!(ada.submit(path, &fields(PASSWORD, "other")).contains("are not the same"));
    let weak = [("current", PASSWORD), ("new", "abc"), ("again", "abc")];
    assert!(ada.submit(path, &weak).contains("Nothing was changed."));
    assert!(ada.submit(path, &fields(PASSWORD, new)).contains("Your password is changed"));
    assert!(ada.page("/").contains("class=\"who\">ada<"));
    scene.gate.advance(std::time::Duration::from_secs(3));
    assert!(!elsewhere.page("/").contains("class=\"who\">ada<"), "signed out everywhere else");
    assert_eq!(elsewhere.sign_in("ada", PASSWORD).status, 401);
    assert_eq!(elsewhere.sign_in("ada", new).status, 303);
}

#[test]
fn sessions_are_listed_and_ended_by_whose_they_are() {
    let scene = Scene::new("");
    let mut phone = Browser::new(&scene.gate).with_header("User-Agent", "a phone");
    assert_eq!(phone.sign_in("ada", PASSWORD).status, 303);
    let (mut ada, mut bob) = (Browser::of(&scene.gate, "ada"), Browser::of(&scene.gate, "bob"));
    let page = ada.page("/-/ui/profile");
    let row = page.split("<tr>").find(|row| row.contains("a phone")).expect("the other session");
    let id = row.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    bob.page("/-/ui/profile");
    let end = |browser: &mut Browser| browser.submit("/-/ui/profile/sessions/end", &[("id", id)]);
    assert!(end(&mut bob).contains("There is no such session of yours"));
    assert!(phone.page("/").contains("class=\"who\">ada<"), "it is not bob's to end");
    let told = end(&mut ada);
    assert!(told.contains("That session is over.") && !told.contains("a phone"), "{told}");
    crate::harness::eventually_true("it is over", || !phone.page("/").contains("class=\"who\">ada<"));
    assert!(ada.page("/").contains("class=\"who\">ada<"), "this one goes on");
}

#[test]
fn packages_are_uploaded_by_form_and_by_script() {
    let scene = hosted::Scene::new("");
    scene.public("team");
    let society = Society::of(scene.gate.home(), scene.gate.now());
    society.user("ada").user("bob");
    society.grant("team", "ada", Right::Write);
    let (alpha, beta) =
        (package("alpha", "1.0").about().build("noarch"), package("beta", "1.0").build("noarch"));
    let mut ada = Browser::of(&scene.gate, "ada");
    let page = ada.page("/-/ui/upload");
    assert!(page.contains("<option>team</option>") && page.contains("multipart/form-data"), "{page}");
    let csrf = ada.csrf.clone();
    let form = |csrf: &str, channel: &str, name: &str, bytes: &[u8]| {
        Request::new("POST", "/-/ui/upload").form(&[
            ("csrf", None, csrf.as_bytes()),
            ("channel", None, channel.as_bytes()),
            ("labels", None, b"main, rc"),
            ("file", Some(name), bytes),
        ])
    };
    let script = |request: Request| request.header("Accept", "application/json");
    let done = ada.send(form(&csrf, "team", &alpha.file, &alpha.bytes));
    assert_eq!(done.status, 303, "{}", done.text());
    assert_eq!((done.status, done.must("location")), (303, "/-/ui/channels/team/-/alpha"));
    let page = ada.page("/-/ui/channels/team/-/alpha");
    assert!(page.contains("is published") && page.contains("rc</span>"), "{page}");
    let told = ada.send(script(form(&csrf, "team", &beta.file, &beta.bytes)));
    assert_eq!(told.status, 201);
    assert!(told.json()["detail"].as_str().unwrap().contains("team/noarch/beta-1.0-0.conda is published"));
    let again = ada.send(script(form(&csrf, "team", &beta.file, &beta.bytes)));
    assert!(again.json()["detail"].as_str().unwrap().contains("was there already"));

    for (what, request, status) in [
        ("another form", form("", "team", "gamma-1.0-0.conda", &beta.bytes), 403),
        ("no channel", form(&csrf, "", "gamma-1.0-0.conda", &beta.bytes), 422),
        ("a channel of an upstream", form(&csrf, "theirs", "gamma-1.0-0.conda", &beta.bytes), 403),
        ("no package", form(&csrf, "team", "notes.txt", b"x"), 422),
        ("damaged", form(&csrf, "team", "gamma-1.0-0.conda", &beta.bytes), 422),
    ] {
        let refused = ada.send(script(request));
        assert_eq!(refused.status, status, "{what}: {}", refused.text());
        assert!(refused.json()["detail"].as_str().unwrap().ends_with('.'), "{what}");
    }
    let mut bob = Browser::of(&scene.gate, "bob");
    assert!(bob.page("/-/ui/upload").contains("There is no channel that you may publish to"));
    let theirs = bob.csrf.clone();
    assert_eq!(bob.send(script(form(&theirs, "team", &beta.file, &beta.bytes))).status, 403);
    assert_eq!(Browser::new(&scene.gate).send(form("", "team", &beta.file, &beta.bytes)).status, 401);
}
