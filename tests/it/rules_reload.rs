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
fn an_access_log_that_was_renamed_is_opened_anew() {
    let (upstream, channel) = published("chan", 1_000);
    let home = Home::new();
    home.write_rules(&rules(&[("one", &upstream)], "  - {name: chan, upstream: one}\n"));
    let (file, old) = (home.path("access.log"), home.path("access.log.1"));
    home.write_config(&format!("log: {{access: {}}}\n", file.display()));
    let gate = Process::serve(home);
    let has =
        |file: &std::path::Path, id: &str| std::fs::read_to_string(file).is_ok_and(|text| text.contains(id));
    let id = gate.get(&channel.path("alpha")).must("x-request-id").to_owned();
    eventually_true("its line", || has(&file, &id));
    std::fs::rename(&file, &old).unwrap();
    let between = gate.get(&channel.path("alpha")).must("x-request-id").to_owned();
    eventually_true("the line in the renamed file", || has(&old, &between));
    gate.signal("HUP");
    eventually_true("a new file", || file.exists());
    let after = gate.get(&channel.path("alpha")).must("x-request-id").to_owned();
    eventually_true("its line in the new file", || has(&file, &after));
    assert!(!has(&old, &after) && has(&old, &id));
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
fn what_this_version_does_not_have_is_refused_at_start_and_at_reload() {
    let (upstream, channel) = published("chan", 1_000);
    let right = rules(&[("up", &upstream)], "  - {name: chan, upstream: up}\n");
    let of_channel = right.replace("name: chan,", "name: chan, hosted: true,");
    for (later, what) in
        [(format!("{right}owns:\n  - {{groups: [staff]}}\n"), "`owns`"), (of_channel, "`hosted: true`")]
    {
        let gate = Setup::rules(&right).start();
        let refused = gate.set_rules(&later).expect_err("the reload must be refused");
        assert!(refused.contains(what) && refused.contains("50-test.yaml"), "{refused}");
        gate.get(&channel.path("alpha")).expect(200);
        let home = Home::new();
        home.write_rules(&later);
        let (data, rules) = (home.data(), home.rules());
        let flags = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap(), "--rules"];
        let output = crate::harness::process::run(&[&flags[..], &[rules.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(crate::harness::process::text_of(&output).contains(what), "{output:?}");
    }
}

/// A policy comes into force as a whole, and one with a mistake leaves the one before it in force.
#[test]
fn a_policy_is_obeyed_from_its_reload_on_and_a_bad_one_changes_nothing() {
    let (upstream, channel) = published("chan", 1_000);
    let with = |policy: &str| {
        format!("{}policy:\n{policy}", rules(&[("up", &upstream)], "  - {name: chan, upstream: up}\n"))
    };
    let gate = Setup::rules(&with("  - {id: other, deny: {names: [other]}}\n")).start();
    gate.get(&channel.path("alpha")).expect(200);
    gate.set_rules(&with("  - {id: recall, deny: {names: [alpha]}}\n")).unwrap();
    gate.get(&channel.path("alpha")).expect_problem(403);
    for bad in
        ["  - {id: recall, deny: {}}\n", "  - {id: r, deny: {name: [alpha]}}\n", "  - {hide: {names: [x]}}\n"]
    {
        gate.set_rules(&with(bad)).expect_err(bad);
        assert_eq!(gate.get(&channel.path("alpha")).expect_problem(403)["rule"], "recall");
    }
}

/// A file that is being written has no bytes for a moment, and a pipe never ends: neither switches off what the file had forbidden.
#[test]
fn an_empty_file_or_a_pipe_keeps_the_old_rules() {
    let (upstream, channel) = published("chan", 1_000);
    let with =
        |policy: &str| format!("{}{policy}", rules(&[("up", &upstream)], "  - {name: chan, upstream: up}\n"));
    let recall = with("policy:\n  - {id: recall, deny: {names: [alpha]}}\n");
    let gate = Setup::rules(&recall).start();
    for empty in ["", "\n"] {
        let mistakes = gate.set_rules(empty).expect_err("an empty file");
        assert!(mistakes.contains("50-test.yaml") && mistakes.contains("is empty"), "{mistakes}");
        gate.get(&channel.path("alpha")).expect_problem(403);
    }
    let pipe = gate.home().rules().join("70-pipe.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let mistakes = gate.set_rules(&recall).expect_err("a pipe");
    assert!(mistakes.contains("70-pipe.yaml") && mistakes.contains("no regular file"), "{mistakes}");
    gate.get(&channel.path("alpha")).expect_problem(403);
    std::fs::remove_file(&pipe).expect("the pipe goes");
    gate.set_rules(&with("# nothing is forbidden\n")).expect("good rules");
    gate.get(&channel.path("alpha")).expect(200);
}
