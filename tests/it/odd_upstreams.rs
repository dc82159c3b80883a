//! Indexes at the edges: upstream's own bytes where they may be used, bombs, an upstream that has not changed, a disk that lags
//! behind rules.

use std::time::Duration;

use serde_json::json;

use crate::harness::archive::{bz2_of, zstd_of};
use crate::harness::gate::START;
use crate::harness::shards::{decode_index, digests};
use crate::harness::{Act, Channel, Gate, Setup, Upstream, View, eventually_true, package, rules};

const PAST_TTL: Duration = Duration::from_secs(20 * 60 + 1);
const DENY_OTHER: &str = "policy:\n  - {id: other, deny: {names: [beta]}}\n";

/// Records that say when they were indexed: nothing of them has to be changed.
fn stamped() -> Channel {
    let names = ["alpha", "beta", "gamma"];
    names.iter().fold(Channel::new("chan"), |channel, name| {
        channel.with_record("noarch", &package(name, "1.0"), |record| {
            record.insert("indexed_timestamp".into(), json!(START.0 - 86_400_000));
        })
    })
}

#[test]
fn upstreams_own_shards_are_used_byte_for_byte_where_nothing_changes() {
    let upstream = Upstream::start();
    stamped().sharded().publish(&upstream);
    for path in upstream.paths().iter().filter(|path| path.contains("repodata.json")) {
        upstream.remove(path);
    }
    let gate = Gate::in_front_of(&upstream);
    let view = View::of(&gate, "chan", "noarch");
    let ours = decode_index(&view.get("repodata_shards.msgpack.zst").expect(200));
    let theirs = decode_index(&upstream.content(&view.path("repodata_shards.msgpack.zst")));
    assert_eq!(ours["shards"], theirs["shards"]);
    assert_eq!(digests(&ours).len(), 3);
    for digest in digests(&ours) {
        let path = view.path(&format!("shards/{digest}.msgpack.zst"));
        assert!(gate.get(&path).expect(200) == upstream.content(&path)[..], "{path}");
    }
    view.agreed();
}

#[test]
fn a_document_too_large_to_pack_as_bz2_has_upstreams_bytes_or_none() {
    let scene = |policy: &str| {
        let upstream = Upstream::start();
        stamped().publish(&upstream);
        let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).bz2_up_to(10).start();
        (upstream, gate)
    };
    let path = "/chan/noarch/repodata.json.bz2";
    let (upstream, gate) = scene("");
    assert!(gate.get(path).expect(200) == upstream.content(path)[..], "upstream's own bytes");
    // Another document than the generation's is none of it.
    let (upstream, gate) = scene("");
    upstream.put(path, bz2_of(b"{}"));
    gate.get(path).expect_problem(404);
    let (_upstream, gate) = scene(DENY_OTHER);
    let detail = gate.get(path).expect_problem(404)["detail"].to_string();
    assert!(detail.contains("bz2") && detail.contains("agree"), "{detail}");
    assert_eq!(View::of(&gate, "chan", "noarch").records().len(), 2);
}

/// The index and megabytes of blanks.
fn bomb(upstream: &Upstream, form: &str) {
    let text = stamped().repodata("noarch").to_string();
    let huge = format!("{}{}", text, " ".repeat(48 << 20));
    let packed = if form == ".zst" { zstd_of(huge.as_bytes()) } else { bz2_of(huge.as_bytes()) };
    assert!(packed.len() < 100_000, "{}", packed.len());
    upstream.put(&format!("/chan/noarch/repodata.json{form}"), packed);
}

#[test]
fn bombs_are_given_up_early_and_do_no_harm() {
    let upstream = Upstream::start();
    stamped().publish(&upstream);
    bomb(&upstream, ".zst");
    let gate = Gate::in_front_of(&upstream);
    assert_eq!(View::of(&gate, "chan", "noarch").agreed().len(), 3, "the plain document is good");
    // Nothing else there is: trouble, and no absence.
    upstream.remove("/chan/noarch/repodata.json");
    let gate = Gate::in_front_of(&upstream);
    let detail = gate.get("/chan/noarch/repodata.json").expect_problem(502)["detail"].to_string();
    assert!(detail.contains("more than"), "{detail}");
    // As a document that joins later.
    let upstream = Upstream::start();
    stamped().publish(&upstream);
    bomb(&upstream, ".bz2");
    let gate = Setup::rules(&rules::all_from(&upstream)).bz2_up_to(10).start();
    gate.get("/chan/noarch/repodata.json.bz2").expect_problem(404);
    assert_eq!(View::of(&gate, "chan", "noarch").records().len(), 3);
}

#[test]
fn an_unchanged_upstream_is_asked_exactly_once() {
    let upstream = Upstream::start();
    stamped().publish(&upstream);
    let gate = Setup::rules(&format!("{}{DENY_OTHER}", rules::all_from(&upstream))).start();
    let view = View::of(&gate, "chan", "noarch");
    view.agreed();
    for _ in 0..2 {
        let asked = upstream.total();
        let etag = view.get("repodata.json").must("etag").to_owned();
        gate.advance(PAST_TTL);
        for document in
            ["repodata.json", "repodata.json.zst", "repodata.json.bz2", "repodata_shards.msgpack.zst"]
        {
            view.get(document).expect(200);
        }
        eventually_true("upstream is asked", || upstream.total() > asked);
        crate::harness::home::wait_until_quiet(gate.address());
        assert_eq!(view.get("repodata.json").must("etag"), etag);
        // A while later, still fresh.
        gate.advance(Duration::from_mins(10));
        view.agreed();
        let seen = &upstream.seen()[asked..];
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(seen[0].header("if-none-match").is_some() && seen[0].path.ends_with("repodata.json.zst"));
    }
}

/// The virtual channels' indexes still list what their member's rule has recalled, because nothing can be built at the moment.
#[test]
fn a_recall_acts_inside_a_virtual_channel_before_its_index_follows() {
    let upstream = Upstream::start();
    stamped().publish(&upstream);
    let virtual_ones = "channels:\n  - {name: all, virtual: [chan]}\n  - {name: outer, virtual: [all]}\n";
    let text = rules::all_from(&upstream).replace("channels:\n", virtual_ones);
    let gate = Setup::rules(&text).start();
    let views = ["chan", "all", "outer"].map(|name| View::of(&gate, name, "noarch"));
    for view in views {
        assert_eq!(view.agreed().len(), 3);
        view.get("beta-1.0-0.conda").expect(200);
    }
    let staging = gate.home().data().join("cache/generations/.staging");
    std::fs::remove_dir_all(&staging).unwrap();
    std::fs::write(&staging, "").unwrap();
    gate.set_rules(&format!("{text}{DENY_OTHER}")).unwrap();
    for view in views {
        assert_eq!(view.get("beta-1.0-0.conda").expect_problem(403)["rule"], "other", "{}", view.channel);
        view.get("alpha-1.0-0.conda").expect(200);
        assert_eq!(view.records().len(), 3, "its index has not followed yet");
    }
    std::fs::remove_file(&staging).unwrap();
    std::fs::create_dir(&staging).unwrap();
    gate.advance(PAST_TTL);
    for view in views {
        eventually_true("the index follows", || view.records().len() == 2);
    }
    for view in views {
        view.agreed();
    }
}

#[test]
fn a_first_index_that_is_no_index_leaves_nothing_behind() {
    let upstream = Upstream::start();
    stamped().publish(&upstream);
    for form in ["", ".zst", ".bz2"] {
        upstream.always(&format!("/chan/noarch/repodata.json{form}"), Act::html());
    }
    let gate = Gate::in_front_of(&upstream);
    let status = gate.get("/chan/noarch/repodata.json").status;
    assert!((502..=504).contains(&status), "{status}");
    let staging = gate.home().data().join("cache/generations/.staging");
    eventually_true("no work is left", || std::fs::read_dir(&staging).unwrap().next().is_none());
}
