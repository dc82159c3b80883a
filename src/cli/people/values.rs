//! Values of arguments: moments, lives, rights, digests.
//!
//! Belongs here: reading them, with sentences. Does not: what they do.

use std::time::Duration;

use super::hosted_args::{Place, Size};
use crate::clock::UnixMillis;
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::digest::Sha256;
use crate::people::Life;
use crate::policy::access::Right;
use crate::policy::units::{self, DURATION, MOMENT, duration, moment};

/// A moment, or a stretch that leads to one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum When {
    /// So long ago.
    Ago(Duration),
    /// From the first to the last millisecond: one for a moment, a day for a date.
    At(UnixMillis, UnixMillis),
}

impl When {
    /// The first millisecond that is meant.
    pub(super) fn begin(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::Ago(ago) => UnixMillis(now.0.saturating_sub(UnixMillis(0).plus(ago).0)),
            Self::At(first, _) => first,
        }
    }

    /// The first millisecond that is meant no longer.
    pub(super) fn end(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::Ago(_) => self.begin(now),
            Self::At(_, last) => UnixMillis(last.0.saturating_add(1)),
        }
    }
}

/// `1d`, `2026-01-31`, `2026-01-31T12:00:00Z`
pub(super) fn when(text: &str) -> Result<When, String> {
    if let Some(ago) = duration(text) {
        return Ok(When::Ago(ago));
    }
    let last = moment(text).ok_or_else(|| format!("it must be {DURATION}, or {MOMENT}"))?;
    // A date is read as its last millisecond.
    let first = if text.contains(':') { last } else { UnixMillis(last.0 - 86_399_999) };
    Ok(When::At(first, last))
}

/// `90d`, `never`
pub(super) fn life(text: &str) -> Result<Life, String> {
    if text == "never" {
        return Ok(Life::Endless);
    }
    let life = duration(text).filter(|life| !life.is_zero());
    life.map(Life::For).ok_or_else(|| format!("it must be {DURATION}, or `never`"))
}

/// `24h`
pub(super) fn stretch(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| format!("it must be {DURATION}"))
}

/// `read`
pub(super) fn right(text: &str) -> Result<Right, String> {
    Right::read(text).ok_or_else(|| "it must be `read`, `write` or `manage`".to_owned())
}

/// 64 hex digits, as they are or behind `sha256:`.
pub(super) fn digest(text: &str) -> Result<Sha256, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    Sha256::from_hex(hex).ok_or_else(|| "it must be a SHA-256: 64 hex digits".to_owned())
}

/// `team`, `lab/team`
pub(super) fn channel(text: &str) -> Result<ChannelName, String> {
    ChannelName::parse(text).ok_or_else(|| "it must be the name of a channel, such as team".to_owned())
}

/// `100GiB`
pub(super) fn size(text: &str) -> Result<u64, String> {
    units::size(text).ok_or_else(|| format!("it must be {}", units::SIZE))
}

/// `100GiB`, `none`
pub(super) fn quota(text: &str) -> Result<Size, String> {
    if text == "none" { Ok(Size(None)) } else { size(text).map(|bytes| Size(Some(bytes))) }
}

/// `noarch/a-1-0.conda`
pub(super) fn place(text: &str) -> Result<Place, String> {
    Place::read(text)
        .ok_or_else(|| "it must be a subdir and a file, such as linux-64/acme-1.0-0.conda".to_owned())
}

/// A file name.
pub(super) fn archive(text: &str) -> Option<ArchiveName> {
    ArchiveName::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn moments_and_what_leads_to_them() {
        let range = |text| when(text).map(|when| (when.begin(NOW).0, when.end(NOW).0));
        assert_eq!(range("1d"), Ok((NOW.0 - 86_400_000, NOW.0 - 86_400_000)));
        assert_eq!(range("1970-01-02"), Ok((86_400_000, 2 * 86_400_000)), "a day has its end in it");
        assert_eq!(range("1970-01-01T00:00:01Z"), Ok((1000, 1001)));
        for bad in ["", "yesterday", "1", "2026-13-01"] {
            assert!(when(bad).unwrap_err().starts_with("it must be a duration"), "{bad}");
        }
    }

    #[test]
    fn lives_and_digests() {
        assert_eq!(life("90d"), Ok(Life::For(Duration::from_hours(90 * 24))));
        assert_eq!(life("never"), Ok(Life::Endless));
        assert!(life("0s").is_err() && life("ever").is_err());
        let hex = "ab".repeat(32);
        assert_eq!(digest(&format!("sha256:{hex}")).map(|sha256| sha256.to_hex()), Ok(hex));
        assert!(digest("ab").is_err());
    }
}
