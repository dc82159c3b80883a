use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::{ProptestConfig, any, proptest};
use zstd::zstd_safe;

use super::lanes::{Lanes, Pack};
use super::pack::Packer;
use super::sink::{Packed, Sink};
use super::{Before, FrameMap, FrameSettings, FrameWriter, HEADER_LEN, SMALL, STREAM_HEADER, cut, layout};
use crate::conda::digest::Sha256;
use crate::repodata::error::BuildError;

const QUICK: FrameSettings = FrameSettings { level: 6, threads: 2 };

/// Names and records.
type Document = Vec<(Vec<u8>, Vec<u8>)>;

/// splitmix64.
fn dice(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn record(n: u64) -> (Vec<u8>, Vec<u8>) {
    let mut state = n;
    let name = format!("package-{}-{}.conda", n / 8, dice(&mut state) % 100);
    let digests: Vec<u8> = (0..6).flat_map(|_| dice(&mut state).to_le_bytes()).collect();
    let digests = hex::encode(digests);
    let depends: Vec<u64> = (0..20).map(|_| dice(&mut state) % 3000).collect();
    let text =
        format!("\"{name}\":{{\"depends\":\"lib{depends:?}\",\"sha256\":\"{digests}\",\"size\":{n}}},");
    (name.into_bytes(), text.into_bytes())
}

/// About `bytes` bytes.
fn document(bytes: usize) -> Document {
    let mut len = 0;
    let more = |record: &(Vec<u8>, Vec<u8>)| {
        len += record.1.len();
        len <= bytes
    };
    (0..1 << 20).map(record).take_while(more).collect()
}

fn content(document: &Document) -> Vec<u8> {
    document.iter().flat_map(|(_, record)| record).copied().collect()
}

fn pack_to(path: &Path, document: &Document, settings: FrameSettings, before: Option<&Before>) -> FrameMap {
    let mut writer = FrameWriter::create(path, settings, before, None).unwrap();
    for (name, record) in document {
        writer.put(record).unwrap();
        writer.boundary(name).unwrap();
    }
    let (written, map) = writer.finish().unwrap();
    let bytes = fs::read(path).unwrap();
    assert_eq!((written.len, written.sha256), (bytes.len() as u64, Sha256::of(&bytes)));
    map
}

/// What any client would make of the file, and what strict ones insist on.
#[track_caller]
fn assert_is_one_frame_of(file: &[u8], content: &[u8]) {
    assert_eq!(zstd_safe::find_frame_compressed_size(file).unwrap(), file.len());
    assert_eq!(zstd_safe::get_frame_content_size(file).unwrap(), Some(content.len() as u64));
    assert!(zstd::stream::decode_all(file).unwrap() == content, "a stream decoder gets something else");
    assert!(
        zstd::bulk::decompress(file, content.len()).unwrap() == content,
        "a bulk decoder gets something else"
    );
    assert_eq!(file[4] & 4, 4, "no checksum");
}

/// A record's name behind which a chunk may always end.
fn good_name() -> Vec<u8> {
    (0..u32::MAX).map(|n| n.to_le_bytes().to_vec()).find(|name| cut::ends_here(cut::LEAST, name)).unwrap()
}

/// Chunks that begin with what a fresh frame's offsets (1, 4, 8) would be used for, and end with other offsets.
fn chunks_for_repeated_offsets() -> Document {
    let mut state = 7;
    let chunks = (0..18_usize).map(|n| {
        let period = [1, 4, 8, 1, 3, 7][n % 6];
        let word: Vec<u8> = (0..period).map(|_| dice(&mut state).to_le_bytes()[0]).collect();
        let mut chunk: Vec<u8> = word.iter().copied().cycle().take(300).collect();
        if n % 2 == 1 {
            // Literals first, then each of the three offsets.
            chunk.splice(0..0, dice(&mut state).to_le_bytes());
            chunk.extend(b"0123456789abcdef0123cdef01234567x0123456");
        }
        while chunk.len() < cut::LEAST {
            chunk.extend(dice(&mut state).to_le_bytes());
            let back = 9 + usize::try_from(dice(&mut state) % 250).unwrap();
            chunk.extend_from_within(chunk.len() - back..chunk.len() - back + 9);
        }
        (good_name(), chunk)
    });
    chunks.collect()
}

#[test]
fn chunks_never_use_the_offsets_of_what_stands_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let document = chunks_for_repeated_offsets();
    for level in [1, 3, 6, 12, 13, 18] {
        let path = dir.path().join(level.to_string());
        let map = pack_to(&path, &document, FrameSettings { level, threads: 2 }, None);
        assert_eq!(map.chunks(), document.len(), "level {level}");
        assert_is_one_frame_of(&fs::read(path).unwrap(), &content(&document));
    }
}

#[test]
fn the_same_chunks_from_plain_frames_would_be_wrong() {
    let mut joined = STREAM_HEADER.to_vec();
    let document = chunks_for_repeated_offsets();
    for (_, chunk) in &document {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 12).unwrap();
        encoder.window_log(20).unwrap();
        encoder.write_all(chunk).unwrap();
        encoder.flush().unwrap();
        joined.extend(&encoder.get_ref()[STREAM_HEADER.len()..]);
    }
    joined.extend(layout::end(0));
    let mut plain = Vec::new();
    let _ = zstd::stream::Decoder::new(&joined[..]).unwrap().read_to_end(&mut plain);
    assert!(plain.starts_with(&document[0].1), "the first chunk is right");
    assert!(plain != content(&document), "then the test above tests nothing");
}

#[test]
fn any_order_of_chunks_and_any_history_gives_the_same_blocks() {
    let document = chunks_for_repeated_offsets();
    let fresh: Vec<_> =
        document.iter().map(|(_, chunk)| Packer::new(12).unwrap().pack(chunk).unwrap()).collect();
    let mut used = Packer::new(12).unwrap();
    for (n, (_, chunk)) in document.iter().enumerate().rev().chain(document.iter().enumerate()) {
        assert!(used.pack(chunk).unwrap() == fresh[n], "chunk {n}");
    }
    for len in [1, 2, 3, 100, cut::MOST - 1, cut::MOST, 5] {
        let chunk = &content(&document)[..len];
        assert!(used.pack(chunk).unwrap() == Packer::new(12).unwrap().pack(chunk).unwrap(), "{len} bytes");
    }
}

#[test]
fn small_documents_are_ordinary_frames() {
    let dir = tempfile::tempdir().unwrap();
    let large = content(&document(6 << 20));
    let limit = usize::try_from(SMALL).unwrap();
    for (len, is_small) in [(0, true), (1, true), (700_000, true), (limit - 1, true), (limit, false)] {
        let path = dir.path().join(len.to_string());
        let map = pack_to(&path, &vec![(Vec::new(), large[..len].to_vec())], QUICK, None);
        assert_eq!(map.chunks() == 0, is_small, "{len} bytes");
        assert_is_one_frame_of(&fs::read(path).unwrap(), &large[..len]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn whatever_goes_in_comes_out(seed in any::<u64>(), mega in 3_usize..7, level in 1..10, threads in 1_usize..5) {
        let mut state = seed;
        let (mut document, mut len) = (Document::new(), 0);
        while len < mega << 20 {
            let size = usize::try_from(dice(&mut state) % 3000).unwrap();
            let record: Vec<u8> = match dice(&mut state) % 4 {
                0 => (0..size).map(|_| dice(&mut state).to_le_bytes()[0]).collect(),
                1 => vec![dice(&mut state).to_le_bytes()[0]; size * 50],
                _ => (0..=size / 300).flat_map(|_| record(dice(&mut state) % 5000).1).collect(),
            };
            len += record.len();
            document.push((dice(&mut state).to_le_bytes()[..5].to_vec(), record));
        }
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
        let map = pack_to(&one, &document, FrameSettings { level, threads }, None);
        let file = fs::read(&one).unwrap();
        assert_is_one_frame_of(&file, &content(&document));
        let before = Before { map, path: one };
        let again = pack_to(&two, &document, FrameSettings { level, threads: 1 }, Some(&before));
        assert_eq!(again.copied(), before.map.chunks());
        assert!(fs::read(&two).unwrap() == file, "packed differently the second time");
    }
}

#[test]
fn after_small_changes_most_chunks_are_copied() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut document = document(16 << 20);
    let map = pack_to(&at("before"), &document, QUICK, None);
    map.write(&at("map")).unwrap();
    let map = FrameMap::open(&at("map")).unwrap();
    let before = Before { map, path: at("before") };
    let middle = document.len() / 2;
    document.splice(middle..middle, [record(1_000_000), record(1_000_001)]);
    document.remove(10);
    let map = pack_to(&at("after"), &document, QUICK, Some(&before));
    let fresh = pack_to(&at("fresh"), &document, FrameSettings { threads: 1, ..QUICK }, None);
    assert!(map.chunks() - map.copied() <= 6, "{} of {} copied", map.copied(), map.chunks());
    assert_eq!(FrameMap { copied: 0, ..map }, fresh);
    assert!(fs::read(at("after")).unwrap() == fs::read(at("fresh")).unwrap());
    assert_is_one_frame_of(&fs::read(at("after")).unwrap(), &content(&document));
}

#[test]
fn an_older_frame_that_is_not_its_maps_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let document = document(5 << 20);
    let path = dir.path().join("before");
    let map = pack_to(&path, &document, QUICK, None);
    let good = fs::read(&path).unwrap();
    let mut hole = good.clone();
    hole[HEADER_LEN..].fill(0);
    let longer = [&good[..], b" "].concat();
    let other_level = FrameSettings { level: 7, ..QUICK };
    let cases = [("zeros", hole, QUICK), ("longer", longer, QUICK), ("level", good.clone(), other_level)];
    for (name, file, settings) in cases {
        fs::write(&path, file).unwrap();
        let before = Before { map: map.clone(), path: path.clone() };
        let after = pack_to(&dir.path().join(name), &document, settings, Some(&before));
        assert_eq!(after.copied(), 0, "{name}");
        assert_is_one_frame_of(&fs::read(dir.path().join(name)).unwrap(), &content(&document));
    }
    let before = Before { map, path: dir.path().join("absent") };
    assert_eq!(pack_to(&dir.path().join("last"), &document, QUICK, Some(&before)).copied(), 0);
}

#[test]
fn a_damaged_map_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("map");
    let map = pack_to(&dir.path().join("frame"), &document(5 << 20), QUICK, None);
    assert_eq!(FrameMap::open(&path), None);
    map.write(&path).unwrap();
    assert_eq!(FrameMap::open(&path).as_ref(), Some(&map));
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        assert_eq!(FrameMap::open(&path), None, "byte {at} changed");
        fs::write(&path, &good[..at]).unwrap();
        assert_eq!(FrameMap::open(&path), None, "cut to {at}");
    }
    // Sums that are right do not help where the numbers are impossible.
    for wrong in [FrameMap { frame_len: map.frame_len + 1, ..map.clone() }, FrameMap { edition: 0, ..map }] {
        fs::remove_file(&path).unwrap();
        wrong.write(&path).unwrap();
        assert_eq!(FrameMap::open(&path), None);
    }
}

/// Unpacks as far as it goes.
fn prefix(blocks: &[u8]) -> (Vec<u8>, io::Result<usize>) {
    let stream = [&STREAM_HEADER, blocks].concat();
    let mut plain = Vec::new();
    let result = zstd::stream::Decoder::new(&stream[..]).unwrap().read_to_end(&mut plain);
    (plain, result)
}

#[test]
fn a_follower_gets_all_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("frame");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let follow = {
        let (path, seen) = (path.clone(), Arc::clone(&seen));
        move |len: u64| {
            let file = fs::read(&path).unwrap();
            seen.lock().push(file[HEADER_LEN..usize::try_from(len).unwrap()].to_vec());
        }
    };
    let document = document(6 << 20);
    let plain = content(&document);
    let mut writer = FrameWriter::create(&path, QUICK, None, Some(Box::new(follow))).unwrap();
    for (name, record) in &document {
        writer.put(record).unwrap();
        writer.boundary(name).unwrap();
    }
    let (_, map) = writer.finish().unwrap();
    let seen = seen.lock();
    assert_eq!(seen.len(), map.chunks() + 1);
    let mut expected = 0;
    for (blocks, chunk) in seen.iter().zip(&map.chunks) {
        expected += chunk.plain as usize;
        let (got, result) = prefix(blocks);
        assert!(got == plain[..expected], "{} bytes unpacked, {expected} expected", got.len());
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
    let (got, result) = prefix(seen.last().unwrap());
    assert_eq!(result.unwrap(), plain.len());
    assert!(got == plain);
}

#[test]
fn dropped_before_the_end_no_thread_stays() {
    let dir = tempfile::tempdir().unwrap();
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let progress = move |_: u64| assert!(Arc::strong_count(&held) > 0);
    let path = dir.path().join("frame");
    let mut writer = FrameWriter::create(&path, QUICK, None, Some(Box::new(progress))).unwrap();
    writer.put(&content(&document(8 << 20))).unwrap();
    drop(writer);
    assert_eq!(Arc::strong_count(&alive), 1, "the writing thread still has its callback");
    assert!(path.exists());
}

#[test]
fn trouble_with_the_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("absent/frame"), dir.path().to_owned()] {
        let error = FrameWriter::create(&path, QUICK, None, None).unwrap_err();
        assert!(matches!(error, BuildError::Io { action: "create", .. }), "{error}");
    }
}

#[test]
fn a_panic_in_the_writing_thread_ends_packing() {
    let dir = tempfile::tempdir().unwrap();
    let panics = |_: u64| panic!("on purpose");
    let mut writer =
        FrameWriter::create(&dir.path().join("frame"), QUICK, None, Some(Box::new(panics))).unwrap();
    let piece = vec![7; 1 << 20];
    let error = (0..100).find_map(|_| writer.put(&piece).err()).expect("put goes on for ever");
    assert!(error.to_string().contains("panicked"), "{error}");
    assert!(!error.is_upstreams_fault());
    assert!(writer.put(&piece).is_err() && writer.finish().is_err());
}

#[test]
fn trouble_in_a_packing_thread_ends_packing() {
    let dir = tempfile::tempdir().unwrap();
    let fails: fn(&[u8]) -> io::Result<Packed> = |_| Err(io::Error::other("no luck"));
    let panics: fn(&[u8]) -> io::Result<Packed> = |_| panic!("on purpose");
    for (name, pack, says) in [("fails", fails, "no luck"), ("panics", panics, "panicked")] {
        let sink = Sink::create(&dir.path().join(name), None).unwrap();
        let lanes = Lanes::start(sink, vec![Box::new(pack) as Pack, Box::new(pack)]).unwrap();
        (0..100).find_map(|_| lanes.send(vec![1]).err()).expect("send goes on for ever");
        let error = lanes.finish(Path::new("frame")).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn blocks_are_told_from_other_bytes() {
    let raw = [&[5 << 3, 0, 0][..], b"abcde"].concat();
    let rle = [2 | 5 << 3, 0, 0, b'x'];
    let cases: [(&str, &[u8], bool); 8] = [
        ("nothing", &[], true),
        ("raw", &raw, true),
        ("one byte repeated", &rle, true),
        ("both", &[&raw, &rle[..]].concat(), true),
        ("cut", &raw[..7], false),
        ("too much", &[&raw, &b"12"[..]].concat(), false),
        ("the last of a frame", &layout::end(0)[..3], false),
        ("reserved", &[6 | 1 << 3, 0, 0, 0], false),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(layout::are_blocks(bytes), expected, "{name}");
    }
}
