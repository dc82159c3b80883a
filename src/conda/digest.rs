//! SHA-256 and MD5 digests as fixed-size values.

use std::fmt;

/// A SHA-256 digest; prints as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

/// An MD5 digest (only trusted where a record has nothing better); prints as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Md5(pub [u8; 16]);

macro_rules! hex_digest {
    ($name:ident, $len:literal) => {
        impl $name {
            /// Parses hex digits of either case; `None` for any other length or character.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                let mut bytes = [0u8; $len];
                hex::decode_to_slice(text, &mut bytes).ok()?;
                Some(Self(bytes))
            }

            /// Lower-case hex.
            #[must_use]
            pub fn to_hex(&self) -> String {
                hex::encode(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0u8; $len * 2];
                hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

hex_digest!(Sha256, 32);
hex_digest!(Md5, 16);

impl Sha256 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

/// What is known of a file before its bytes arrive; every known field must hold for the file to be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    /// From repodata's `sha256`.
    pub sha256: Option<Sha256>,
    /// From repodata's `md5`; decides only when there is no SHA-256.
    pub md5: Option<Md5>,
    /// From repodata's `size`, in bytes.
    pub size: Option<u64>,
}

impl Expected {
    /// Whether a digest of either kind is known.
    #[must_use]
    pub const fn has_digest(&self) -> bool {
        self.sha256.is_some() || self.md5.is_some()
    }

    /// Whether one file can be both: no digest that both name differs.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let same_sha256 = self.sha256.zip(other.sha256).is_none_or(|(a, b)| a == b);
        same_sha256 && self.md5.zip(other.md5).is_none_or(|(a, b)| a == b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip_and_refusal() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256::from_hex(text).unwrap().to_string(), text);
        assert_eq!(Sha256::from_hex(&text.to_uppercase()).unwrap().to_hex(), text);
        assert_eq!(Sha256::from_hex(&text[1..]), None);
        assert_eq!(Md5::from_hex("zz"), None);
    }

    #[test]
    fn files_differ_where_a_digest_that_both_have_does() {
        let of = |sha: Option<u8>, md5: Option<u8>| Expected {
            sha256: sha.map(|n| Sha256([n; 32])),
            md5: md5.map(|n| Md5([n; 16])),
            size: None,
        };
        for (a, b, may_be) in [
            (of(None, None), of(Some(1), Some(1)), true),
            (of(Some(1), None), of(None, Some(2)), true),
            (of(Some(1), Some(1)), of(Some(1), Some(1)), true),
            (of(Some(1), None), of(Some(2), None), false),
            (of(Some(1), Some(1)), of(Some(1), Some(2)), false),
        ] {
            assert_eq!((a.may_be(&b), b.may_be(&a)), (may_be, may_be), "{a:?} {b:?}");
        }
    }
}
