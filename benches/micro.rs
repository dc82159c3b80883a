//! Micro-benchmarks of what every request passes: reading its head, parsing its path, finding its rule, judging its conditions,
//! negotiating its coding. Run with `cargo bench --bench micro`.
//!
//! Belongs here: single steps, in nanoseconds. Does not: whole requests over sockets (`benches/compare`).

use std::hint::black_box;
use std::time::Duration;

use condagate::clock::UnixMillis;
use condagate::conda::url::{self, Route};
use condagate::http::coding::{self, Coding};
use condagate::http::conditional::{Preconditions, evaluate};
use condagate::http::etag::ETag;
use condagate::http::range;
use condagate::policy::Rules;
use condagate::proxy::head::{self, HeadLimits};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

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

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = urls, rules, heads, conditions
}
criterion_main!(benches);
