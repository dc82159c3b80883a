//! What proves that a form is of this browser: the same for all forms of a session, and written otherwise each time.
//!
//! Where the same secret stands in every page, beside something that others choose, the size of packed pages gives it away letter by letter
//! (BREACH). With a pad of its own each time, as Django does it, there is nothing to be guessed twice.
//!
//! Belongs here: making, writing and comparing it. Does not: which form is asked for it (`posted`).

use subtle::ConstantTimeEq as _;

use crate::auth::token::random_bytes;
use crate::conda::digest::Sha256;
use crate::secret::Secret;

/// Bytes of it.
const LENGTH: usize = 20;

/// See the module's description.
#[derive(Clone)]
pub(super) struct Proof([u8; LENGTH]);

impl Proof {
    /// Of a session, or of a guest. Says nothing about the secret.
    pub(super) fn of(secret: &Secret<String>) -> Self {
        let digest = Sha256::of(format!("form {}", secret.reveal()).as_bytes());
        let mut proof = [0; LENGTH];
        proof.copy_from_slice(&digest.0[..LENGTH]);
        Self(proof)
    }

    /// For a form.
    pub(super) fn written(&self) -> String {
        let pad: [u8; LENGTH] = random_bytes();
        let masked: Vec<u8> = pad.iter().zip(&self.0).map(|(pad, byte)| pad ^ byte).collect();
        hex::encode(pad) + &hex::encode(masked)
    }

    /// Whether a form says it.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let Ok(bytes) = hex::decode(text) else { return false };
        let Some((pad, masked)) = bytes.split_at_checked(LENGTH) else { return false };
        let said: Vec<u8> = pad.iter().zip(masked).map(|(pad, byte)| pad ^ byte).collect();
        masked.len() == LENGTH && bool::from(said.ct_eq(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_otherwise_each_time_and_known_again() {
        let (one, other) = (Proof::of(&Secret::new("a".to_owned())), Proof::of(&Secret::new("b".to_owned())));
        let (first, second) = (one.written(), one.written());
        assert_ne!(first, second);
        assert!(one.is_in(&first) && one.is_in(&second));
        for wrong in [other.written(), String::new(), "zz".to_owned(), first[..78].to_owned(), first + "00"] {
            assert!(!one.is_in(&wrong), "{wrong}");
        }
    }
}
