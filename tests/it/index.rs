//! Index documents: every variant of one generation, revalidated, never mixed, never blocking, never leading past the gate.

use std::io::Read as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::archive::zstd_of;
use crate::harness::{Act, Channel, File, Latch, Request, Stage, eventually, eventually_true, package};

const TTL: Duration = Duration::from_secs(20 * 60 + 1);

fn channel() -> Channel {
    Channel::new("chan").with("noarch", &package("alpha", "1.0")).with("linux-64", &package("beta", "1.0"))
}

fn newer() -> Channel {
    channel().with("noarch", &package("gamma", "1.0"))
}

fn unpacked(file: &str, bytes: &[u8]) -> Value {
    let json = if file.ends_with(".zst") {
        zstd::stream::decode_all(bytes).expect("one good zstd frame")
    } else if file.ends_with(".bz2") {
        let mut json = Vec::new();
        bzip2::read::BzDecoder::new(bytes).read_to_end(&mut json).expect("one good bzip2 stream");
        json
    } else {
        bytes.to_vec()
    };
    serde_json::from_slice(&json).expect("JSON")
}

fn read(stage: &Stage, subdir: &str, file: &str) -> Value {
    unpacked(file, &stage.get(&stage.channel.at(subdir, file)).expect(200))
}

fn names(repodata: &Value) -> Vec<String> {
    let records = ["packages", "packages.conda"].map(|k| repodata[k].as_object().expect("an object").keys());
    records.into_iter().flatten().cloned().collect()
}

#[test]
fn every_variant_says_the_same() {
    let stage = Stage::new(channel());
    for subdir in ["noarch", "linux-64"] {
        let expected = stage.channel.shown(subdir);
        for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2"] {
            let got = read(&stage, subdir, file);
            assert_eq!(got["info"]["subdir"], subdir);
            for key in ["packages", "packages.conda", "repodata_version"] {
                assert_eq!(got[key], expected[key], "{key} of {file}");
            }
        }
    }
}

#[test]
fn variants_that_upstream_lacks_are_made() {
    let stage = Stage::new(channel().only_json());
    for file in ["repodata.json.zst", "repodata.json.bz2", "repodata.json"] {
        assert_eq!(names(&read(&stage, "noarch", file)), ["alpha-1.0-0.conda"], "{file}");
    }
}

#[test]
fn a_zst_that_is_newer_than_the_json_is_never_mixed_in() {
    let stage = Stage::new(channel());
    let path = stage.channel.at("noarch", "repodata.json.zst");
    stage.upstream.put(&path, zstd_of(newer().repodata("noarch").to_string().as_bytes()));
    let mut seen: Vec<_> = ["repodata.json", "repodata.json.zst", "repodata.json.bz2"]
        .map(|file| names(&read(&stage, "noarch", file)))
        .to_vec();
    seen.dedup();
    assert_eq!(seen.len(), 1, "different generations: {seen:?}");
}

#[test]
fn other_documents_pass_through() {
    let stage = Stage::new(channel());
    for file in ["run_exports.json", "run_exports.json.zst"] {
        let got = read(&stage, "noarch", file);
        assert_eq!(got["info"]["subdir"], "noarch", "{file}");
    }
    stage.get("/chan/channeldata.json").expect(200);
    stage.upstream.put("/chan/notices.json", &br#"{"notices": []}"#[..]);
    assert_eq!(stage.get("/chan/notices.json").expect(200), br#"{"notices": []}"#);
    stage.get("/chan/terms.json").expect_problem(404);
}

/// Upstream's own may list what the gate's index does not; one that is made always agrees, and channels without one get it too.
#[test]
fn the_current_index_is_made_of_the_generation_and_never_fetched() {
    let documents = ["current_repodata.json", "current_repodata.json.zst", "current_repodata.json.bz2"];
    for fault in [None, Some(Act::status(404)), Some(Act::status(500)), Some(Act::html())] {
        let stage = Stage::new(newer().with("noarch", &package("gamma", "1.1")));
        let path = |file| stage.channel.at("noarch", file);
        for file in documents {
            if let Some(fault) = &fault {
                stage.upstream.always(&path(file), fault.clone());
            }
        }
        std::thread::scope(|scope| {
            for n in 0..12 {
                let path = path(documents[n % 3]);
                let stage = &stage;
                scope.spawn(move || stage.get(&path).expect(200));
            }
        });
        for file in documents {
            let current = read(&stage, "noarch", file);
            assert_eq!(names(&current), ["alpha-1.0-0.conda", "gamma-1.1-0.conda"], "{file}");
            assert_eq!(current["info"], stage.channel.repodata("noarch")["info"]);
            assert_eq!(stage.upstream.gets(&path(file)), 0, "{file}");
        }
    }
}

#[test]
fn unknown_subdirs_are_404_as_upstream() {
    let stage = Stage::new(channel());
    for file in ["repodata.json", "repodata.json.zst", "current_repodata.json", "repodata_shards.msgpack.zst"]
    {
        stage.get(&stage.channel.at("osx-arm64", file)).expect_problem(404);
    }
}

#[test]
fn within_the_ttl_nobody_asks_upstream_and_after_it_a_304_suffices() {
    let stage = Stage::new(channel());
    let path = stage.channel.at("noarch", "repodata.json.zst");
    let first = stage.get(&path);
    let asked = stage.upstream.total();
    for _ in 0..5 {
        assert_eq!(stage.get(&path).must("etag"), first.must("etag"));
    }
    assert_eq!(stage.upstream.total(), asked);
    stage.gate.advance(TTL);
    assert_eq!(stage.get(&path).must("etag"), first.must("etag"));
    eventually_true("a conditional request", || {
        stage.upstream.seen()[asked..].iter().any(|s| s.header("if-none-match").is_some())
    });
    assert_eq!(stage.get(&path).must("etag"), first.must("etag"));
}

#[test]
fn stale_is_served_while_the_new_one_is_fetched() {
    let stage = Stage::new(channel());
    stage.know_index();
    newer().publish(&stage.upstream);
    let latch = Latch::new();
    for file in ["repodata.json", "repodata.json.zst"] {
        stage.upstream.always(&stage.channel.at("noarch", file), Act::HoldHead(latch.clone()));
    }
    stage.gate.advance(TTL);
    assert_eq!(names(&read(&stage, "noarch", "repodata.json")).len(), 1, "the old one, at once");
    latch.wait_for_arrival();
    assert_eq!(names(&read(&stage, "noarch", "repodata.json.zst")).len(), 1, "the old one, at once");
    latch.open();
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2"] {
        eventually_true("the new generation", || names(&read(&stage, "noarch", file)).len() == 2);
    }
}

#[test]
fn stale_is_served_when_upstream_is_in_trouble() {
    let troubles = [
        Act::status(500),
        Act::status(404),
        Act::status_with(429, "Retry-After", "60"),
        Act::html(),
        Act::ResetHead,
        Act::StallHead,
        Act::CutBody(20),
        Act::Other(b"{\"info\": {\"sub"[..].into()),
        Act::Other(vec![0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3].into()),
        Act::status(304),
        Act::status(403),
    ];
    for trouble in troubles {
        let stage = Stage::impatient(channel());
        stage.know_index();
        for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2"] {
            stage.upstream.always(&stage.channel.at("noarch", file), trouble.clone());
        }
        let asked = stage.upstream.total();
        stage.gate.advance(TTL);
        for _ in 0..3 {
            for file in ["repodata.json", "repodata.json.zst"] {
                assert_eq!(names(&read(&stage, "noarch", file)), ["alpha-1.0-0.conda"], "{trouble:?}");
            }
        }
        eventually_true("upstream is asked", || stage.upstream.total() > asked);
        stage.fetch_eventually("alpha");
    }
}

/// Upstream has no document, and its records carry what belongs in it: "not known" does not become "none".
#[test]
fn run_exports_are_made_of_records_where_upstream_has_no_document() {
    let with = |exports: Value| {
        move |record: &mut serde_json::Map<String, Value>| drop(record.insert("run_exports".into(), exports))
    };
    let told = json!({"weak": ["alpha >=1.0"]});
    let channel = Channel::new("chan")
        .with_record("noarch", &package("alpha", "1.0"), with(told.clone()))
        .with_record("noarch", &package("none", "1.0").tar_bz2(), with(json!({})))
        .with_record("noarch", &package("odd", "1.0"), with(json!("odd")))
        .with("noarch", &package("unknown", "1.0"))
        .with("linux-64", &package("beta", "1.0"));
    let stage = Stage::new(channel);
    for subdir in ["noarch", "linux-64"] {
        for form in ["", ".zst", ".bz2"] {
            stage.upstream.remove(&stage.channel.at(subdir, &format!("run_exports.json{form}")));
        }
    }
    for file in ["run_exports.json", "run_exports.json.zst"] {
        assert_eq!(
            read(&stage, "noarch", file),
            json!({
                "info": {"subdir": "noarch", "version": 0},
                "packages": {"none-1.0-0.tar.bz2": {"run_exports": {}}},
                "packages.conda": {"alpha-1.0-0.conda": {"run_exports": told}},
            }),
            "{file}"
        );
        stage.get(&stage.channel.at("linux-64", file)).expect_problem(404);
    }
}

/// Upstream has one form only, and it is broken: that is trouble, and not an index that is gone or has nothing in it.
#[test]
fn a_broken_form_is_not_an_absent_one() {
    for subdir in ["noarch", "linux-64"] {
        for known in [true, false] {
            let stage = Stage::impatient(channel());
            for file in ["repodata.json", "repodata.json.bz2"] {
                stage.upstream.remove(&stage.channel.at(subdir, file));
            }
            let before = known.then(|| names(&read(&stage, subdir, "repodata.json")));
            stage.upstream.always(&stage.channel.at(subdir, "repodata.json.zst"), Act::CutUnframed(60));
            for _ in 0..4 {
                stage.gate.advance(TTL);
                for file in ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"] {
                    let answer = stage.get(&stage.channel.at(subdir, file));
                    match &before {
                        Some(_) => drop(answer.expect(200)),
                        None if file.contains("shards") => drop(answer.expect_problem(503)),
                        None => drop(answer.expect_problem(502)),
                    }
                }
                if let Some(before) = &before {
                    assert_eq!(names(&read(&stage, subdir, "repodata.json")), *before, "{subdir}");
                }
                let asked = stage.upstream.total();
                eventually_true("upstream is asked again", || {
                    stage.gate.advance(TTL);
                    let _ = stage.get(&stage.channel.at(subdir, "repodata.json"));
                    stage.upstream.total() > asked
                });
            }
            stage.upstream.behave(&stage.channel.at(subdir, "repodata.json.zst"));
            eventually_true("the index once upstream is well", || {
                stage.gate.advance(TTL);
                let answer = stage.get(&stage.channel.at(subdir, "repodata.json"));
                answer.status == 200 && names(&answer.json()).len() == 1
            });
        }
    }
}

/// A cold index whose every source is spoilt, then well again.
fn cold_index_is_refused(fault: &Act) -> u16 {
    let stage = Stage::impatient(channel());
    let files = ["repodata.json", "repodata.json.zst", "repodata.json.bz2"];
    for file in files {
        stage.upstream.always(&stage.channel.at("noarch", file), fault.clone());
    }
    let mut status = 0;
    for file in files {
        let answer = stage.get(&stage.channel.at("noarch", file));
        answer.expect_visibly_bad();
        status = answer.status;
    }
    for file in files {
        stage.upstream.behave(&stage.channel.at("noarch", file));
    }
    eventually("the index once upstream is well", || {
        stage.gate.advance(Duration::from_mins(1));
        let answer = stage.get(&stage.channel.at("noarch", "repodata.json"));
        (answer.status == 200).then_some(())
    });
    assert_eq!(names(&read(&stage, "noarch", "repodata.json")), ["alpha-1.0-0.conda"]);
    status
}

#[test]
fn broken_indexes_are_never_handed_out_whole() {
    let json = channel().repodata("noarch").to_string();
    let packed = zstd_of(json.as_bytes());
    cold_index_is_refused(&Act::html());
    cold_index_is_refused(&Act::Other(b"not an index at all".to_vec().into()));
    cold_index_is_refused(&Act::Other(json.as_bytes()[..json.len() / 2].to_vec().into()));
    cold_index_is_refused(&Act::Other(packed[..packed.len() / 2].to_vec().into()));
    cold_index_is_refused(&Act::CutBody(0));
}

#[test]
fn upstream_trouble_on_a_cold_index_is_no_404() {
    for fault in [Act::status(500), Act::StallHead, Act::ResetHead] {
        let status = cold_index_is_refused(&fault);
        assert!((502..=504).contains(&status), "{status}");
    }
}

#[test]
fn a_broken_zst_is_replaced_by_the_json() {
    let stage = Stage::impatient(channel());
    let path = stage.channel.at("noarch", "repodata.json.zst");
    stage.upstream.always(&path, Act::Other(b"\x28\xb5\x2f\xfdbroken".to_vec().into()));
    eventually("the index made from the JSON", || {
        let answer = stage.get(&stage.channel.at("noarch", "repodata.json"));
        (answer.status == 200).then_some(())
    });
    assert_eq!(names(&read(&stage, "noarch", "repodata.json.zst")), ["alpha-1.0-0.conda"]);
}

#[test]
fn fifty_clients_of_a_cold_index_cause_one_download() {
    let stage = Stage::new(channel());
    let path = stage.channel.at("noarch", "repodata.json.zst");
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| stage.get(&path).expect(200));
        }
    });
    assert!(stage.upstream.gets(&path) <= 1);
    assert!(stage.upstream.gets(&stage.channel.at("noarch", "repodata.json")) <= 1);
}

#[test]
fn no_base_url_leads_past_the_gate() {
    let elsewhere = json!("http://other.example.org/elsewhere/");
    let stage = Stage::new(channel().info("base_url", elsewhere.clone()));
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2", "current_repodata.json"] {
        for _ in 0..2 {
            let text = read(&stage, "noarch", file).to_string();
            assert!(!text.contains("other.example.org"), "{file}: {text}");
        }
    }
    let with_url = Channel::new("chan").with_record("noarch", &package("alpha", "1.0"), |record| {
        record.insert("url".into(), json!("http://other.example.org/alpha-1.0-0.conda"));
    });
    let stage = Stage::new(with_url);
    for _ in 0..2 {
        let text = read(&stage, "noarch", "repodata.json").to_string();
        assert!(!text.contains("other.example.org"), "{text}");
    }
}

#[test]
fn unknown_keys_pass_untouched() {
    let channel = channel().info("channel_relations", json!({"base": "../other"})).with_record(
        "noarch",
        &package("extra", "1.0"),
        |record| {
            record.insert("indexed_timestamp".into(), json!(1_760_000_000_001_u64));
            record.insert("attestations_sha256".into(), json!("ab".repeat(32)));
            record.insert("purls".into(), json!(["pkg:pypi/extra@1.0"]));
            record.insert("something_new".into(), json!({"deep": [1, "two", null, 3.25]}));
        },
    );
    let stage = Stage::new(channel);
    let expected = stage.channel.shown("noarch");
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2"] {
        let got = read(&stage, "noarch", file);
        assert_eq!(got["packages.conda"], expected["packages.conda"], "{file}");
        assert_eq!(got["info"]["channel_relations"], expected["info"]["channel_relations"], "{file}");
    }
}

#[test]
fn json_may_be_coded_with_an_etag_of_its_own() {
    let many = (0..50).fold(channel(), |c, n| c.with("noarch", &package(&format!("p{n}"), "1.0")));
    let stage = Stage::new(many);
    let path = stage.channel.at("noarch", "repodata.json");
    let plain = stage.get(&path);
    assert!(plain.must("vary").to_ascii_lowercase().contains("accept-encoding"));
    for coding in ["gzip", "zstd"] {
        let ask = |extra: Option<&str>| {
            let request = Request::get(&path).header("Accept-Encoding", coding);
            stage.gate.ask(&extra.map_or(request.clone(), |etag| request.header("If-None-Match", etag)))
        };
        let coded = ask(None);
        assert_eq!(coded.must("content-encoding"), coding);
        assert!(coded.must("vary").to_ascii_lowercase().contains("accept-encoding"));
        assert_ne!(coded.must("etag"), plain.must("etag"));
        assert_eq!(ask(Some(coded.must("etag"))).status, 304);
        let bytes = coded.expect(200);
        let mut text = Vec::new();
        if coding == "gzip" {
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
        } else {
            text = zstd::stream::decode_all(&bytes[..]).unwrap();
        }
        assert!(text == plain.body, "{coding}");
        ask(Some(plain.must("etag"))).expect(200);
    }
}

#[test]
fn indexes_say_how_long_they_are_good_and_nothing_private() {
    let stage = Stage::new(channel().sharded());
    for file in ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"] {
        stage.get(&stage.channel.at("noarch", file));
        let answer = stage.get(&stage.channel.at("noarch", file));
        let cache = answer.must("cache-control");
        assert!(cache.contains("max-age=") || cache.contains("no-cache"), "{file}: {cache}");
        assert!(!cache.contains("private") && !cache.contains("no-store"), "{file}: {cache}");
        assert_eq!(answer.header("age"), None);
    }
}

#[test]
fn a_package_that_appears_upstream_is_verified_by_the_new_generation() {
    let stage = Stage::new(channel());
    stage.know_index();
    let newer = newer();
    newer.publish(&stage.upstream);
    stage.gate.advance(TTL);
    stage.know_index();
    eventually_true("the new generation", || names(&read(&stage, "noarch", "repodata.json")).len() == 2);
    assert_eq!(stage.get(&newer.path("gamma")).expect(200), newer.get("gamma").bytes);
}

#[test]
fn a_package_rebuilt_under_the_same_name_is_fetched_again() {
    let stage = Stage::new(channel());
    stage.know_index();
    stage.fetch("alpha");
    let rebuilt = Channel::new("chan").with("noarch", &package("alpha", "1.0").payload(5_000));
    rebuilt.publish(&stage.upstream);
    stage.gate.advance(TTL);
    eventually_true("the new generation", || {
        let record = &read(&stage, "noarch", "repodata.json")["packages.conda"]["alpha-1.0-0.conda"];
        record["sha256"] == rebuilt.get("alpha").record["sha256"]
    });
    assert_eq!(stage.get(&rebuilt.path("alpha")).expect(200), rebuilt.get("alpha").bytes);
}

#[test]
fn an_index_without_validators_works_too() {
    let stage = Stage::new(channel());
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2"] {
        let path = stage.channel.at("noarch", file);
        stage.upstream.put_file(&path, File::bare(stage.upstream.content(&path)));
    }
    let path = stage.channel.at("noarch", "repodata.json");
    let first = stage.get(&path);
    first.must("etag");
    stage.gate.advance(TTL);
    assert_eq!(stage.get(&path).expect(200), first.body);
}
