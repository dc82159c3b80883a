//! `noarch` must exist for a client to accept a channel; it is made up only for channels that really exist.

use crate::harness::{Act, Channel, Stage, package};

#[test]
fn a_missing_noarch_of_a_real_channel_is_made_up_empty() {
    let stage = Stage::new(Channel::new("chan").with("linux-64", &package("beta", "1.0")).without_noarch());
    stage.get(&stage.channel.at("linux-64", "repodata.json")).expect(200);
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2"] {
        let path = stage.channel.at("noarch", file);
        let body = stage.get(&path).expect(200);
        if file == "repodata.json" {
            let repodata: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(repodata["info"]["subdir"], "noarch");
            assert!(repodata["packages"].as_object().unwrap().is_empty());
            assert!(repodata["packages.conda"].as_object().unwrap().is_empty());
        }
    }
}

#[test]
fn noarch_asked_first_is_made_up_too() {
    let stage = Stage::new(Channel::new("chan").with("linux-64", &package("beta", "1.0")).without_noarch());
    stage.get(&stage.channel.at("noarch", "repodata.json.zst")).expect(200);
}

#[test]
fn a_mistyped_channel_stays_404() {
    let stage = Stage::new(Channel::new("chan").with("noarch", &package("alpha", "1.0")));
    for file in ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"] {
        for subdir in ["noarch", "linux-64"] {
            stage.get(&format!("/chann/{subdir}/{file}")).expect_problem(404);
        }
    }
}

#[test]
fn noarch_is_not_made_up_while_upstream_is_in_trouble() {
    let channel =
        Channel::new("chan").with("noarch", &package("alpha", "1.0")).with("linux-64", &package("b", "1.0"));
    let stage = Stage::impatient(channel);
    stage.get(&stage.channel.at("linux-64", "repodata.json")).expect(200);
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2"] {
        stage.upstream.always(&stage.channel.at("noarch", file), Act::status(500));
    }
    let status = stage.get(&stage.channel.at("noarch", "repodata.json")).status;
    assert!((502..=504).contains(&status), "{status}");
}
