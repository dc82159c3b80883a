//! How much each channel was asked for: totals by hour and day, as the API tells them and the page draws them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::home::wait_until_quiet;
use crate::harness::people::Made;
use crate::harness::process::{run, text_of};
use crate::harness::{
    Browser, Channel, Gate, Home, Process, Publishers, Request, Server, Setup, Society, Upstream, eventually,
    eventually_true, package, rules,
};

const HOUR: Duration = Duration::from_hours(1);

/// A gate in front of `chan`, of which `beta` is denied, and a superuser's token.
struct Scene {
    gate: Gate,
    _upstream: Upstream,
    channel: Channel,
    root: Made,
}

impl Scene {
    fn new() -> Self {
        let upstream = Upstream::start();
        let channel = Channel::new("chan")
            .with("noarch", &package("alpha", "1.0"))
            .with("noarch", &package("beta", "1.0"));
        channel.publish(&upstream);
        let policy = "policy:\n  - {id: no-beta, deny: {names: [beta]}}\n";
        let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).start();
        let root = Society::of(gate.home(), gate.now()).superuser("root").token("root", &["manage:*"]);
        Self { gate, _upstream: upstream, channel, root }
    }

    /// One index, one package that is fetched.
    fn begin(&self) -> u64 {
        let index = self.gate.get(&self.channel.at("noarch", "repodata.json")).expect(200).len();
        let package = self.gate.get(&self.channel.path("alpha")).expect(200).len();
        wait_until_quiet(self.gate.address());
        (index + package) as u64
    }

    /// So many of each: packages out of the cache, and refused.
    fn go_on(&self, hits: u64, refused: u64) -> u64 {
        let path = self.channel.path("alpha");
        let bytes = (0..hits).map(|_| self.gate.get(&path).expect(200).len() as u64).sum();
        for _ in 0..refused {
            self.gate.get(&self.channel.path("beta")).expect_problem(403);
        }
        bytes
    }
}

fn asked(gate: &Gate, root: &Made, query: &str) -> Value {
    let request = Request::get(&format!("/-/api/v1/traffic{query}")).header("X-API-Key", &root.secret);
    let answer = gate.ask(&request);
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.json()
}

fn rows(gate: &Gate, root: &Made, query: &str) -> Vec<Value> {
    asked(gate, root, query)["traffic"].as_array().unwrap().clone()
}

fn row(start: &str, (hits, misses, refused): (u64, u64, u64), indexes: u64, bytes: u64) -> Value {
    json!({
        "start": start, "channel": "chan", "requests": hits + misses + refused,
        "hits": hits, "misses": misses, "refused": refused, "indexes": indexes, "bytes": bytes,
    })
}

/// What was counted is written down within seconds.
fn becomes(gate: &Gate, root: &Made, query: &str, expected: &[Value]) {
    eventually_true(&format!("the totals are {expected:#?}"), || rows(gate, root, query) == expected);
}

#[test]
fn hours_and_days_add_up_and_outlive_the_gate() {
    let scene = Scene::new();
    let (mut first, midnight) = (scene.begin(), "2026-11-04T00:00:00.000Z");
    first += scene.go_on(3, 2);
    let is = |gate: &Gate, query: &str, expected: &[Value]| becomes(gate, &scene.root, query, expected);
    let first = row(midnight, (3, 1, 2), 1, first);
    is(&scene.gate, "", std::slice::from_ref(&first));
    scene.gate.advance(HOUR + HOUR / 2);
    let second = scene.go_on(2, 0);
    let second = row("2026-11-04T01:00:00.000Z", (2, 0, 0), 0, second);
    is(&scene.gate, "", &[first.clone(), second.clone()]);
    // What came just before the end is not lost with the process.
    let more = scene.go_on(1, 1);
    let Scene { gate, root, .. } = scene;
    let now = gate.now();
    let gate = Setup::again(gate.stop()).at(now).start();
    let is = |query: &str, expected: &[Value]| assert_eq!(rows(&gate, &root, query), expected, "{query}");
    let bytes = second["bytes"].as_u64().unwrap() + more;
    let second = row("2026-11-04T01:00:00.000Z", (3, 0, 1), 0, bytes);
    is("", &[first.clone(), second.clone()]);
    is("?from=2026-11-04T00:30:00Z", std::slice::from_ref(&second));
    is("?to=2026-11-04T01:00:00Z", std::slice::from_ref(&first));
    is("?channel=chan&by=hour&from=2026-11-04&to=2026-11-04", &[first.clone(), second.clone()]);
    is("?channel=other", &[]);
    is("?from=2026-11-05", &[]);
    let day = row(midnight, (6, 1, 3), 1, first["bytes"].as_u64().unwrap() + bytes);
    is("?by=day", std::slice::from_ref(&day));
    let page = asked(&gate, &root, "?limit=1");
    assert_eq!(page["traffic"], json!([first]));
    let after = page["next"].as_str().unwrap().replace('/', "%2F");
    assert_eq!(
        asked(&gate, &root, &format!("?limit=9&after={after}")),
        json!({"traffic": [second], "next": null})
    );
}

#[test]
fn what_is_not_there_does_not_count_and_made_up_names_make_no_rows() {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("alpha", "1.0"));
    channel.publish(&upstream);
    for policy in ["", "policy:\n  - {id: no-beta, deny: {names: [beta]}}\n"] {
        let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).start();
        let root = Society::of(gate.home(), gate.now()).superuser("root").token("root", &["manage:*"]);
        for path in [
            "chan/noarch/gamma-1.0-0.conda",
            "made-up/noarch/beta-1.0-0.conda",
            "made-up/noarch/repodata.json",
        ] {
            assert!(gate.get(&format!("/{path}")).status >= 400, "{path}");
        }
        gate.get("/made-up/notices.json");
        let index = channel.at("noarch", "repodata.json");
        let sent = gate.get(&index).expect(200).len() + gate.get(&channel.path("alpha")).expect(200).len();
        let found = eventually("the totals", || {
            let found = rows(&gate, &root, "");
            found.first().is_some_and(|row| row["misses"] == 1 && row["indexes"] == 1).then_some(found)
        });
        assert_eq!(
            (found.len(), &found[0]["channel"], &found[0]["requests"]),
            (1, &json!("chan"), &json!(1)),
            "{found:?}"
        );
        assert!(found[0]["bytes"].as_u64().unwrap() >= sent as u64, "{found:?}");
    }
}

#[test]
fn hours_are_forgotten_before_days_are() {
    let scene = Scene::new();
    scene.begin();
    let count = |root: &Made, by: &str| rows(&scene.gate, root, &format!("?from=2026-01-01&by={by}")).len();
    eventually_true("the totals", || count(&scene.root, "hour") == 1);
    scene.gate.advance(HOUR * 24 * 37);
    eventually_true("hours are forgotten", || count(&scene.root, "hour") == 0);
    assert_eq!(count(&scene.root, "day"), 1);
    scene.gate.advance(HOUR * 24 * 365);
    // The other token is over.
    let root = Society::of(scene.gate.home(), scene.gate.now()).token("root", &["manage:*"]);
    eventually_true("days are forgotten", || count(&root, "day") == 0);
}

#[test]
fn only_administrators_are_told_and_mistakes_are_named() {
    let scene = Scene::new();
    let ask = |query: &str, secret: &str| {
        let request = Request::get(&format!("/-/api/v1/traffic{query}"));
        scene.gate.ask(&if secret.is_empty() { request } else { request.header("X-API-Key", secret) })
    };
    ask("", "").expect_problem(401);
    let society = Society::of(scene.gate.home(), scene.gate.now());
    let ada = society.user("ada").token("ada", &["read:*"]);
    eventually_true("she is known", || ask("", &ada.secret).status == 403);
    for (query, said) in [
        ("?by=week", "week"),
        ("?from=yesterday", "`from` is a day such as"),
        ("?to=1", "`to` is a day such as"),
        ("?limit=0", "`limit` is a number"),
        ("?after=x", "`after` is what `next`"),
        ("?until=2026-11-04", "until"),
    ] {
        let problem = ask(query, &scene.root.secret).expect_problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(said), "{query}: {problem}");
    }
    assert_eq!(rows(&scene.gate, &scene.root, ""), [] as [Value; 0]);
}

#[test]
fn the_page_draws_what_the_api_tells() {
    let scene = Scene::new();
    let mut root = Browser::of(&scene.gate, "root");
    let path = "/-/ui/admin/downloads";
    let empty = root.page(path);
    assert!(
        empty.contains("Nothing in the last 24 hours") && empty.contains("audit.traffic_retention"),
        "{empty}"
    );
    let sent = scene.begin() + scene.go_on(3, 2);
    becomes(&scene.gate, &scene.root, "", &[row("2026-11-04T00:00:00.000Z", (3, 1, 2), 1, sent)]);
    let has = |page: &str, wanted: &str| assert!(page.contains(wanted), "{wanted} is not in {page}");
    let page = root.page(path);
    has(&page, "<title id=\"requests-title\">Requests for packages, last 24 hours</title>");
    let said = "6 in all: 3 out of the cache, 1 fetched, 2 refused. Most in one hour: 6 (4 Nov, 00:00 UTC).";
    has(&page, &format!("<desc id=\"requests-said\">{said}</desc>"));
    // The last bar of 24, of 10 at the upper edge.
    for bar in [
        "class=\"hit\" d=\"M962 1000h33V700h-33z\"",
        "class=\"miss\" d=\"M962 700h33V600h-33z\"",
        "class=\"no\" d=\"M962 600h33V400h-33z\"",
    ] {
        has(&page, bar);
    }
    has(&page, "<span>10</span><span>5</span><span>0</span>");
    has(&page, "<span>01:00</span><span>07:00</span><span>13:00</span><span>19:00</span>");
    has(&page, "/-/ui/channels/chan\">chan</a>");
    has(&page, "<td data-label=\"Hit ratio\" class=\"right num\">75 %</td>");
    let table = page.split("<details").last().unwrap();
    has(
        table,
        "<td data-label=\"Since\">4 Nov, 00:00</td><td data-label=\"Requests\" class=\"right num\">6</td>",
    );
    assert_eq!(table.matches("<tr>").count(), 25, "each hour has a line: {table}");
    has(&page, "?range=day\" aria-current=\"true\"");

    scene.gate.advance(HOUR * 48);
    let mut root = Browser::of(&scene.gate, "root");
    has(&root.page(path), "Nothing in the last 24 hours");
    let month = root.page(&format!("{path}?range=month"));
    has(&month, "last 30 days");
    has(&month, "class=\"hit\" d=\"M903 1000h26V700h-26z\"");
    let year = root.page(&format!("{path}?range=year"));
    has(&year, "Most in one week: 6 (from 31 Oct 2026).");
    let file = root.page(&format!("{path}?sha256={}", "0".repeat(64)));
    assert!(file.contains("Nobody has got it here") && !file.contains("<figure"), "{file}");
}

/// Uploads and downloads of a hosted channel; who has no right is refused.
fn a_hosted_channel(hosted: &Publishers) {
    let tool = package("tool", "1.0").build("noarch");
    let path = format!("/team/noarch/{}", tool.file);
    hosted.ask(Request::new("PUT", &path).body(&tool.bytes)).expect(201);
    let get = |secret: &str| hosted.gate.ask(&Request::get(&path).header("X-API-Key", secret));
    for _ in 0..2 {
        assert_eq!(get(&hosted.reader.secret).expect(200), tool.bytes);
    }
    hosted.gate.get(&path).expect_problem(401);
    let expected = json!([{
        "start": "2026-11-04T00:00:00.000Z", "channel": "team", "requests": 3, "hits": 2, "misses": 0, "refused": 1,
        "indexes": 0, "bytes": 2 * tool.bytes.len(),
    }]);
    for by in ["hour", "day"] {
        becomes(&hosted.gate, &hosted.root, &format!("?by={by}"), expected.as_array().unwrap());
    }
}

#[test]
fn hosted_channels_are_counted() {
    a_hosted_channel(&Publishers::new(""));
}

#[test]
fn hosted_channels_are_counted_on_mongodb_too() {
    let Some(hosted) = Publishers::on_mongodb() else { return };
    a_hosted_channel(&hosted);
}

/// Requests for packages of all rows of a dump, by days.
pub fn dumped(home: &Home) -> u64 {
    let (file, data) = (home.path("dump"), home.data().display().to_string());
    let output = run(&["db", "dump", &file.display().to_string(), "--data", &data]);
    assert!(output.status.success(), "{}", text_of(&output));
    let lines = std::fs::read_to_string(&file).unwrap();
    let rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let days = rows.filter(|row| row["table"] == "traffic" && row["row"]["span"] == "day");
    days.map(|row| {
        ["hits", "misses", "refused"].map(|sum| row["row"][sum].as_u64().unwrap()).iter().sum::<u64>()
    })
    .sum()
}

#[test]
fn what_was_asked_for_while_the_database_was_away_is_written_down_afterwards() {
    let Some(mut server) = Server::start() else { return };
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("alpha", "1.0"));
    channel.publish(&upstream);
    let root = server.society().superuser("root").token("root", &["manage:*"]);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    home.write_config(&server.config());
    let ask = |gate: &Process| {
        let request = Request::get("/-/api/v1/traffic?by=day").header("X-API-Key", &root.secret);
        request.send(gate.address())
    };
    let gate = Process::serve(home);
    eventually_true("root is known", || ask(&gate).status == 200);
    let path = channel.path("alpha");
    gate.get(&path).expect(200);
    server.kill();
    for _ in 0..3 {
        gate.get(&path).expect(200);
    }
    let problem = eventually("the outage is told", || {
        let answer = ask(&gate);
        (answer.status == 503).then(|| answer.expect_problem(503))
    });
    assert!(problem["detail"].as_str().unwrap().contains("database"), "{problem}");
    // It waits in a file, so that it outlives the gate.
    let gate = Process::serve(gate.stop());
    gate.get(&path).expect(200);
    server.run();
    eventually_true("all five", || {
        let answer = ask(&gate);
        let days = if answer.status == 200 { answer.json()["traffic"].clone() } else { json!([]) };
        days.as_array().unwrap().iter().map(|day| day["requests"].as_u64().unwrap()).sum::<u64>() == 5
    });
}
