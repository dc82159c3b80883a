//! Real conda archives made in memory: `.conda` (a stored zip of zstd tars) and `.tar.bz2`.
//!
//! Belongs here: the bytes of archives, deterministic for the same input. Does not: records and indexes (`channel`).

use std::io::Write as _;

use super::digest::sha256_hex;

/// One file in an archive.
pub struct Member {
    path: String,
    bytes: Vec<u8>,
}

impl Member {
    /// A file with its path inside the archive.
    pub fn new(path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.to_owned(), bytes: bytes.into() }
    }
}

/// The `info/` members every installer wants.
pub fn info(index: &serde_json::Value, content: &[Member]) -> Vec<Member> {
    let paths: Vec<_> = content
        .iter()
        .map(|m| {
            serde_json::json!({
                "_path": m.path, "path_type": "hardlink",
                "sha256": sha256_hex(&m.bytes), "size_in_bytes": m.bytes.len(),
            })
        })
        .collect();
    let files: String = content.iter().map(|m| format!("{}\n", m.path)).collect();
    vec![
        Member::new("info/index.json", index.to_string()),
        Member::new("info/paths.json", serde_json::json!({"paths": paths, "paths_version": 1}).to_string()),
        Member::new("info/files", files),
    ]
}

/// A `.tar.bz2` package.
pub fn tar_bz2(info: &[Member], content: &[Member]) -> Vec<u8> {
    let all: Vec<&Member> = info.iter().chain(content).collect();
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(&tar(&all)).expect("bzip2 into memory");
    encoder.finish().expect("bzip2 into memory")
}

/// A `.conda` package; `stem` is its file name without extension.
pub fn conda(stem: &str, info: &[Member], content: &[Member]) -> Vec<u8> {
    let info: Vec<&Member> = info.iter().collect();
    let content: Vec<&Member> = content.iter().collect();
    zip(&[
        ("metadata.json".to_owned(), br#"{"conda_pkg_format_version": 2}"#.to_vec()),
        (format!("pkg-{stem}.tar.zst"), zstd_of(&tar(&content))),
        (format!("info-{stem}.tar.zst"), zstd_of(&tar(&info))),
    ])
}

/// One zstd frame.
pub fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).expect("zstd into memory")
}

/// One bzip2 stream.
pub fn bz2_of(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).expect("bzip2 into memory");
    encoder.finish().expect("bzip2 into memory")
}

/// So many bytes that no compressor can shrink, the same for the same seed.
pub fn noise(seed: &str, len: usize) -> Vec<u8> {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in seed.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A ustar archive.
fn tar(members: &[&Member]) -> Vec<u8> {
    let mut out = Vec::new();
    for member in members {
        let mut header = [0_u8; 512];
        header[..member.path.len()].copy_from_slice(member.path.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[108..115].copy_from_slice(b"0000000");
        header[116..123].copy_from_slice(b"0000000");
        header[124..135].copy_from_slice(format!("{:011o}", member.bytes.len()).as_bytes());
        header[136..147].copy_from_slice(b"14000000000");
        header[148..156].copy_from_slice(b"        ");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(&member.bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// A zip archive of stored members.
fn zip(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in members {
        let offset = short(out.len());
        let fields = local_fields(name, bytes);
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&fields);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(bytes);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&fields);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let count = u16::try_from(members.len()).expect("few members").to_le_bytes();
    let start = short(out.len()).to_le_bytes();
    let size = short(directory.len()).to_le_bytes();
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for part in [&count[..], &count, &size, &start, &[0, 0]] {
        out.extend_from_slice(part);
    }
    out
}

/// The fields that the local and the central header share, from "version needed" to "extra length".
fn local_fields(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let mut fields = vec![0x14, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x58];
    fields.extend_from_slice(&crc.sum().to_le_bytes());
    fields.extend_from_slice(&short(bytes.len()).to_le_bytes());
    fields.extend_from_slice(&short(bytes.len()).to_le_bytes());
    fields.extend_from_slice(&u16::try_from(name.len()).expect("a short name").to_le_bytes());
    fields.extend_from_slice(&[0, 0]);
    fields
}

fn short(n: usize) -> u32 {
    u32::try_from(n).expect("a small archive")
}
