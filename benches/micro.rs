//! Micro-benchmarks of what every request passes: reading its head, parsing its path, finding its rule, looking its package up,
//! getting the bytes out of the cache, judging its conditions, negotiating its coding. Run with `cargo bench --bench micro`.
//!
//! Belongs here: single steps, in nanoseconds. Does not: whole requests over sockets (`benches/compare`).

#![expect(clippy::expect_used, reason = "a bench stops where its own set-up fails")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use condagate::cache::freshness::Lifetime;
use condagate::cache::{
    BodyMode, Cache, CacheSettings, FillKind, FillRequest, OpenAt, Opened, OpenedBody, Source, SourceError,
    Validators,
};
use condagate::clock::{SystemClock, UnixMillis};
use condagate::conda::channel::{ChannelName, ChannelRef};
use condagate::conda::digest::{Expected, Sha256};
use condagate::conda::subdir::Subdir;
use condagate::conda::url::Packing;
use condagate::conda::url::{self, Route};
use condagate::http::coding::{self, Coding};
use condagate::http::conditional::{Preconditions, evaluate};
use condagate::http::etag::ETag;
use condagate::http::range;
use condagate::policy::Rules;
use condagate::policy::verdict::Lenient;
use condagate::proxy::head::{self, HeadLimits};
use condagate::repodata::build::{BuildInput, Identity, Limits, build};
use condagate::repodata::generation::Generation;
use condagate::repodata::judging::{Ages, Court};
use condagate::repodata::store::GenerationStore;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const PATHS: [(&str, &str); 5] = [
    ("package", "/conda-forge/linux-64/python-3.13.1-ha99a958_105_cp313.conda"),
    ("escaped package", "/conda-forge/linux-64/libstdcxx-devel%2B1-1%212.0-h0_0.tar.bz2"),
    ("index", "/pkgs/main/linux-64/repodata.json.zst"),
    ("label and token", "/t/ab-0123456789-cdef/conda-forge/label/a/b/noarch/repodata_shards.msgpack.zst"),
    (
        "shard",
        "/bioconda/noarch/shards/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae.msgpack.zst",
    ),
];

const HEAD: &[u8] = b"GET /conda-forge/linux-64/python-3.13.1-ha99a958_105_cp313.conda HTTP/1.1\r\nHost: gate.example.org\r\n\
    User-Agent: conda/26.7.1 requests/2.34.2 CPython/3.11.7 Linux/6.1.0 debian/12 glibc/2.36 solver/libmamba\r\n\
    Accept-Encoding: gzip, deflate, zstd\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n";

fn urls(c: &mut Criterion) {
    let mut group = c.benchmark_group("conda::url::parse");
    for (name, path) in PATHS {
        assert!(!matches!(url::parse(path).map(|t| t.route), Ok(Route::Other) | Err(_)), "{path}");
        group.bench_function(name, |b| b.iter(|| url::parse(black_box(path))));
    }
    group.finish();
}

fn rules(c: &mut Criterion) {
    let rules = Rules::builtin();
    let mut group = c.benchmark_group("policy::Rules::channel");
    for (name, path) in [("any", PATHS[0].1), ("glob", PATHS[2].1)] {
        let Ok(url::Target { route: Route::Package { channel, .. } | Route::Index { channel, .. }, .. }) =
            url::parse(path)
        else {
            panic!("{path} names a channel");
        };
        group.bench_function(name, |b| b.iter(|| rules.channel(black_box(&channel.name))));
    }
    group.finish();
}

fn heads(c: &mut Criterion) {
    let limits = HeadLimits::default();
    c.bench_function("proxy::head::scan", |b| b.iter(|| head::scan(black_box(HEAD), limits)));
}

fn conditions(c: &mut Criterion) {
    let etag = ETag::strong("sha256-2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");
    let list = format!("\"a\", \"b\", {}", etag.as_str());
    let modified = UnixMillis(1_700_000_000_000);
    c.bench_function("http::conditional::evaluate, a list of three", |b| {
        b.iter_batched(
            || Preconditions { if_none_match: Some(list.as_str()), ..Preconditions::default() },
            |given| evaluate(black_box(&given), true, Some(&etag), Some(modified)),
            BatchSize::SmallInput,
        );
    });
    c.bench_function("http::range::parse", |b| b.iter(|| range::parse(black_box("bytes=-65536"))));
    c.bench_function("http::coding::negotiate", |b| {
        let offered = [Coding::Identity, Coding::Gzip, Coding::Zstd];
        b.iter(|| coding::negotiate(black_box(Some("gzip, deflate, zstd")), &offered));
    });
}

/// How many files the table has.
const RECORDS: usize = 100_000;

fn file_of(i: usize) -> String {
    format!("package-{}-1.{}-h{:07x}_0.conda", i / 10, i % 10, i)
}

/// A generation of [`RECORDS`] files, built as the gate builds it.
fn generation(dir: &Path) -> Arc<Generation> {
    let mut text = String::from(r#"{"info":{"subdir":"linux-64"},"packages":{},"packages.conda":{"#);
    for i in 0..RECORDS {
        let (comma, file) = (if i == 0 { "" } else { "," }, file_of(i));
        let sha256 = Sha256::of(file.as_bytes());
        write!(
            text,
            r#"{comma}"{file}":{{"name":"package-{}","version":"1.{}","build":"h{i:07x}_0","build_number":0,"depends":[],"sha256":"{}","size":{i},"subdir":"linux-64"}}"#,
            i / 10,
            i % 10,
            sha256.to_hex()
        )
        .expect("writing to a string");
    }
    text.push_str("}}");
    let raw = dir.join("raw.json");
    std::fs::write(&raw, text).expect("a scratch file");
    let store = GenerationStore::open(&dir.join("generations")).expect("a scratch directory");
    let channel = ChannelRef { name: ChannelName::parse("bench").expect("a name"), label: None };
    let subdir = Subdir::parse("linux-64").expect("a subdir");
    let built = build(&BuildInput {
        channel: &channel,
        subdir: &subdir,
        raw: &Identity { path: raw.clone(), ..Identity::default() },
        packing: Packing::Json,
        court: Court { judge: &Lenient, source: "bench", ages: Ages::Unknown },
        before: None,
        now: UnixMillis(1_700_000_000_000),
        limits: Limits::default(),
        out_dir: &store.staging(),
        onlooker: None,
    })
    .expect("the document is right");
    store.publish(built).expect("it can be published")
}

fn table(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let generation = generation(dir.path());
    let files: Vec<_> = (0..RECORDS).step_by(97).map(file_of).collect();
    assert!(files.iter().all(|file| generation.lookup(file).is_some_and(|known| known.sha256.is_some())));
    let mut group = c.benchmark_group("repodata::Generation::lookup, 100,000 files");
    let mut turn = files.iter().cycle();
    group.bench_function("listed", |b| {
        b.iter(|| turn.next().and_then(|file| generation.lookup(black_box(file))));
    });
    group
        .bench_function("not listed", |b| b.iter(|| generation.lookup(black_box("package-77-1.10-0.conda"))));
    group.finish();
}

/// A source that gives the same bytes each time.
struct Fixed(Bytes);

#[async_trait::async_trait]
impl Source for Fixed {
    async fn open(&self, _: OpenAt) -> Result<Opened, SourceError> {
        let bytes = self.0.clone();
        Ok(Opened::Body(OpenedBody {
            offset: 0,
            total: Some(bytes.len() as u64),
            validators: Validators::default(),
            content_type: None,
            from: None,
            lifetime: Lifetime::default(),
            stream: Box::pin(futures_util::stream::iter([Ok(bytes)])),
        }))
    }
}

fn hits(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let runtime = Runtime::new().expect("a runtime");
    let settings = CacheSettings::new(dir.path().join("packages"));
    let cache = Cache::open(settings, Arc::new(SystemClock), runtime.handle().clone()).expect("a cache");
    let mut group = c.benchmark_group("cache::Cache::hot");
    for (label, len) in [("2 KB", 2 << 10), ("1 MB", 1 << 20)] {
        let bytes = Bytes::from(vec![7; len]);
        let digest = Sha256::of(&bytes);
        let expected = Expected { sha256: Some(digest), md5: None, size: Some(len as u64) };
        let fill = cache.fill(FillRequest {
            key: format!("pkg:bench/{len}"),
            expected,
            kind: FillKind::Package,
            source: Arc::new(Fixed(bytes)),
        });
        runtime.block_on(fill.done()).expect("the digest is right");
        assert!(runtime.block_on(cache.find(&digest)).is_some());
        group.bench_function(label, |b| b.iter(|| cache.hot(black_box(&digest)).map(|blob| blob.len())));
        group.bench_function(format!("{label} and every chunk of it"), |b| {
            b.to_async(&runtime).iter(|| async {
                let blob = cache.hot(black_box(&digest))?;
                let mut reader = blob.reader(0..blob.len(), BodyMode::Mapped);
                let mut total = 0;
                while let Some(chunk) = reader.next().await {
                    total += chunk.ok()?.len();
                }
                Some(total)
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = urls, rules, table, hits, heads, conditions
}
criterion_main!(benches);
