//! Ways around a rule that are none: capitals in names, and records that do not say what the bytes are.

use crate::harness::digest::sha256_hex;
use crate::harness::{Channel, Setup, Upstream, package, rules};

fn channel() -> Channel {
    Channel::new("chan").with("noarch", &package("alpha", "1.0")).with("noarch", &package("beta", "1.0"))
}

/// There are upstreams to which capitals do not matter. Rules are not got round by them, and what stands behind a `/T/` is no channel.
#[test]
fn capitals_are_no_way_around_a_rule() {
    let upstream = Upstream::start();
    let channel = channel();
    for name in ["chan", "Chan", "CHAN"] {
        channel.renamed(name).publish(&upstream);
    }
    let policy = "policy:\n  - {id: recall, channels: [Chan], deny: {names: [alpha]}}\n";
    let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).start();
    for name in ["chan", "Chan", "CHAN"] {
        gate.get(&format!("/{name}/noarch/alpha-1.0-0.conda")).expect_problem(403);
        gate.get(&format!("/{name}/noarch/beta-1.0-0.conda")).expect(200);
        let index = gate.get(&format!("/{name}/noarch/repodata.json")).expect(200);
        assert!(!String::from_utf8_lossy(&index).contains("alpha-1.0"), "{name}");
    }
    let asked = upstream.total();
    gate.get("/T/secret-token/chan/noarch/beta-1.0-0.conda").expect_problem(404);
    assert_eq!(upstream.total(), asked);
}

/// The record has no SHA-256, or no digest at all; the recall names the file by it. What counts are the bytes.
#[test]
fn a_recall_by_digest_finds_files_whose_records_have_none() {
    let upstream = Upstream::start();
    let channel = Channel::new("chan")
        .with_record("noarch", &package("by-md5", "1.0"), |record| drop(record.remove("sha256")))
        .with_record("noarch", &package("bare", "1.0"), |record| {
            for key in ["sha256", "md5"] {
                record.remove(key);
            }
        })
        .with("noarch", &package("other", "1.0"));
    channel.publish(&upstream);
    let digests: Vec<_> = ["by-md5", "bare"].map(|name| sha256_hex(&channel.get(name).bytes)).into();
    let text = rules::all_from(&upstream);
    let recall = format!("{text}policy:\n  - {{id: recall, deny: {{digests: {digests:?}}}}}\n");
    // In the cache already when the rule comes.
    let gate = Setup::rules(&text).start();
    for name in ["by-md5", "bare", "other"] {
        gate.get(&channel.path(name)).expect(200);
    }
    gate.settle(&channel.path("by-md5"));
    gate.set_rules(&recall).unwrap();
    // And for the first time under the rule.
    let cold = Setup::rules(&recall).start();
    for gate in [&gate, &cold] {
        for _ in 0..2 {
            for name in ["by-md5", "bare"] {
                assert_eq!(gate.get(&channel.path(name)).expect_problem(403)["rule"], "recall", "{name}");
            }
            gate.get(&channel.path("other")).expect(200);
        }
    }
}
