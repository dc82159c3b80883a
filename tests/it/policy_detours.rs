//! Ways around a rule that are closed: another spelling of a channel's name, a record that does not name the bytes.

use std::time::Duration;

use crate::harness::digest::sha256_hex;
use crate::harness::{Channel, Setup, Upstream, View, eventually_true, package, rules};

const TTL: Duration = Duration::from_mins(21);

fn channel() -> Channel {
    let names = ["alpha", "beta", "gamma"];
    names.iter().fold(Channel::new("chan"), |channel, name| channel.with("noarch", &package(name, "1.0")))
}

fn file(name: &str) -> String {
    format!("{name}-1.0-0.conda")
}

/// Rules with `forge`, which is the channel under another name, and `all`, a virtual channel of it.
fn text(upstream: &Upstream, policy: &str) -> String {
    let named = "channels:\n  - {name: forge, upstream: up, path: chan}\n  - {name: all, virtual: [forge]}\n";
    format!("{}{policy}", rules::all_from(upstream).replace("channels:\n", named))
}

/// Upstreams that take any case serve one channel under many spellings; rules on it are about all of them.
#[test]
fn another_case_of_a_channels_name_is_no_way_around_rules() {
    let upstream = Upstream::start();
    let channel = channel();
    for name in ["chan", "Chan", "CHAN"] {
        channel.renamed(name).publish(&upstream);
    }
    for ruled in ["chan", "cHan", "ch*", "forge"] {
        let policy =
            format!("policy:\n  - {{id: recall, channels: [\"{ruled}\"], deny: {{names: [alpha]}}}}\n");
        let alias = "channels:\n  - {name: forge, upstream: up, path: chan}\n";
        let text = rules::all_from(&upstream).replace("channels:\n", alias);
        let gate = Setup::rules(&format!("{text}{policy}")).start();
        for name in ["chan", "Chan", "CHAN", "Forge"] {
            let view = View::of(&gate, name, "noarch");
            assert_eq!(
                gate.get(&view.path(&file("alpha"))).expect_problem(403)["rule"],
                "recall",
                "{name}, {ruled}"
            );
            assert_eq!(view.agreed().len(), 2, "{name} under a rule on {ruled}");
            gate.get(&view.path(&file("beta"))).expect(200);
        }
    }
    let unlisted = "channels:\n  - {name: chan, upstream: up, unlisted: deny}\n";
    let gate = Setup::rules(&rules::all_from(&upstream).replace("channels:\n", unlisted)).start();
    for name in ["chan", "Chan"] {
        View::of(&gate, name, "noarch").agreed();
        upstream.put(&format!("/{name}/noarch/stray-1.0-0.conda"), &b"stray"[..]);
        gate.get(&format!("/{name}/noarch/stray-1.0-0.conda")).expect_problem(403);
    }
}

/// Its record has another digest, or none; the bytes are known since somebody fetched them.
#[test]
fn a_recall_by_digest_takes_a_cached_file_whose_record_does_not_name_it() {
    for gone in [&["sha256"][..], &["sha256", "md5"]] {
        let upstream = Upstream::start();
        let quiet = channel().with_record("noarch", &package("quiet", "1.0"), |record| {
            for key in gone {
                record.remove(*key);
            }
        });
        quiet.publish(&upstream);
        let gate = Setup::rules(&text(&upstream, "")).start();
        let view = View::of(&gate, "chan", "noarch");
        view.agreed();
        let paths = ["chan", "forge", "all"].map(|name| format!("/{name}/noarch/{}", file("quiet")));
        gate.settle(&paths[0]);
        let digest = sha256_hex(&quiet.get("quiet").bytes);
        let policy = format!("policy:\n  - {{id: recall, deny: {{digests: [{digest}]}}}}\n");
        gate.set_rules(&text(&upstream, &policy)).unwrap();
        for path in &paths {
            assert_eq!(gate.get(path).expect_problem(403)["rule"], "recall", "{path} without {gone:?}");
        }
        // Once it has left the index, too.
        channel().publish(&upstream);
        gate.advance(TTL);
        eventually_true("it left the index", || !view.records().contains_key(&file("quiet")));
        for path in &paths[..2] {
            assert_eq!(
                gate.get(path).expect_problem(403)["rule"],
                "recall",
                "{path} without {gone:?}, departed"
            );
        }
    }
}
