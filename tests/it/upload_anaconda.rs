//! Publishing with anaconda.org's API, step by step, as its clients do.
//!
//! Belongs here: every step and what is refused at each. Does not: the clients themselves (`clients_publish`).

use base64::Engine as _;
use serde_json::{Value, json};

use crate::harness::channel::Package;
use crate::harness::digest::{md5_hex, sha256_hex};
use crate::harness::{Answer, Publishers, Request, package};

fn alpha() -> Package {
    package("alpha", "1.0").build("noarch")
}

fn document(answer: Answer, status: u16) -> Value {
    serde_json::from_slice(&answer.expect(status)).unwrap()
}

/// An error as its clients look for it.
fn expect_error(answer: Answer, status: u16) -> String {
    let problem = answer.expect_problem(status);
    assert_eq!(problem["error"], problem["detail"], "{problem}");
    problem["error"].as_str().unwrap().to_owned()
}

struct Client<'a> {
    hosted: &'a Publishers,
    base: &'a str,
}

impl Client<'_> {
    fn ask(&self, request: Request) -> Answer {
        self.hosted
            .gate
            .ask(&request.header("Authorization", &format!("token {}", self.hosted.writer.secret)))
    }

    fn path(&self, what: &str, owner: &str, package: &Package) -> String {
        format!("{}/{what}/{owner}/alpha/1.0/noarch/{}", self.base, package.file)
    }

    fn announce(&self, owner: &str, package: &Package, labels: &[&str]) -> Answer {
        let body = json!({
            "distribution_type": "conda", "description": null, "attrs": {"subdir": "noarch"}, "dependencies": null,
            "channels": labels, "sha256": sha256_hex(&package.bytes),
        });
        self.ask(Request::new("POST", &self.path("stage", owner, package)).json(&body))
    }

    /// Without a credential, to wherever the announcement said.
    fn deliver(&self, announced: &Value, package: &Package) -> Answer {
        let url = announced["post_url"].as_str().unwrap();
        let path = url.strip_prefix(&self.hosted.gate.url()).unwrap_or_else(|| panic!("{url}"));
        self.hosted.gate.ask(&delivery(path, announced, &package.bytes))
    }

    fn commit(&self, owner: &str, announced: &Value, package: &Package) -> Answer {
        let body = json!({"dist_id": announced["dist_id"]});
        self.ask(Request::new("POST", &self.path("commit", owner, package)).json(&body))
    }
}

fn delivery(path: &str, announced: &Value, bytes: &[u8]) -> Request {
    let mut fields: Vec<(String, String)> = announced["form_data"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let md5 = (0..16)
        .map(|at| u8::from_str_radix(&md5_hex(bytes)[2 * at..2 * at + 2], 16).unwrap())
        .collect::<Vec<_>>();
    fields.push(("Content-Length".to_owned(), bytes.len().to_string()));
    fields.push(("Content-MD5".to_owned(), base64::engine::general_purpose::STANDARD.encode(md5)));
    let mut parts: Vec<_> =
        fields.iter().map(|(key, value)| (key.as_str(), None, value.as_bytes())).collect();
    parts.push(("file", None, bytes));
    Request::new("POST", path).form(&parts)
}

#[test]
fn all_steps_in_the_order_of_its_client() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    for (base, owner, channel) in [("", "team", "team"), ("/api", "team%2Fdev", "team/dev")] {
        let client = Client { hosted: &hosted, base };
        let get = |path: &str| client.ask(Request::get(&format!("{base}{path}")));
        client.ask(Request::head(&format!("{base}/"))).expect(200);
        assert_eq!(document(get("/user"), 200)["login"], "ada");
        assert_eq!(document(get(&format!("/user/{owner}")), 200)["login"], channel);
        let dist = format!("/dist/{owner}/alpha/1.0/noarch/{}", alpha.file);
        expect_error(get(&dist), 404);
        for thing in [format!("/package/{owner}/alpha"), format!("/release/{owner}/alpha/1.0")] {
            expect_error(get(&thing), 404);
            let made =
                client.ask(Request::new("POST", &format!("{base}{thing}")).json(&json!({"public": true})));
            document(made, 200);
        }
        let announced = document(client.announce(owner, &alpha, &["main", "rc/1"]), 200);
        let sent = client.deliver(&announced, &alpha);
        assert_eq!(sent.status, 201, "{}", sent.text());
        assert_eq!(hosted.files(channel), [""; 0], "visible before it is finished");
        let said = document(client.commit(owner, &announced, &alpha), 200);
        assert_eq!(said["url"], format!("{}/{channel}/noarch/{}", hosted.gate.url(), alpha.file));
        // The answer may have been lost.
        assert_eq!(document(client.commit(owner, &announced, &alpha), 200), said);
        let labelled = format!("noarch/{} {} main,rc/1", alpha.file, sha256_hex(&alpha.bytes));
        assert_eq!(hosted.files(channel), [labelled]);
        assert_eq!(document(get(&dist), 200)["basename"], format!("noarch/{}", alpha.file));
        let package = document(get(&format!("/package/{owner}/alpha")), 200);
        assert_eq!((&package["package_types"], &package["versions"]), (&json!(["conda"]), &json!(["1.0"])));
        assert_eq!(
            document(get(&format!("/release/{owner}/alpha/1.0")), 200)["distributions"][0]["version"],
            "1.0"
        );
        let found = get(&format!("/download/{owner}/alpha/1.0/{}", alpha.file));
        assert_eq!((found.status, found.must("location")), (302, said["url"].as_str().unwrap()));
        // What `--force` does.
        client.ask(Request::new("DELETE", &format!("{base}{dist}"))).expect(200);
        expect_error(get(&dist), 404);
    }
}

#[test]
fn the_bytes_need_the_secret_of_their_announcement_once() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let client = Client { hosted: &hosted, base: "" };
    let announced = document(client.announce("team", &alpha, &[]), 200);
    let deliver =
        |announced: &Value, bytes: &[u8]| hosted.gate.ask(&delivery("/stage/-/file", announced, bytes));
    let code = |answer: Answer, status: u16| {
        assert_eq!(
            (answer.status, answer.must("content-type")),
            (status, "application/xml"),
            "{}",
            answer.text()
        );
        let text = answer.text();
        text.split_once("<Code>").unwrap().1.split_once("</Code>").unwrap().0.to_owned()
    };
    let mut wrong = announced.clone();
    wrong["form_data"]["secret"] = json!(hosted.writer.secret);
    // Never counted against anybody.
    for _ in 0..20 {
        assert_eq!(code(deliver(&wrong, &alpha.bytes), 403), "AccessDenied");
    }
    wrong["form_data"] = json!({});
    assert_eq!(code(deliver(&wrong, &alpha.bytes), 422), "InvalidRequest");
    assert_eq!(code(deliver(&announced, b"other bytes"), 422), "InvalidDigest");
    expect_error(client.commit("team", &announced, &alpha), 409);
    let bytes = delivery("/stage/-/file", &announced, &alpha.bytes).bytes(hosted.gate.address());
    let mut connection = crate::harness::Connection::open(hosted.gate.address());
    connection.write(&bytes[..bytes.len() * 99 / 100]);
    drop(connection);
    crate::harness::eventually_true("the upload can be sent again", || {
        deliver(&announced, &alpha.bytes).status == 201
    });
    assert_eq!(code(deliver(&announced, &alpha.bytes), 409), "OperationAborted");
    // Nobody else's, no other file's, and not for ever.
    let other = hosted.society.token("root", &["write:*"]);
    let path = client.path("commit", "team", &alpha);
    let body = json!({"dist_id": announced["dist_id"]});
    let by_root =
        Request::new("POST", &path).json(&body).header("Authorization", &format!("token {}", other.secret));
    expect_error(hosted.gate.ask(&by_root), 404);
    expect_error(client.commit("team%2Fdev", &announced, &alpha), 404);
    hosted.gate.advance(std::time::Duration::from_mins(61));
    expect_error(client.commit("team", &announced, &alpha), 404);
    assert_eq!(code(deliver(&announced, &alpha.bytes), 403), "AccessDenied");
    assert_eq!(hosted.files("team"), [""; 0]);
}

#[test]
fn refusals_have_their_sentence_as_error() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let client = Client { hosted: &hosted, base: "" };
    let stage = client.path("stage", "team", &alpha);
    expect_error(hosted.gate.ask(&Request::new("POST", &stage).json(&json!({}))), 401);
    let wrong = Request::new("POST", &stage).json(&json!({})).header("Authorization", "token cg-wrong");
    expect_error(hosted.gate.ask(&wrong), 401);
    let reader = format!("token {}", hosted.reader.secret);
    expect_error(
        hosted.gate.ask(&Request::new("POST", &stage).json(&json!({})).header("Authorization", &reader)),
        403,
    );
    hosted.gate.ask(&Request::get("/user").header("Authorization", &reader)).expect(200);
    expect_error(hosted.gate.get("/user"), 401);
    expect_error(client.ask(Request::get("/user/nobody")), 403);
    let root = hosted.society.token("root", &["write:*"]);
    let root = format!("token {}", root.secret);
    expect_error(hosted.gate.ask(&Request::get("/user/nobody").header("Authorization", &root)), 404);
    expect_error(client.ask(Request::get("/package/team")), 422);
    expect_error(client.ask(Request::get("/scopes/x")), 404);
    expect_error(client.ask(Request::new("PUT", "/scopes")), 405);
    let pypi = json!({"distribution_type": "pypi"});
    expect_error(client.ask(Request::new("POST", &stage).json(&pypi)), 422);
    expect_error(client.ask(Request::new("POST", &stage).body(b"{")), 422);
    let lying = format!("/stage/team/beta/1.0/noarch/{}", alpha.file);
    expect_error(client.ask(Request::new("POST", &lying).json(&json!({}))), 422);
    // A package that is none is told by the last step.
    let junk = Package { bytes: b"junk".to_vec(), ..alpha.clone() };
    let announced = document(client.announce("team", &junk, &[]), 200);
    client.deliver(&announced, &junk).expect(201);
    expect_error(client.commit("team", &announced, &junk), 422);
    expect_error(client.commit("team", &announced, &junk), 404);
    // Other bytes are known by the announcement alone.
    hosted.ask(Request::new("PUT", &format!("/team/noarch/{}", alpha.file)).body(&alpha.bytes)).expect(201);
    expect_error(client.announce("team", &junk, &[]), 409);
}

#[test]
fn labels_copies_and_deletions() {
    let hosted = Publishers::new("");
    let alpha = alpha();
    let client = Client { hosted: &hosted, base: "" };
    hosted.ask(Request::new("PUT", &format!("/team/noarch/{}", alpha.file)).body(&alpha.bytes)).expect(201);
    let which = json!({"package": "alpha", "version": "1.0", "basename": format!("noarch/{}", alpha.file)});
    client.ask(Request::new("POST", "/channels/team/rc").json(&which)).expect(201);
    let labels = document(client.ask(Request::get("/channels/team")), 200);
    assert_eq!((&labels["main"]["files"], &labels["rc"]["files"]), (&json!(1), &json!(1)));
    assert_eq!(
        document(client.ask(Request::get("/channels/team/rc")), 200)["files"].as_array().map(Vec::len),
        Some(1)
    );
    client.ask(Request::new("DELETE", "/channels/team/main").json(&which)).expect(201);
    let digest = sha256_hex(&alpha.bytes);
    assert_eq!(hosted.files("team"), [format!("noarch/{} {digest} rc", alpha.file)]);
    let copy = json!({"to_owner": "team/dev", "from_channel": "rc", "to_channel": "main"});
    document(client.ask(Request::new("POST", "/copy/package/team/alpha/1.0/").json(&copy)), 200);
    assert_eq!(hosted.files("team/dev"), [format!("noarch/{} {digest} main", alpha.file)]);
    let found = document(client.ask(Request::get("/search?name=Alpha")), 200);
    let owners: Vec<_> =
        found.as_array().unwrap().iter().map(|found| found["owner"].as_str().unwrap()).collect();
    assert_eq!(owners, ["team", "team/dev"]);
    for (query, found) in
        [("lph", 2), ("alpha&platform=linux-64", 0), ("lph&type=pypi", 0), ("", 0), ("beta", 0)]
    {
        let answer = document(client.ask(Request::get(&format!("/search?name={query}"))), 200);
        assert_eq!(answer.as_array().unwrap().len(), found, "{query}: {answer}");
    }
    assert_eq!(document(hosted.gate.get("/search?name=alpha"), 200), json!([]), "strangers find nothing");
    client.ask(Request::new("DELETE", "/release/team/alpha/1.0")).expect(201);
    client.ask(Request::new("DELETE", "/package/team%2Fdev/alpha")).expect(201);
    assert_eq!((hosted.files("team"), hosted.files("team/dev")), (Vec::new(), Vec::new()));
}

#[test]
fn an_upload_goes_on_after_a_restart() {
    let mut hosted = Publishers::new("");
    let alpha = alpha();
    let announced = document(Client { hosted: &hosted, base: "" }.announce("team", &alpha, &["rc"]), 200);
    let lost = document(Client { hosted: &hosted, base: "" }.announce("team", &alpha, &["main"]), 200);
    hosted = hosted.restarted();
    let wrong = json!({"form_data": {"key": announced["dist_id"], "secret": "no"}});
    assert_eq!(hosted.gate.ask(&delivery("/stage/-/file", &wrong, &alpha.bytes)).status, 403);
    let sent = hosted.gate.ask(&delivery("/stage/-/file", &announced, &alpha.bytes));
    assert_eq!(sent.status, 201, "{}", sent.text());
    let staged = |hosted: &Publishers| {
        std::fs::read_dir(hosted.home().data().join("packages/hosted/staged")).unwrap().count()
    };
    assert_eq!(staged(&hosted), 3, "two notes and one file");
    hosted = hosted.restarted();
    let client = Client { hosted: &hosted, base: "" };
    let again = hosted.gate.ask(&delivery("/stage/-/file", &announced, &alpha.bytes));
    assert_eq!(again.status, 409, "{}", again.text());
    let said = document(client.commit("team", &announced, &alpha), 200);
    assert_eq!(hosted.files("team"), [format!("noarch/{} {} rc", alpha.file, sha256_hex(&alpha.bytes))]);
    assert_eq!(document(client.commit("team", &announced, &alpha), 200), said);
    assert_eq!(
        hosted
            .gate
            .ask(&Request::get(&format!("/t/{}/team/label/rc/noarch/{}", hosted.reader.secret, alpha.file)))
            .expect(200),
        alpha.bytes
    );
    assert_eq!(staged(&hosted), 1, "what was not sent");
    // Its hour ends; whoever announces the next one sweeps it up.
    hosted.gate.advance(std::time::Duration::from_secs(3_601));
    let late = hosted.gate.ask(&delivery("/stage/-/file", &lost, &alpha.bytes));
    assert_eq!(late.status, 403, "{}", late.text());
    let other = package("alpha", "1.0").tar_bz2().build("noarch");
    document(Client { hosted: &hosted, base: "" }.announce("team", &other, &[]), 200);
    assert_eq!(staged(&hosted), 1, "the new one");
}

#[test]
fn a_package_or_version_called_t_is_no_token() {
    let hosted = Publishers::new("");
    let client = Client { hosted: &hosted, base: "" };
    for (name, version) in [("t", "1.0"), ("tool", "t")] {
        let built = package(name, version).build("noarch");
        let place = format!("team/{name}/{version}");
        for base in ["", "/api"] {
            let path = |what: &str| format!("{base}/{what}/{place}/noarch/{}", built.file);
            let body = json!({"distribution_type": "conda", "channels": ["main"], "sha256": sha256_hex(&built.bytes)});
            let announced = document(client.ask(Request::new("POST", &path("stage")).json(&body)), 200);
            assert_eq!(client.deliver(&announced, &built).status, 201);
            let body = json!({"dist_id": announced["dist_id"]});
            document(client.ask(Request::new("POST", &path("commit")).json(&body)), 200);
            assert_eq!(document(client.ask(Request::get(&path("dist"))), 200)["version"], version);
            assert_eq!(client.ask(Request::get(&path("download"))).expect(200), built.bytes);
            // A token in the path is one all the same.
            let token = format!("/t/{}{}", hosted.writer.secret, path("download"));
            assert_eq!(hosted.gate.get(&token).expect(200), built.bytes);
            let release = format!("{base}/release/{place}");
            let found = document(client.ask(Request::get(&release)), 200);
            assert_eq!(found["distributions"][0]["version"], version);
            client.ask(Request::new("DELETE", &release)).expect(201);
        }
    }
    let alpha = alpha();
    let announced = document(client.announce("team", &alpha, &["t"]), 200);
    assert_eq!(client.deliver(&announced, &alpha).status, 201);
    let said = expect_error(client.commit("team", &announced, &alpha), 422);
    assert!(said.contains("`t`") && said.contains("token"), "{said}");
}

#[test]
fn a_name_and_password_become_a_token() {
    use crate::harness::people::PASSWORD;
    let hosted = Publishers::new("");
    let client = Client { hosted: &hosted, base: "" };
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("ada:{PASSWORD}"));
    let log_in = |body: Value| {
        let request = Request::new("POST", "/authentications").json(&body);
        hosted.gate.ask(&request.header("Authorization", &format!("Basic {basic}")))
    };
    let token = document(log_in(json!({"scopes": ["api:write"], "note": "x", "max-age": 3600})), 200);
    let token = format!("token {}", token["token"].as_str().unwrap());
    let with = |request: Request| hosted.gate.ask(&request.header("Authorization", &token));
    let about = document(with(Request::get("/authentication")), 200);
    assert_eq!((&about["user"]["login"], &about["scopes"]), (&json!("ada"), &json!(["write:*"])));
    let read = document(log_in(json!({"scopes": ["api:read", "conda"]})), 200);
    let read = format!("token {}", read["token"].as_str().unwrap());
    let about = hosted.gate.ask(&Request::get("/authentication").header("Authorization", &read));
    assert_eq!(document(about, 200)["scopes"], json!(["read:*"]));
    // A token makes none.
    expect_error(with(Request::new("POST", "/authentications").json(&json!({}))), 403);
    expect_error(log_in(json!({"user": "root"})), 403);
    expect_error(hosted.gate.ask(&Request::new("POST", "/authentications").json(&json!({}))), 401);
    with(Request::new("DELETE", "/authentications")).expect(201);
    crate::harness::eventually_true("the token is revoked", || {
        with(Request::get("/authentication")).status == 401
    });
    assert_eq!(
        document(client.ask(Request::get("/authentication-type")), 200)["authentication_type"],
        "password"
    );
}

#[test]
fn links_come_from_the_public_url_and_never_from_a_host() {
    let hosted = Publishers::new("public_url: https://conda.example.org/conda/");
    let alpha = alpha();
    let client = Client { hosted: &hosted, base: "/conda" };
    let announced = document(client.announce("team", &alpha, &[]), 200);
    assert_eq!(announced["post_url"], "https://conda.example.org/conda/stage/-/file");
    hosted.gate.ask(&delivery("/conda/stage/-/file", &announced, &alpha.bytes)).expect(201);
    let said = document(client.commit("team", &announced, &alpha), 200);
    assert_eq!(said["url"], format!("https://conda.example.org/conda/team/noarch/{}", alpha.file));
}
