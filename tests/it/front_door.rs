//! The front door: methods, keep-alive, pipelining, the grammar of paths, problem documents, the landing page.

use crate::harness::{Channel, Connection, End, Request, Stage, package};

fn stage() -> Stage {
    Stage::new(Channel::new("chan").with("noarch", &package("alpha", "1.0")).sharded())
}

const REPRESENTATIONS: [&str; 9] = [
    "repodata.json",
    "repodata.json.zst",
    "repodata.json.bz2",
    "current_repodata.json",
    "current_repodata.json.zst",
    "run_exports.json",
    "run_exports.json.zst",
    "repodata_shards.msgpack.zst",
    "alpha-1.0-0.conda",
];

#[test]
fn head_equals_get_on_everything() {
    let stage = stage();
    let mut paths: Vec<String> = REPRESENTATIONS.iter().map(|f| stage.channel.at("noarch", f)).collect();
    paths.extend(
        ["/", "/chan/channeldata.json", "/chan/noarch/nothing-1-0.conda", "/-/healthz"].map(str::to_owned),
    );
    for path in paths {
        stage.get(&path);
        crate::harness::home::wait_until_quiet(stage.gate.address());
        let get = stage.get(&path);
        let head = stage.gate.ask(&Request::head(&path));
        assert_eq!(head.status, get.status, "{path}");
        for name in
            ["etag", "last-modified", "content-length", "content-type", "cache-control", "accept-ranges"]
        {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
}

#[test]
fn head_of_a_cold_file_agrees_with_the_get_that_follows() {
    let stage = stage();
    for file in ["alpha-1.0-0.conda", "repodata_shards.msgpack.zst", "repodata.json.zst"] {
        let path = stage.channel.at("noarch", file);
        let head = stage.gate.ask(&Request::head(&path));
        let get = stage.get(&path);
        assert_eq!((head.status, head.length()), (200, get.length()), "{path}");
        // Nobody waits longer than a moment for the digest of a cold package: on a busy machine one of the two may come without.
        if let (Some(one), Some(other)) = (head.header("etag"), get.header("etag")) {
            assert_eq!(one, other, "{path}");
        }
        get.expect(200);
        let (head, get) = (stage.gate.ask(&Request::head(&path)), stage.get(&path));
        assert_eq!(head.must("etag"), get.must("etag"), "{path}");
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let stage = stage();
    let path = stage.channel.path("alpha");
    let mut connection = Connection::open(stage.gate.address());
    for _ in 0..5 {
        connection.write(&Request::get(&path).bytes(stage.gate.address()));
        assert_eq!(connection.answer("GET").expect(200), stage.channel.get("alpha").bytes);
        connection.write(&Request::get("/chan/noarch/missing-1-0.conda").bytes(stage.gate.address()));
        assert_eq!(connection.answer("GET").status, 404);
        connection.write(&Request::head(&path).bytes(stage.gate.address()));
        assert_eq!(connection.answer("HEAD").status, 200);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let stage = stage();
    stage.fetch("alpha");
    let paths =
        [stage.channel.path("alpha"), "/chan/noarch/missing-1-0.conda".to_owned(), "/-/healthz".to_owned()];
    let mut bytes = Vec::new();
    for path in paths.iter().cycle().take(9) {
        bytes.extend(Request::get(path).bytes(stage.gate.address()));
    }
    let mut connection = Connection::open(stage.gate.address());
    connection.write(&bytes);
    for round in 0..3 {
        assert_eq!(connection.answer("GET").expect(200), stage.channel.get("alpha").bytes, "round {round}");
        assert_eq!(connection.answer("GET").status, 404, "round {round}");
        assert_eq!(connection.answer("GET").status, 200, "round {round}");
    }
}

#[test]
fn a_head_split_into_single_bytes_is_understood() {
    let stage = stage();
    let mut connection = Connection::open(stage.gate.address());
    for byte in Request::get("/-/healthz").bytes(stage.gate.address()) {
        connection.write(&[byte]);
    }
    assert_eq!(connection.answer("GET").status, 200);
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let stage = stage();
    let mut connection = Connection::open(stage.gate.address());
    connection.write(b"GET / HTTP/1.0\r\n\r\n");
    let answer = connection.answer("GET");
    assert_eq!((answer.status, answer.end), (200, End::Complete));
    assert!(connection.is_closed_by_gate());
}

#[test]
fn every_answer_has_a_request_id_and_via() {
    let stage = stage();
    let mut ids = std::collections::HashSet::new();
    for path in
        [stage.channel.path("alpha"), "/chan/noarch/missing-1-0.conda".to_owned(), "/chan/../x".to_owned()]
    {
        let answer = stage.get(&path);
        assert!(ids.insert(answer.must("x-request-id").to_owned()), "the same request id twice");
    }
    assert!(stage.get(&stage.channel.path("alpha")).must("via").contains("1.1"));
}

#[test]
fn problems_carry_the_request_id_and_a_sentence() {
    let stage = stage();
    let answer = stage.get("/chan/noarch/missing-1-0.conda");
    let id = answer.must("x-request-id").to_owned();
    let problem = answer.expect_problem(404);
    assert!(problem.to_string().contains(&id), "no {id} in {problem}");
}

#[test]
fn unsafe_paths_are_refused_and_never_reach_upstream() {
    let stage = stage();
    let paths = [
        "/chan/../etc/passwd",
        "/chan/%2e%2e/noarch/repodata.json",
        "/chan/./noarch/repodata.json",
        "/chan/noarch/%00",
        "/chan/noarch/a%2Fb",
        "/chan/noarch/a%5cb",
        "/chan/noarch/%c0%ae%c0%ae",
        "/chan/noarch/%ff",
        "/chan/noarch/%zz",
        "/chan/noarch/%0d%0aSet-Cookie:x",
    ];
    for path in paths {
        stage.get(path).expect_problem(400);
    }
    assert_eq!(stage.upstream.total(), 0, "{:?}", stage.upstream.seen());
    stage.fetch("alpha");
}

/// Somebody's.
fn a_token(gate: &crate::harness::Gate) -> String {
    let society = crate::harness::Society::of(gate.home(), gate.now());
    society.user("ada").token("ada", &["read:*"]).secret
}

#[test]
fn spellings_of_the_same_file_are_the_same_file() {
    let stage = Stage::new(Channel::new("chan").with("noarch", &package("lib+x", "1!2.0")));
    let expected = stage.channel.get("lib+x").bytes.clone();
    stage.upstream.put("/chan/noarch/lib%2Bx-1%212.0-0.conda", expected.clone());
    let secret = a_token(&stage.gate);
    let with_token = format!("/t/{secret}/chan/noarch/lib+x-1!2.0-0.conda");
    let spellings = [
        "/chan/noarch/lib+x-1!2.0-0.conda",
        "/chan/noarch/lib%2Bx-1%212.0-0.conda",
        "/chan/noarch/lib%2bx-1!2.0-0.conda",
        "//chan//noarch/lib+x-1!2.0-0.conda",
        &with_token,
        "/chan/noarch/lib+x-1!2.0-0.conda/",
        "/ch%61n/noarch/lib+x-1!2.0-0.conda",
    ];
    for path in spellings {
        assert_eq!(stage.get(path).expect(200), expected, "{path}");
    }
    let downloads =
        stage.upstream.seen().iter().filter(|s| s.method == "GET" && s.path.contains(".conda")).count();
    assert_eq!(downloads, 1);
}

#[test]
fn labels_with_slashes_and_channels_of_two_parts_work() {
    for name in ["chan/label/a/b", "pkgs/main", "chan/label/dev"] {
        let stage = Stage::new(Channel::new(name).with("noarch", &package("alpha", "1.0")));
        stage.know_index();
        stage.fetch("alpha");
    }
}

#[test]
fn the_swapped_shard_path_of_conda_is_understood() {
    let stage = stage();
    let straight = stage.get("/chan/noarch/repodata_shards.msgpack.zst").expect(200);
    assert_eq!(stage.get("/chan/repodata_shards.msgpack.zst/noarch").expect(200), straight);
}

#[test]
fn other_methods_are_refused_with_what_is_allowed() {
    let stage = stage();
    let path = stage.channel.path("alpha");
    for method in ["PUT", "DELETE", "PATCH", "POST"] {
        let answer = stage.gate.ask(&Request::new(method, &path).header("Content-Length", "0"));
        assert!(answer.must("allow").contains("GET"), "{method}");
        answer.expect_problem(405);
    }
    stage.fetch("alpha");
}

#[test]
fn the_landing_page_tells_a_browser_what_to_do() {
    let stage = stage();
    let page = stage.gate.ask(&Request::get("/").header("Accept", "text/html"));
    assert!(page.must("content-type").starts_with("text/html"));
    let text = String::from_utf8(page.expect(200)).unwrap();
    for word in ["channel_alias", "conda", "pixi"] {
        assert!(text.contains(word), "no {word} on the landing page");
    }
}

#[test]
fn the_public_url_strips_its_base_path() {
    let upstream = crate::harness::Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("alpha", "1.0"));
    channel.publish(&upstream);
    let gate = crate::harness::Setup::rules(&crate::harness::rules::all_from(&upstream))
        .config("public_url: http://gate.example.org/conda\n")
        .start();
    let secret = a_token(&gate);
    let with_token = format!("/conda/t/{secret}/chan/noarch/alpha-1.0-0.conda");
    for path in ["/conda/chan/noarch/alpha-1.0-0.conda", &with_token] {
        assert_eq!(gate.get(path).expect(200), channel.get("alpha").bytes, "{path}");
    }
}

#[test]
fn jlap_does_not_exist() {
    stage().get("/chan/noarch/repodata.jlap").expect_problem(404);
}
