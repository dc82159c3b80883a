//! Random packages: what upstream says of them, and their bytes.
//!
//! Belongs here: one package. Does not: the documents it stands in (`places`), what rules say of it (`oracle`).

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use crate::harness::archive::noise;
use crate::harness::digest::{md5_hex, sha256_hex};
use crate::harness::gate::START;

pub const NAMES: &[&str] = &["alpha", "alpine", "beta", "gamma", "x264", "Mixed"];
pub const VERSIONS: &[&str] = &["1.0", "2.0", "10.0"];
pub const MARKER: &str = "zz-marker";
/// Texts of licenses, each with the ways to satisfy it.
pub const LICENSES: &[(&str, &[&[&str]])] = &[
    ("MIT", &[&["MIT"]]),
    ("GPL-3.0-only", &[&["GPL-3.0-only"]]),
    ("GPL-3.0", &[&["GPL-3.0-only"]]),
    ("GPL-3.0-only OR MIT", &[&["GPL-3.0-only"], &["MIT"]]),
    ("MIT AND GPL-3.0-only", &[&["MIT", "GPL-3.0-only"]]),
    ("Proprietary", &[&["Proprietary"]]),
    ("An odd, free text!", &[&["An odd, free text!"]]),
];
const FAMILIES: &[&str] = &["GPL", "MIT", "PROPRIETARY"];
const DEPENDS: &[&str] = &["dep-a", "dep-a >=1", "dep-a >=2,<3", "dep-b 1.*", "python"];
pub const DAY: i64 = 24 * 3600 * 1000;

/// Where a record stands, and with it what its file is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Conda,
    TarBz2,
    Whl,
    V3Conda,
    V3Whl,
    V3TarBz2,
}

/// A moment in a record, in half days before the test begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stamp {
    Millis(i64),
    Seconds(i64),
    Future,
    Text,
}

/// What makes a record one that some client can't read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    Lacks(&'static str),
    Has(&'static str, &'static str),
}

const FLAWS: &[Flaw] = &[
    Flaw::Lacks("name"),
    Flaw::Lacks("version"),
    Flaw::Lacks("build"),
    Flaw::Lacks("build_number"),
    Flaw::Has("version", "\"no version\""),
    Flaw::Has("depends", "\"dep-a\""),
    Flaw::Has("constrains", "[1]"),
    Flaw::Has("license", "[\"MIT\"]"),
    Flaw::Has("size", "\"5\""),
    Flaw::Has("sha256", "\"00\""),
    Flaw::Has("noarch", "\"other\""),
    Flaw::Has("timestamp", "\"yesterday\""),
];

impl Flaw {
    fn spoil(self, record: &mut Map<String, Value>) {
        match self {
            Self::Lacks(key) => drop(record.remove(key)),
            Self::Has(key, value) => {
                record.insert(key.to_owned(), serde_json::from_str(value).expect("a value"));
            }
        }
    }
}

impl Stamp {
    fn json(self) -> Value {
        match self {
            Self::Millis(_) | Self::Future => json!(self.moment()),
            Self::Seconds(_) => json!(self.moment().unwrap() / 1000),
            Self::Text => json!("yesterday"),
        }
    }

    /// What it means in milliseconds.
    pub fn moment(self) -> Option<i64> {
        match self {
            Self::Millis(ago) | Self::Seconds(ago) => Some(START.0 - ago * DAY / 2),
            Self::Future => Some(START.0 + 400 * DAY),
            Self::Text => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Package {
    pub name: &'static str,
    pub version: String,
    pub build: u8,
    pub form: Form,
    pub license: Option<usize>,
    pub family: Option<&'static str>,
    pub depends: Vec<&'static str>,
    pub size: usize,
    pub timestamp: Option<Stamp>,
    pub indexed: Option<Stamp>,
    /// Another number, other bytes under the same name.
    pub revision: u8,
    /// Whether its record says so: SHA-256, MD5, size.
    pub says: [bool; 3],
    /// What is wrong with its record, if anything is: then it is in no index.
    pub flaw: Option<Flaw>,
}

impl Package {
    /// A package that is there to tell which edition of a document and of the rules an index is made of.
    pub fn marker(edition: u32) -> Self {
        Self {
            name: MARKER,
            version: format!("{edition}.0"),
            build: 0,
            form: Form::Conda,
            license: None,
            family: None,
            depends: Vec::new(),
            size: 100,
            timestamp: None,
            indexed: None,
            revision: 0,
            says: [true; 3],
            flaw: None,
        }
    }

    /// Its key in its group.
    pub fn key(&self) -> String {
        let Self { name, version, build, .. } = self;
        match self.form {
            Form::Conda => format!("{name}-{version}-b{build}.conda"),
            Form::TarBz2 => format!("{name}-{version}-b{build}.tar.bz2"),
            Form::Whl => format!("{name}-{version}-b{build}-none-any.whl"),
            // Builds of their own, so that no file stands in two groups.
            Form::V3Conda | Form::V3TarBz2 => format!("{name}-{version}-v{build}"),
            Form::V3Whl => format!("{name}-{version}-v{build}-none-any"),
        }
    }

    pub fn file(&self) -> String {
        let extension = match self.form {
            Form::V3Conda => ".conda",
            Form::V3TarBz2 => ".tar.bz2",
            Form::V3Whl => ".whl",
            Form::Conda | Form::TarBz2 | Form::Whl => "",
        };
        format!("{}{extension}", self.key())
    }

    /// Whether the gate has a digest for its file; without one nobody can tell at once that other bytes are another file.
    pub fn is_vouched_for(&self) -> bool {
        self.flaw.is_none() && (self.says[0] || self.says[1])
    }

    fn is_wheel(&self) -> bool {
        matches!(self.form, Form::Whl | Form::V3Whl)
    }

    pub fn build_string(&self) -> String {
        format!("b{}", self.build)
    }

    /// The file.
    pub fn bytes(&self, place: &str) -> Vec<u8> {
        noise(&format!("{place}/{}/{}", self.file(), self.revision), self.size)
    }

    /// Its record in a subdir of upstream.
    pub fn record(&self, place: &str) -> Map<String, Value> {
        let bytes = self.bytes(place);
        let subdir = place.rsplit('/').next().unwrap_or_default();
        let [sha256, md5, size] = self.says;
        let mut record = Map::new();
        let mut put = |key: &str, value: Option<Value>| record.extend(value.map(|v| (key.to_owned(), v)));
        put("build", Some(json!(self.build_string())));
        put("build_number", Some(json!(self.build)));
        put("constrains", (self.size > 500).then(|| json!(["old <1", "kept >=2"])));
        put("depends", Some(json!(self.depends)));
        put("indexed_timestamp", self.indexed.map(Stamp::json));
        put("license", self.license.map(|at| json!(LICENSES[at].0)));
        put("license_family", self.family.map(|family| json!(family)));
        put("md5", md5.then(|| json!(md5_hex(&bytes))));
        put("name", Some(json!(self.name)));
        put("sha256", sha256.then(|| json!(sha256_hex(&bytes))));
        put("size", size.then(|| json!(bytes.len())));
        put("subdir", Some(json!(subdir)));
        put("timestamp", self.timestamp.map(Stamp::json));
        put("track_features", (self.build == 1).then(|| json!("slow")));
        put("url", self.is_wheel().then(|| json!(self.file())));
        put("version", Some(json!(self.version)));
        if let Some(flaw) = self.flaw {
            flaw.spoil(&mut record);
        }
        record
    }
}

fn stamp(others: bool) -> impl Strategy<Value = Stamp> {
    let ago = select(&[1_i64, 5, 9, 41][..]);
    let odd = if others { vec![Stamp::Future, Stamp::Text] } else { vec![Stamp::Seconds(9)] };
    prop_oneof![3 => ago.clone().prop_map(Stamp::Millis), 1 => ago.prop_map(Stamp::Seconds), 1 => select(odd)]
}

/// A package.
pub fn package() -> impl Strategy<Value = Package> {
    let form = prop_oneof![
        5 => Just(Form::Conda),
        3 => Just(Form::TarBz2),
        1 => select(&[Form::Whl, Form::V3Conda, Form::V3Whl, Form::V3TarBz2][..]),
    ];
    let often = || proptest::bool::weighted(0.9);
    let identity = (select(NAMES), select(VERSIONS), 0..2_u8, form);
    let meaning = (
        proptest::option::weighted(0.9, 0..LICENSES.len()),
        proptest::option::of(select(FAMILIES)),
        subsequence(DEPENDS, 0..3),
        select(&[100_usize, 900, 1_500, 2_500][..]),
    );
    let moments =
        (proptest::option::weighted(0.8, stamp(false)), proptest::option::weighted(0.4, stamp(true)));
    (identity, meaning, moments, [often(), often(), often()], proptest::option::weighted(0.08, select(FLAWS)))
        .prop_map(
            |(
                (name, version, build, form),
                (license, family, depends, size),
                (timestamp, indexed),
                says,
                flaw,
            )| {
                let version = version.to_owned();
                let revision = 0;
                Package {
                    name,
                    version,
                    build,
                    form,
                    license,
                    family,
                    depends,
                    size,
                    timestamp,
                    indexed,
                    revision,
                    says,
                    flaw,
                }
            },
        )
}
