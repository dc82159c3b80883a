//! A real client from Rust: `rattler_repodata_gateway`, which is what pixi uses, unmodified.

use std::path::Path;

use rattler_conda_types::{
    Channel as Url, ChannelConfig, MatchSpec, ParseStrictness, RepoDataRecord, Subdir,
};
use rattler_repodata_gateway::{Gateway, SourceConfig};

use crate::harness::{Channel, Gate, Setup, Upstream, package, rules};

fn channel() -> Channel {
    Channel::new("chan")
        .with("noarch", &package("app", "1.0").needs("lib >=2").needs("tool"))
        .with("noarch", &package("lib", "1.0").tar_bz2())
        .with("noarch", &package("lib", "2.0"))
        .with("linux-64", &package("tool", "3.1").needs("lib"))
        .with("linux-64", &package("unrelated", "1.0"))
}

/// The client's view: file names, digests and URLs below the channel, of all that `app` may need.
fn resolve(base: &str, sharded: bool, cache: &Path) -> Result<Vec<String>, String> {
    let found = query(base, &["app".to_owned()], true, sharded, cache)?;
    Ok(found.iter().map(|record| line(record, base)).collect())
}

/// The records of `names` (and of all that they need) in linux-64 and noarch, in order.
fn query(
    base: &str,
    names: &[String],
    recursive: bool,
    sharded: bool,
    cache: &Path,
) -> Result<Vec<RepoDataRecord>, String> {
    // The client was built without a provider of its own; whoever comes first installs the gate's.
    let _first_or_not = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let source = SourceConfig { sharded_enabled: sharded, ..SourceConfig::default() };
        let client = Gateway::builder()
            .with_client(reqwest::Client::builder().no_proxy().build().expect("a client"))
            .with_cache_dir(cache)
            .with_channel_config(rattler_repodata_gateway::ChannelConfig {
                default: source,
                ..rattler_repodata_gateway::ChannelConfig::default()
            })
            .finish();
        let config = ChannelConfig::default_with_root_dir(cache.to_path_buf());
        let channel = Url::from_str(format!("{base}/chan"), &config).expect("a channel");
        let specs: Vec<_> =
            names.iter().map(|n| MatchSpec::from_str(n, ParseStrictness::Strict).expect("a spec")).collect();
        let query = client.query([channel], [Subdir::Linux64, Subdir::NoArch], specs).recursive(recursive);
        let answer = query.await.map_err(|e| format!("{e:?}"))?;
        let mut records: Vec<_> = answer.iter().flat_map(|data| data.iter().cloned()).collect();
        records.sort_by(|a, b| a.url.cmp(&b.url));
        Ok(records)
    })
}

/// Every member that the client knows of every record is the same with shards and without; how many there are.
fn same_with_and_without_shards(gate: &Gate, names: &[String]) -> Vec<RepoDataRecord> {
    let caches: [_; 2] = std::array::from_fn(|_| tempfile::tempdir().expect("a cache"));
    let classic = query(&gate.url(), names, false, false, caches[0].path()).expect("classic");
    let sharded = query(&gate.url(), names, false, true, caches[1].path()).expect("sharded");
    assert_eq!(sharded.len(), classic.len());
    for (sharded, classic) in sharded.iter().zip(&classic) {
        assert_eq!(format!("{sharded:?}"), format!("{classic:?}"));
    }
    classic
}

fn line(record: &RepoDataRecord, base: &str) -> String {
    let package = &record.package_record;
    let url = record
        .url
        .as_str()
        .strip_prefix(base)
        .unwrap_or_else(|| panic!("{} is not below {base}", record.url));
    format!("{url} {:?} {:?} {:?} {:?}", package.sha256, package.md5, package.size, package.depends)
}

struct Scene {
    gate: Gate,
    upstream: Upstream,
}

fn scene(channel: &Channel) -> Scene {
    let upstream = Upstream::start();
    channel.publish(&upstream);
    let gate = Setup::rules(&rules::all_from(&upstream)).start();
    Scene { gate, upstream }
}

/// The same records through the gate as from upstream, again from the client's cache, again without upstream.
fn agrees(channel: &Channel, sharded: bool) {
    let Scene { gate, mut upstream } = scene(channel);
    let caches: [_; 3] = std::array::from_fn(|_| tempfile::tempdir().expect("a cache"));
    let expected =
        resolve(&upstream.url(), sharded, caches[0].path()).expect("the client and upstream agree");
    assert_eq!(expected.len(), 4, "{expected:?}");
    let first = resolve(&gate.url(), sharded, caches[1].path()).expect("through the gate");
    assert_eq!(first, expected);
    let asked = upstream.total();
    assert_eq!(resolve(&gate.url(), sharded, caches[1].path()).expect("a second time"), expected);
    assert_eq!(resolve(&gate.url(), sharded, caches[2].path()).expect("another client"), expected);
    assert_eq!(upstream.total(), asked, "the second run needs no upstream");
    upstream.stop();
    let fresh = tempfile::tempdir().expect("a cache");
    assert_eq!(resolve(&gate.url(), sharded, fresh.path()).expect("without upstream"), expected);
}

#[test]
fn resolves_from_classic_repodata() {
    agrees(&channel(), false);
}

#[test]
fn resolves_from_shards() {
    agrees(&channel().sharded(), true);
}

#[test]
fn resolves_from_shards_that_upstream_does_not_have() {
    let channel = channel();
    let Scene { gate, upstream } = scene(&channel);
    let caches: [_; 2] = std::array::from_fn(|_| tempfile::tempdir().expect("a cache"));
    let expected = resolve(&upstream.url(), false, caches[0].path()).expect("from upstream");
    assert_eq!(resolve(&gate.url(), true, caches[1].path()).expect("through the gate"), expected);
}

#[test]
fn the_records_are_the_same_with_shards_and_without() {
    let names = ["app", "lib", "tool", "unrelated"].map(str::to_owned);
    for channel in [channel(), channel().sharded()] {
        let Scene { gate, upstream } = scene(&channel);
        assert_eq!(same_with_and_without_shards(&gate, &names).len(), 5);
        let shards = upstream.paths().into_iter().filter(|p| p.contains("/shards/"));
        assert_eq!(shards.filter(|p| upstream.gets(p) > 0).count(), 0, "the gate has its own");
    }
    // Of an upstream that has nothing but shards, too.
    let upstream = Upstream::start();
    channel().sharded().publish(&upstream);
    for path in upstream.paths().iter().filter(|p| p.contains("repodata.json")) {
        upstream.remove(path);
    }
    let gate = Setup::rules(&rules::all_from(&upstream)).start();
    assert_eq!(same_with_and_without_shards(&gate, &names).len(), 5);
}

#[test]
fn real_records_are_the_same_with_shards_and_without() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conda-forge");
    let upstream = Upstream::start();
    let mut names = std::collections::BTreeSet::new();
    let mut expected = 0;
    for subdir in ["linux-64", "noarch"] {
        let packed = std::fs::read(fixtures.join(subdir).join("repodata.json.zst")).expect("a fixture");
        let json = zstd::stream::decode_all(&packed[..]).expect("zstd");
        let tree: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        for group in ["packages", "packages.conda"] {
            let records = tree[group].as_object().expect("a group").values();
            expected += records.len();
            names.extend(records.map(|record| record["name"].as_str().expect("a name").to_owned()));
        }
        upstream.put(&format!("/chan/{subdir}/repodata.json.zst"), packed);
        upstream.put(&format!("/chan/{subdir}/repodata.json"), json);
    }
    let names: Vec<_> = names.into_iter().collect();
    let gate = Setup::rules(&rules::all_from(&upstream)).start();
    let through = same_with_and_without_shards(&gate, &names);
    assert_eq!((names.len(), through.len()), (70, expected));
    let cache = tempfile::tempdir().expect("a cache");
    let direct = query(&upstream.url(), &names, false, false, cache.path()).expect("from upstream");
    let lines = |records: &[RepoDataRecord], base: &str| -> Vec<String> {
        records.iter().map(|record| line(record, base)).collect()
    };
    assert_eq!(lines(&through, &gate.url()), lines(&direct, &upstream.url()));
}

#[test]
fn an_upstream_in_trouble_does_not_poison_the_client() {
    let channel = channel().sharded();
    let Scene { gate, mut upstream } = scene(&channel);
    let cache = tempfile::tempdir().expect("a cache");
    let direct = tempfile::tempdir().expect("a cache");
    let expected = resolve(&upstream.url(), true, direct.path()).expect("from upstream");
    upstream.stop();
    resolve(&gate.url(), true, cache.path()).expect_err("nothing is cached yet");
    upstream.start_again();
    crate::harness::eventually("the client recovers with the cache it has", || {
        gate.advance(std::time::Duration::from_mins(1));
        resolve(&gate.url(), true, cache.path()).ok().filter(|records| *records == expected)
    });
    crate::harness::eventually_true(
        "a shard in the access log: the client did not give up on shards",
        || {
            let log = std::fs::read_to_string(gate.home().path("stdout")).unwrap_or_default();
            log.contains("/chan/noarch/shards/")
        },
    );
}

/// Absolute URLs in what upstream says never make the client leave.
#[test]
fn the_client_never_leaves_the_gate() {
    let elsewhere = Upstream::start();
    let base = format!("{}/away/", elsewhere.url());
    let channel = channel().info("base_url", serde_json::json!(base)).sharded_at(&base, &base);
    let Scene { gate, upstream } = scene(&channel);
    for path in upstream.paths() {
        let file = path.rsplit('/').next().expect("a name").to_owned();
        elsewhere.put(&format!("/away/{file}"), upstream.content(&path));
    }
    for sharded in [true, false] {
        let cache = tempfile::tempdir().expect("a cache");
        let records = resolve(&gate.url(), sharded, cache.path()).expect("through the gate");
        assert_eq!(records.len(), 4, "{records:?}");
    }
    let agents: Vec<_> =
        elsewhere.seen().iter().map(|s| s.header("user-agent").unwrap_or("").to_owned()).collect();
    assert!(agents.iter().all(|agent| agent.starts_with("condagate/")), "{agents:?}");
}

#[test]
fn the_fixtures_are_channels_to_this_client() {
    let upstream = Upstream::start();
    channel().sharded().publish(&upstream);
    let caches: [_; 2] = std::array::from_fn(|_| tempfile::tempdir().expect("a cache"));
    let classic = resolve(&upstream.url(), false, caches[0].path()).expect("classic");
    let sharded = resolve(&upstream.url(), true, caches[1].path()).expect("sharded");
    assert_eq!((classic.len(), classic), (4, sharded));
    assert!(upstream.paths().iter().any(|p| p.contains("/shards/") && upstream.gets(p) > 0));
}
