//! How much memory there is, and how much of it is left: of the machine, or of the container where that allows less.
//!
//! Belongs here: what the system says. Does not: what is done about it (`proxy::limits`).

use std::path::Path;

/// In bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Memory {
    total: u64,
    available: u64,
}

impl Memory {
    /// Now; `None` where the system does not tell.
    pub(super) fn now() -> Option<Self> {
        let machine = machine(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
        Some(container(machine).unwrap_or(machine))
    }

    /// Percent that are in use.
    pub(super) fn used(self) -> u8 {
        let left = self.available.min(self.total).saturating_mul(100).checked_div(self.total);
        u8::try_from(100 - left.unwrap_or(0)).unwrap_or(100)
    }
}

fn machine(said: &str) -> Option<Memory> {
    let of = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { total: of("MemTotal")?, available: of("MemAvailable")? })
}

/// What a cgroup (version 2) leaves, where it allows less than there is.
fn container(machine: Memory) -> Option<Memory> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let dir = Path::new("/sys/fs/cgroup").join(path);
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).ok();
    limited(machine, &read("memory.max")?, &read("memory.current")?, &read("memory.stat")?)
}

fn limited(machine: Memory, max: &str, current: &str, stat: &str) -> Option<Memory> {
    let total: u64 = max.trim().parse().ok()?;
    // Pages of files that nobody has used for a while are given back at once.
    let pages = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok());
    let used = current.trim().parse::<u64>().ok()?.saturating_sub(pages.unwrap_or(0));
    let available = total.saturating_sub(used).min(machine.available);
    (total < machine.total).then_some(Memory { total, available })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "MemTotal:        1000 kB\nMemFree:          10 kB\nMemAvailable:     250 kB\n";

    #[test]
    fn what_the_machine_says() {
        let found = machine(MACHINE).unwrap();
        assert_eq!((found, found.used()), (Memory { total: 1_024_000, available: 256_000 }, 75));
        assert_eq!(machine("MemTotal: 1000 kB\n"), None);
        assert!(Memory::now().is_some_and(|now| now.total > 0 && now.used() <= 100));
    }

    #[test]
    fn what_a_container_says() {
        let machine = machine(MACHINE).unwrap();
        let stat = "anon 1\ninactive_file 100\nactive_file 7\n";
        let found = limited(machine, "1000\n", "960\n", stat).unwrap();
        assert_eq!((found.available, found.used()), (140, 86));
        assert_eq!(limited(machine, "max\n", "960\n", stat), None);
        assert_eq!(limited(machine, "999999999999\n", "960\n", stat), None, "more than there is");
        assert_eq!(limited(machine, "1000\n", "2000\n", "").map(Memory::used), Some(100));
    }
}
