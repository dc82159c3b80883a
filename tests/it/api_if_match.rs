//! Writes of the API with `If-Match`, on both stores: of two that took something for what it was, one is done and the other is told.

use std::sync::Barrier;

use serde_json::{Value, json};

use crate::harness::people::{Made, PASSWORD};
use crate::harness::{Answer, Databases, Gate, Request, Setup, Society};

/// A gate where an administrator has a token.
struct Bench {
    gate: Gate,
    root: Made,
    society: Society,
}

/// A request that changes something: method, path, body.
type Write<'a> = (&'a str, &'a str, Value);

impl Bench {
    fn on_sqlite() -> Self {
        let gate = Setup::rules("# Nothing but what is hosted.\n").start();
        let society = Society::of(gate.home(), gate.now());
        Self::with(gate, society)
    }

    fn on_mongodb() -> Option<Self> {
        let databases = Databases::new()?;
        let gate = Setup::rules("# Nothing but what is hosted.\n").config(&databases.config()).start();
        let society = databases.society(&gate);
        Some(Self::with(gate, society))
    }

    fn with(gate: Gate, society: Society) -> Self {
        society.superuser("root").user("ada").user("bob").group("acme", &["ada"]);
        let root = society.token("root", &["manage:*"]);
        Self { gate, root, society }
    }

    fn ask(&self, (method, path, body): &Write<'_>, tag: Option<&str>) -> Answer {
        let request = Request::new(method, &format!("/-/api/v1/{path}")).json(body);
        let request = request.header("Authorization", &format!("Bearer {}", self.root.secret));
        self.gate.ask(&match tag {
            Some(tag) => request.header("If-Match", tag),
            None => request,
        })
    }

    fn tag(&self, path: &str) -> String {
        let answer = self.ask(&("GET", path, json!({})), None);
        let tag = answer.must("etag").to_owned();
        answer.expect(200);
        tag
    }

    /// Two writes at once by clients that have both seen this; exactly one is done.
    fn one_of(&self, seen: &str, writes: &[Write<'_>; 2]) {
        let (tag, ready) = (self.tag(seen), Barrier::new(2));
        let answers = std::thread::scope(|scope| {
            let (ready, tag) = (&ready, &tag);
            let begun = writes.each_ref().map(|write| {
                scope.spawn(move || {
                    ready.wait();
                    self.ask(write, Some(tag))
                })
            });
            begun.map(|one| one.join().unwrap())
        });
        let done = answers.iter().filter(|answer| answer.status < 300).count();
        let told: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(done, 1, "{writes:?}: {told:?}");
        for (answer, other) in answers.iter().zip([&writes[1], &writes[0]]) {
            // What was deleted meanwhile may simply be gone.
            let is_told = answer.status == 412 || (answer.status == 404 && other.0 == "DELETE");
            assert!(answer.status < 300 || is_told, "{writes:?}: {told:?} {}", answer.text());
        }
        // Nor is it done later.
        for write in writes {
            let late = self.ask(write, Some(&tag)).status;
            assert!(matches!(late, 412 | 404), "{write:?}: {late}");
        }
    }

    fn races(&self) {
        let password = json!({"password": format!("{PASSWORD} and more")});
        for round in 0..3 {
            let on = round % 2 == 0;
            let promote = ("PATCH", "users/ada", json!({"superuser": on}));
            let disable = ("PATCH", "users/ada", json!({"disabled": on}));
            self.one_of("users/ada", &[promote.clone(), disable]);
            // Both want the same.
            self.one_of("users/ada", &[promote.clone(), promote.clone()]);
            self.one_of("users/ada", &[promote, ("PUT", "users/ada/password", password.clone())]);
            let bob = ("PUT", "groups/acme/members/bob", json!({}));
            let ada = ("DELETE", "groups/acme/members/ada", json!({}));
            self.one_of("groups/acme", &[bob.clone(), ada]);
            self.one_of("groups/acme", &[bob.clone(), bob]);

            let token = self.society.token("root", &["read:*"]).id;
            let (path, rotate) = (format!("tokens/{token}"), format!("tokens/{token}/rotate"));
            self.one_of(&path, &[("POST", &rotate, json!({})), ("DELETE", &path, json!({}))]);
            let grant = ("POST", "grants", json!({"channels": "x", "right": "read", "user": "bob"}));
            let grant = self.ask(&grant, None).json();
            let path = format!("grants/{}", grant["id"].as_str().expect("an id"));
            let take = ("DELETE", &*path, json!({}));
            self.one_of(&path, &[take.clone(), take]);

            let (user, group) = (format!("eve{round}"), format!("lab{round}"));
            self.society.user(&user).group(&group, &[]);
            let path = format!("users/{user}");
            let gone = ("DELETE", &*path, json!({}));
            self.one_of(&path, &[gone.clone(), ("PATCH", &path, json!({"disabled": true}))]);
            let (path, member) = (format!("groups/{group}"), format!("groups/{group}/members/bob"));
            self.one_of(&path, &[("DELETE", &path, json!({})), ("PUT", &member, json!({}))]);
        }
    }

    fn states(&self) {
        let (path, nothing) = ("groups/acme", json!({}));
        let before = self.tag(path);
        self.ask(&("PUT", "groups/acme/members/root", nothing.clone()), None).expect(204);
        assert_ne!(self.tag(path), before, "who is in it is part of it");
        self.ask(&("PUT", "groups/acme/members/root", nothing.clone()), Some(&before)).expect_problem(412);
        // Any state will do.
        self.ask(&("DELETE", "groups/acme/members/root", nothing.clone()), Some("*")).expect(204);
        let tag = self.tag(path);
        self.ask(&("DELETE", path, nothing.clone()), Some(&format!("\"other\", {tag}"))).expect(204);
        // Both or none, and once.
        let both = json!({"superuser": true, "disabled": true});
        let (before, changed) = (self.tag("users/bob"), self.ask(&("PATCH", "users/bob", both), None));
        let tag = changed.must("etag").to_owned();
        let changed: Value = serde_json::from_slice(&changed.expect(200)).unwrap();
        assert_eq!((&changed["superuser"], &changed["disabled"]), (&json!(true), &json!(true)));
        assert_ne!(before, tag);
        assert_eq!(self.tag("users/bob"), tag);
    }
}

#[test]
fn of_two_writers_one_is_told() {
    let bench = Bench::on_sqlite();
    bench.races();
    bench.states();
}

#[test]
fn of_two_writers_one_is_told_on_mongodb() {
    let Some(bench) = Bench::on_mongodb() else { return };
    bench.races();
    bench.states();
}
