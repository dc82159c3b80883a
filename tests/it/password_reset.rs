//! Passwords that were forgotten: a code by mail, good once and for an hour.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Answer, Browser, Gate, Request, Setup, eventually, eventually_true};
use crate::notify::{MailServer, PASSWORD as MAIL_PASSWORD};
use crate::people_cli::{administrator, done, done_with, json_of};

const OLD: &str = "correct horse battery";
const NEW: &str = "staple stays where it is";

fn gate(mail: &MailServer) -> Gate {
    let setup = Setup::rules("# Nothing.\n").config(&format!("notify:\n{}", mail.settings()));
    std::fs::write(setup.home().path("mail-password"), MAIL_PASSWORD).unwrap();
    let gate = setup.start();
    for (name, email) in [("ada", Some("ada@example.org")), ("bob", None), ("eve", Some("eve@example.org"))] {
        let mut create = vec!["user", "create", "--username", name, "--password-stdin"];
        create.extend(email.iter().flat_map(|email| ["--email", *email]));
        done_with(gate.home(), &create, &format!("{OLD}\n"));
    }
    done_with(gate.home(), &["user", "disable", "eve"], "");
    administrator(gate.home());
    gate
}

fn post(gate: &Gate, path: &str, body: &serde_json::Value) -> Answer {
    gate.ask(&Request::new("POST", &format!("/-/api/v1/{path}")).json(body))
}

fn log_in(gate: &Gate, password: &str) -> Answer {
    post(gate, "session", &json!({"username": "ada", "password": password}))
}

/// The code in the mail after so many.
fn code(mail: &MailServer, before: usize) -> String {
    let letter = eventually("the mail", || mail.to("ada@example.org").into_iter().nth(before));
    // As readers of mail put lines together again (quoted-printable).
    let text = letter.text.replace("=\r\n", "");
    let is_code = |line: &&str| line.split('.').count() == 3 && line.len() > 80 && !line.contains(' ');
    text.lines().find(is_code).unwrap_or_else(|| panic!("no code in {text}")).to_owned()
}

#[test]
fn a_code_by_mail_sets_another_password_once() {
    let mail = MailServer::start();
    let gate = gate(&mail);
    let session = log_in(&gate, OLD).json();
    // Nobody learns who is there, and who has an address.
    let asked = |name: &str| post(&gate, "password/forgot", &json!({"username": name})).expect(202);
    let said = asked("ada");
    for name in ["bob", "eve", "nobody", "a b"] {
        assert_eq!(asked(name), said, "{name}");
    }
    let code = code(&mail, 0);
    // However often somebody asks, one mail comes in a while.
    asked("ada");
    let jobs = json_of(gate.home(), &["jobs", "list"]);
    let resets = jobs.as_array().unwrap().iter().filter(|job| job["kind"] == "notify.reset").count();
    assert_eq!((resets, mail.to("ada@example.org").len()), (1, 1));
    assert!(!jobs.to_string().contains(&code) && !gate.home().log().contains(&code));

    let reset = |code: &str, password: &str| {
        post(&gate, "password/reset", &json!({"code": code, "password": password}))
    };
    let mut other = code.clone();
    other.replace_range(code.len() - 1.., if code.ends_with('0') { "1" } else { "0" });
    for wrong in [other.as_str(), "", "a.b.c", &code.replace('.', "")] {
        reset(wrong, NEW).expect_problem(403);
    }
    // A password that can't be one does not use the code up.
    reset(&code, "short").expect_problem(400);
    log_in(&gate, OLD).expect(200);
    reset(&code, NEW).expect(200);
    reset(&code, "yet another password").expect_problem(403);
    // What was right a moment ago is remembered for as long as a revocation may take.
    eventually_true("the old one is forgotten", || log_in(&gate, OLD).status == 401);
    log_in(&gate, NEW).expect(200);
    let refresh = json!({"refresh_token": session["refresh_token"]});
    post(&gate, "session/refresh", &refresh).expect_problem(401);
    let events = done(gate.home(), &["audit", "list"]);
    assert!(events.contains("user.password.reset"), "{events}");
}

#[test]
fn the_same_on_the_pages() {
    let mail = MailServer::start();
    let gate = gate(&mail);
    let mut browser = Browser::new(&gate);
    assert!(browser.page("/-/ui/sign-in").contains("/-/ui/forgotten"));
    browser.page("/-/ui/forgotten");
    assert_eq!(browser.post("/-/ui/forgotten", &[("username", "ada")]).status, 303);
    let code = code(&mail, 0);
    assert!(mail.to("ada@example.org")[0].text.replace("=\r\n", "").contains("/-/ui/new-password"));
    browser.page("/-/ui/new-password");
    let mut set = |code: &str, password: &str, again: &str| {
        let form = [("code", code), ("password", password), ("again", again)];
        browser.post("/-/ui/new-password", &form).status
    };
    assert_eq!(set(&code, NEW, OLD), 422);
    assert_eq!(set("wrong", NEW, NEW), 403);
    assert_eq!(set(&code, NEW, NEW), 303);
    log_in(&gate, NEW).expect(200);
}

#[test]
fn a_code_ends_after_an_hour_and_with_the_user() {
    let mail = MailServer::start();
    let gate = gate(&mail);
    let asked = || post(&gate, "password/forgot", &json!({"username": "ada"})).expect(202);
    let reset = |code: &str| post(&gate, "password/reset", &json!({"code": code, "password": NEW}));
    asked();
    let first = code(&mail, 0);
    gate.advance(Duration::from_hours(1));
    reset(&first).expect_problem(403);
    asked();
    let second = code(&mail, 1);
    done_with(gate.home(), &["user", "disable", "ada"], "");
    reset(&second).expect_problem(403);
    done_with(gate.home(), &["user", "enable", "ada"], "");
    reset(&second).expect(200);
}

#[test]
fn without_a_mail_server_it_is_said_who_can_help() {
    let gate = Setup::rules("# Nothing.\n").start();
    let said = post(&gate, "password/forgot", &json!({"username": "ada"})).expect_problem(409);
    assert!(said["detail"].as_str().unwrap().contains("condagate user passwd"), "{said}");
}
