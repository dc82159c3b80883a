//! Identifiers: given by whoever creates a thing, never used twice.
//!
//! Belongs here: their types. Does not: making them (that needs randomness, which the store doesn't have).

use crate::store::value::field;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(String);

        impl $name {
            /// 1 to 64 of `[A-Za-z0-9_-]`, otherwise `None`.
            #[must_use]
            pub fn new(text: &str) -> Option<Self> {
                let is_good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
                ((1..=64).contains(&text.len()) && text.bytes().all(is_good)).then(|| Self(text.to_owned()))
            }

            /// Its text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        field!($name, Text, |v| v.0.clone(), |v| Self::new(&v));
    )+};
}

ids! {
    /// Of a user.
    UserId,
    /// Of a group.
    GroupId,
    /// Of a grant.
    GrantId,
    /// Of a token; public, unlike its secret.
    TokenId,
    /// Of a session; public, unlike its secret.
    SessionId,
    /// Of a key that signs.
    KeyId,
    /// Of a hosted channel; stays when the channel is renamed.
    ChannelId,
    /// Of an audit event.
    AuditId,
    /// Of a job.
    JobId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_characters() {
        for good in ["a", "A-z_9", &"x".repeat(64)] {
            assert!(UserId::new(good).is_some(), "{good}");
        }
        for bad in ["", "a b", "é", "a/b", "$x", "a.b", "a\0", &"x".repeat(65)] {
            assert!(UserId::new(bad).is_none(), "{bad}");
        }
    }
}
