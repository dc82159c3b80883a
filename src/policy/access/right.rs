//! What may be done with a channel.
//!
//! Belongs here: the three rights and their order. Does not: who has them.

/// What may be done. Each right includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Right {
    /// Download.
    Read,
    /// Upload too.
    Write,
    /// Change settings and rights too.
    Manage,
}

impl Right {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Manage];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Manage => "manage",
        }
    }

    /// What was written.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == text)
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Right;

    #[test]
    fn each_includes_those_before_it_and_reads_back() {
        assert!(Right::ALL.is_sorted());
        for right in Right::ALL {
            assert_eq!(Right::read(right.as_str()), Some(right));
            assert_eq!(right.to_string(), right.as_str());
        }
        for bad in ["", "Read", "admin", "read "] {
            assert_eq!(Right::read(bad), None, "{bad}");
        }
    }
}
