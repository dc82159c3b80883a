//! A subdir of the random upstream: its documents, how they change, and what a gate that reads them comes to know.
//!
//! Belongs here: publishing, first sightings, files that left. Does not: what rules make of it (`oracle`).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::oracle::Facts;
use super::packages::{Form, MARKER, NAMES, Package, package};
use crate::harness::archive::{noise, zstd_of};
use crate::harness::channel::{shard_index, write_value};
use crate::harness::digest::{md5_hex, sha256_hex};
use crate::harness::views::name_in;
use crate::harness::{File, Upstream};

/// What upstream has of its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Zst,
    OnlyJson,
    WithShards,
    ShardsOnly,
}

/// A file and its last record, and since when the gate has known it.
#[derive(Clone, Debug)]
struct Seen {
    package: Package,
    at: i64,
    /// The gate saw it come: it was not there when the gate met the subdir.
    came: bool,
}

/// A subdir, as upstream has it and as the gate knows it.
#[derive(Clone, Debug)]
pub struct Place {
    /// `one/noarch`, the path on the upstream.
    pub path: String,
    pub channel: Vec<&'static str>,
    pub subdir: &'static str,
    mode: Mode,
    edition: u32,
    packages: BTreeMap<String, Package>,
    pub removed: BTreeSet<String>,
    /// Files that run_exports.json and repodata_from_packages.json list, where there are any.
    beside: [Option<BTreeSet<String>>; 2],
    /// The content of every file that ever was, listed or not.
    pub files: BTreeMap<String, Vec<u8>>,
    listed: BTreeMap<String, Seen>,
    departed: BTreeMap<String, Seen>,
    sightings: BTreeMap<(String, String), (i64, bool)>,
    /// Unlisted files that a gate has had.
    pub fetched: BTreeSet<String>,
}

/// What happens to a document.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// A package leaves, and `removed` says so or not.
    Leave(usize, bool),
    Come(Package),
    /// Other bytes under the same name.
    Again(usize),
}

/// What a place is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    packages: Vec<Package>,
    strays: Vec<(&'static str, u8)>,
    removed: Vec<(&'static str, u8)>,
    beside: [Option<u64>; 2],
}

impl Plan {
    /// A subdir of 5 to 12 packages, files in no index, names that `removed` has.
    pub fn any() -> impl Strategy<Value = Self> {
        let named = || proptest::collection::vec((select(NAMES), 0..2_u8), 1..3);
        let beside = || proptest::option::weighted(0.7, any::<u64>());
        (proptest::collection::vec(package(), 5..12), named(), named(), [beside(), beside()])
            .prop_map(|(packages, strays, removed, beside)| Self { packages, strays, removed, beside })
    }
}

/// One of many, by a bit of `seed`.
fn picked(seed: u64, at: usize) -> bool {
    seed >> (at % 64) & 1 == 1
}

impl Place {
    pub fn new(channel: Vec<&'static str>, subdir: &'static str, mode: Mode, plan: &Plan) -> Self {
        let path = format!("{}/{subdir}", channel[0]);
        let packages = plan.packages.iter().map(|p| (p.file(), p.clone()));
        let named = |version: u8, list: &[(&str, u8)]| -> BTreeSet<String> {
            list.iter().map(|(name, build)| format!("{name}-{version}.0-b{build}.conda")).collect()
        };
        let removed = named(77, &plan.removed);
        let packages: BTreeMap<String, Package> = packages.collect();
        let classic = packages.keys().filter(|file| is_classic(&packages[*file]));
        let mut all: Vec<_> = classic.cloned().collect();
        all.push("unknown-1.0-b0.conda".to_owned());
        let beside = plan.beside.map(|seed| {
            let seed = seed?;
            Some(all.iter().enumerate().filter(|(at, _)| picked(seed, *at)).map(|(_, f)| f.clone()).collect())
        });
        let strays = named(99, &plan.strays);
        // Other bytes in every place, so that they tell where they are from.
        let bytes = |file: &String| noise(&format!("{path}/{file}"), 1_200);
        let files = strays.iter().chain(&removed).map(|file| (file.clone(), bytes(file))).collect();
        Self {
            path,
            channel,
            subdir,
            mode,
            edition: 0,
            packages,
            removed,
            beside,
            files,
            listed: BTreeMap::new(),
            departed: BTreeMap::new(),
            sightings: BTreeMap::new(),
            fetched: BTreeSet::new(),
        }
    }

    /// SHA-256 and MD5 of its files.
    pub fn digests(&self) -> Vec<(String, String)> {
        let of = |bytes: &[u8]| (sha256_hex(bytes), md5_hex(bytes));
        let listed = self.packages.values().map(|p| of(&p.bytes(&self.path)));
        listed.chain(self.files.values().map(|bytes| of(bytes))).collect()
    }

    /// Names of its files.
    pub fn names(&self) -> Vec<String> {
        self.packages.keys().chain(self.files.keys()).cloned().collect()
    }

    pub const fn edition(&self) -> u32 {
        self.edition
    }

    pub fn change(&mut self, mutations: &[Mutation]) {
        for mutation in mutations {
            let at = |which: usize| self.packages.keys().nth(which % self.packages.len().max(1)).cloned();
            match mutation {
                Mutation::Leave(which, says) => {
                    let Some(file) = at(*which).filter(|file| !file.starts_with(MARKER)) else { continue };
                    self.packages.remove(&file);
                    if *says {
                        self.removed.insert(file);
                    }
                }
                Mutation::Come(package) => {
                    let file = package.file();
                    if package.is_vouched_for() || !self.files.contains_key(&file) {
                        self.removed.remove(&file);
                        self.packages.entry(file).or_insert_with(|| package.clone());
                    }
                }
                Mutation::Again(which) => {
                    let file = at(*which).filter(|file| !file.starts_with(MARKER));
                    if let Some(package) = file.and_then(|file| self.packages.get_mut(&file)) {
                        // Without a digest nobody can tell at once that it is another file.
                        package.revision += u8::from(package.is_vouched_for());
                    }
                }
            }
        }
    }

    /// Puts a new edition on the upstream.
    pub fn publish(&mut self, upstream: &Upstream) {
        self.edition += 1;
        self.packages.retain(|file, _| !file.starts_with(MARKER));
        let marker = Package::marker(self.edition);
        self.packages.insert(marker.file(), marker);
        for (file, package) in &self.packages {
            self.files.insert(file.clone(), package.bytes(&self.path));
        }
        for (file, bytes) in &self.files {
            upstream.put(&format!("/{}/{file}", self.path), bytes.clone());
        }
        let put = |file: &str, document: &Value| {
            let path = format!("/{}/{file}", self.path);
            upstream.put_file(&path, File::new(document.to_string()));
            if self.mode != Mode::OnlyJson {
                upstream.put(&format!("{path}.zst"), zstd_of(document.to_string().as_bytes()));
            }
        };
        if self.mode != Mode::ShardsOnly {
            put("repodata.json", &self.document(&self.packages.values().collect::<Vec<_>>()));
        }
        if matches!(self.mode, Mode::WithShards | Mode::ShardsOnly) {
            self.publish_shards(upstream);
        }
        for which in [0, 1] {
            if let Some(document) = self.document_beside(which) {
                put(["run_exports.json", "repodata_from_packages.json"][which], &document);
            }
        }
    }

    fn document(&self, packages: &[&Package]) -> Value {
        let mut document = json!({"info": {"subdir": self.subdir}, "packages": {}, "packages.conda": {}});
        for package in packages {
            let record = Value::Object(package.record(&self.path));
            let group = match package.form {
                Form::Conda => &mut document["packages.conda"],
                Form::TarBz2 => &mut document["packages"],
                Form::Whl => &mut document["packages.whl"],
                Form::V3Conda => &mut document["v3"]["conda"],
                Form::V3Whl => &mut document["v3"]["whl"],
                Form::V3TarBz2 => &mut document["v3"]["tar.bz2"],
            };
            group[package.key()] = record;
        }
        document["removed"] = json!(self.removed);
        document["repodata_version"] = json!(1);
        document
    }

    fn publish_shards(&self, upstream: &Upstream) {
        let mut by_name: BTreeMap<String, Vec<&Package>> = BTreeMap::new();
        for package in self.packages.values() {
            by_name.entry(package.name.to_lowercase()).or_default().push(package);
        }
        // A list of all removed files in every shard would be odd; each has those of its package.
        for file in &self.removed {
            by_name.entry(name_in(file).to_lowercase()).or_default();
        }
        let mut digests = Vec::new();
        for (name, packages) in by_name {
            let mut document = self.document(&packages);
            let members = document.as_object_mut().expect("an object");
            members.remove("info");
            members.remove("repodata_version");
            let own = self.removed.iter().filter(|file| name_in(file).to_lowercase() == name);
            members.insert("removed".to_owned(), own.cloned().collect());
            let mut packed = Vec::new();
            write_value(&mut packed, &document);
            let shard = zstd_of(&packed);
            let digest = sha256_hex(&shard);
            upstream.put(&format!("/{}/shards/{digest}.msgpack.zst", self.path), shard);
            digests.push((name, digest));
        }
        let index = shard_index(self.subdir, "./shards/", "", &digests);
        upstream.put(&format!("/{}/repodata_shards.msgpack.zst", self.path), zstd_of(&index));
    }

    /// `run_exports.json` (0) or `repodata_from_packages.json` (1) of upstream.
    fn document_beside(&self, which: usize) -> Option<Value> {
        let records = self.records_beside(which)?;
        let mut document = json!({"info": {"subdir": self.subdir}, "packages": {}, "packages.conda": {}});
        for (file, record) in records {
            let group = if file.ends_with(".conda") { "packages.conda" } else { "packages" };
            document[group][file] = record;
        }
        Some(document)
    }

    /// The records in that document.
    pub fn records_beside(&self, which: usize) -> Option<BTreeMap<String, Value>> {
        let files = self.beside[which].as_ref()?.iter();
        let record = |file: &String| match self.packages.get(file) {
            Some(package) if which == 1 && package.flaw.is_none() => {
                Value::Object(package.record(&self.path))
            }
            _ => json!({"name": name_in(file), "run_exports": {"weak": [file]}}),
        };
        Some(files.map(|file| (file.clone(), record(file))).collect())
    }

    /// The gate reads the edition that is on the upstream at `now`.
    pub fn observe(&mut self, now: i64) {
        let is_met = !self.listed.is_empty();
        let mut listed = BTreeMap::new();
        for (file, package) in self.packages.iter().filter(|(_, package)| package.flaw.is_none()) {
            let digest = self.identity(package);
            let first = || {
                let says = package.indexed.and_then(super::packages::Stamp::moment);
                let built = package.timestamp.and_then(super::packages::Stamp::moment);
                let at = if is_met { now } else { says.or(built).unwrap_or(now).min(now) };
                (at, is_met)
            };
            let (at, came) = *self.sightings.entry((file.clone(), digest)).or_insert_with(first);
            listed.insert(file.clone(), Seen { package: package.clone(), at, came });
        }
        let before = std::mem::replace(&mut self.listed, listed);
        self.departed.extend(before);
        self.departed.retain(|file, _| !self.listed.contains_key(file));
    }

    /// What tells a file from others of its name.
    fn identity(&self, package: &Package) -> String {
        let bytes = package.bytes(&self.path);
        match package.says {
            [true, ..] => sha256_hex(&bytes),
            [false, true, _] => md5_hex(&bytes),
            _ => String::new(),
        }
    }

    /// The records of upstream's index, each with what a gate that has read it knows of its file.
    pub fn records(&self) -> impl Iterator<Item = (Map<String, Value>, Facts)> + '_ {
        self.listed.values().map(|seen| {
            let mut record = seen.package.record(&self.path);
            let says = seen.package.indexed.filter(|s| matches!(s, super::packages::Stamp::Millis(_)));
            let says = says
                .and_then(super::packages::Stamp::moment)
                .filter(|says| *says == seen.at || (!seen.came && *says < seen.at));
            record.insert("indexed_timestamp".to_owned(), json!(says.unwrap_or(seen.at)));
            (record, self.facts_of(seen, false))
        })
    }

    /// What is known of a file that is downloaded; whether a record of it is. Where the record does not say its digest, its bytes do.
    pub fn facts(&self, file: &str, lenient: bool) -> (Facts, bool) {
        let of_bytes = |seen: &Seen, removed: bool| {
            let mut facts = self.facts_of(seen, removed);
            facts.sha256.get_or_insert_with(|| sha256_hex(&seen.package.bytes(&self.path)));
            (facts, true)
        };
        if let Some(seen) = self.listed.get(file) {
            return of_bytes(seen, false);
        }
        let removed = self.removed.contains(file);
        if let Some(seen) = self.departed.get(file) {
            return of_bytes(seen, removed);
        }
        let (name, version, build) = parts(file);
        let had = self.files.get(file).filter(|_| self.fetched.contains(file));
        let facts = Facts {
            channel: self.channel.clone(),
            subdir: self.subdir,
            file: file.to_owned(),
            name: name.to_owned(),
            version: Some(version.to_owned()),
            build: build.to_owned(),
            size: had.map(|bytes| bytes.len() as u64),
            sha256: had.map(|bytes| sha256_hex(bytes)),
            seen: lenient.then_some(0),
            removed,
            ..Facts::default()
        };
        (facts, false)
    }

    fn facts_of(&self, Seen { package, at, .. }: &Seen, removed: bool) -> Facts {
        let bytes = package.bytes(&self.path);
        let [sha256, md5, size] = package.says;
        Facts {
            channel: self.channel.clone(),
            subdir: self.subdir,
            file: package.file(),
            name: package.name.to_owned(),
            version: Some(package.version.clone()),
            build: package.build_string(),
            license: package.license,
            family: package.family,
            depends: package.depends.clone(),
            size: size.then_some(package.size as u64),
            sha256: sha256.then(|| sha256_hex(&bytes)),
            md5: md5.then(|| md5_hex(&bytes)),
            seen: Some(*at),
            removed,
        }
    }
}

/// Name, version and build, as a file name tells them.
fn parts(file: &str) -> (&str, &str, &str) {
    if let Some(wheel) = file.strip_suffix(".whl") {
        let words: Vec<_> = wheel.split('-').collect();
        return (words[0], words[1], words[words.len() - 1]);
    }
    let stem = file.strip_suffix(".conda").or_else(|| file.strip_suffix(".tar.bz2")).expect("an archive");
    let (rest, build) = stem.rsplit_once('-').expect("a build");
    let (name, version) = rest.rsplit_once('-').expect("a version");
    (name, version, build)
}

fn is_classic(package: &Package) -> bool {
    matches!(package.form, Form::Conda | Form::TarBz2)
}

/// Some mutations.
pub fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let one = prop_oneof![
        3 => (0..20_usize, any::<bool>()).prop_map(|(which, says)| Mutation::Leave(which, says)),
        3 => package().prop_map(Mutation::Come),
        2 => (0..20_usize).prop_map(Mutation::Again),
    ];
    proptest::collection::vec(one, 1..6)
}
