//! The way out: an egress proxy from the rules or the usual variables, resolver overrides, mirrors that take over.

use std::time::Duration;

use crate::harness::{Act, Channel, Home, Process, Setup, Upstream, package, rules};

fn published() -> (Upstream, Channel) {
    let upstream = Upstream::start();
    let channel =
        Channel::new("chan").with("noarch", &package("alpha", "1.0")).with("noarch", &package("beta", "1.0"));
    channel.publish(&upstream);
    (upstream, channel)
}

fn nowhere() -> Vec<String> {
    vec!["http://conda.invalid".to_owned()]
}

#[test]
fn a_proxy_from_the_rules() {
    let (proxy, channel) = published();
    let gate = Setup::rules(&rules::all_from_urls(&nowhere(), &format!("proxy: {}", proxy.url()))).start();
    assert_eq!(gate.get(&channel.path("alpha")).expect(200), channel.get("alpha").bytes);
    assert!(proxy.seen().iter().all(|s| s.target.starts_with("http://conda.invalid/")));
}

#[test]
fn a_proxy_from_the_usual_variable() {
    let (proxy, channel) = published();
    let home = Home::new();
    home.write_rules(&rules::all_from_urls(&nowhere(), "retries: 0"));
    let gate = Process::serve_in(home, &[], &[("http_proxy", &proxy.url())]);
    assert_eq!(gate.get(&channel.path("alpha")).expect(200), channel.get("alpha").bytes);
    assert!(proxy.seen().iter().all(|s| s.target.starts_with("http://conda.invalid/")));
}

#[test]
fn a_name_may_be_resolved_by_the_rules() {
    let (upstream, channel) = published();
    let url = format!("http://conda.invalid:{}", upstream.address().port());
    let settings = format!("resolve: {{conda.invalid: \"{}\"}}", upstream.address());
    let gate = Setup::rules(&rules::all_from_urls(&[url], &settings)).start();
    assert_eq!(gate.get(&channel.path("alpha")).expect(200), channel.get("alpha").bytes);
}

#[test]
fn the_second_mirror_takes_over_and_the_first_comes_back() {
    let (mut one, channel) = published();
    let (two, _) = published();
    let urls = [one.url(), two.url()];
    let gate = Setup::rules(&rules::all_from_urls(&urls, rules::IMPATIENT)).start();
    one.stop();
    assert_eq!(gate.get(&channel.path("alpha")).expect(200), channel.get("alpha").bytes);
    assert!(two.total() > 0);
    one.start_again();
    gate.advance(Duration::from_hours(1));
    let (name, before) = (channel.path("beta"), one.total());
    gate.get(&name).expect(200);
    for n in 0..20 {
        gate.advance(Duration::from_mins(1));
        gate.get(&channel.at("noarch", &format!("probe-{n}-0.conda")));
    }
    assert!(one.total() > before, "the first mirror is never asked again");
}

#[test]
fn a_file_one_mirror_lacks_is_looked_for_on_the_next() {
    let (one, channel) = published();
    let (two, _) = published();
    one.remove(&channel.path("alpha"));
    let gate = Setup::rules(&rules::all_from_urls(&[one.url(), two.url()], "retries: 1")).start();
    assert_eq!(gate.get(&channel.path("alpha")).expect(200), channel.get("alpha").bytes);
    gate.get(&channel.at("noarch", "nobody-1.0-0.conda")).expect_problem(404);
}

#[test]
fn a_mirror_with_wrong_bytes_is_left_for_the_next() {
    let (one, channel) = published();
    let (two, _) = published();
    let size = channel.get("alpha").bytes.len();
    one.always(&channel.path("alpha"), Act::Other(vec![0; size].into()));
    let gate = Setup::rules(&rules::all_from_urls(&[one.url(), two.url()], "retries: 1")).start();
    gate.get(&channel.at("noarch", "repodata.json")).expect(200);
    let first = gate.get(&channel.path("alpha"));
    if first.status != 200 || first.end == crate::harness::End::Cut {
        first.expect_visibly_bad();
    } else {
        assert_eq!(first.body, channel.get("alpha").bytes);
    }
}
