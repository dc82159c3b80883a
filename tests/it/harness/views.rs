//! What a gate shows of a subdir: records by file name, in every encoding.
//!
//! Belongs here: reading and comparing what clients read. Does not: what ought to be shown.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use serde_json::Value;

use super::client::{Answer, Request};
use super::digest::sha256_hex;
use super::gate::Gate;
use super::shards::{decode_index, decode_shard};

/// Records by file name.
pub type Records = BTreeMap<String, Value>;

/// Groups of records and what their keys lack to be file names.
const GROUPS: [(&str, &str); 6] = [
    ("/packages", ""),
    ("/packages.conda", ""),
    ("/packages.whl", ""),
    ("/v3/tar.bz2", ".tar.bz2"),
    ("/v3/conda", ".conda"),
    ("/v3/whl", ".whl"),
];

/// One subdir of one channel, as a client of `gate` sees it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Who is asked.
    pub gate: &'a Gate,
    /// `conda-forge`
    pub channel: &'a str,
    /// `linux-64`
    pub subdir: &'a str,
}

impl<'a> View<'a> {
    /// The view of a subdir.
    pub const fn of(gate: &'a Gate, channel: &'a str, subdir: &'a str) -> Self {
        Self { gate, channel, subdir }
    }

    /// A GET of one of its files.
    pub fn get(&self, file: &str) -> Answer {
        self.gate.get(&self.path(file))
    }

    /// Where one of its files is.
    pub fn path(&self, file: &str) -> String {
        format!("/{}/{}/{file}", self.channel, self.subdir)
    }

    /// `repodata.json`.
    pub fn repodata(&self) -> Value {
        serde_json::from_slice(&self.get("repodata.json").expect(200)).expect("JSON")
    }

    /// The records of `repodata.json`.
    pub fn records(&self) -> Records {
        by_file(&self.repodata())
    }

    /// `removed` of `repodata.json`.
    pub fn removed(&self) -> BTreeSet<String> {
        let removed = self.repodata()["removed"].clone();
        removed
            .as_array()
            .into_iter()
            .flatten()
            .map(|file| file.as_str().expect("a name").to_owned())
            .collect()
    }

    /// Asserts that every encoding has the same records, and gives them.
    pub fn agreed(&self) -> Records {
        let json = self.get("repodata.json").expect(200);
        let coded = Request::get(&self.path("repodata.json")).header("Accept-Encoding", "zstd");
        let coded = self.gate.ask(&coded);
        let is_coded = coded.header("content-encoding") == Some("zstd");
        let coded = coded.expect(200);
        assert!(if is_coded { unzst(&coded) } else { coded } == json, "coded {}", self.path(""));
        assert!(unzst(&self.get("repodata.json.zst").expect(200)) == json, "zst {}", self.path(""));
        assert!(unbz2(&self.get("repodata.json.bz2").expect(200)) == json, "bz2 {}", self.path(""));
        let document: Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(document["info"]["subdir"], self.subdir);
        let records = by_file(&document);
        assert_same(&self.sharded(), &records, &format!("shards {}", self.path("")));
        self.check_current(&records);
        records
    }

    /// The records of all shards, each of which is what its name says and has records of its package only.
    pub fn sharded(&self) -> Records {
        let index = decode_index(&self.get("repodata_shards.msgpack.zst").expect(200));
        let mut records = Records::new();
        for (name, digest) in index["shards"].as_object().expect("shards") {
            let digest = digest.as_str().expect("a digest");
            let shard = self.get(&format!("shards/{digest}.msgpack.zst")).expect(200);
            assert_eq!(sha256_hex(&shard), digest);
            let found = by_file(&decode_shard(&shard));
            assert!(!found.is_empty(), "an empty shard of {name}");
            for (file, record) in found {
                let own = name_of(&file, &record);
                assert!(own == name.to_lowercase(), "{file} in the shard of {name}");
                assert!(records.insert(file.clone(), record).is_none(), "{file} in two shards");
            }
        }
        records
    }

    /// `current_repodata.json`, where there is one: nothing that is not shown, and every package of the classic groups.
    fn check_current(&self, shown: &Records) {
        let Some(current) = self.beside("current_repodata.json") else { return };
        for (file, record) in &current {
            assert_eq!(shown.get(file), Some(record), "{file} in the current index {}", self.path(""));
        }
        // What has no version of its own is no choice of the old solver's.
        let is_choice = |file: &str, record: &Value| {
            (file.ends_with(".conda") || file.ends_with(".tar.bz2")) && record["version"].is_string()
        };
        let names = |records: &Records| -> BTreeSet<String> {
            let choices = records.iter().filter(|(file, record)| is_choice(file, record));
            choices.map(|(file, record)| name_of(file, record)).collect()
        };
        let v3 = self.repodata()["v3"].is_object();
        let (has, lists) = (names(shown), names(&current));
        let lacks: Vec<_> = has.difference(&lists).collect();
        assert!(v3 || lacks.is_empty(), "{lacks:?} lack in the current index {}: {shown:?}", self.path(""));
    }

    /// A document beside the index, in its plain and packed forms; `None` where there is none.
    pub fn beside(&self, file: &str) -> Option<Records> {
        let answer = self.get(file);
        let packed = self.get(&format!("{file}.zst"));
        assert_eq!(answer.status, packed.status, "{file} of {}", self.path(""));
        if answer.status == 404 {
            return None;
        }
        let json = answer.expect(200);
        assert!(unzst(&packed.expect(200)) == json, "{file}.zst of {}", self.path(""));
        Some(by_file(&serde_json::from_slice(&json).expect("JSON")))
    }
}

/// The package name of a record, in lower case.
fn name_of(file: &str, record: &Value) -> String {
    record["name"].as_str().map_or_else(|| name_in(file), str::to_owned).to_lowercase()
}

/// The package name in a conda file name.
pub fn name_in(file: &str) -> String {
    file.rsplitn(3, '-').nth(2).unwrap_or(file).to_owned()
}

/// One zstd frame, unpacked.
pub fn unzst(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::decode_all(bytes).expect("one good zstd frame")
}

/// One bzip2 stream, unpacked.
pub fn unbz2(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bzip2::read::BzDecoder::new(bytes).read_to_end(&mut out).expect("one good bzip2 stream");
    out
}

/// The records of a document by file name.
pub fn by_file(document: &Value) -> Records {
    let mut records = Records::new();
    for (pointer, extension) in GROUPS {
        // Only the slash at the front divides: keys of groups have dots, not slashes.
        let group = document.pointer(pointer).and_then(Value::as_object);
        for (key, record) in group.into_iter().flatten() {
            let file = format!("{key}{extension}");
            assert!(records.insert(file.clone(), record.clone()).is_none(), "{file} stands twice");
        }
    }
    records
}

/// Asserts that two sets of records are the same, and says where they are not.
pub fn assert_same(found: &Records, expected: &Records, what: &str) {
    if let Some(difference) = difference(found, expected) {
        panic!("{what}: {difference}");
    }
}

/// Where two sets of records differ, if they do.
pub fn difference(found: &Records, expected: &Records) -> Option<String> {
    for (file, record) in expected {
        match found.get(file) {
            Some(other) if other == record => {}
            Some(other) => return Some(format!("{file} is\n  {other}\nand should be\n  {record}")),
            None => return Some(format!("{file} is not there")),
        }
    }
    let more = found.keys().find(|file| !expected.contains_key(*file))?;
    Some(format!("{more} should not be there: {}", found[more]))
}
