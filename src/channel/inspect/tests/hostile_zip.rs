//! Zip archives that are read in more than one way.

use super::build::{STEM, Zipped, conda, info, look, members, pkg, tar, zip, zst};

fn three() -> Vec<Zipped> {
    members(&zst(&tar(&info())), &zst(&tar(&pkg())))
}

fn says(bytes: &[u8], wanted: &str) {
    let sentence = look("a-1.0-0.conda", bytes).unwrap_err().to_string();
    assert!(sentence.contains(wanted), "{wanted}: {sentence}");
}

/// Offset of a signature, the n-th from the beginning.
fn at(bytes: &[u8], signature: [u8; 4], n: usize) -> usize {
    bytes.windows(4).enumerate().filter(|(_, w)| *w == signature).nth(n).unwrap().0
}

#[test]
fn the_members_are_three_and_called_so() {
    let plain = three();
    let mut four = plain.clone();
    four.push(Zipped::new("more", b"x"));
    says(&zip(&four), "has 4 members");
    says(&zip(&plain[..2]), "has 2 members");
    let renamed = |n: usize, name: &str| {
        let mut members = three();
        members[n].name = name.to_owned();
        zip(&members)
    };
    says(&renamed(1, "pkg-a-1.0-1.tar.zst"), "the package was renamed");
    says(&renamed(2, &format!("INFO-{STEM}.tar.zst")), "none that a .conda of this name has");
    says(&renamed(0, "../metadata.json"), "none that a .conda of this name has");
    says(&renamed(0, &format!("pkg-{STEM}.tar.zst")), "there twice");
    // The whole file under another name.
    let error = look("a-1.0-1.conda", &zip(&plain)).unwrap_err().to_string();
    assert!(error.contains("the package was renamed"), "{error}");
}

#[test]
fn nothing_may_be_encrypted_compressed_or_odd() {
    let flags = |flags: u16| {
        let mut members = three();
        members[1].flags = flags;
        zip(&members)
    };
    for encrypted in [1, 0x41, 0x2000] {
        says(&flags(encrypted), "is encrypted");
    }
    says(&flags(0x10), "read differently");
    let mut deflated = zip(&three());
    let entry = at(&deflated, *b"PK\x01\x02", 1);
    deflated[entry + 10] = 8;
    says(&deflated, "is compressed");
    for id in [0x7075_u16, 0x9901] {
        let mut members = three();
        members[1].extra = [&id.to_le_bytes()[..], &[1, 0, 0]].concat();
        says(&zip(&members), "read differently");
    }
    let mut members = three();
    members[1].extra = vec![1, 0, 9, 0, 0];
    says(&zip(&members), "read differently");
}

#[test]
fn every_byte_belongs_to_something() {
    let plain = zip(&three());
    for cut in [1, 10, 22, 23, 60, plain.len() - 1] {
        says(&plain[..plain.len() - cut], "");
    }
    says(&[&plain[..], b"x"].concat(), "something was added");
    says(&[&plain[..], &plain[..]].concat(), "");
    let shifted = [&b"PK\x03\x04"[..], &plain].concat();
    says(&shifted, "right before the end");
    let mut comment = plain.clone();
    let end = comment.len();
    comment[end - 2] = 1;
    comment.push(b'x');
    says(&comment, "something was added");
    // A gap, with every offset right.
    let directory = at(&plain, *b"PK\x01\x02", 0);
    let mut gap = [&plain[..directory], b"hidden", &plain[directory..]].concat();
    let end = gap.len() - 22;
    let from = u32::try_from(directory + 6).unwrap();
    gap[end + 16..end + 20].copy_from_slice(&from.to_le_bytes());
    says(&gap, "between its last member and its directory");
    let mut count = plain.clone();
    let end = count.len() - 22;
    count[end + 8] = 2;
    says(&count, "two numbers of members");
    count[end + 10] = 2;
    says(&count, "has 2 members");
    let mut disk = plain;
    disk[end + 4] = 1;
    says(&disk, "several files");
}

#[test]
fn members_may_not_overlap() {
    let plain = zip(&three());
    let (second, third) = (at(&plain, *b"PK\x01\x02", 1), at(&plain, *b"PK\x01\x02", 2));
    let mut same = plain.clone();
    let place: [u8; 4] = plain[second + 42..second + 46].try_into().unwrap();
    same[third + 42..third + 46].copy_from_slice(&place);
    says(&same, "overlaps");
    let mut far = plain.clone();
    far[third + 42..third + 46].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    says(&far, "");
    let mut long = plain;
    for offset in [second + 20, second + 24] {
        long[offset + 2] = 0x7f;
    }
    says(&long, "");
}

#[test]
fn both_descriptions_of_a_member_agree() {
    let plain = zip(&three());
    let local = at(&plain, *b"PK\x03\x04", 1);
    // Signature, flags, method, checksum, sizes, name: not the times.
    for offset in [3, 6, 8, 14, 18, 22, 31] {
        let mut changed = plain.clone();
        changed[local + offset] ^= 2;
        let error = look("a-1.0-0.conda", &changed).unwrap_err().to_string();
        let known = ["described differently", "contradict each other", "overlaps"];
        assert!(known.iter().any(|wanted| error.contains(wanted)), "{offset}: {error}");
    }
    let central = at(&plain, *b"PK\x01\x02", 1);
    for offset in [3, 8, 10, 16, 20, 24, 34, 42, 47] {
        let mut changed = plain.clone();
        changed[central + offset] ^= 2;
        assert!(look("a-1.0-0.conda", &changed).is_err(), "{offset}");
    }
    // The sizes behind the data.
    let mut streamed = three();
    streamed[1].flags = 8;
    let streamed = zip(&streamed);
    look("a-1.0-0.conda", &streamed).unwrap();
    let behind = at(&streamed, *b"PK\x07\x08", 0);
    for offset in [0, 4, 8, 12] {
        let mut changed = streamed.clone();
        changed[behind + offset] ^= 1;
        says(&changed, "described differently");
    }
}

#[test]
fn sixty_four_bit_fields_may_not_lie() {
    let mut long = three();
    for member in &mut long {
        member.long = true;
    }
    let plain = zip(&long);
    look("a-1.0-0.conda", &plain).unwrap();
    let local = at(&plain, *b"PK\x03\x04", 1);
    let extra = local + 30 + long[1].name.len();
    for offset in [extra + 4, extra + 12, extra + 11] {
        let mut changed = plain.clone();
        changed[offset] ^= 1;
        says(&changed, "");
    }
    let mut short = plain.clone();
    short[extra + 2] = 8;
    says(&short, "");
    // All ones without the field that says more.
    let mut bare = zip(&three());
    let central = at(&bare, *b"PK\x01\x02", 1);
    bare[central + 24..central + 28].copy_from_slice(&[0xff; 4]);
    says(&bare, "contradict each other");

    // A 64-bit end, as Python writes it for large archives.
    let end64 = |count: u64| {
        let end = plain.len() - 22;
        let directory = at(&plain, *b"PK\x01\x02", 0) as u64;
        let size = end as u64 - directory;
        let mut out = plain[..end].to_vec();
        out.extend_from_slice(b"PK\x06\x06");
        out.extend_from_slice(&44_u64.to_le_bytes());
        out.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [count, count, size, directory] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x06\x07\0\0\0\0");
        out.extend_from_slice(&(end as u64).to_le_bytes());
        out.extend_from_slice(&[1, 0, 0, 0]);
        out.extend_from_slice(&plain[end..]);
        out
    };
    look("a-1.0-0.conda", &end64(3)).unwrap();
    says(&end64(4), "ends differ");
    let mut torn = end64(3);
    let locator = at(&torn, *b"PK\x06\x07", 0);
    torn[locator + 8] ^= 1;
    says(&torn, "64-bit end is broken");
}

#[test]
fn checksums_are_compared() {
    let mut members = three();
    let honest = members.clone();
    members[0].bytes = br#"{"conda_pkg_format_version": 3}"#.to_vec();
    says(&zip(&members), "package format 3");
    members[0].bytes = b"[]".to_vec();
    says(&zip(&members), "no JSON object");
    // The contents of one member are another's of the same length; both headers have the old checksum.
    let mut swapped = zip(&honest);
    let start = at(&swapped, *b"PK\x03\x04", 0) + 30 + "metadata.json".len();
    let space = swapped[start..].iter().position(|b| *b == b' ').unwrap();
    swapped[start + space] = b'\t';
    says(&swapped, "checksum");
    // zstd without a checksum of its own: only the zip archive's notices.
    let mut unpacked = conda(&info(), &pkg());
    let second = at(&unpacked, *b"PK\x03\x04", 1) + 14;
    let central = at(&unpacked, *b"PK\x01\x02", 1) + 16;
    unpacked[second] ^= 1;
    unpacked[central] ^= 1;
    says(&unpacked, "checksum");
}
