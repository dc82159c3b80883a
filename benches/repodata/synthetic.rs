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

/// The same package built once more, with digests of its own.
fn added(record: &str, n: u64, records: u64) -> String {
    let mut dice = Dice(n ^ 0xADDED);
    let file = file_name(n, records);
    let (stem, build) = file.rsplit_once('_').unwrap_or((&file, ""));
    let again = format!("{stem}_9{build}");
    let (from, to) =
        (record.find("\"md5\":\"").unwrap_or(0) + 7, record.find("\"sha256\":\"").unwrap_or(0) + 10);
    let mut new = record.replacen(&file, &again, 1);
    let shift = new.len() - record.len();
    new.replace_range(from + shift..from + shift + 32, &dice.hex(32));
    new.replace_range(to + shift..to + shift + 64, &dice.hex(64));
    new
}

/// `run_exports.json` of the same records: every third package has some.
pub(crate) fn write_exports(out: &mut impl Write, records: u64) -> io::Result<()> {
    out.write_all(b"{\"info\":{\"subdir\":\"linux-64\",\"version\":0},\"packages\":{")?;
    for n in 0..records {
        if n == records / 4 {
            out.write_all(b"},\"packages.conda\":{")?;
        } else if n > 0 {
            out.write_all(b",")?;
        }
        let weak = if (n / 16).is_multiple_of(3) {
            format!("\"weak\":[\"{} >={}\"]", name(n / 16), n % 16)
        } else {
            String::new()
        };
        write!(out, "\"{}\":{{\"run_exports\":{{{weak}}}}}", file_name(n, records))?;
    }
    out.write_all(b"}}")
}

/// What one edition of a document has of its own.
#[derive(Clone, Copy, Default)]
pub(crate) struct Edition {
    /// Its number.
    pub number: u64,
    /// Records with numbers from here on differ from those of other editions.
    pub changed: u64,
    /// So many records are added, all over the document.
    pub added: u64,
}

/// Writes a document of `records` records.
pub(crate) fn write(out: &mut impl Write, records: u64, edition: Edition) -> io::Result<()> {
    out.write_all(b"{\"info\":{\"subdir\":\"linux-64\"},\"packages\":{")?;
    for n in 0..records {
        if n == records / 4 {
            out.write_all(b"},\"packages.conda\":{")?;
        } else if n > 0 {
            out.write_all(b",")?;
        }
        let mut record = record(n, records);
        if n >= edition.changed {
            let end = record.len() - 1;
            record.insert_str(end, &format!(",\"edition\":{}", edition.number));
        }
        out.write_all(record.as_bytes())?;
        if edition.added > 0 && n.is_multiple_of(records / edition.added) {
            out.write_all(b",")?;
            out.write_all(added(&record, n, records).as_bytes())?;
        }
    }
    out.write_all(b"},\"removed\":[],\"repodata_version\":1}")
}
