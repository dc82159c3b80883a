//! Channels of the store that no rule places: members of virtual channels, and what `access:` is about, before and after they are made.

use condagate::policy::access::Right;

use crate::harness::Channel;
use crate::harness::{Publishers, Request, Setup, Upstream, package};
use crate::people_cli::done;

/// Nothing but these channels is placed: no pattern takes every name.
const RULES: &str = "  - {name: theirs, upstream: up}\n  - {name: prod, virtual: [later, theirs], priority: flexible}\n\
                     access:\n  - {id: later, channels: [later, prod], read: [anonymous], write: [\"user:ada\"]}\n";

#[test]
fn a_member_may_be_made_later() {
    let upstream = Upstream::start();
    Channel::new("theirs").with("noarch", &package("foreign", "1.0")).publish(&upstream);
    let text =
        format!("builtins: false\nupstreams: {{up: {{urls: [{}]}}}}\nchannels:\n{RULES}", upstream.url());
    let hosted = Publishers::of(Setup::rules(&text));
    let files = || {
        let index = hosted.gate.get("/prod/noarch/repodata.json").expect(200);
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        index["packages.conda"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(files(), ["foreign-1.0-0.conda"], "nothing is in it yet");
    hosted.gate.get("/later/noarch/repodata.json").expect_problem(404);
    hosted.create("later").expect(201);
    hosted.society.grant("later", "ada", Right::Write);
    let wide = hosted.society.token("ada", &["write:*"]);
    let tool = package("tool", "1.0").build("noarch");
    let put = Request::new("PUT", &format!("/later/noarch/{}", tool.file)).body(&tool.bytes);
    hosted.gate.ask(&put.header("Authorization", &format!("Bearer {}", wide.secret))).expect(201);
    assert_eq!(files(), ["foreign-1.0-0.conda", "tool-1.0-0.conda"]);
    assert_eq!(hosted.gate.get("/prod/noarch/tool-1.0-0.conda").expect(200), tool.bytes);
    let home = hosted.home();
    std::fs::write(home.config(), format!("rules: {}\n", home.rules().display())).unwrap();
    let checked = done(home, &["check"]);
    assert!(checked.contains("configuration and rules are right"), "{checked}");
    for says in ["no rule places the member `later`", "no rule of `channels` places the channel `later`"] {
        assert!(checked.contains(says), "{checked}");
    }
}
