//! An index document of the size and shape of conda-forge's largest: half a million records of about 800 bytes, 31,000 names.
//!
//! The same number of records always gives the same bytes. The digests are noise, so the document compresses about as well as a real one.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};

use crate::Args;

/// xorshift64*: enough noise for a bench.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }

    fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            let _ = write!(text, "{:016x}", self.next());
        }
        text.truncate(digits);
        text
    }
}

const STEMS: [&str; 12] =
    ["arrow", "boost", "curl", "geo", "gtk", "jupyter", "lib", "numpy", "py", "r-base", "rust", "zstd"];

/// Names that dependencies are drawn from.
const NAMES: u64 = 31_000;
/// Records of one name.
const BUILDS: u64 = 16;

fn name(i: u64) -> String {
    format!("{}-{:05}-{}", STEMS[(i % 12) as usize], i, STEMS[(i / 12 % 12) as usize])
}

/// Builds of one name stand together and share most of their dependencies, as real ones do: that is where the compression comes from.
fn record(noise: &mut Noise, i: u64) -> (String, String) {
    let (package, build) = (i / BUILDS, i % BUILDS);
    let own = name(package);
    let version = format!("{}.{}.{}", 1 + package % 7, build / 4, package % 5);
    let build = format!("py3{}h{}_{}", 9 + build % 4, noise.hex(7), build / 4);
    let mut kin = Noise(0x9E37_79B9_7F4A_7C15 ^ package.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    let mut depends = String::new();
    for k in 0..7 + kin.below(12) {
        let comma = if k == 0 { "" } else { "," };
        let low = kin.below(20) + u64::from(noise.below(8) == 0);
        let (other, minor) = (name(kin.below(NAMES)), kin.below(9));
        let _ = write!(depends, r#"{comma}"{other} >={low}.{minor},<{}.0a0""#, low + 1);
    }
    let line = format!(
        r#"{{"build":"{build}","build_number":{},"constrains":["{} >={}"],"depends":[{depends}],"license":"BSD-3-Clause","license_family":"BSD","md5":"{}","name":"{own}","sha256":"{}","size":{},"subdir":"linux-64","timestamp":{},"version":"{version}"}}"#,
        i % 4,
        name(kin.below(NAMES)),
        kin.below(10),
        noise.hex(32),
        noise.hex(64),
        1_000 + noise.below(50_000_000),
        1_500_000_000_000 + i * 400_000,
    );
    (format!("{own}-{version}-{build}"), line)
}

/// Writes the document to `--out`.
pub fn run(args: &Args) -> Result<(), String> {
    let records = args.number("records", 500_000)?;
    let path = args.text("out")?;
    let file = File::create(path).map_err(|e| format!("{path}: {e}"))?;
    write_to(&mut BufWriter::with_capacity(1 << 20, file), records).map_err(|e| format!("{path}: {e}"))
}

/// One record in ten is a `.tar.bz2`. Records stand in the order of their numbers, not of their names: a reader must not rely on an order.
fn write_to(out: &mut impl Write, records: u64) -> std::io::Result<()> {
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let old = records / 10;
    write!(out, r#"{{"info":{{"subdir":"linux-64"}},"packages":{{"#)?;
    for i in 0..records {
        if i == old {
            write!(out, r#"}},"packages.conda":{{"#)?;
        }
        let comma = if i == 0 || i == old { "" } else { "," };
        let (stem, line) = record(&mut noise, i);
        let end = if i < old { "tar.bz2" } else { "conda" };
        write!(out, "{comma}\n\"{stem}.{end}\":{line}")?;
    }
    write!(out, r#"}},"removed":[],"repodata_version":1}}"#)?;
    out.flush()
}
