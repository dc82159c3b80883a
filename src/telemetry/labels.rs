//! The words that stand in access lines and metric labels: where an answer came from, and what was asked for.
//!
//! Belongs here: closed sets only, so that no client can make a label up.

/// Where the bytes of an answer came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Outcome {
    /// Neither cache nor upstream took part: pages of the gate itself, refusals, problem documents.
    #[default]
    None,
    /// Served from the cache, fresh.
    Hit,
    /// This request began the download it was served from.
    Fill,
    /// Served from a download another request had begun.
    Follow,
    /// Served from the cache although stale (refreshed in the background, or upstream in trouble).
    Stale,
    /// Served from the cache after upstream said that it is still current.
    Revalidated,
    /// A remembered "not there".
    Negative,
    /// Passed through uncached.
    Pass,
    /// From a local directory.
    Local,
    /// Wanted from upstream and not got.
    Failed,
}

impl Outcome {
    /// How many there are.
    pub const COUNT: usize = 10;
    /// All of them, in order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::None,
        Self::Hit,
        Self::Fill,
        Self::Follow,
        Self::Stale,
        Self::Revalidated,
        Self::Negative,
        Self::Pass,
        Self::Local,
        Self::Failed,
    ];

    /// Whether the bytes were here, so that the answer waited for no upstream.
    #[must_use]
    pub const fn is_from_here(self) -> bool {
        matches!(self, Self::None | Self::Hit | Self::Stale | Self::Negative | Self::Local)
    }

    /// The word in logs and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hit => "hit",
            Self::Fill => "fill",
            Self::Follow => "follow",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Negative => "negative",
            Self::Pass => "pass",
            Self::Local => "local",
            Self::Failed => "failed",
        }
    }
}

/// What a request asked for, as coarse as a graph needs it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum RouteKind {
    /// Not known: the head was refused, or the path is not in the grammar.
    #[default]
    Unknown,
    /// A conda archive.
    Package,
    /// An index document of a subdir, the shard index included.
    Index,
    /// A shard of CEP 16.
    Shard,
    /// A document of a channel, a signature or another sidecar.
    Document,
    /// A plain file or listing under a `files:` prefix.
    File,
    /// `/-/…`.
    Control,
    /// The landing page.
    Home,
    /// Something in an upload dialect.
    Publish,
}

impl RouteKind {
    /// How many there are.
    pub const COUNT: usize = 9;
    /// All of them, in order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Unknown,
        Self::Package,
        Self::Index,
        Self::Shard,
        Self::Document,
        Self::File,
        Self::Control,
        Self::Home,
        Self::Publish,
    ];

    /// The word in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Package => "package",
            Self::Index => "index",
            Self::Shard => "shard",
            Self::Document => "document",
            Self::File => "file",
            Self::Control => "control",
            Self::Home => "home",
            Self::Publish => "publish",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_follow_the_discriminants() {
        for (i, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, i);
        }
        for (i, kind) in RouteKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i);
        }
    }
}
