//! The first index of a subdir: clients get it while upstream still sends it, and never a bad one that looks whole.

use std::fmt::Write as _;

use serde_json::Value;

use crate::harness::archive::zstd_of;
use crate::harness::digest::sha256_hex;
use crate::harness::{
    Act, Channel, End, Gate, Latch, Request, Setup, Upstream, eventually, eventually_true, package, rules,
};

/// Records that don't compress to nothing, about 430 bytes each.
const MANY: usize = 3_000;
/// Half of so many are more than what is packed in one go.
const LARGE: usize = 24_000;

/// `repodata.json` of `records` packages `p0`, `p1`, … of which one is called `evil`; `more` stands behind the last record.
fn repodata(info: &str, records: usize, more: &str) -> String {
    let mut text = format!("{{\"info\":{info},\"packages\":{{}},\"packages.conda\":{{");
    for n in 0..records {
        let name = if n == 7 { "evil".to_owned() } else { format!("p{n}") };
        let sha256 = sha256_hex(n.to_string().as_bytes());
        let depends: Vec<String> = (0..12).map(|m| format!("\"dep-{}-{m} >={n}\"", n % 97)).collect();
        let comma = if n == 0 { "" } else { "," };
        write!(
            text,
            "{comma}\"{name}-1.0-0.conda\":{{\"build\":\"0\",\"build_number\":0,\"depends\":[{}],\"name\":\"{name}\",\
             \"sha256\":\"{sha256}\",\"size\":{n},\"subdir\":\"linux-64\",\"timestamp\":1760000000000,\"version\":\"1.0\"}}",
            depends.join(",")
        )
        .expect("text");
    }
    text.push_str(more);
    text.push_str("},\"removed\":[],\"repodata_version\":1}");
    text
}

const PLAIN: &str = "{\"subdir\":\"linux-64\"}";
const AT: &str = "/chan/linux-64/";

struct Scene {
    gate: Gate,
    upstream: Upstream,
    zst: Vec<u8>,
    latch: Latch,
}

/// Upstream stops behind the first half of its `.zst`.
fn scene(document: &str, policy: &str) -> Scene {
    let upstream = Upstream::start();
    let zst = zstd_of(document.as_bytes());
    upstream.put(&format!("{AT}repodata.json.zst"), zst.clone());
    upstream.put(&format!("{AT}repodata.json"), document.to_owned());
    let latch = Latch::new();
    let half = Act::HoldBody(zst.len() / 2, latch.clone());
    upstream.script(&format!("{AT}repodata.json.zst"), [half]);
    let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).reading_along().start();
    Scene { gate, upstream, zst, latch }
}

fn names(repodata: &Value) -> Vec<String> {
    repodata["packages.conda"].as_object().expect("records").keys().cloned().collect()
}

/// Asks until the answer is that of a generation.
fn settled(gate: &Gate, file: &str) -> Vec<u8> {
    eventually("an index that is complete", || {
        let answer = gate.get(&format!("{AT}{file}"));
        let built = !answer.must("etag").starts_with("\"cold-");
        built.then(|| answer.expect(200))
    })
}

#[test]
fn where_no_rule_is_about_a_channel_upstreams_own_bytes_come_while_they_arrive() {
    let scene = scene(&repodata(PLAIN, MANY, ""), "");
    let mut client = Request::get(&format!("{AT}repodata.json.zst")).begin(scene.gate.address());
    let head = client.head();
    assert!(head.must("etag").starts_with("\"cold-"), "an ETag of its own");
    assert_eq!(head.length(), Some(scene.zst.len() as u64));
    let first = client.exactly(scene.zst.len() / 4);
    scene.latch.open();
    client.must_become(&head, &first, &scene.zst);
    let document: Value = serde_json::from_slice(&settled(&scene.gate, "repodata.json")).expect("JSON");
    assert_eq!(names(&document).len(), MANY);
    assert_eq!(document["packages.conda"]["p1-1.0-0.conda"]["indexed_timestamp"], 1_760_000_000_000_u64);
    assert_eq!(scene.upstream.gets(&format!("{AT}repodata.json.zst")), 1);
}

#[test]
fn a_filtered_index_grows_while_upstream_sends() {
    let policy = "policy:\n  - {id: no-evil, deny: {names: [evil]}}\n";
    for (file, records) in [("repodata.json", MANY), ("repodata.json.zst", LARGE)] {
        let scene = scene(&repodata(PLAIN, records, ""), policy);
        let path = format!("{AT}{file}");
        let mut client = Request::get(&path).begin(scene.gate.address());
        let head = client.head();
        assert!(head.must("etag").starts_with("\"cold-"));
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        scene.latch.open();
        let (body, end) = client.body("GET", &head);
        assert!(matches!(end, End::Complete), "{end:?}");
        let json = if file.ends_with("zst") { zstd::decode_all(&body[..]).expect("one frame") } else { body };
        assert_eq!(json, settled(&scene.gate, "repodata.json"), "the same as the generation's");
        let document: Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(names(&document).len(), records - 1);
        assert!(!names(&document).iter().any(|name| name.starts_with("evil")));
    }
}

#[test]
fn upstreams_own_bytes_are_not_given_where_they_lead_away() {
    let info = "{\"base_url\":\"https://elsewhere.example/\",\"subdir\":\"linux-64\"}";
    let scene = scene(&repodata(info, LARGE, ""), "");
    let mut client = Request::get(&format!("{AT}repodata.json.zst")).begin(scene.gate.address());
    let head = client.head();
    assert_eq!(head.length(), None, "not upstream's");
    scene.latch.open();
    let (body, end) = client.body("GET", &head);
    assert!(matches!(end, End::Complete), "{end:?}");
    let json = zstd::decode_all(&body[..]).expect("one frame");
    let document: Value = serde_json::from_slice(&json).expect("JSON");
    assert!(document["info"].get("base_url").is_none());
}

/// conda asks for both of its subdirs at a time.
#[test]
fn two_subdirs_arrive_at_a_time() {
    for policy in ["", "policy:\n  - {id: no-evil, deny: {names: [evil]}}\n"] {
        let upstream = Upstream::start();
        let latch = Latch::new();
        for subdir in ["linux-64", "noarch"] {
            let info = format!("{{\"subdir\":\"{subdir}\"}}");
            let zst = zstd_of(repodata(&info, LARGE, "").as_bytes());
            let path = format!("/chan/{subdir}/repodata.json.zst");
            upstream.always(&path, Act::HoldBody(zst.len() / 2, latch.clone()));
            upstream.put(&path, zst);
        }
        let setup = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream)));
        let gate = setup.reading_along().start();
        let mut clients = ["linux-64", "noarch"]
            .map(|subdir| Request::get(&format!("/chan/{subdir}/repodata.json.zst")).begin(gate.address()));
        for client in &mut clients {
            assert!(client.head().must("etag").starts_with("\"cold-"), "before upstream's end");
        }
        latch.open();
    }
}

/// What is wrong stands behind everything that was sent already: the last bytes never come.
#[test]
fn a_document_that_turns_out_bad_never_looks_whole() {
    let bad_record = ",\"../x-1-0.conda\":{\"name\":\"x\"}";
    let scene_of_bad = scene(&repodata(PLAIN, MANY, bad_record), "");
    let mut client = Request::get(&format!("{AT}repodata.json.zst")).begin(scene_of_bad.gate.address());
    let head = client.head();
    scene_of_bad.latch.open();
    let (body, end) = client.body("GET", &head);
    assert!(!matches!(end, End::Complete) && body.len() < scene_of_bad.zst.len(), "{end:?}");
    let document: Value =
        serde_json::from_slice(&settled(&scene_of_bad.gate, "repodata.json")).expect("JSON");
    assert_eq!(names(&document).len(), MANY, "without the bad record");
}

#[test]
fn a_cut_upstream_cuts_whoever_reads_along() {
    let document = repodata(PLAIN, MANY, "");
    for (file, policy) in
        [("repodata.json.zst", ""), ("repodata.json", "policy:\n  - {id: no-evil, deny: {names: [evil]}}\n")]
    {
        let scene = scene(&document, policy);
        let zst = format!("{AT}repodata.json.zst");
        scene.upstream.always(&zst, Act::CutBody(10));
        scene.upstream.always(&format!("{AT}repodata.json"), Act::status(500));
        scene.upstream.always(&format!("{AT}repodata_shards.msgpack.zst"), Act::status(500));
        let mut client = Request::get(&format!("{AT}{file}")).begin(scene.gate.address());
        let head = client.head();
        scene.upstream.remove(&zst);
        let mut upstream = scene.upstream;
        upstream.stop();
        scene.latch.open();
        let (_, end) = client.body("GET", &head);
        assert!(!matches!(end, End::Complete), "{file}: {end:?}");
    }
}

#[test]
fn clients_without_chunked_coding_are_told_to_come_again() {
    let scene = scene(&repodata(PLAIN, MANY, ""), "policy:\n  - {id: no-evil, deny: {names: [evil]}}\n");
    let mut client = crate::harness::Connection::open(scene.gate.address());
    client.write(format!("GET {AT}repodata.json HTTP/1.0\r\nHost: gate\r\n\r\n").as_bytes());
    let answer = client.answer("GET");
    answer.expect_problem(503);
    scene.latch.open();
}

/// Documents that upstream still sends take builds from those that are here, but never the last one.
#[test]
fn no_more_indexes_are_built_at_once_than_the_gate_is_told() {
    for most in [1, 2, 3] {
        let upstream = Upstream::start();
        let names: Vec<String> = (0..6).map(|n| format!("chan{n}")).collect();
        let latch = Latch::new();
        for name in &names {
            Channel::new(name).with("noarch", &package("alpha", "1.0")).publish(&upstream);
            let path = format!("/{name}/noarch/repodata.json.zst");
            upstream.script(&path, [Act::HoldBody(20, latch.clone())]);
        }
        let gate = Setup::rules(&rules::all_from(&upstream)).builds(most).start();
        let path = |name: &String| format!("/{name}/noarch/repodata.json");
        let address = gate.address();
        std::thread::scope(|scope| {
            let asking: Vec<_> = names
                .iter()
                .map(|name| scope.spawn(move || Request::get(&path(name)).send(address)))
                .collect();
            for name in &names {
                eventually_true("upstream is asked for every one", || {
                    upstream.gets(&format!("{}.zst", path(name))) == 1
                });
            }
            // All but one of them may wait for documents.
            let waiting = u64::try_from(most - 1).unwrap();
            eventually_true("builds wait for upstream", || builds(&gate, "running") == waiting);
            latch.open();
            for answer in asking {
                answer.join().unwrap().expect(200);
            }
        });
        let at_once = builds(&gate, "most_at_once");
        assert!((1..=u64::try_from(most).unwrap()).contains(&at_once), "{at_once} of {most}");
        assert_eq!(builds(&gate, "running"), 0);
    }
}

fn builds(gate: &Gate, which: &str) -> u64 {
    let page = gate.get("/-/metrics").text();
    let line = page.lines().find(|line| line.starts_with(&format!("condagate_repodata_builds_{which} ")));
    line.expect("a gauge").rsplit(' ').next().unwrap().parse().unwrap()
}
