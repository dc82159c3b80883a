//! Files that upstream's index says lie at another address. The gate goes there itself; clients are never sent there.

use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::snapshot::Channel;

use super::Delivery;

/// Whether an upstream path is a whole URL.
pub(super) fn is_absolute(path: &str) -> bool {
    path.starts_with("https://") || path.starts_with("http://")
}

/// `name` below `base`, where `base` is a `base_url` or `shards_base_url` as an index has it (CEP 15, CEP 16): absolute, or relative
/// to the subdir. A relative base that climbs (`..`) is resolved, but never above the channel's root.
pub(super) fn join(subdir: &Subdir, base: &str, name: &str) -> String {
    let slash = if base.is_empty() || base.ends_with('/') { "" } else { "/" };
    if is_absolute(base) {
        return format!("{base}{slash}{name}");
    }
    let mut parts: Vec<&str> = vec![subdir.as_str()];
    for part in base.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.push(name);
    parts.join("/")
}

impl Delivery {
    /// Where a package lies if its channel's index moves packages elsewhere.
    pub(super) fn elsewhere(
        &self,
        channel: &Channel,
        asked: &ChannelRef,
        subdir: &Subdir,
        rest: &str,
    ) -> Option<String> {
        if is_absolute(rest) {
            return Some(rest.to_owned());
        }
        let name = rest.strip_prefix(subdir.as_str())?.strip_prefix('/')?;
        let generation = self.inner.generations.current(&channel.stored_as(asked), subdir);
        let base = generation
            .as_ref()
            .and_then(|g| g.base_url())
            .or_else(|| self.shard_base_url(channel, asked, subdir))?;
        let moved = join(subdir, &base, &crate::upstream::encode_path(name));
        Some(if is_absolute(&moved) { moved } else { channel.remote()?.path_of_raw(asked, &moved) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_as_indexes_have_them() {
        let subdir = Subdir::noarch();
        let cases = [
            ("", "noarch/a"),
            ("./", "noarch/a"),
            ("./shards/", "noarch/shards/a"),
            ("shards", "noarch/shards/a"),
            ("../x/", "x/a"),
            ("../../../x", "x/a"),
            ("https://h.example/p", "https://h.example/p/a"),
        ];
        for (base, expected) in cases {
            assert_eq!(join(&subdir, base, "a"), expected, "{base}");
        }
    }
}
