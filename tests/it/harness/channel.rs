//! Small valid conda channels made in memory and put on a scripted upstream.
//!
//! Belongs here: packages with their records, every index document of a subdir. Does not: archives (`archive`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::archive::{Member, bz2_of, conda, info, noise, tar_bz2, zstd_of};
use super::digest::{md5_hex, sha256_hex};
use super::upstream::{File, Upstream};

/// A package: its file and its record.
#[derive(Clone, Debug)]
pub struct Package {
    /// File name.
    pub file: String,
    /// The archive.
    pub bytes: Vec<u8>,
    /// What repodata says about it.
    pub record: Map<String, Value>,
}

/// What a package is made from.
#[derive(Clone, Debug)]
pub struct Recipe {
    name: String,
    version: String,
    depends: Vec<String>,
    payload: usize,
    old_format: bool,
    about: bool,
    files: Vec<(String, String)>,
}

/// A recipe for a small `.conda` package without dependencies.
pub fn package(name: &str, version: &str) -> Recipe {
    Recipe {
        name: name.to_owned(),
        version: version.to_owned(),
        depends: Vec::new(),
        payload: 1_000,
        old_format: false,
        about: false,
        files: Vec::new(),
    }
}

impl Recipe {
    /// With a dependency.
    pub fn needs(mut self, spec: &str) -> Self {
        self.depends.push(spec.to_owned());
        self
    }

    /// With so many incompressible bytes in it.
    pub fn payload(mut self, bytes: usize) -> Self {
        self.payload = bytes;
        self
    }

    /// As `.tar.bz2`.
    pub fn tar_bz2(mut self) -> Self {
        self.old_format = true;
        self
    }

    /// With a text file in it.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// With `info/about.json`, which clients that publish look into.
    pub fn about(mut self) -> Self {
        self.about = true;
        self
    }

    /// Makes the archive and its record for a subdir.
    pub fn build(&self, subdir: &str) -> Package {
        let Self { name, version, depends, .. } = self;
        let mut index = Map::new();
        index.insert("build".into(), json!("0"));
        index.insert("build_number".into(), json!(0));
        index.insert("depends".into(), json!(depends));
        index.insert("license".into(), json!("Apache-2.0"));
        index.insert("name".into(), json!(name));
        if subdir == "noarch" {
            index.insert("noarch".into(), json!("generic"));
        }
        index.insert("subdir".into(), json!(subdir));
        index.insert("timestamp".into(), json!(1_760_000_000_000_u64));
        index.insert("version".into(), json!(version));
        let stem = format!("{name}-{version}-0");
        let mut content = vec![Member::new(&format!("share/{name}/payload.bin"), noise(&stem, self.payload))];
        content.extend(self.files.iter().map(|(path, text)| Member::new(path, text.as_str())));
        let mut meta = info(&Value::Object(index.clone()), &content);
        if self.about {
            meta.push(Member::new("info/about.json", json!({"summary": "A test"}).to_string()));
        }
        let (file, bytes) = if self.old_format {
            (format!("{stem}.tar.bz2"), tar_bz2(&meta, &content))
        } else {
            (format!("{stem}.conda"), conda(&stem, &meta, &content))
        };
        index.insert("md5".into(), json!(md5_hex(&bytes)));
        index.insert("sha256".into(), json!(sha256_hex(&bytes)));
        index.insert("size".into(), json!(bytes.len()));
        Package { file, bytes, record: index }
    }
}

/// Where the shards of a subdir lie.
#[derive(Clone, Debug)]
pub enum Shards {
    /// There is no shard index.
    None,
    /// `info.shards_base_url` (and `info.base_url`) as given; the files lie under `shards/`.
    At {
        /// `info.shards_base_url`
        shards_base_url: String,
        /// `info.base_url`
        base_url: String,
    },
}

/// A channel being made up.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its path on the upstream, without slashes at the ends.
    pub name: String,
    subdirs: BTreeMap<String, Vec<Package>>,
    shards: Shards,
    info: Map<String, Value>,
    only_json: bool,
}

impl Channel {
    /// A channel with an empty `noarch`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            subdirs: BTreeMap::from([("noarch".to_owned(), Vec::new())]),
            shards: Shards::None,
            info: Map::new(),
            only_json: false,
        }
    }

    /// With a package.
    pub fn with(mut self, subdir: &str, recipe: &Recipe) -> Self {
        self.subdirs.entry(subdir.to_owned()).or_default().push(recipe.build(subdir));
        self
    }

    /// With a package whose record is changed afterwards (digests left out, wrong size, …).
    pub fn with_record(
        mut self,
        subdir: &str,
        recipe: &Recipe,
        edit: impl FnOnce(&mut Map<String, Value>),
    ) -> Self {
        let mut package = recipe.build(subdir);
        edit(&mut package.record);
        self.subdirs.entry(subdir.to_owned()).or_default().push(package);
        self
    }

    /// The same packages under another name.
    pub fn renamed(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// Without `noarch`.
    pub fn without_noarch(mut self) -> Self {
        self.subdirs.remove("noarch");
        self
    }

    /// With one more key in every `info` of repodata.
    pub fn info(mut self, key: &str, value: Value) -> Self {
        self.info.insert(key.to_owned(), value);
        self
    }

    /// With a shard index as `rattler-index` writes it.
    pub fn sharded(self) -> Self {
        self.sharded_at("./shards/", "")
    }

    /// With a shard index that names these base URLs.
    pub fn sharded_at(mut self, shards_base_url: &str, base_url: &str) -> Self {
        self.shards =
            Shards::At { shards_base_url: shards_base_url.to_owned(), base_url: base_url.to_owned() };
        self
    }

    /// Publishes `.json` only: no `.zst`, no `.bz2`.
    pub fn only_json(mut self) -> Self {
        self.only_json = true;
        self
    }

    /// The package with a name.
    pub fn get(&self, name: &str) -> &Package {
        let mut all = self.subdirs.values().flatten();
        all.find(|p| p.record["name"] == name).unwrap_or_else(|| panic!("no package {name}"))
    }

    /// The path of a package on the upstream, and on the gate.
    pub fn path(&self, name: &str) -> String {
        let package = self.get(name);
        let subdir = package.record["subdir"].as_str().expect("a subdir");
        format!("/{}/{subdir}/{}", self.name, package.file)
    }

    /// The path of any file of a subdir.
    pub fn at(&self, subdir: &str, file: &str) -> String {
        format!("/{}/{subdir}/{file}", self.name)
    }

    /// `repodata.json` of a subdir.
    pub fn repodata(&self, subdir: &str) -> Value {
        let mut info = self.info.clone();
        info.insert("subdir".into(), json!(subdir));
        let (old, new) = self.records(&self.subdirs[subdir]);
        json!({"info": info, "packages": old, "packages.conda": new, "removed": [], "repodata_version": 1})
    }

    /// The same as a gate shows it that met the channel as it is: with the moment of first sighting in every record (CEP 47).
    pub fn shown(&self, subdir: &str) -> Value {
        let mut document = self.repodata(subdir);
        for group in ["packages", "packages.conda"] {
            for (_, record) in document[group].as_object_mut().expect("a group") {
                if record["indexed_timestamp"].is_null() {
                    record["indexed_timestamp"] = record["timestamp"].clone();
                }
            }
        }
        document
    }

    #[expect(clippy::unused_self, reason = "reads as a part of the channel")]
    fn records(&self, packages: &[Package]) -> (Map<String, Value>, Map<String, Value>) {
        let records = |ending: &str| {
            let mut chosen: Vec<_> = packages.iter().filter(|p| p.file.ends_with(ending)).collect();
            chosen.sort_by(|a, b| a.file.cmp(&b.file));
            chosen.iter().map(|p| (p.file.clone(), Value::Object(p.record.clone()))).collect()
        };
        (records(".tar.bz2"), records(".conda"))
    }

    /// Puts everything on the upstream.
    pub fn publish(&self, upstream: &Upstream) -> &Self {
        for (subdir, packages) in &self.subdirs {
            for package in packages {
                upstream.put(&self.at(subdir, &package.file), package.bytes.clone());
            }
            self.publish_index(upstream, subdir);
        }
        let names: Map<String, Value> =
            self.subdirs.values().flatten().map(|p| (p.record["name"].to_string(), json!({}))).collect();
        let channeldata = json!({"channeldata_version": 1, "packages": names, "subdirs": []});
        upstream.put(&format!("/{}/channeldata.json", self.name), channeldata.to_string());
        self
    }

    fn publish_index(&self, upstream: &Upstream, subdir: &str) {
        let mut current = self.repodata(subdir);
        current["info"]["current"] = json!(true);
        let repodata = self.repodata(subdir).to_string();
        let run_exports =
            json!({"info": {"subdir": subdir, "version": 0}, "packages": {}, "packages.conda": {}});
        self.publish_packed(upstream, subdir, "repodata.json", &repodata);
        self.publish_packed(upstream, subdir, "current_repodata.json", &current.to_string());
        self.publish_packed(upstream, subdir, "run_exports.json", &run_exports.to_string());
        if let Shards::At { shards_base_url, base_url } = &self.shards {
            self.publish_shards(upstream, subdir, shards_base_url, base_url);
        }
    }

    fn publish_packed(&self, upstream: &Upstream, subdir: &str, file: &str, text: &str) {
        let path = self.at(subdir, file);
        let json = File { content_type: "application/json".to_owned(), ..File::new(text.to_owned()) };
        upstream.put_file(&path, json);
        if !self.only_json {
            upstream.put(&format!("{path}.zst"), zstd_of(text.as_bytes()));
            upstream.put(&format!("{path}.bz2"), bz2_of(text.as_bytes()));
        }
    }

    fn publish_shards(&self, upstream: &Upstream, subdir: &str, shards_base_url: &str, base_url: &str) {
        let mut by_name: BTreeMap<String, Vec<Package>> = BTreeMap::new();
        for package in &self.subdirs[subdir] {
            let name = package.record["name"].as_str().expect("a name").to_owned();
            by_name.entry(name).or_default().push(package.clone());
        }
        let mut digests = Vec::new();
        for (name, packages) in by_name {
            let shard = zstd_of(&self.shard(&packages));
            let digest = sha256_hex(&shard);
            upstream.put(&self.at(subdir, &format!("shards/{digest}.msgpack.zst")), shard);
            digests.push((name, digest));
        }
        let index = shard_index(subdir, shards_base_url, base_url, &digests);
        upstream.put(&self.at(subdir, "repodata_shards.msgpack.zst"), zstd_of(&index));
    }

    fn shard(&self, packages: &[Package]) -> Vec<u8> {
        let (old, new) = self.records(packages);
        let mut out = Vec::new();
        let shard = json!({"packages": old, "packages.conda": new, "removed": []});
        write_value(&mut out, &shard);
        out
    }
}

/// The msgpack of a shard index (CEP 16).
pub fn shard_index(
    subdir: &str,
    shards_base_url: &str,
    base_url: &str,
    digests: &[(String, String)],
) -> Vec<u8> {
    let mut out = Vec::new();
    let info = json!({"base_url": base_url, "shards_base_url": shards_base_url, "subdir": subdir,
        "created_at": "2026-11-03T10:00:00Z"});
    rmp::encode::write_map_len(&mut out, 3).expect("msgpack");
    rmp::encode::write_str(&mut out, "version").expect("msgpack");
    rmp::encode::write_uint(&mut out, 1).expect("msgpack");
    rmp::encode::write_str(&mut out, "info").expect("msgpack");
    write_value(&mut out, &info);
    rmp::encode::write_str(&mut out, "shards").expect("msgpack");
    rmp::encode::write_map_len(&mut out, u32::try_from(digests.len()).expect("few")).expect("msgpack");
    for (name, digest) in digests {
        rmp::encode::write_str(&mut out, name).expect("msgpack");
        rmp::encode::write_bin(&mut out, &hex::decode(digest).expect("hex")).expect("msgpack");
    }
    out
}

/// A JSON value as msgpack; digests become raw bytes as CEP 16 wants them.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => rmp::encode::write_nil(out).expect("msgpack"),
        Value::Bool(b) => rmp::encode::write_bool(out, *b).expect("msgpack"),
        Value::Number(n) => {
            rmp::encode::write_uint(out, n.as_u64().expect("no fractions in records")).expect("msgpack");
        }
        Value::String(s) => rmp::encode::write_str(out, s).expect("msgpack"),
        Value::Array(items) => {
            rmp::encode::write_array_len(out, u32::try_from(items.len()).expect("few")).expect("msgpack");
            for item in items {
                write_value(out, item);
            }
        }
        Value::Object(map) => {
            rmp::encode::write_map_len(out, u32::try_from(map.len()).expect("few")).expect("msgpack");
            for (key, item) in map {
                rmp::encode::write_str(out, key).expect("msgpack");
                match (key.as_str(), item) {
                    ("sha256" | "md5", Value::String(digest)) => {
                        rmp::encode::write_bin(out, &hex::decode(digest).expect("hex")).expect("msgpack");
                    }
                    _ => write_value(out, item),
                }
            }
        }
    }
}
