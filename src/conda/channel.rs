//! Channel names and labels (CEP 26): `conda-forge`, `pkgs/main`, `team/label/rc/1`.

use std::fmt;
use std::sync::Arc;

/// A channel without its label: one or more lower-case path components, for example `pkgs/main`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Components of `^[a-z0-9_][a-z0-9_.-]*$` joined by `/`, at most 128 bytes; upper case is accepted because
    /// old channels have it (`^[A-Za-z0-9_]…`). A component is never a known subdir, `label`, `t` or `T`: what stands behind
    /// these is a token. `None` otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::is_valid(text).then(|| Self(text.into()))
    }

    /// Whether [`ChannelName::parse`] would accept `text`.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        !text.is_empty() && text.len() <= 128 && text.split('/').all(Self::is_component)
    }

    /// Whether `text` may be one component of a channel name.
    #[must_use]
    pub fn is_component(text: &str) -> bool {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        first
            && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
            && !text.ends_with('.')
            && text != "label"
            && !text.eq_ignore_ascii_case("t")
            && !super::subdir::Subdir::is_known(text)
    }

    /// The name as it stands in URLs and rules.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A channel as a client addresses it: name and optional label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelRef {
    /// The channel.
    pub name: ChannelName,
    /// The label of `<channel>/label/<label>/`; may contain `/`. `None` where the URL has none.
    pub label: Option<Arc<str>>,
}

impl ChannelRef {
    /// Whether `text` is a label: `^[a-zA-Z][0-9a-zA-Z_\-./:]*$`, no empty or dot-only component, at most 128 bytes.
    #[must_use]
    pub fn is_label(text: &str) -> bool {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        first
            && text.len() <= 128
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./:".contains(&b))
            && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
    }

    /// The path below the root, as upstream has it: `name` or `name/label/<label>`.
    #[must_use]
    pub fn path(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ChannelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.0)?;
        self.label.as_ref().map_or(Ok(()), |label| write!(f, "/label/{label}"))
    }
}

impl fmt::Debug for ChannelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels() {
        for good in ["conda-forge", "pkgs/main", "_x", "a.b", "MyChannel"] {
            assert!(ChannelName::is_valid(good), "{good}");
        }
        for bad in
            ["", "-x", "a//b", "../a", "a/..", "linux-64", "a/label/b", "t", "T", "T/cg-x/team", "a b", "a\0"]
        {
            assert!(!ChannelName::is_valid(bad), "{bad}");
        }
        assert!(ChannelRef::is_label("rc/1"));
        assert!(!ChannelRef::is_label("rc/../1"));
        assert!(!ChannelRef::is_label("1rc"));
    }
}
