//! Archives for the tests, honest and hostile, each deterministic.

use std::io::{Seek as _, Write as _};

use serde_json::{Value, json};

use crate::channel::inspect::{Digests, InspectError, Inspected, Limits, inspect};
use crate::conda::archive::ArchiveName;
use crate::conda::digest::{Md5, Sha256};

/// A member of a tar archive, headers and all.
#[derive(Clone, Debug)]
pub struct Entry {
    pub header: [u8; 512],
    pub bytes: Vec<u8>,
}

impl Entry {
    /// Of any type.
    pub fn new(kind: u8, path: &str, link: &str, bytes: &[u8]) -> Self {
        let mut header = [0_u8; 512];
        header[..path.len()].copy_from_slice(path.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[136..147].copy_from_slice(b"14000000000");
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        Self { header, bytes: bytes.to_vec() }
    }

    pub fn file(path: &str, bytes: &[u8]) -> Self {
        Self::new(b'0', path, "", bytes)
    }

    pub fn dir(path: &str) -> Self {
        Self::new(b'5', path, "", b"")
    }

    pub fn symlink(path: &str, target: &str) -> Self {
        Self::new(b'2', path, target, b"")
    }

    pub fn hard_link(path: &str, target: &str) -> Self {
        Self::new(b'1', path, target, b"")
    }

    /// An extended header with these records.
    pub fn pax(records: &[(&str, &str)]) -> Self {
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let len = (rest..rest + 9).find(|len| *len == rest + len.to_string().len()).unwrap();
            bytes.extend_from_slice(format!("{len} {key}={value}\n").as_bytes());
        }
        Self::new(b'x', "PaxHeaders/x", "", &bytes)
    }

    /// With bytes of the header changed.
    pub fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }
}

/// The archive of these members with its two blocks at the end.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut out = open_tar(entries);
    out.resize(out.len() + 1024, 0);
    out
}

/// The archive without its end.
pub fn open_tar(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let mut header = entry.header;
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(&entry.bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out
}

pub fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

pub fn bz2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A member of a zip archive; what is not said is the same in both of its descriptions.
#[derive(Clone, Debug)]
pub struct Zipped {
    pub name: String,
    pub bytes: Vec<u8>,
    pub flags: u16,
    /// Whether sizes are in a 64-bit field of its own header, as conda's tools write them.
    pub long: bool,
    /// Further extra fields.
    pub extra: Vec<u8>,
}

impl Zipped {
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), bytes: bytes.to_vec(), flags: 0, long: false, extra: Vec::new() }
    }

    pub fn crc(&self) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(&self.bytes);
        crc.sum()
    }

    /// The fields that both headers share, from the flags to the length of the extra fields.
    fn fields(&self, local: bool) -> Vec<u8> {
        let behind = local && self.flags & 8 != 0;
        let size = u32::try_from(self.bytes.len()).unwrap();
        let (crc, size) = if behind { (0, 0) } else { (self.crc(), size) };
        let size = if local && self.long { u32::MAX } else { size };
        let mut out = Vec::new();
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&[0, 0, 0, 0, 0x21, 0x58]);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&u16::try_from(self.name.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&u16::try_from(self.extra(local).len()).unwrap().to_le_bytes());
        out
    }

    fn extra(&self, local: bool) -> Vec<u8> {
        let mut out = self.extra.clone();
        if local && self.long {
            out.extend_from_slice(&[1, 0, 16, 0]);
            out.extend_from_slice(&(self.bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(&(self.bytes.len() as u64).to_le_bytes());
        }
        out
    }

    fn local(&self) -> Vec<u8> {
        let mut out = b"PK\x03\x04\x14\0".to_vec();
        out.extend_from_slice(&self.fields(true));
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&self.extra(true));
        out.extend_from_slice(&self.bytes);
        if self.flags & 8 != 0 {
            let size = u32::try_from(self.bytes.len()).unwrap().to_le_bytes();
            out.extend_from_slice(b"PK\x07\x08");
            out.extend_from_slice(&self.crc().to_le_bytes());
            out.extend_from_slice(&size);
            out.extend_from_slice(&size);
        }
        out
    }
}

pub fn zip(members: &[Zipped]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let offset = u32::try_from(out.len()).unwrap();
        out.extend_from_slice(&member.local());
        directory.extend_from_slice(b"PK\x01\x02\x14\0\x14\0");
        directory.extend_from_slice(&member.fields(false));
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(member.name.as_bytes());
        directory.extend_from_slice(&member.extra(false));
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let start = u32::try_from(out.len()).unwrap().to_le_bytes();
    let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for part in [&count[..], &count, &size, &start, &[0, 0]] {
        out.extend_from_slice(part);
    }
    out
}

pub const STEM: &str = "a-1.0-0";

/// What index.json of a plain package says.
pub fn index() -> Value {
    json!({"name": "a", "version": "1.0", "build": "0", "build_number": 0, "depends": ["b >=1"], "subdir": "linux-64",
           "arch": "x86_64", "platform": "linux", "license": "MIT", "timestamp": 1_700_000_000_000_u64})
}

/// `info/` of a plain package.
pub fn info() -> Vec<Entry> {
    vec![Entry::file("info/index.json", index().to_string().as_bytes())]
}

/// Everything else of a plain package.
pub fn pkg() -> Vec<Entry> {
    vec![Entry::file("lib/liba.so.1", &[7; 3000]), Entry::symlink("lib/liba.so", "liba.so.1")]
}

/// The three members of a `.conda`, packed.
pub fn members(info: &[u8], pkg: &[u8]) -> Vec<Zipped> {
    vec![
        Zipped::new("metadata.json", br#"{"conda_pkg_format_version": 2}"#),
        Zipped::new(&format!("pkg-{STEM}.tar.zst"), pkg),
        Zipped::new(&format!("info-{STEM}.tar.zst"), info),
    ]
}

pub fn conda(info: &[Entry], pkg: &[Entry]) -> Vec<u8> {
    zip(&members(&zst(&tar(info)), &zst(&tar(pkg))))
}

pub fn tar_bz2(entries: &[Entry]) -> Vec<u8> {
    bz2(&tar(entries))
}

/// What is said of these bytes under this name.
pub fn look(name: &str, bytes: &[u8]) -> Result<Inspected, InspectError> {
    look_within(name, bytes, &Limits::default())
}

pub fn look_within(name: &str, bytes: &[u8], limits: &Limits) -> Result<Inspected, InspectError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    inspect(&file, &ArchiveName::parse(name).unwrap(), &digests(bytes), limits)
}

pub fn digests(bytes: &[u8]) -> Digests {
    use md5::Digest as _;
    Digests { sha256: Sha256::of(bytes), md5: Md5(md5::Md5::digest(bytes).into()), size: bytes.len() as u64 }
}

/// The same of a `.conda` and a `.tar.bz2` with these members.
pub fn look_both(info: &[Entry], pkg: &[Entry]) -> [Result<Inspected, InspectError>; 2] {
    let all: Vec<Entry> = info.iter().chain(pkg).cloned().collect();
    [look("a-1.0-0.conda", &conda(info, pkg)), look("a-1.0-0.tar.bz2", &tar_bz2(&all))]
}
