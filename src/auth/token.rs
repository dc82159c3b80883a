//! API tokens and ids: random texts, and how they are recognised.
//!
//! Belongs here: making them, their shape and checksum, the digest under which a token is stored. Does not: owners,
//! scopes, expiry (`store`), finding a token in a request (`credential`).

use crate::conda::digest::Sha256;
use crate::secret::Secret;

/// Tells people and secret scanners whose token it is.
const PREFIX: &str = "cg-";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is a little more than 2^256.
const RANDOM: usize = 43;
/// 62^6 is a little more than 2^32.
const CHECK: usize = 6;
/// Letters and digits that can't be taken for each other (Crockford's base 32, lower case).
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ID_LEN: usize = 16;

/// A new token. The secret is shown once, the hash is stored.
#[derive(Clone, Debug)]
pub struct Minted {
    /// `cg-`, 43 random characters and six of checksum, all of `[A-Za-z0-9]`.
    ///
    /// conda finds tokens in URLs by `/t/([a-zA-Z0-9-]*)` (`conda/common/url.py`), mamba takes no `_`.
    pub secret: Secret<String>,
    /// [`hash_of`] the secret.
    pub hash: Sha256,
}

/// Makes a token of 256 bits from the operating system.
#[must_use]
pub fn mint() -> Minted {
    let mut text = String::with_capacity(PREFIX.len() + RANDOM + CHECK);
    text.push_str(PREFIX);
    text.extend(random_digits(BASE62, RANDOM));
    text.push_str(&checksum(&text));
    let hash = hash_of(&text);
    Minted { secret: Secret::new(text), hash }
}

/// SHA-256 of the text; what is stored of tokens and sessions. (A slow hash is for secrets that people choose.)
#[must_use]
pub fn hash_of(secret: &str) -> Sha256 {
    Sha256::of(secret.as_bytes())
}

/// Whether a text has the shape and the checksum of a token: others need not be looked up.
#[must_use]
pub fn is_ours(text: &str) -> bool {
    let whole = text.len() == PREFIX.len() + RANDOM + CHECK && text.starts_with(PREFIX);
    let Some((body, check)) = text.split_at_checked(PREFIX.len() + RANDOM).filter(|_| whole) else {
        return false;
    };
    body[PREFIX.len()..].bytes().all(|b| b.is_ascii_alphanumeric()) && checksum(body) == check
}

/// A random id of 16 characters, 80 bits, for anything that is stored: users, tokens, grants. No secret.
#[must_use]
pub fn new_id() -> String {
    random_digits(BASE32, ID_LEN).collect()
}

/// The first 32 bits of the SHA-256 of what stands before, in base 62: a typing mistake passes once in four billion.
fn checksum(body: &str) -> String {
    let [a, b, c, d, ..] = Sha256::of(body.as_bytes()).0;
    let mut rest = u32::from_be_bytes([a, b, c, d]);
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

/// `count` characters of an alphabet of at most 256, each as likely as any other.
fn random_digits(alphabet: &'static [u8], count: usize) -> impl Iterator<Item = char> {
    // Bytes from here on would make the first characters likelier.
    let limit = 256 - 256 % alphabet.len();
    let bytes = std::iter::from_fn(|| Some(random_bytes::<64>())).flatten().map(usize::from);
    bytes.filter(move |b| *b < limit).map(move |b| char::from(alphabet[b % alphabet.len()])).take(count)
}

/// Bytes from the operating system.
///
/// # Panics
/// Where it has none: who went on would make secrets that can be guessed.
#[expect(
    clippy::expect_used,
    reason = "a system without randomness can make no secret; it must not go on with a guessable one"
)]
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_are_ours_differ_and_suit_every_client() {
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let minted = mint();
            let text = minted.secret.reveal();
            assert!(is_ours(text));
            assert_eq!(text.len(), 52);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            assert_eq!(minted.hash, hash_of(text));
            assert!(!format!("{minted:?}").contains(text));
            assert!(seen.insert(text.clone()));
        }
    }

    /// The form must stay: tokens live for months.
    #[test]
    fn a_token_of_the_first_day_is_still_known() {
        assert!(is_ours("cg-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg1jxbku"));
    }

    #[test]
    fn every_character_counts() {
        let token = mint().secret.reveal().clone();
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_ours(&String::from_utf8(other).unwrap()), "{at}");
        }
        assert!(!is_ours(&token[..51]) && !is_ours(&format!("{token}0")) && !is_ours(""));
    }

    #[test]
    fn all_characters_of_an_alphabet_come() {
        let some: HashSet<char> = random_digits(BASE62, 5000).collect();
        assert_eq!(some.len(), 62);
        let ids: HashSet<String> = (0..1000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|b| BASE32.contains(&b))));
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked(text in "cg-.{40,60}|.*") {
            prop_assert!(!is_ours(&text));
        }
    }
}
