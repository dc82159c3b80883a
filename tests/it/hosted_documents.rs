//! Documents of a whole hosted channel, and what lies beside its packages.

use std::io::Read as _;

use condagate::store::model::PackageState;

use crate::harness::{Request, eventually_true, package};
use crate::hosted::Scene;

#[test]
fn channeldata_and_news_follow_what_is_published() {
    let scene = Scene::new("");
    let team = scene.public("team");
    let empty = scene.gate.get("/team/channeldata.json").expect(200);
    let empty: serde_json::Value = serde_json::from_slice(&empty).unwrap();
    assert_eq!(empty, serde_json::json!({"channeldata_version": 1, "packages": {}, "subdirs": []}));
    scene.stock.put(&team, "noarch", &package("tool", "1.9"), &[]);
    scene.stock.put(&team, "linux-64", &package("tool", "1.10"), &[]);
    let dev = scene.stock.put(&team, "noarch", &package("draft", "0.1"), &["dev"]);
    eventually_true("the document has the packages", || {
        scene.gate.get("/team/channeldata.json").json()["packages"]["tool"]["version"] == "1.10"
    });
    let answer = scene.gate.get("/team/channeldata.json");
    let data = answer.json();
    assert_eq!(data["subdirs"], serde_json::json!(["linux-64", "noarch"]));
    assert_eq!(data["packages"]["tool"]["subdirs"], serde_json::json!(["linux-64", "noarch"]));
    assert_eq!(data["packages"]["tool"]["reference_package"], "linux-64/tool-1.10-0.conda");
    assert!(data["packages"].get("draft").is_none(), "another label");
    assert!(data["packages"]["tool"]["timestamp"].as_u64().unwrap() < 100_000_000_000, "seconds");
    assert!(scene.gate.get("/team/label/dev/channeldata.json").json()["packages"].get("draft").is_some());
    let etag = answer.must("etag").to_owned();
    let again = Request::get("/team/channeldata.json").header("if-none-match", &etag);
    assert_eq!(scene.gate.ask(&again).status, 304);
    let packed = scene.gate.get("/team/channeldata.json.zst").expect(200);
    let mut text = String::new();
    zstd::stream::read::Decoder::new(&packed[..]).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), data);
    let news = scene.gate.get("/team/rss.xml");
    assert!(news.must("content-type").contains("xml"));
    let news = news.text();
    assert!(
        news.contains("<link>/team/linux-64/tool-1.10-0.conda</link>") && !news.contains("draft"),
        "{news}"
    );
    scene.stock.set(&dev, PackageState::Deleted);
    eventually_true("the deleted one is gone", || {
        scene.gate.get("/team/label/dev/channeldata.json").json()["packages"].get("draft").is_none()
    });
}

#[test]
fn a_private_channels_documents_are_private() {
    let scene = Scene::new("");
    scene.stock.channel("secret", false);
    eventually_true("the gate knows it", || scene.gate.get("/secret/channeldata.json").status == 401);
    assert_eq!(scene.gate.get("/secret/rss.xml").status, 401);
    assert_eq!(scene.gate.get("/secret/noarch/tool-1.0-0.conda.sigs").status, 401);
}
