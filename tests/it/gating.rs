//! Channels that are not for everybody: every form of a credential, every form of an answer, and what goes wrong.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use condagate::policy::access::Right;

use crate::harness::people::{Made, PASSWORD, Society};
use crate::harness::{Answer, Channel, Gate, Request, Setup, Upstream, eventually_true, package, rules};

/// `team` is for the group `acme` to read and for `ci` to write; everything else for everybody.
pub const TEAM: &str =
    "access:\n  - {id: team, channels: [team], read: [\"group:acme\"], write: [\"user:ci\"]}\n";

pub struct Scene {
    pub gate: Gate,
    pub upstream: Upstream,
    pub society: Society,
    pub team: Channel,
    pub open: Channel,
}

fn channel(name: &str) -> Channel {
    Channel::new(name)
        .with("noarch", &package("alpha", "1.0"))
        .with("noarch", &package("acme-tool", "1.0"))
        .with("linux-64", &package("beta", "1.0"))
}

impl Scene {
    pub fn new(more: &str) -> Self {
        Self::with(more, "")
    }

    /// Also on the addresses that other machines reach.
    pub fn everywhere(config: &str) -> Self {
        Self::start("", config, &["0.0.0.0:0"])
    }

    pub fn with(more: &str, config: &str) -> Self {
        Self::start(more, config, &["127.0.0.1:0"])
    }

    fn start(more: &str, config: &str, listen: &[&str]) -> Self {
        let upstream = Upstream::start();
        let (team, open) = (channel("team"), channel("open"));
        team.publish(&upstream);
        open.publish(&upstream);
        let text = format!("{}{TEAM}{more}", rules::all_from(&upstream));
        let setup = Setup::rules(&text);
        let setup = if config.is_empty() { setup } else { setup.config(config) };
        let gate = setup.listen(listen).start();
        let society = Society::of(gate.home(), gate.now());
        society.user("ada").user("bob").user("ci").superuser("root");
        society.group("acme", &["ada"]);
        Self { gate, upstream, society, team, open }
    }

    /// Every kind of thing that a channel has.
    pub fn paths(channel: &Channel) -> Vec<String> {
        let package = channel.path("alpha");
        let mut paths: Vec<String> = [
            "repodata.json",
            "repodata.json.zst",
            "repodata.json.bz2",
            "current_repodata.json",
            "run_exports.json",
            "repodata_shards.msgpack.zst",
        ]
        .iter()
        .map(|file| channel.at("noarch", file))
        .collect();
        paths.extend([
            channel.at("noarch", &format!("shards/{}.msgpack.zst", "ab".repeat(32))),
            format!("/{}/channeldata.json", channel_name(channel)),
            format!("/{}/label/dev/noarch/repodata.json", channel_name(channel)),
            format!("{package}.sigs"),
            channel.at("linux-64", "repodata.json"),
            package,
        ]);
        paths
    }

    pub fn get(&self, path: &str) -> Answer {
        self.gate.get(path)
    }

    pub fn with_token(&self, path: &str, token: &Made) -> Answer {
        self.gate.ask(&Request::get(path).header("Authorization", &format!("Bearer {}", token.secret)))
    }

    pub fn index(&self) -> String {
        self.team.at("noarch", "repodata.json")
    }
}

fn channel_name(channel: &Channel) -> String {
    channel.at("", "").trim_matches('/').to_owned()
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[test]
fn strangers_get_401_for_everything_and_nothing_is_asked_upstream() {
    let scene = Scene::new("");
    for path in Scene::paths(&scene.team) {
        let answer = scene.get(&path);
        let challenges: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "www-authenticate")
            .map(|(_, v)| v.clone())
            .collect();
        assert!(challenges.iter().any(|c| c.starts_with("Bearer ")), "{path}: {challenges:?}");
        assert!(challenges.iter().any(|c| c.starts_with("Basic ")), "{path}: {challenges:?}");
        let problem = answer.expect_problem(401);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("team") && !detail.contains("yaml"), "{detail}");
    }
    assert_eq!(scene.upstream.total(), 0);
    // Clients ask for these without credentials by design.
    let notices = scene.get("/team/notices.json");
    assert_eq!(notices.expect(200), b"{\"notices\":[]}");
    scene.get("/team/terms.json").expect_problem(404);
    scene.get(&scene.open.path("alpha")).expect(200);
}

#[test]
fn every_form_of_a_token_opens_the_channel() {
    let scene = Scene::new("");
    let token = scene.society.token("ada", &["read:*"]);
    let secret = &token.secret;
    assert!(
        secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
        "conda finds no other tokens in paths"
    );
    let index = scene.index();
    let ask = |name: &str, value: &str| scene.gate.ask(&Request::get(&index).header(name, value));
    scene.get(&format!("/t/{secret}{index}")).expect(200);
    for (name, value) in [
        ("Authorization", format!("Bearer {secret}")),
        ("Authorization", format!("bearer {secret}")),
        ("Authorization", format!("token {secret}")),
        ("Authorization", basic("ada", secret)),
        ("Authorization", basic("x", secret)),
        ("Authorization", basic(secret, "")),
        ("X-API-Key", secret.clone()),
    ] {
        ask(name, &value).expect(200);
    }
    for path in Scene::paths(&scene.team) {
        let answer = scene.with_token(&path, &token);
        assert!([200, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    let package = scene.with_token(&scene.team.path("alpha"), &token);
    assert!(!package.must("cache-control").contains("public"), "{}", package.must("cache-control"));
    assert_eq!(package.expect(200), scene.team.get("alpha").bytes);
    // With a path in front, as conda puts it behind the alias.
    let upstream = scene.upstream.seen();
    assert!(!upstream.iter().any(|seen| format!("{seen:?}").contains(secret)), "the token went upstream");
}

#[test]
fn a_token_stands_behind_the_base_path_too() {
    let scene = Scene::with("", "public_url: http://gate.example.org/conda\n");
    let token = scene.society.token("ada", &["read:*"]);
    let index = scene.index();
    scene.get(&format!("/conda/t/{}{index}", token.secret)).expect(200);
    scene.get(&format!("/t/{}/conda{index}", token.secret)).expect(200);
    scene.get(&format!("/conda{index}")).expect_problem(401);
}

#[test]
fn who_has_no_right_gets_403_everywhere() {
    let scene = Scene::new("");
    let token = scene.society.token("bob", &["read:*"]);
    for path in Scene::paths(&scene.team) {
        let problem = scene.with_token(&path, &token).expect_problem(403);
        assert!(problem["detail"].as_str().unwrap().contains("team"), "{problem}");
    }
    assert_eq!(scene.upstream.total(), 0);
    scene.with_token(&scene.open.path("alpha"), &token).expect(200);
    // A grant opens it, within moments and without a restart.
    scene.society.grant("te*", "bob", Right::Read);
    let index = scene.index();
    eventually_true("the grant is known", || scene.with_token(&index, &token).status == 200);
}

#[test]
fn rights_and_scopes_meet() {
    let scene = Scene::new("");
    let index = scene.index();
    let status =
        |owner: &str, scopes: &[&str]| scene.with_token(&index, &scene.society.token(owner, scopes)).status;
    assert_eq!(status("ci", &["read:team"]), 200, "who may write may read");
    assert_eq!(status("root", &["read:*"]), 200);
    assert_eq!(status("root", &["read:other"]), 403, "a scope cuts down even a superuser");
    assert_eq!(status("ada", &["read:te*"]), 200);
    assert_eq!(status("ada", &["read:open"]), 403);
    // Limited to packages: the index is shown as a whole, files are not.
    let token = scene.society.token("ada", &["read:team:acme-*"]);
    scene.with_token(&index, &token).expect(200);
    scene.with_token(&scene.team.path("acme-tool"), &token).expect(200);
    scene.with_token(&scene.team.path("alpha"), &token).expect_problem(403);
}

#[test]
fn a_bad_credential_is_never_nobody() {
    let scene = Scene::new("");
    let token = scene.society.token("ada", &["read:*"]);
    let (most, last) = token.secret.split_at(token.secret.len() - 1);
    let mistyped = format!("{most}{}", if last == "x" { "y" } else { "x" });
    let unknown = condagate::auth::token::mint().secret.reveal().clone();
    let path = scene.open.path("alpha");
    let ask = |name: &str, value: &str| scene.gate.ask(&Request::get(&path).header(name, value));
    for (name, value) in [
        ("Authorization", format!("Bearer {mistyped}")),
        ("Authorization", format!("Bearer {unknown}")),
        ("Authorization", "Bearer".to_owned()),
        ("Authorization", "Basic !!!".to_owned()),
        ("Authorization", "Digest username=\"a\"".to_owned()),
        ("Authorization", format!("Bearer {}", "a".repeat(9000))),
        ("Authorization", basic("ada", "not the password")),
        ("Authorization", basic("nobody", PASSWORD)),
        ("Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.".to_owned()),
        ("X-API-Key", "a b".to_owned()),
    ] {
        let problem = ask(name, &value).expect_problem(401);
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains(&value) && !detail.contains("not the password"), "{detail}");
    }
    scene.get(&format!("/t/{mistyped}{path}")).expect_problem(401);
    let two = Request::get(&path)
        .header("Authorization", &format!("Bearer {}", token.secret))
        .header("X-API-Key", &unknown);
    scene.gate.ask(&two).expect_problem(401);
    // The same twice is no contradiction; somebody else's cookie is none of the gate's business.
    let twice = Request::get(&format!("/t/{}{path}", token.secret))
        .header("Authorization", &format!("Bearer {}", token.secret))
        .header("Cookie", "theirs=1");
    scene.gate.ask(&twice).expect(200);
    scene.get(&format!("/t//{}", path.trim_start_matches('/')));
}

#[test]
fn what_is_taken_back_is_no_longer_good() {
    let scene = Scene::new("");
    let (token, other) = (scene.society.token("ada", &["read:*"]), scene.society.token("ada", &["read:*"]));
    let index = scene.index();
    scene.with_token(&index, &token).expect(200);
    scene.society.revoke(&token);
    eventually_true("the revocation is known", || scene.with_token(&index, &token).status == 401);
    let problem = scene.with_token(&index, &token).expect_problem(401);
    assert!(problem["detail"].as_str().unwrap().contains("revoked"), "{problem}");
    scene.with_token(&index, &other).expect(200);
    scene.gate.advance(Duration::from_hours(24 * 91));
    let problem = scene.with_token(&index, &other).expect_problem(401);
    assert!(problem["detail"].as_str().unwrap().contains("expired"), "{problem}");
    let third = scene.society.token("ci", &["read:*"]);
    scene.society.disable("ci");
    eventually_true("the user is known to be disabled", || scene.with_token(&index, &third).status == 401);
}

#[test]
fn passwords_open_it_too_and_the_right_one_is_hashed_once() {
    let scene = Scene::new("");
    let index = scene.index();
    let ask = |user: &str, password: &str| {
        scene.gate.ask(&Request::get(&index).header("Authorization", &basic(user, password)))
    };
    ask("ada", PASSWORD).expect(200);
    ask("ADA", PASSWORD).expect(200);
    ask("bob", PASSWORD).expect_problem(403);
    let problem = ask("ada", "something else").expect_problem(401);
    assert_eq!(problem["detail"], ask("nobody", "something else").expect_problem(401)["detail"]);
    scene.society.disable("ada");
    eventually_true("the user is known to be disabled", || ask("ada", PASSWORD).status == 401);
    assert!(scene.society.events(&["login.failed", "login.refused"]).len() <= 60, "denials are sampled");
}

#[test]
fn a_virtual_channel_opens_no_member() {
    let more = "  - {id: prod, channels: [prod], read: [anonymous]}\n";
    let upstream = Upstream::start();
    let (team, open) = (channel("team"), channel("open").with("noarch", &package("gamma", "1.0")));
    team.publish(&upstream);
    open.publish(&upstream);
    let text = rules::all_from(&upstream)
        .replace("channels:\n", "channels:\n  - {name: prod, virtual: [team, open]}\n");
    let gate = Setup::rules(&format!("{text}{TEAM}{more}")).start();
    let society = Society::of(gate.home(), gate.now());
    society.user("ada").user("bob").group("acme", &["ada"]);
    let ask = |token: &Made| {
        gate.ask(&Request::get("/prod/noarch/repodata.json").header("X-API-Key", &token.secret)).status
    };
    gate.get("/prod/noarch/repodata.json").expect_problem(401);
    gate.get(&open.path("gamma")).expect(200);
    assert_eq!(ask(&society.token("bob", &["read:*"])), 403);
    assert_eq!(ask(&society.token("ada", &["read:*"])), 200);
}

#[test]
fn paths_can_not_lead_from_an_open_channel_into_a_closed_one() {
    let scene = Scene::new("");
    let token = scene.society.token("bob", &["read:*"]);
    for path in [
        "/open/../team/noarch/repodata.json",
        "/open/%2e%2e/team/noarch/repodata.json",
        "//team/noarch/repodata.json",
        "/open//..//team/noarch/repodata.json",
        "/team%2Fnoarch/repodata.json",
        "/TEAM/noarch/repodata.json",
        "/Team/label/x/noarch/repodata.json",
        "/team/label/open/noarch/repodata.json",
        "/open/label/../../team/noarch/repodata.json",
        "/t/x/t/y/team/noarch/repodata.json",
        "/./team/noarch/repodata.json",
    ] {
        let status = scene.get(path).status;
        assert!([400, 401, 404].contains(&status), "{path}: {status}");
        let status = scene.with_token(path, &token).status;
        assert!([400, 401, 403, 404].contains(&status), "{path}: {status}");
    }
    let host = Request::get("/team/noarch/repodata.json").host("conda.example.org");
    scene.gate.ask(&host).expect_problem(407);
    assert_eq!(scene.upstream.total(), 0);
}

#[test]
fn callers_that_mean_another_host_show_themselves_to_the_gate_as_to_a_proxy() {
    let scene = Scene::new("");
    let token = scene.society.token("ada", &["read:*"]);
    let target = format!("http://conda.example.org{}", scene.index());
    let ask = |request: Request| scene.gate.ask(&request.host("conda.example.org"));
    let answer = ask(Request::get(&target));
    assert!(answer.must("proxy-authenticate").starts_with("Basic "));
    answer.expect_problem(407);
    // What is meant for that host says nothing here.
    ask(Request::get(&target).header("Authorization", &format!("Bearer {}", token.secret)))
        .expect_problem(407);
    let with = |value: &str| ask(Request::get(&target).header("Proxy-Authorization", value));
    with(&basic("ada", &token.secret)).expect(200);
    with(&basic("ada", PASSWORD)).expect(200);
    with(&basic("ada", "wrong")).expect_problem(407);
    assert!(!scene.upstream.seen().iter().any(|seen| format!("{seen:?}").contains(&token.secret)));
}

#[test]
fn one_line_closes_everything() {
    let upstream = Upstream::start();
    let open = channel("open");
    open.publish(&upstream);
    let gate = Setup::rules(&format!("anonymous: none\n{}", rules::all_from(&upstream))).start();
    let society = Society::of(gate.home(), gate.now());
    society.user("bob");
    gate.get(&open.path("alpha")).expect_problem(401);
    let token = society.token("bob", &["read:*"]);
    gate.ask(&Request::get(&open.path("alpha")).header("X-API-Key", &token.secret)).expect(200);
    // What tells whether the gate lives is not about content.
    gate.get("/-/healthz").expect(200);
}

#[test]
fn files_below_a_prefix_are_closed_like_channels() {
    let upstream = Upstream::start();
    upstream.put("/miniconda/a.sh", &b"installer"[..]);
    let rules = format!(
        "{}access:\n  - {{files: [\"miniconda/\"], read: [\"user:ada\"]}}\n",
        rules::all_from(&upstream)
    );
    let gate = Setup::rules(&rules).start();
    let society = Society::of(gate.home(), gate.now());
    society.user("ada").user("bob");
    let ask = |token: &Made| gate.ask(&Request::get("/miniconda/a.sh").header("X-API-Key", &token.secret));
    gate.get("/miniconda/a.sh").expect_problem(401);
    ask(&society.token("bob", &["read:*"])).expect_problem(403);
    assert_eq!(ask(&society.token("ada", &["read:*"])).expect(200), b"installer");
}
