//! Synthetic repodata shaped like conda-forge's linux-64: about 800 bytes a record, the same every time.

use std::fmt::Write as _;
use std::io::{self, Write};

/// A small deterministic generator (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            let _ = write!(text, "{:016x}", self.roll());
        }
        text.truncate(digits);
        text
    }
}

/// The name of package number `n`.
fn name(n: u64) -> String {
    const STEMS: [&str; 12] = [
        "lib",
        "py",
        "r-",
        "perl-",
        "rust-",
        "google-cloud-",
        "aws-c-",
        "qt6-",
        "xorg-",
        "go-",
        "ros-",
        "types-",
    ];
    let stem = STEMS[usize::try_from(n % 12).unwrap_or(0)];
    format!("{stem}{:x}", n.wrapping_mul(0x9E37_79B9) & 0xFF_FFFF)
}

/// The file name of record number `n` of `records`.
pub(crate) fn file_name(n: u64, records: u64) -> String {
    let mut dice = Dice(n);
    let extension = if n < records / 4 { "tar.bz2" } else { "conda" };
    format!(
        "{}-{}.{}.{}-h{}_{}.{extension}",
        name(n / 16),
        n % 16 / 4,
        n % 4,
        dice.below(20),
        dice.hex(7),
        n % 3
    )
}

fn record(n: u64, records: u64) -> String {
    let mut dice = Dice(n);
    let file = file_name(n, records);
    let (stem, _) = file.rsplit_once('_').unwrap_or((&file, ""));
    let (rest, build) = stem.rsplit_once('-').unwrap_or((stem, ""));
    let (package, version) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let depends: Vec<String> = (0..10 + dice.below(9))
        .map(|_| {
            let (major, minor) = (dice.below(30), dice.below(20));
            format!("\"{} >={major}.{minor},<{}.0a0\"", name(dice.below(30_000)), major + 1)
        })
        .collect();
    let constrains = if n.is_multiple_of(5) { "\"cudatoolkit >=11.2,<12\"" } else { "" };
    format!(
        "\"{file}\":{{\"build\":\"{build}_{}\",\"build_number\":{},\"constrains\":[{constrains}],\"depends\":[\"__glibc >=2.17,<3.0.a0\",{}],\
         \"license\":\"BSD-3-Clause AND MIT\",\"license_family\":\"BSD\",\"md5\":\"{}\",\"name\":\"{package}\",\"sha256\":\"{}\",\"size\":{},\
         \"subdir\":\"linux-64\",\"timestamp\":17{:011},\"version\":\"{version}\"}}",
        n % 3,
        n % 3,
        depends.join(","),
        dice.hex(32),
        dice.hex(64),
        2_000 + dice.below(40_000_000),
        dice.below(99_999_999_999),
    )
}

/// Writes a document of `records` records. Records numbered from `changed` on differ from those of another `edition`.
pub(crate) fn write(out: &mut impl Write, records: u64, changed: u64, edition: u64) -> io::Result<()> {
    out.write_all(b"{\"info\":{\"subdir\":\"linux-64\"},\"packages\":{")?;
    for n in 0..records {
        if n == records / 4 {
            out.write_all(b"},\"packages.conda\":{")?;
        } else if n > 0 {
            out.write_all(b",")?;
        }
        let mut record = record(n, records);
        if n >= changed {
            let end = record.len() - 1;
            record.insert_str(end, &format!(",\"edition\":{edition}"));
        }
        out.write_all(record.as_bytes())?;
    }
    out.write_all(b"},\"removed\":[],\"repodata_version\":1}")
}
