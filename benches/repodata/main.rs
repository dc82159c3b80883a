//! What building a generation costs: wall time and peak anonymous memory, beside a plain decode and a tree parse.
//!
//! `cargo bench --bench repodata` runs 500,000 records (`-- 20000` for another number). Every phase is a process of its own, so
//! that none inherits another's memory. Under `cargo test` it runs 2,000 records to prove that it works.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench reports, and stops where anything fails"
)]

mod ruled;
mod synthetic;

use std::fs::File;
use std::io::{BufWriter, Read, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use synthetic::Edition;

use condagate::clock::UnixMillis;
use condagate::conda::channel::{ChannelName, ChannelRef};
use condagate::conda::subdir::Subdir;
use condagate::conda::url::Packing;
use condagate::policy::verdict::Lenient;
use condagate::repodata::attach::Reuse;
use condagate::repodata::build::{BuildInput, Built, Identity, Limits, build};
use condagate::repodata::frame::{Before, FrameMap, FrameSettings, FrameWriter};
use condagate::repodata::generation::Generation;
use condagate::repodata::judging::{Ages, Court};
use condagate::repodata::scan::{Record, ScanError, ScanLimits, Scanner, Shape, Sink};
use condagate::repodata::store::GenerationStore;
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A phase's name, and what it does with the directory of documents and the number of records.
type Phase = (&'static str, fn(&Path, u64));

const PHASES: [Phase; 3 + 10] = [
    (ruled::FULL, ruled::full),
    (ruled::AGAIN, ruled::again),
    (ruled::PLAIN, ruled::plain_zstd),
    ("decode zst, count newlines", decode),
    ("scan only", scan),
    ("serde_json tree", tree),
    ("build from zst, untouched", build_zst),
    ("build from json, packed anew", build_json),
    ("pack in chunks, and again", frame),
    ("shards, from nothing", shards),
    ("shards, 1 % of packages changed", shards_again),
    ("current_repodata, packed too", current),
    ("table lookup", lookup),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [phase, dir, records] = &args[..] {
        let run = PHASES.iter().find(|(name, _)| name == phase).expect("a phase of this bench").1;
        return run(Path::new(dir), records.parse().expect("a number of records"));
    }
    let testing = !std::env::args().any(|arg| arg == "--bench");
    let default = if testing { 2_000 } else { 500_000 };
    let records: u64 = args.first().and_then(|n| n.parse().ok()).unwrap_or(default);
    let dir = tempfile::tempdir().expect("a directory");
    let len = generate(dir.path(), records);
    println!("{records} records, {:.1} MB", mega(len));
    for (phase, _) in PHASES {
        let me = std::env::current_exe().expect("this program");
        let args = [phase, dir.path().to_str().expect("a path"), &records.to_string()].map(str::to_owned);
        let done = std::process::Command::new(me).args(args).status().expect("a process");
        assert!(done.success(), "{phase}");
    }
}

fn generate(dir: &Path, records: u64) -> u64 {
    let changed = records - records / 100;
    let editions = [
        ("one", Edition { number: 1, changed, added: 0 }),
        ("two", Edition { number: 2, changed, added: 0 }),
        ("more", Edition { number: 1, changed, added: (records / 2_500).max(1) }),
    ];
    for (name, edition) in editions {
        let json = dir.join(format!("{name}.json"));
        let mut out = BufWriter::new(File::create(&json).expect("a file"));
        synthetic::write(&mut out, records, edition).expect("room");
        out.flush().expect("room");
    }
    let exports = dir.join("run_exports.json");
    let mut out = BufWriter::new(File::create(exports).expect("a file"));
    synthetic::write_exports(&mut out, records).expect("room");
    out.flush().expect("room");
    for name in ["more.json", "run_exports.json"] {
        pack(&dir.join(name));
    }
    pack(&dir.join("one.json"))
}

/// Packs a document as upstream does; gives its length.
fn pack(path: &Path) -> u64 {
    let packed = File::create(path.with_added_extension("zst")).expect("a file");
    let mut packed = zstd::Encoder::new(packed, 3).expect("an encoder");
    let len = std::io::copy(&mut File::open(path).expect("the document"), &mut packed).expect("room");
    packed.finish().expect("room");
    len
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Runs `work`, sampling this process's anonymous memory, and prints a line.
fn measure<T>(phase: &str, bytes: u64, work: impl FnOnce() -> T) -> T {
    let (peak, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let sampler = {
        let (peak, stop) = (Arc::clone(&peak), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                peak.fetch_max(rss_anon(), Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(2));
            }
        })
    };
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    peak.fetch_max(rss_anon(), Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    sampler.join().expect("the sampler");
    let rate = mega(bytes) / took.as_secs_f64();
    let memory = mega(peak.load(Ordering::Relaxed) * 1024);
    println!("{phase:34} {:8.2} s {rate:7.0} MB/s  peak {memory:7.1} MB anonymous", took.as_secs_f64());
    result
}

/// `RssAnon` in KiB.
fn rss_anon() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
}

fn len(path: &Path) -> u64 {
    path.metadata().expect("the document").len()
}

fn decode(dir: &Path, _: u64) {
    let lines = measure("decode zst, count newlines", len(&dir.join("one.json")), || {
        let mut input =
            zstd::Decoder::new(File::open(dir.join("one.json.zst")).expect("the document")).expect("zstd");
        let (mut piece, mut lines) = (vec![0; 256 << 10], 0);
        loop {
            match input.read(&mut piece).expect("whole") {
                0 => break lines,
                n => lines += memchr::memchr_iter(b'\n', &piece[..n]).count(),
            }
        }
    });
    assert_eq!(lines, 0);
}

/// Counts records.
struct Count(u64);

impl Sink for Count {
    type Error = ScanError;

    fn record(&mut self, record: &Record<'_>) -> Result<(), ScanError> {
        self.0 += u64::from(record.judge().is_ok());
        Ok(())
    }
}

fn scan(dir: &Path, records: u64) {
    let path = dir.join("one.json");
    let mut count = Count(0);
    measure("scan only", len(&path), || {
        let mut scanner = Scanner::new(Shape::Records, ScanLimits::default());
        let mut input = File::open(&path).expect("the document");
        let mut piece = vec![0; 256 << 10];
        loop {
            match input.read(&mut piece).expect("whole") {
                0 => break scanner.finish().expect("whole"),
                n => scanner.feed(&piece[..n], &mut count).expect("good"),
            }
        }
    });
    assert_eq!(count.0, records);
}

fn tree(dir: &Path, _: u64) {
    let path = dir.join("one.json");
    let tree: serde_json::Value = measure("serde_json tree", len(&path), || {
        let text = std::fs::read(&path).expect("the document");
        serde_json::from_slice(&text).expect("JSON")
    });
    assert!(tree.is_object());
}

struct Place {
    store: GenerationStore,
    channel: ChannelRef,
    subdir: Subdir,
}

impl Place {
    fn new(dir: &Path) -> Self {
        let name = ChannelName::parse("conda-forge").expect("a name");
        Self {
            store: GenerationStore::open(&dir.join("store")).expect("a store"),
            channel: ChannelRef { name, label: None },
            subdir: Subdir::parse("linux-64").expect("a subdir"),
        }
    }

    /// The generation that another process of this bench made: it is read and hashed once, as after a start of the gate.
    fn opened(&self) -> Arc<Generation> {
        let opened = self.store.open_current(&self.channel, &self.subdir).expect("a sound generation");
        opened.expect("the one before")
    }

    fn build(&self, raw: &Path, packing: Packing, now: i64) -> Built {
        build(&BuildInput {
            channel: &self.channel,
            subdir: &self.subdir,
            raw: &Identity { path: raw.to_owned(), ..Identity::default() },
            packing,
            court: Court { judge: &Lenient, source: "bench", ages: Ages::Unknown },
            before: None,
            now: UnixMillis(now),
            limits: Limits::default(),
            out_dir: &self.store.staging(),
            onlooker: None,
        })
        .expect("a good document")
    }
}

fn build_zst(dir: &Path, records: u64) {
    let place = Place::new(dir);
    let raw = dir.join("one.json.zst");
    let built = measure("build from zst, untouched", len(&dir.join("one.json")), || {
        place.build(&raw, Packing::Zst, 1)
    });
    assert_eq!(built.manifest().report.files, records);
    place.store.publish(built).expect("room");
}

fn build_json(dir: &Path, _: u64) {
    let place = Place::new(dir);
    let raw = dir.join("two.json");
    let built = measure("build from json, packed anew", len(&raw), || place.build(&raw, Packing::Json, 2));
    println!("{:34} {:8.1} MB zst", "", mega(built.manifest().files["repodata.json.zst"].len));
}

/// Packs a document twice, the second time with 200 records changed.
fn frame(dir: &Path, records: u64) {
    let json = std::fs::read(dir.join("one.json")).expect("the document");
    let ends = memchr::memmem::find_iter(&json, b"},\"").map(|at| at + 1).chain([json.len()]);
    let starts = std::iter::once(0).chain(ends.clone());
    let pieces: Vec<&[u8]> = starts.zip(ends).map(|(start, end)| &json[start..end]).collect();
    let changed = (records / 200).max(1);
    let one = dir.join("one.frame");
    let len = json.len() as u64;
    let map = measure("pack in chunks", len, || pack_pieces(&one, &pieces, u64::MAX, None));
    let before = Before { map, path: one };
    let map = measure("pack again, 200 records changed", len, || {
        pack_pieces(&dir.join("two.frame"), &pieces, changed, Some(&before))
    });
    println!("{:34} {} of {} chunks copied", "", map.copied(), map.chunks());
}

fn pack_pieces(path: &Path, pieces: &[&[u8]], changed: u64, before: Option<&Before>) -> FrameMap {
    let mut out = FrameWriter::create(path, FrameSettings::default(), before, None).expect("a file");
    for (n, piece) in (1..).zip(pieces) {
        out.put(piece).expect("room");
        if u64::is_multiple_of(n, changed) {
            out.put(b" ").expect("room");
        }
        // Its name is near its beginning.
        out.boundary(&piece[..piece.len().min(30)]).expect("room");
    }
    out.finish().expect("room").1
}

fn shards(dir: &Path, _: u64) {
    let place = Place::new(dir);
    let generation = place.opened();
    measure("shards, from nothing", len(&dir.join("one.json")), || {
        place.store.make_shards(&generation, Reuse::default()).expect("room");
    });
}

fn shards_again(dir: &Path, _: u64) {
    let place = Place::new(dir);
    let mut built = place.build(&dir.join("two.json"), Packing::Json, 3);
    let before = place.opened();
    measure("shards, 1 % of packages changed", len(&dir.join("two.json")), || {
        built.make_shards(Reuse { before: Some(&before), theirs: None }).expect("room");
    });
}

fn current(dir: &Path, _: u64) {
    let place = Place::new(dir);
    let generation = place.opened();
    measure("current_repodata, packed too", len(&dir.join("one.json")), || {
        place.store.make_current(&generation, &Limits::default()).expect("room");
    });
    let made = generation.manifest().files["current_repodata.json"].len;
    println!("{:34} {:8.1} MB json", "", mega(made));
}

fn lookup(dir: &Path, records: u64) {
    let place = Place::new(dir);
    let generation = place.opened();
    let names: Vec<String> = (0..100_000)
        .map(|n: u64| synthetic::file_name(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % records, records))
        .collect();
    let start = Instant::now();
    let found = names.iter().filter(|name| generation.lookup(name).is_some()).count();
    let each = start.elapsed() / 100_000;
    assert_eq!(found, names.len());
    println!("{:34} {each:>10.0?} each, 100,000 random files", "table lookup");
}
