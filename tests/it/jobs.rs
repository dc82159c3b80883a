//! `condagate jobs`, and what the gate does by itself.

use std::time::Duration;

use condagate::clock::UnixMillis;
use condagate::store::Store;
use condagate::store::model::{Job, JobId, JobState};
use condagate::store::sqlite::Sqlite;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::{Browser, Home, Request, Setup, Society, eventually, eventually_true};
use crate::people_cli::{done, ends_with, json_of};

/// The queue beside a gate, as another gate would fill it.
struct Rows {
    runtime: Runtime,
    store: Store,
}

impl Rows {
    fn of(home: &Home) -> Self {
        std::fs::create_dir_all(home.data()).unwrap();
        let runtime = Runtime::new().unwrap();
        let store = Sqlite::open(&home.data().join("store.db"), runtime.handle().clone()).unwrap();
        Self { runtime, store: Store::new(store) }
    }

    fn add(&self, id: &str, kind: &str, state: JobState) {
        let job = Job {
            id: JobId::new(id).unwrap(),
            kind: kind.to_owned(),
            input: json!({"to": id}).to_string(),
            only: id.to_owned(),
            state,
            due: UnixMillis(0),
            attempts: 3,
            attempts_left: 2,
            lease: None,
            error: Some("no \u{1b}[2Jroute".to_owned()),
            created: UnixMillis(0),
        };
        self.runtime.block_on(self.store.jobs().enqueue(&job)).unwrap();
    }
}

fn states(rows: &Value) -> Vec<String> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| format!("{} {}", text(row, "id"), text(row, "state"))).collect()
}

#[test]
fn jobs_are_looked_at_retried_and_cancelled() {
    let home = Home::new();
    ends_with(&home, 1, &["jobs", "list"], "");
    let rows = Rows::of(&home);
    let all =
        [("a", JobState::Waiting), ("b", JobState::Dead), ("c", JobState::Done), ("d", JobState::Running)];
    for (id, state) in all {
        rows.add(id, "somebody.elses", state);
    }
    assert_eq!(states(&json_of(&home, &["jobs", "list"])), ["a waiting", "b dead", "c done", "d running"]);
    assert_eq!(states(&json_of(&home, &["jobs", "list", "--state", "dead"])), ["b dead"]);
    let text = done(&home, &["jobs", "list"]);
    assert!(text.starts_with("ID  KIND") && text.contains("no \\u{1b}[2Jroute"), "{text}");
    let shown = json_of(&home, &["jobs", "show", "b"]);
    assert_eq!((&shown["input"], &shown["attempts"]), (&json!({"to": "b"}), &json!(3)));
    assert_eq!(json_of(&home, &["jobs", "retry", "b"])["state"], "waiting");
    assert!(done(&home, &["jobs", "cancel", "a"]).contains("the job a is cancelled"));
    assert_eq!(json_of(&home, &["jobs", "cancel", "d"])["state"], "cancelled");
    for (arguments, said) in [
        (["jobs", "retry", "b"], "the job `b` is waiting, so it can't be retried"),
        (["jobs", "retry", "c"], "the job `c` is done, so it can't be retried"),
        (["jobs", "cancel", "c"], "the job `c` is done, so it can't be cancelled"),
        (["jobs", "show", "no such"], "there is no job `no such`"),
    ] {
        let text = ends_with(&home, 1, &arguments, "");
        assert!(text.contains(said), "{text}");
    }
    ends_with(&home, 2, &["jobs", "list", "--state", "odd"], "");
    let events = json_of(&home, &["audit", "list", "--kind", "job.retry", "--kind", "job.cancel"]);
    let targets: Vec<_> =
        events.as_array().unwrap().iter().map(|event| event["target"].as_str().unwrap()).collect();
    assert_eq!(targets.len(), 3, "{events}");
    assert!(targets.contains(&"job:b") && events[0]["actor"].as_str().unwrap().starts_with("system:cli:"));
}

#[test]
fn a_gate_does_its_housekeeping_as_jobs() {
    let gate = Setup::rules("# Nothing.\n").config("audit: {retention: 30d}\n").start();
    let society = Society::of(gate.home(), gate.now());
    society.user("ada");
    // Of a kind that this version does not know: left to one that does.
    Rows::of(gate.home()).add("unknown", "not.yet", JobState::Waiting);
    let first = eventually("the first round", || {
        let jobs = json_of(gate.home(), &["jobs", "list", "--state", "done"]);
        jobs.as_array().unwrap().iter().any(|job| job["kind"] == "trail.forget").then_some(jobs)
    });
    assert_eq!(first.as_array().unwrap().len(), 1, "{first}");
    assert_eq!(society.events(&["user.create"]).len(), 1);
    gate.advance(Duration::from_hours(24 * 31));
    eventually_true("old events are forgotten", || society.events(&["user.create"]).is_empty());
    eventually_true("it is counted", || {
        let metrics = gate.get("/-/metrics").text();
        let line = metrics.lines().find(|line| line.starts_with("condagate_jobs_attempts_total{"));
        line.is_some_and(|line| line.contains("trail.forget") && line.contains("done"))
    });
    let waiting = json_of(gate.home(), &["jobs", "list", "--state", "waiting"]);
    assert_eq!(states(&waiting), ["unknown waiting"]);
    gate.stop();
}

#[test]
fn jobs_are_looked_after_by_the_api_and_on_the_page() {
    let gate = Setup::rules("channels: []\n").start();
    let society = Society::of(gate.home(), gate.now());
    society.superuser("root");
    let token = society.token("root", &["manage:*"]);
    let rows = Rows::of(gate.home());
    rows.add("alive", "somebody.elses", JobState::Waiting);
    rows.add("gone", "somebody.elses", JobState::Dead);
    let ask = |method: &str, path: &str| {
        let request = Request::new(method, &format!("/-/api/v1/{path}"));
        let request = request.header("Authorization", &format!("Bearer {}", token.secret));
        gate.ask(&if method == "POST" { request.json(&json!({})) } else { request })
    };
    assert_eq!(states(&ask("GET", "jobs?state=dead").json()["jobs"]), ["gone dead"]);
    ask("GET", "jobs?state=nonsense").expect_problem(400);
    assert_eq!(ask("POST", "jobs/gone/retry").json()["state"], "waiting");
    ask("POST", "jobs/gone/retry").expect_problem(409);
    ask("GET", "jobs/nothing").expect_problem(404);
    let mut root = Browser::of(&gate, "root");
    let page = root.page("/-/ui/admin/jobs?state=waiting");
    assert!(page.contains("somebody.elses") && page.contains("value=\"gone\""), "{page}");
    let told = root.submit("/-/ui/admin/jobs", &[("action", "cancel"), ("id", "gone")]);
    assert!(told.contains("gone is cancelled."), "{told}");
    assert!(
        root.submit("/-/ui/admin/jobs", &[("action", "cancel"), ("id", "gone")]).contains("is cancelled, so")
    );
    let events = society.events(&["job.retry", "job.cancel"]);
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.address == "127.0.0.1" && event.actor.starts_with("user:")));
}
