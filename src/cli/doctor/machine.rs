//! What belongs to the machine: room on disks, descriptors, memory, who may read files with secrets.
//!
//! Belongs here: reading the kernel's figures. Does not: changing anything.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::super::show::readable;
use super::Finding;
use crate::config::{Config, KeepFree, Sources};
use crate::policy::units::show_size;

/// Each open client and each blob that is being served takes one.
const DESCRIPTORS: u64 = 16_384;
/// Blobs and index tables are mapped into memory.
const MAPS: u64 = 65_530;
/// What the index of a large channel takes while it is built.
const INDEX: u64 = 1 << 30;
/// Below this even a small gate gets slow.
const MEMORY: u64 = 256 << 20;

pub(super) fn look(config: &Config, sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(room_for_packages(config));
    findings.extend(room_for_indexes(&config.storage.cache));
    findings.push(descriptors());
    findings.extend(maps());
    findings.extend(memory());
    findings.extend(open_files_of_settings(config, sources));
    findings
}

/// A volume, in bytes.
struct Volume {
    shown: String,
    total: u64,
    free: u64,
    /// Whether nearly no file can be made any more, whatever its length.
    few_inodes: bool,
}

impl Volume {
    /// The one that a directory is on, or will be on.
    fn of(dir: &Path) -> Option<Self> {
        let there = dir.ancestors().find(|above| above.exists())?;
        let volume = rustix::fs::statvfs(there).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        Some(Self {
            shown: there.display().to_string(),
            total: bytes(volume.f_blocks),
            free: bytes(volume.f_bavail),
            few_inodes: volume.f_files > 0 && volume.f_favail * 50 < volume.f_files,
        })
    }
}

fn room_for_indexes(dir: &Path) -> Option<Finding> {
    let Volume { shown, free, .. } = Volume::of(dir)?;
    let says = format!("{} are left for indexes on the volume of {shown}", readable(free));
    Some(if free < INDEX {
        Finding::note(
            "room",
            says,
            "a large channel's index takes 1 GiB while it is built; make room, or set `storage.cache`",
        )
    } else {
        Finding::good("room", says)
    })
}

fn room_for_packages(config: &Config) -> Option<Finding> {
    const ABOUT: &str = "room";
    let Volume { shown, total, free, few_inodes } = Volume::of(&config.storage.packages)?;
    let keep = match config.cache.keep_free {
        KeepFree::Percent(percent) => total / 100 * u64::from(percent),
        KeepFree::Bytes(bytes) => bytes,
    };
    Some(if few_inodes {
        let fix = "remove small files, or make the file system anew with more inodes";
        Finding::wrong(ABOUT, format!("the volume of {shown} has nearly no inodes left"), fix)
    } else if free < keep {
        let (free, keep) = (readable(free), readable(keep));
        let says = format!(
            "{free} are left on the volume of {shown}, less than `cache.keep_free` ({keep}): nothing new is kept"
        );
        Finding::wrong(ABOUT, says, "make room, or lower `cache.size` and run `condagate cache gc`")
    } else if config.cache.size > total.saturating_sub(keep) {
        let (size, total) = (show_size(config.cache.size), readable(total));
        let says = format!("`cache.size` is {size}, and the volume of {shown} has {total} in all");
        Finding::note(ABOUT, says, "lower `cache.size`, or put `storage.packages` on a larger volume")
    } else {
        Finding::good(ABOUT, format!("{} are left for packages on the volume of {shown}", readable(free)))
    })
}

fn descriptors() -> Finding {
    // A gate raises its soft limit to the hard one.
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < DESCRIPTORS => Finding::note(
            "open files",
            format!("a process may have {most} open"),
            format!(
                "LimitNOFILE=65536 in the systemd unit, --ulimit nofile=65536 for a container; {DESCRIPTORS} are enough for 10,000 clients"
            ),
        ),
        Some(most) => Finding::good("open files", format!("a process may have {most} open")),
        None => Finding::good("open files", "a process may have any number open"),
    }
}

fn maps() -> Option<Finding> {
    let most: u64 = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()?;
    (most < MAPS).then(|| {
        Finding::note(
            "memory maps",
            format!("a process may have {most}"),
            format!("sysctl -w vm.max_map_count={MAPS}"),
        )
    })
}

/// Hits are served from the page cache: what is free is what it can take.
fn memory() -> Option<Finding> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let available = line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10;
    let human = readable(available);
    Some(if available < MEMORY {
        Finding::note(
            "memory",
            format!("{human} are available; packages that are asked for again come from disk"),
            "give the machine more, or lower `cache.memory`",
        )
    } else {
        Finding::good("memory", format!("{human} are available, for the page cache too"))
    })
}

/// Files of settings with a secret written into them.
fn open_files_of_settings(config: &Config, sources: &Sources) -> Vec<Finding> {
    let secret = |key: &str, value: &str| {
        ["store.mongodb.uri", "egress.proxy"].contains(&key) && value.contains("***")
    };
    let holders = config.origins.iter().filter(|setting| secret(setting.key, &setting.value));
    let files = sources.files().unwrap_or_default();
    let open = holders.filter_map(|setting| {
        let file = files.iter().find(|file| setting.origin.starts_with(&format!("{}:", file.display())))?;
        let is_open = file.metadata().ok()?.mode() & 0o004 != 0;
        let shown = file.display();
        is_open.then(|| {
            Finding::note(
                "secrets",
                format!(
                    "{shown} has the password of `{}` in it and can be read by everybody on this machine",
                    setting.key
                ),
                format!("chmod o-rwx {shown}, or put it into a file of its own (`{}_file`)", setting.key),
            )
        })
    });
    open.collect()
}
