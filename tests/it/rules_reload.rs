//! Rules: precedence, and reloads that happen as a whole or not at all.

use crate::harness::{Channel, Gate, Home, Process, Setup, Upstream, eventually_true, package, rules};

fn published(name: &str, payload: usize) -> (Upstream, Channel) {
    let upstream = Upstream::start();
    let channel = Channel::new(name).with("noarch", &package("alpha", "1.0").payload(payload));
    channel.publish(&upstream);
    (upstream, channel)
}

fn rules(upstreams: &[(&str, &Upstream)], channels: &str) -> String {
    let upstreams: String =
        upstreams.iter().map(|(name, u)| format!("  {name}: {{urls: [{}]}}\n", u.url())).collect();
    format!("builtins: false\nupstreams:\n{upstreams}channels:\n{channels}")
}

#[test]
fn exact_beats_glob_beats_star_whatever_the_order() {
    let (exact, glob, star) =
        (published("a/main", 1_000), published("a/main", 2_000), published("a/main", 3_000));
    let text = rules(
        &[("exact", &exact.0), ("glob", &glob.0), ("star", &star.0)],
        "  - {name: a/main, upstream: exact}\n  - {match: \"a/*\", upstream: glob}\n  - {match: \"*\", upstream: star}\n",
    );
    let gate = Setup::rules(&text).start();
    let body = gate.get(&exact.1.path("alpha")).expect(200);
    assert_eq!(body, exact.1.get("alpha").bytes);
    assert_eq!((glob.0.total(), star.0.total()), (0, 0));
}

#[test]
fn a_channel_no_rule_names_is_404_with_a_sentence() {
    let (upstream, channel) = published("chan", 1_000);
    let gate = Setup::rules(&rules(&[("up", &upstream)], "  - {name: other, upstream: up}\n")).start();
    gate.get(&channel.path("alpha")).expect_problem(404);
    assert_eq!(upstream.total(), 0);
}

#[test]
fn a_channel_may_have_another_name_upstream() {
    let (upstream, channel) = published("up/stream", 1_000);
    let gate =
        Setup::rules(&rules(&[("up", &upstream)], "  - {name: mine, upstream: up, path: up/stream}\n"))
            .start();
    assert_eq!(gate.get("/mine/noarch/alpha-1.0-0.conda").expect(200), channel.get("alpha").bytes);
    gate.get("/mine/noarch/repodata.json").expect(200);
}

#[test]
fn the_hangup_signal_reloads() {
    let (one, channel) = published("chan", 1_000);
    let (two, other) = published("other", 1_000);
    let home = Home::new();
    home.write_rules(&rules(&[("one", &one)], "  - {name: chan, upstream: one}\n"));
    let gate = Process::serve(home);
    gate.get(&channel.path("alpha")).expect(200);
    gate.get(&other.path("alpha")).expect_problem(404);
    gate.home().write_rules(&rules(&[("two", &two)], "  - {name: other, upstream: two}\n"));
    gate.signal("HUP");
    eventually_true("the new rules", || gate.get(&other.path("alpha")).status == 200);
    gate.get(&channel.path("alpha")).expect_problem(404);
}

#[test]
fn a_file_watch_reloads() {
    let (one, channel) = published("chan", 1_000);
    let gate = Setup::rules(&rules(&[("one", &one)], "  - {name: elsewhere, upstream: one}\n")).start();
    gate.home().write_rules(&rules(&[("one", &one)], "  - {name: chan, upstream: one}\n"));
    eventually_true("the new rules", || gate.get(&channel.path("alpha")).status == 200);
}

#[test]
fn a_bad_edit_keeps_the_old_rules_and_says_so() {
    let (upstream, channel) = published("chan", 1_000);
    let good = rules::all_from(&upstream);
    let gate = Setup::rules(&good).start();
    assert_eq!(gate.get("/-/readyz").status, 200);
    let mistakes = gate.set_rules("channels:\n  - {match: \"*\", upstream: nobody}\nunknown_key: 1\n");
    let mistakes = mistakes.expect_err("both mistakes");
    assert!(mistakes.contains("nobody") && mistakes.contains("unknown_key"), "{mistakes}");
    let said = |gate: &Gate| gate.get("/-/readyz").text();
    eventually_true("the mistake on /-/readyz", || said(&gate).contains("50-test.yaml"));
    assert_eq!(gate.get(&channel.path("alpha")).expect(200), channel.get("alpha").bytes);
    gate.set_rules(&good).expect("good rules");
    eventually_true("all well again", || !said(&gate).contains("50-test.yaml"));
}

/// Ignoring it could open what it was meant to close.
#[test]
fn a_section_that_is_not_obeyed_yet_is_refused_at_start_and_at_reload() {
    let (upstream, channel) = published("chan", 1_000);
    let right = rules(&[("up", &upstream)], "  - {name: chan, upstream: up}\n");
    let with_policy = format!("{right}policy:\n  - {{id: recall, deny: {{names: [alpha]}}}}\n");
    let gate = Setup::rules(&right).start();
    let refused = gate.set_rules(&with_policy).expect_err("the reload must be refused");
    assert!(refused.contains("`policy:`") && refused.contains("take them out"), "{refused}");
    gate.get(&channel.path("alpha")).expect(200);
    let home = Home::new();
    home.write_rules(&with_policy);
    let (data, rules) = (home.data(), home.rules());
    let flags = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap(), "--rules"];
    let output = crate::harness::process::run(&[&flags[..], &[rules.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(crate::harness::process::text_of(&output).contains("`policy:`"), "{output:?}");
}
