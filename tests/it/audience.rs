//! Rules that count for some callers only: each sees one world, in every form of the index and at the download.

use std::time::Duration;

use serde_json::Value;

use crate::harness::people::{Made, Society};
use crate::harness::shards::{decode_index, decode_shard, digests};
use crate::harness::{
    Answer, Browser, Channel, Gate, Request, Setup, Upstream, eventually_true, package, rules,
};

const POLICY: &str = "policy:\n  \
      - {id: trusted, allow: {names: [beta]}, audience: [\"group:trusted\"]}\n  \
      - {id: no-beta, deny: {names: [beta]}}\n  \
      - {id: no-alpha, deny: {names: [alpha]}, audience: [\"group:acme\"]}\n  \
      - {id: strangers, hide: {names: [gamma]}, audience: [anonymous]}\n";

fn channel(name: &str) -> Channel {
    ["alpha", "beta", "gamma", "delta"]
        .iter()
        .fold(Channel::new(name), |channel, name| channel.with("noarch", &package(name, "1.0")))
}

struct Scene {
    gate: Gate,
    upstream: Upstream,
    tokens: Vec<(Option<Made>, &'static [&'static str])>,
}

fn text(upstream: &Upstream) -> String {
    let all = rules::all_from(upstream);
    all.replace("channels:\n", "channels:\n  - {name: all, virtual: [chan, other]}\n") + POLICY
}

impl Scene {
    fn new() -> Self {
        let upstream = Upstream::start();
        channel("chan").publish(&upstream);
        Channel::new("other").with("noarch", &package("omega", "1.0")).publish(&upstream);
        let gate = Setup::rules(&text(&upstream)).start();
        let society = Society::of(gate.home(), gate.now());
        society.user("ada").user("bob").user("eve").superuser("root");
        society.group("acme", &["ada"]).group("trusted", &["bob"]);
        let token = |name: &str| Some(society.token(name, &["read:*"]));
        let tokens: Vec<(_, &[&str])> = vec![
            (None, &["alpha", "delta"]),
            (token("ada"), &["delta", "gamma"]),
            (token("bob"), &["alpha", "beta", "delta", "gamma"]),
            (token("eve"), &["alpha", "delta", "gamma"]),
            // Nobody is above a recall.
            (token("root"), &["alpha", "delta", "gamma"]),
        ];
        Self { gate, upstream, tokens }
    }
}

fn ask(gate: &Gate, token: Option<&Made>, path: &str) -> Answer {
    let request = Request::get(path);
    gate.ask(&match token {
        Some(token) => request.header("X-API-Key", &token.secret),
        None => request,
    })
}

fn names(document: &Value) -> Vec<String> {
    let groups = ["packages", "packages.conda"].iter().filter_map(|group| document[*group].as_object());
    let mut names: Vec<_> =
        groups.flatten().map(|(file, _)| file.split('-').next().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// What somebody sees of a channel, in every form, all of which agree.
fn seen(gate: &Gate, token: Option<&Made>, channel: &str) -> Vec<String> {
    let get = |file: &str| ask(gate, token, &format!("/{channel}/noarch/{file}"));
    let json = |bytes: &[u8]| names(&serde_json::from_slice(bytes).unwrap());
    let answer = get("repodata.json");
    assert!(!answer.must("cache-control").contains("public"), "others see something else here");
    let whole = json(&answer.expect(200));
    assert_eq!(json(&zstd::decode_all(&*get("repodata.json.zst").expect(200)).unwrap()), whole);
    let mut unpacked = Vec::new();
    let packed = get("repodata.json.bz2").expect(200);
    std::io::Read::read_to_end(&mut bzip2::read::BzDecoder::new(&*packed), &mut unpacked).unwrap();
    assert_eq!(json(&unpacked), whole);
    assert_eq!(json(&get("current_repodata.json").expect(200)), whole);
    let index = decode_index(&get("repodata_shards.msgpack.zst").expect(200));
    let mut sharded: Vec<_> = digests(&index)
        .iter()
        .flat_map(|digest| names(&decode_shard(&get(&format!("shards/{digest}.msgpack.zst")).expect(200))))
        .collect();
    sharded.sort();
    assert_eq!(sharded, whole);
    for name in ["alpha", "beta", "gamma", "delta"] {
        let answer = get(&format!("{name}-1.0-0.conda"));
        let wanted = if whole.iter().any(|shown| shown == name) { 200 } else { 403 };
        assert_eq!(answer.status, wanted, "{name} of {channel}: {}", answer.text());
    }
    whole
}

#[test]
fn each_audience_sees_its_own_view_everywhere() {
    let scene = Scene::new();
    for round in 0..2 {
        for (token, expected) in &scene.tokens {
            assert_eq!(seen(&scene.gate, token.as_ref(), "chan"), *expected, "round {round}: {token:?}");
            let mut all = expected.to_vec();
            all.push("omega");
            all.sort_unstable();
            assert_eq!(seen(&scene.gate, token.as_ref(), "all"), all, "round {round}");
        }
    }
    assert_eq!(
        scene.upstream.gets("/chan/noarch/repodata.json.zst"),
        1,
        "one document is enough for all views"
    );
    for name in ["alpha", "beta", "gamma", "delta"] {
        assert!(scene.upstream.gets(&channel("chan").path(name)) <= 1, "{name}");
    }
}

#[test]
fn nobody_gets_the_validators_of_another_view() {
    let scene = Scene::new();
    let path = "/chan/noarch/repodata.json.zst";
    let etag = |token: Option<&Made>| ask(&scene.gate, token, path).must("etag").to_owned();
    let (ada, bob) = (&scene.tokens[1].0, &scene.tokens[2].0);
    let strangers = etag(None);
    assert_ne!(etag(ada.as_ref()), strangers);
    assert_ne!(etag(bob.as_ref()), etag(ada.as_ref()));
    assert_eq!(etag(None), strangers);
    let conditional = Request::get(path)
        .header("X-API-Key", &ada.as_ref().unwrap().secret)
        .header("If-None-Match", &strangers);
    scene.gate.ask(&conditional).expect(200);
}

#[test]
fn views_follow_upstream_rules_and_restarts() {
    let Scene { gate, upstream, tokens } = Scene::new();
    let (ada, bob) = (tokens[1].0.clone(), tokens[2].0.clone());
    assert_eq!(seen(&gate, ada.as_ref(), "chan"), ["delta", "gamma"]);
    assert_eq!(seen(&gate, bob.as_ref(), "chan"), ["alpha", "beta", "delta", "gamma"]);
    channel("chan").with("noarch", &package("zeta", "1.0")).publish(&upstream);
    gate.advance(Duration::from_hours(1));
    for token in [&ada, &bob] {
        eventually_true("the new package is seen", || {
            let answer = ask(&gate, token.as_ref(), "/chan/noarch/repodata.json");
            names(&answer.json()).contains(&"zeta".to_owned())
        });
    }
    // A rule for everybody reaches every view by itself, and downloads at once.
    let more = format!("{}  - {{id: recall, deny: {{names: [zeta]}}}}\n", text(&upstream));
    gate.set_rules(&more).unwrap();
    for token in [None, ada.as_ref(), bob.as_ref()] {
        assert_eq!(ask(&gate, token, "/chan/noarch/zeta-1.0-0.conda").status, 403);
        eventually_true("it is in no view any more", || {
            let answer = ask(&gate, token, "/chan/noarch/repodata.json");
            !names(&answer.json()).contains(&"zeta".to_owned())
        });
    }
    let at = gate.now();
    let home = gate.stop();
    let asked = upstream.total();
    let gate = Setup::again(home).at(at).start();
    assert_eq!(seen(&gate, ada.as_ref(), "chan"), ["delta", "gamma"]);
    assert_eq!(seen(&gate, bob.as_ref(), "chan"), ["alpha", "beta", "delta", "gamma"]);
    assert_eq!(upstream.total(), asked, "all of it is on disk");
    // Without audiences there is one view again.
    gate.set_rules(&rules::all_from(&upstream)).unwrap();
    for token in [None, ada.as_ref(), bob.as_ref()] {
        eventually_true("everybody sees everything", || {
            names(&ask(&gate, token, "/chan/noarch/repodata.json").json()).len() == 5
        });
    }
}

/// A view that is built later does not make what the gate has known for long young, nor old.
#[test]
fn ages_are_the_same_in_every_view() {
    let scene = Scene::new();
    let stamp = |token: Option<&Made>, name: &str| {
        let document = ask(&scene.gate, token, "/chan/noarch/repodata.json").json();
        document["packages.conda"][format!("{name}-1.0-0.conda")]["indexed_timestamp"].clone()
    };
    let before = stamp(None, "delta");
    channel("chan").with("noarch", &package("late", "1.0")).publish(&scene.upstream);
    scene.gate.advance(Duration::from_hours(1));
    eventually_true("the new package is seen", || stamp(None, "late").is_i64());
    let late = stamp(None, "late");
    scene.gate.advance(Duration::from_hours(48));
    for (token, _) in &scene.tokens {
        assert_eq!(
            (stamp(token.as_ref(), "delta"), stamp(token.as_ref(), "late")),
            (before.clone(), late.clone())
        );
    }
}

/// Nobody asks for the view after the restart, and no rule names the channel that it is of.
#[test]
fn a_cooldown_for_some_ends_by_itself() {
    let upstream = Upstream::start();
    channel("chan").publish(&upstream);
    Channel::new("other").with("noarch", &package("omega", "1.0")).publish(&upstream);
    channel("third").publish(&upstream);
    let cooldown = "policy:\n  - {id: cool, hide: {younger_than: 7d}, audience: [\"group:acme\"]}\n  \
         - {id: no-beta, deny: {names: [beta]}, audience: [\"group:trusted\"]}\n";
    let text = text(&upstream).replace(POLICY, cooldown);
    let gate = Setup::rules(&text).start();
    let society = Society::of(gate.home(), gate.now());
    society.user("ada").group("acme", &["ada"]);
    let ada = society.token("ada", &["read:*"]);
    let listed = |gate: &Gate, channel: &str| {
        names(&ask(gate, Some(&ada), &format!("/{channel}/noarch/repodata.json")).json())
    };
    assert_eq!((listed(&gate, "chan").len(), listed(&gate, "all").len()), (4, 5));
    assert_eq!(listed(&gate, "third").len(), 4);
    // From here on nobody asks for the virtual channel: what it has on disk is older than its member.
    let at = gate.now();
    let gate = Setup::again(gate.stop()).at(at).start();
    channel("chan").with("noarch", &package("late", "1.0")).publish(&upstream);
    gate.advance(Duration::from_hours(1));
    eventually_true("strangers see the new package", || {
        names(&ask(&gate, None, "/chan/noarch/repodata.json").json()).len() == 5
    });
    eventually_true("its members see it anew", || {
        listed(&gate, "chan");
        is_made(&gate, gate.now(), CHAN, 4)
    });
    let later = gate.now().plus(Duration::from_hours(24));
    let home = gate.stop();
    // A rule about a third channel, which the gate looks after by itself, shows that it has looked at all of them.
    home.write_rules(&format!("{text}  - {{id: third, channels: [third], deny: {{names: [alpha]}}}}\n"));
    let gate = Setup::again(home).at(later).start();
    eventually_true("all are looked at", || is_made(&gate, later, THIRD, 3));
    gate.advance(Duration::from_hours(24 * 7));
    let ended = gate.now();
    eventually_true("both views have it", || {
        // What fails once is tried again after a while.
        gate.advance(Duration::from_mins(1));
        is_made(&gate, ended, CHAN, 5) && is_made(&gate, ended, ALL, 6)
    });
    // The files come first, then what the gate has in mind.
    eventually_true("both are in force", || {
        listed(&gate, "chan").contains(&"late".to_owned())
            && listed(&gate, "all").contains(&"late".to_owned())
    });
}

/// How views are named on disk, and how many dots that has.
const CHAN: (&str, usize) = ("up.chan.", 3);
const THIRD: (&str, usize) = ("up.third.", 3);
/// The names of virtual channels have a digest of their own.
const ALL: (&str, usize) = ("all.", 3);

/// Whether the view was made since then, with so many records.
fn is_made(gate: &Gate, since: condagate::clock::UnixMillis, view: (&str, usize), records: u64) -> bool {
    let is_view = |name: &str| name.starts_with(view.0) && name.matches('.').count() == view.1;
    made_at(gate).iter().any(|(name, at, count)| is_view(name) && *at >= since.0 && *count == records)
}

/// The generations in force: under which name they are kept, when they were made, and how many records they show.
fn made_at(gate: &Gate) -> Vec<(String, i64, u64)> {
    let read =
        |path: &std::path::Path| -> Option<Value> { serde_json::from_slice(&std::fs::read(path).ok()?).ok() };
    let all = crate::harness::home::files_below(&gate.home().data());
    let made = all.iter().filter(|path| path.ends_with("current")).filter_map(|current| {
        let id = read(current)?["id"].as_str()?.to_owned();
        let manifest = read(&current.with_file_name(id).join("manifest.json"))?;
        let name = manifest["channel"].as_str()?.to_owned();
        Some((name, manifest["built_at"].as_i64()?, manifest["report"]["records"].as_u64()?))
    });
    made.collect()
}

#[test]
fn too_many_views_are_refused_with_the_rules_that_make_them() {
    let rules: String = (0..9)
        .map(|n| format!("  - {{id: r{n}, deny: {{names: [x]}}, audience: [\"group:g{n}\"]}}\n"))
        .collect();
    let said = rules::mistakes(&format!("policy:\n{rules}"));
    assert!(said.iter().any(|line| line.contains("views") && line.contains("r0")), "{said:?}");
}

#[test]
fn pages_and_explanations_are_about_the_visitors_own_view() {
    let scene = Scene::new();
    let ada = scene.tokens[1].0.as_ref();
    ask(&scene.gate, ada, "/chan/noarch/repodata.json").expect(200);
    let mut ada = Browser::of(&scene.gate, "ada");
    eventually_true("a channel is listed that only she has an index of", || {
        ada.page("/-/ui/channels").contains("/-/ui/channels/chan\"")
    });
    scene.gate.get("/chan/noarch/repodata.json").expect(200);
    let shows = |page: &str, name: &str| page.contains(&format!("/-/ui/channels/chan/-/{name}\""));
    let (hers, theirs) =
        (ada.page("/-/ui/channels/chan"), Browser::new(&scene.gate).page("/-/ui/channels/chan"));
    assert!(shows(&hers, "gamma") && !shows(&hers, "alpha"), "{hers}");
    assert!(shows(&theirs, "alpha") && !shows(&theirs, "gamma"), "{theirs}");
    assert!(!shows(&ada.page("/-/ui/search?q=alpha"), "alpha"));
    let why = |browser: &mut Browser, name: &str| {
        browser.page(&format!("/-/ui/channels/chan/-/{name}?why=noarch/{name}-1.0-0.conda"))
    };
    assert!(why(&mut ada, "alpha").contains("no-alpha"));
    assert!(why(&mut ada, "gamma").contains("class=\"note good\""));
    assert!(why(&mut Browser::new(&scene.gate), "gamma").contains("strangers"));
    for (user, file, outcome) in
        [("", "gamma", "refused"), ("&as=ada", "gamma", "served"), ("&as=ada", "alpha", "refused")]
    {
        let answer = scene.gate.get(&format!("/-/api/v1/explain?url=/chan/noarch/{file}-1.0-0.conda{user}"));
        assert_eq!(answer.json()["download"]["outcome"], outcome, "{file}{user}");
    }
}
