//! Documents beside the index (`run_exports.json`, `repodata_from_packages.json`): they say no more than the index, whenever they come.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Act, Channel, Gate, Setup, Upstream, View, eventually_true, package, rules};

const PAST_TTL: Duration = Duration::from_secs(20 * 60 + 1);
const EXPORTS: &str = "run_exports.json";
const FROM_PACKAGES: &str = "repodata_from_packages.json";
const RECALL: &str = "policy:\n  - {id: recall, deny: {names: [beta]}}\n";

fn channel() -> Channel {
    Channel::new("chan").with("noarch", &package("alpha", "1.0")).with("noarch", &package("beta", "1.0"))
}

/// Puts both documents on the upstream, plain only.
fn publish(upstream: &Upstream, channel: &Channel) {
    channel.publish(upstream);
    let names = ["alpha", "beta"];
    let exports: serde_json::Map<String, Value> =
        names.iter().map(|n| (channel.get(n).file.clone(), json!({"run_exports": {"weak": [n]}}))).collect();
    let exports = json!({"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": exports});
    for (file, document) in [(EXPORTS, exports), (FROM_PACKAGES, channel.repodata("noarch"))] {
        for form in ["", ".zst", ".bz2"] {
            upstream.remove(&channel.at("noarch", &format!("{file}{form}")));
        }
        upstream.put(&channel.at("noarch", file), document.to_string());
    }
}

fn text(upstream: &Upstream, policy: &str) -> String {
    let virtual_one = "channels:\n  - {name: all, virtual: [chan]}\n";
    format!("{}{policy}", rules::all_from(upstream).replace("channels:\n", virtual_one))
}

fn scene() -> (Upstream, Gate) {
    let upstream = Upstream::start();
    publish(&upstream, &channel());
    let gate = Setup::rules(&text(&upstream, "")).start();
    (upstream, gate)
}

fn files(view: View<'_>, document: &str) -> Vec<String> {
    view.beside(document).map(|records| records.into_keys().collect()).unwrap_or_default()
}

#[test]
fn they_obey_a_recall_without_upstream() {
    for restart in [false, true] {
        let (mut upstream, gate) = scene();
        let places = [("chan", EXPORTS), ("chan", FROM_PACKAGES), ("all", EXPORTS)];
        for (name, document) in places {
            assert_eq!(files(View::of(&gate, name, "noarch"), document).len(), 2, "{document} of {name}");
        }
        upstream.stop();
        let gate = if restart {
            let home = gate.stop();
            home.write_rules(&text(&upstream, RECALL));
            Setup::again(home).start()
        } else {
            gate.set_rules(&text(&upstream, RECALL)).unwrap();
            gate
        };
        for (name, document) in places {
            let view = View::of(&gate, name, "noarch");
            eventually_true("the recalled package left the index", || view.records().len() == 1);
            assert_eq!(
                files(view, document),
                ["alpha-1.0-0.conda"],
                "{document} of {name}, restart: {restart}"
            );
        }
    }
}

#[test]
fn what_upstream_has_not_is_asked_for_again_later() {
    let (upstream, gate) = scene();
    let view = View::of(&gate, "chan", "noarch");
    let path = view.path(EXPORTS);
    let document = upstream.content(&path);
    upstream.remove(&path);
    for _ in 0..2 {
        view.get(EXPORTS).expect_problem(404);
    }
    let asked = upstream.gets(&path);
    assert_eq!(asked, 1, "an absence is believed for a while");
    upstream.put(&path, document);
    gate.advance(PAST_TTL);
    assert_eq!(files(view, EXPORTS).len(), 2);
}

#[test]
fn a_form_in_trouble_does_not_hide_the_other() {
    for trouble in [Act::status(500), Act::ResetHead, Act::html()] {
        let (upstream, gate) = scene();
        let view = View::of(&gate, "chan", "noarch");
        upstream.always(&format!("{}.zst", view.path(EXPORTS)), trouble.clone());
        assert_eq!(files(view, EXPORTS).len(), 2, "{trouble:?}");
    }
    let (upstream, gate) = scene();
    let view = View::of(&gate, "chan", "noarch");
    upstream.always(&view.path(EXPORTS), Act::status(500));
    let status = view.get(EXPORTS).status;
    assert!((502..=504).contains(&status), "trouble is no absence: {status}");
}

/// The index shows one file, the document tells of another under its name: rules were never asked about that.
#[test]
fn under_rules_no_record_of_other_bytes_passes() {
    let upstream = Upstream::start();
    publish(&upstream, &channel());
    let other = Channel::new("chan")
        .with("noarch", &package("alpha", "1.0"))
        .with("noarch", &package("beta", "1.0").payload(77));
    upstream.put(&other.at("noarch", FROM_PACKAGES), other.repodata("noarch").to_string());
    let policy = "policy:\n  - {id: other, deny: {names: [gamma]}}\n";
    let gate = Setup::rules(&text(&upstream, policy)).start();
    let view = View::of(&gate, "chan", "noarch");
    assert_eq!(view.agreed().len(), 2);
    assert_eq!(files(view, FROM_PACKAGES), ["alpha-1.0-0.conda"]);
}
