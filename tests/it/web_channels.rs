//! Pages of channels and packages: who sees which, what is on them, how long they take.

use std::time::Duration;

use condagate::policy::access::Right;
use condagate::store::model::PackageState;

use crate::gating::Scene;
use crate::harness::people::PASSWORD;
use crate::harness::{Browser, Channel, Gate, Request, Setup, Society, Upstream, eventually, package, rules};
use crate::hosted;

/// Has the gate fetch the indexes of a channel.
fn used(gate: &Gate, channel: &Channel, subdirs: &[&str]) {
    for subdir in subdirs {
        gate.get(&channel.at(subdir, "repodata.json")).expect(200);
    }
}

#[test]
fn the_list_has_what_the_visitor_may_read() {
    let scene = Scene::new("");
    used(&scene.gate, &scene.open, &["noarch", "linux-64"]);
    let mut ada = Browser::of(&scene.gate, "ada");
    ada.open(&scene.team.at("noarch", "repodata.json")).expect(200);
    let list = |browser: &mut Browser| {
        eventually("the indexes are listed", || {
            let page = browser.page("/-/ui/channels");
            page.contains("/-/ui/channels/open\"").then_some(page)
        })
    };
    let page = eventually("both are listed", || {
        let page = list(&mut ada);
        page.contains("/-/ui/channels/team\"").then_some(page)
    });
    assert!(page.contains("healthy"), "{page}");
    let mut stranger = Browser::new(&scene.gate);
    assert!(!list(&mut stranger).contains("/-/ui/channels/team"));
    assert!(!list(&mut Browser::of(&scene.gate, "bob")).contains("/-/ui/channels/team"));
    // Nor by its name.
    for path in ["/-/ui/channels/team", "/-/ui/channels/team/-/alpha"] {
        let answer = stranger.open(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.text().contains("Sign in"), "{path}");
        assert_eq!(Browser::of(&scene.gate, "bob").open(path).status, 404, "{path}");
        ada.open(path).expect(200);
    }
    // Whoever is asked to sign in gets where they wanted to go.
    stranger.open("/-/ui/channels/team");
    let fields = [("username", "ada"), ("password", PASSWORD), ("next", "/-/ui/channels/team")];
    assert_eq!(stranger.post("/-/ui/sign-in", &fields).must("location"), "/-/ui/channels/team");
    assert!(!stranger.page("/-/ui/search?q=alp").is_empty());
}

#[test]
fn a_channel_without_an_index_can_be_loaded() {
    let scene = Scene::new("");
    let mut browser = Browser::new(&scene.gate);
    let asked = scene.upstream.total();
    let page = browser.page("/-/ui/channels/open");
    assert!(page.contains("No index of this channel is here yet"), "{page}");
    assert_eq!(scene.upstream.total(), asked, "looking at a page asks no upstream");
    let told = browser.submit("/-/ui/channels/open", &[("action", "load")]);
    assert!(told.contains("are being fetched"), "{told}");
    let page = eventually("the indexes come", || {
        let page = browser.page("/-/ui/channels/open");
        (page.contains("/-/alpha\"") && page.contains("/-/beta\"")).then_some(page)
    });
    assert!(page.contains("<span class=\"tag\">linux-64</span>"), "{page}");
}

#[test]
fn packages_are_filtered_and_paged_on_the_server() {
    let upstream = Upstream::start();
    let mut channel = Channel::new("chan");
    for n in 0..250 {
        channel = channel.with("noarch", &package(&format!("pkg-{n:03}"), "1.0"));
    }
    channel =
        channel.with("noarch", &package("pkg-007", "1.10")).with("linux-64", &package("pkg-007", "1.9"));
    channel.publish(&upstream);
    let gate = Gate::in_front_of(&upstream);
    used(&gate, &channel, &["noarch", "linux-64"]);
    let mut browser = Browser::new(&gate);
    let lines = |page: &str| page.matches("/-/ui/channels/chan/-/pkg-").count();
    let page = browser.page("/-/ui/channels/chan");
    assert_eq!(lines(&page), 100);
    assert!(page.contains("Page 1 of 3") && page.contains("1–100 of 250"), "{page}");
    let seven = page.split("/-/pkg-007\"").nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(seven.contains(">1.10<") && seven.contains("linux-64") && seven.contains("noarch"), "{seven}");
    assert_eq!(lines(&browser.page("/-/ui/channels/chan?page=3")), 50);
    assert_eq!(lines(&browser.page("/-/ui/channels/chan?page=99")), 50, "the last page there is");
    assert_eq!(lines(&browser.page("/-/ui/channels/chan?q=PKG-24&sort=size")), 10);
    assert!(browser.page("/-/ui/channels/chan?q=%3Cscript%3E").contains("&#60;script&#62;"));
    let part = browser.send(Request::get("/-/ui/channels/chan?q=pkg-1").header("HX-Request", "true"));
    let part = String::from_utf8(part.expect(200)).unwrap();
    assert_eq!(lines(&part), 100);
    assert!(!part.contains("<html"), "only the list is sent while somebody types");
    assert!(page.len() < 90_000, "{} bytes", page.len());
}

#[test]
fn a_package_says_what_it_is_and_why_files_are_hidden() {
    let upstream = Upstream::start();
    let channel = Channel::new("chan")
        .with("noarch", &package("alpha", "1.0"))
        .with("noarch", &package("alpha", "2.0").needs("beta >=1"))
        .with("linux-64", &package("beta", "1.0"))
        .with("noarch", &package("alpha-tools", "7.0"));
    channel.publish(&upstream);
    let policy = "policy:\n  - {id: no-two, deny: {specs: [\"alpha >=2\"]}, reason: \"wrong data\"}\n";
    let gate = Setup::rules(&format!("{}{policy}", rules::all_from(&upstream))).start();
    used(&gate, &channel, &["noarch", "linux-64"]);
    let mut browser = Browser::new(&gate);
    let page = browser.page("/-/ui/channels/chan/-/alpha");
    assert!(page.contains("alpha <span class=\"dim\">1.0</span>"), "the latest that is shown: {page}");
    assert!(page.contains("conda install -c http://127.0.0.1") && page.contains("/chan alpha=1.0"), "{page}");
    assert!(
        page.contains("?version=2.0") && page.contains("not shown") && !page.contains("alpha-tools"),
        "{page}"
    );
    let hidden = browser.page("/-/ui/channels/chan/-/alpha?version=2.0");
    assert!(
        hidden.contains(">refused</span>") && hidden.contains("?why=noarch/alpha-2.0-0.conda"),
        "{hidden}"
    );
    assert!(hidden.contains("/-/ui/channels/chan/-/beta\">beta &#62;=1</a>"), "{hidden}");
    let why = browser.page("/-/ui/channels/chan/-/alpha?why=noarch/alpha-2.0-0.conda");
    assert!(why.contains("no-two") && why.contains("wrong data"), "{why}");
    assert!(!why.contains("50-test.yaml"), "strangers do not learn where rules are written: {why}");
    assert_eq!(browser.open("/-/ui/channels/chan/-/nothing").status, 404);
    // Only a file of this channel can be asked about, and not by way of a longer name.
    for file in ["../closed/noarch/alpha-2.0-0.conda", "sub/noarch/alpha-2.0-0.conda", "noarch/..", "noarch"]
    {
        let path = format!("/-/ui/channels/chan/-/alpha?why={file}");
        assert_eq!(browser.open(&path).status, 404, "{file}");
    }
    assert_eq!(browser.open("/-/ui/channels/chan/-/a%3Cb").status, 404);
    // Versions and subdirs: one file of each, of which one is not shown.
    let versions = page.split("id=\"versions\"").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(versions.contains(">noarch</th>") && !versions.contains(">linux-64</th>"), "{versions}");
    assert!(
        versions.contains("title=\"not shown\">(1)</span>") && versions.contains(">1</td>"),
        "{versions}"
    );
    // What needs it.
    let beta = browser.page("/-/ui/channels/chan/-/beta?needs=1");
    assert!(beta.contains("No package of this channel needs it"), "the one that does is hidden: {beta}");
}

#[test]
fn names_are_found_in_all_channels_and_files_in_the_teams_own() {
    let scene = hosted::Scene::new("");
    let id = scene.public("team");
    let tool = scene.stock.put(&id, "noarch", &package("acme-tool", "1.2"), &[]);
    scene.until_listed("team", "noarch", &[&tool]);
    scene.gate.get("/theirs/noarch/repodata.json").expect(200);
    let mut browser = Browser::new(&scene.gate);
    let found = browser.page("/-/ui/search?q=acme");
    assert!(found.contains("/-/ui/channels/team/-/acme-tool\"") && found.contains(">1.2<"), "{found}");
    let found = eventually("proxied channels are searched, too", || {
        let page = browser.page("/-/ui/search?q=fore");
        page.contains("/-/ui/channels/theirs/-/foreign\"").then_some(page)
    });
    assert!(found.contains("1 found"), "{found}");
    let by_spec = browser.page("/-/ui/search?by=spec&q=acme-tool+%3E%3D1");
    assert!(by_spec.contains("acme-tool-1.2-0.conda"), "{by_spec}");
    assert!(browser.page("/-/ui/search?by=spec&q=acme-tool+%3E%3D2").contains("Nothing found"));
    assert!(browser.page("/-/ui/search?by=spec&q=%5B%5B").contains("That can't be searched for"));
    // What was published a moment ago is there.
    let more = scene.stock.put(&id, "linux-64", &package("brand-new", "0.1"), &[]);
    scene.until_listed("team", "linux-64", &[&more]);
    assert!(browser.page("/-/ui/search?q=brand").contains("/-/brand-new\""));
    let yanked = scene.stock.set(&tool, PackageState::Yanked);
    scene.until_listed("team", "noarch", &[]);
    assert!(!browser.page("/-/ui/search?q=acme").contains("/-/ui/channels/team/-/acme-tool\""));
    assert!(
        browser.page("/-/ui/channels/team/-/acme-tool").contains(">yanked</span>"),
        "{}",
        yanked.row.file
    );
}

#[test]
fn packages_of_a_hosted_channel_are_looked_after_with_a_way_back() {
    let scene = hosted::Scene::new("");
    let id = scene.public("team");
    let tool = scene.stock.put(&id, "noarch", &package("acme-tool", "1.2"), &[]);
    scene.until_listed("team", "noarch", &[&tool]);
    let society = Society::of(scene.gate.home(), scene.gate.now());
    society.user("ada").user("bob");
    society.grant("team", "ada", Right::Write);
    let page = "/-/ui/channels/team/-/acme-tool";
    let file = &*tool.row.file;
    let fields = |action| [("action", action), ("subdir", "noarch"), ("file", file), ("reason", "bad data")];

    let mut bob = Browser::of(&scene.gate, "bob");
    assert!(!bob.page(page).contains("value=\"yank\""));
    assert_eq!(bob.post(page, &fields("delete")).status, 403);
    let mut stranger = Browser::new(&scene.gate);
    stranger.page(page);
    assert_eq!(stranger.post(page, &fields("delete")).status, 401);

    let mut ada = Browser::of(&scene.gate, "ada");
    assert!(ada.page(page).contains("value=\"yank\""));
    let yanked = ada.submit(page, &fields("yank"));
    assert!(yanked.contains("is yanked") && yanked.contains(">Undo</button>"), "{yanked}");
    let is_listed =
        || scene.view("team", "noarch").get("repodata.json").json()["packages.conda"].get(file).is_some();
    assert!(!is_listed());
    let undo = yanked.split("class=\"note good\"").nth(1).unwrap().split("action=\"").nth(1).unwrap();
    let undo = undo.split('"').next().unwrap().replace("&#38;", "&");
    let back = ada.submit(&undo, &[]);
    assert!(back.contains("is in the index again"), "{back}");
    assert!(is_listed());

    let labelled = [("action", "labels"), ("subdir", "noarch"), ("file", file), ("labels", "main, rc")];
    assert!(ada.submit(page, &labelled).contains("has the labels main, rc now"));
    let deleted = ada.submit(page, &fields("delete"));
    assert!(deleted.contains("For a week it can be restored"), "{deleted}");
    scene.gate.get(&format!("/team/noarch/{file}")).expect_problem(404);
    let kinds = ["package.yank", "package.restore", "package.delete"];
    assert_eq!(society.events(&kinds).len(), 3);
    assert!(society.events(&["package.yank"])[0].detail.contains("bad data"));
}

/// Says what a page of a large channel costs, where somebody wants to know; how busy the machine is decides nothing.
#[test]
fn a_channel_of_thirty_thousand_names_opens_at_once() {
    let upstream = Upstream::start();
    let record = |n: u32| {
        let record = serde_json::json!({
            "name": format!("pkg-{n:05}"), "version": "1.0", "build": "0", "build_number": 0, "depends": [],
            "sha256": format!("{n:064x}"), "size": 1000 + n, "subdir": "noarch",
        });
        (format!("pkg-{n:05}-1.0-0.conda"), record)
    };
    let records: serde_json::Map<_, _> = (0..30_000).map(record).collect();
    let document =
        serde_json::json!({"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": records});
    upstream.put("/chan/noarch/repodata.json", document.to_string());
    let channel = Channel::new("chan");
    let gate = Gate::in_front_of(&upstream);
    used(&gate, &channel, &["noarch"]);
    let mut browser = Browser::new(&gate);
    assert!(browser.page("/-/ui/channels/chan").contains("1–100 of 30000"));
    let mut took: Vec<Duration> = ["", "?q=pkg-1", "?q=9&sort=newest", "?sort=size&page=299", "?q=29999"]
        .iter()
        .cycle()
        .take(40)
        .map(|query| {
            let began = tokio::time::Instant::now();
            browser.page(&format!("/-/ui/channels/chan{query}"));
            began.elapsed()
        })
        .collect();
    took.sort();
    println!("30,000 names: median {:?}, 95 % {:?}", took[20], took[38]);
}

/// Whatever a package has, a page of it stays a page: the rest is on the next ones.
#[test]
fn a_package_of_thousands_of_files_has_pages() {
    let upstream = Upstream::start();
    let record = |version: &str, build: u32| {
        let record = serde_json::json!({
            "name": "many", "version": version, "build": format!("b{build:04}"), "build_number": build, "depends": [],
            "sha256": format!("{:064x}", build + 1), "size": 1000 + build, "subdir": "noarch",
        });
        (format!("many-{version}-b{build:04}.conda"), record)
    };
    let builds = (0..2_000).map(|n| record("9.0", n));
    let versions = (0..500).map(|n| record(&format!("1.{n}"), 0));
    let records: serde_json::Map<_, _> = builds.chain(versions).collect();
    let document =
        serde_json::json!({"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": records});
    upstream.put("/chan/noarch/repodata.json", document.to_string());
    let channel = Channel::new("chan");
    let gate = Gate::in_front_of(&upstream);
    used(&gate, &channel, &["noarch"]);
    let mut browser = Browser::new(&gate);
    let here = "/-/ui/channels/chan/-/many";
    let mut page = browser.page(here);
    assert!(page.contains("1–60 of 2000") && page.contains("1–60 of 501"), "{page}");
    let (mut files, mut pages) = (std::collections::BTreeSet::new(), 0);
    loop {
        pages += 1;
        assert!(page.len() < 120_000, "{} bytes", page.len());
        let shown =
            page.split("/chan/noarch/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        files.extend(shown.filter(|file| file.starts_with("many-9.0-")));
        let of_files = page.split("aria-label=\"Pages of files\"").nth(1).expect("pages");
        let next = of_files.split("</nav>").next().unwrap().split("rel=\"next\" href=\"").nth(1);
        let Some(next) = next else { break };
        let next = next.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
        page = browser.page(next.split('#').next().unwrap());
    }
    assert_eq!((files.len(), pages), (2_000, 34));
    // An old version stands on the page of the list that has it, and every page of the list can be asked for.
    let old = browser.page(&format!("{here}?version=1.3"));
    assert!(old.contains("Page 9 of 9") && old.contains("aria-current=\"true\">1.3<"), "{old}");
    assert!(!old.contains("Pages of files"), "one file has no pages");
    let third = browser.page(&format!("{here}?version=9.0&versions=3"));
    assert!(third.contains("121–180 of 501"), "{third}");
    let beyond = browser.page(&format!("{here}?version=9.0&versions=99999&files=99999"));
    assert!(beyond.contains("481–501 of 501") && beyond.contains("1981–2000 of 2000"), "{beyond}");
}
