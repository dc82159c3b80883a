//! What rules cost: a whole generation under a cooldown that looks at every record, with first sightings, `.zst`, shards and
//! `run_exports`; the same again after upstream added 200 records.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use condagate::clock::UnixMillis;
use condagate::conda::url::{IndexFile, Packing};
use condagate::config::Machine;
use condagate::config::rules::{RulesDir, load};
use condagate::policy::verdict::Judge;
use condagate::repodata::attach::{Attach, Reuse};
use condagate::repodata::build::{BuildInput, Built, Identity, Limits, build};
use condagate::repodata::generation::Generation;
use condagate::repodata::judging::{Ages, Court};
use condagate::repodata::shards::UpstreamIndex;

use super::{Place, len, measure, mega};

pub(crate) const FULL: &str = "rules: whole generation";
pub(crate) const AGAIN: &str = "rules: again, 200 more records";
pub(crate) const PLAIN: &str = "zstd -9 of the document, alone";

const RULES: &str =
    "policy:\n  - {id: cooldown, hide: {younger_than: 7d}, unless: {names: [ca-certificates, tzdata]}}\n";
/// Younger than some records, older than most.
const NOW: i64 = 1_795_000_000_000;

fn judge(dir: &Path) -> Arc<dyn Judge> {
    let rules = dir.join("rules");
    std::fs::create_dir_all(&rules).expect("a directory");
    std::fs::write(rules.join("policy.yaml"), RULES).expect("room");
    let rules = load(&RulesDir { path: rules, named: None }, &Machine::of_process()).expect("good rules");
    rules.policy().judge("conda-forge", "linux-64")
}

impl Place {
    fn build_ruled(&self, dir: &Path, raw: &str, before: Option<&Generation>, now: i64) -> Built {
        let judge = judge(dir);
        let sightings = self.store.sightings(&self.channel, &self.subdir);
        let mut built = build(&BuildInput {
            channel: &self.channel,
            subdir: &self.subdir,
            raw: &Identity { path: dir.join(raw), ..Identity::default() },
            packing: Packing::Zst,
            court: Court { judge: &*judge, source: "conda-forge", ages: Ages::Kept(&sightings) },
            before,
            now: UnixMillis(now),
            limits: Limits::default(),
            out_dir: &self.store.staging(),
            onlooker: None,
        })
        .expect("a good document");
        built.make_shards(Reuse { before, theirs: None }).expect("room");
        built
    }

    /// Puts a generation in force and lets `run_exports.json` join it.
    fn publish_whole(&self, dir: &Path, built: Built) -> Arc<Generation> {
        let generation = self.store.publish(built).expect("room");
        let attach = Attach {
            file: IndexFile::RunExports(Packing::Zst),
            raw: &dir.join("run_exports.json.zst"),
            packing: Packing::Zst,
            modified_at: None,
            limits: Limits::default(),
        };
        self.store.attach(&generation, &attach).expect("it agrees");
        generation
    }
}

/// The generations of this bench, apart from those of the others.
fn place(dir: &Path) -> Place {
    Place::new(&dir.join("ruled"))
}

pub(crate) fn full(dir: &Path, records: u64) {
    let place = place(dir);
    let generation = measure(FULL, len(&dir.join("one.json")), || {
        place.publish_whole(dir, place.build_ruled(dir, "one.json.zst", None, NOW))
    });
    let manifest = generation.manifest();
    assert_eq!(manifest.judged.first_seen, records);
    let hidden: u64 = manifest.judged.withheld.values().sum();
    let size = |name: &str| mega(manifest.files[name].len);
    println!(
        "{:34} {hidden} of {records} records hidden; {:.1} MB json, {:.1} MB zst, {:.1} MB shard index",
        "",
        size("repodata.json"),
        size("repodata.json.zst"),
        size("repodata_shards.msgpack.zst"),
    );
}

pub(crate) fn again(dir: &Path, _: u64) {
    let place = place(dir);
    let before = measure("opening it again, as after a start", 0, || place.opened());
    let generation = measure(AGAIN, len(&dir.join("more.json")), || {
        place.publish_whole(dir, place.build_ruled(dir, "more.json.zst", Some(&before), NOW + 1_200_000))
    });
    let variant = generation.variant(IndexFile::ShardIndex).expect("an index");
    let packed = std::fs::read(&variant.path).expect("the index");
    let index = UpstreamIndex::parse(&packed, "linux-64").expect("a shard index");
    let fresh = index.iter().filter(|(_, digest)| before.shard(digest).is_none()).count();
    println!("{:34} {fresh} of {} shards made anew", "", index.len());
}

pub(crate) fn plain_zstd(dir: &Path, _: u64) {
    let json = dir.join("one.json");
    let size = measure(PLAIN, len(&json), || {
        let mut packed = zstd::Encoder::new(Vec::new(), 9).expect("an encoder");
        std::io::copy(&mut File::open(&json).expect("the document"), &mut packed).expect("room");
        packed.finish().expect("room").len() as u64
    });
    println!("{:34} {:8.1} MB zst", "", mega(size));
}
