//! Passwords: which ones are accepted, how they are stored, how they are checked.
//!
//! Belongs here: argon2id and its parameters, rules for new passwords. Does not: limiting attempts (`lockout`), where
//! hashes are kept (`store`).

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use precis_core::profile::PrecisFastInvocation;
use precis_profiles::OpaqueString;
use zxcvbn::feedback::{Feedback, Warning};
use zxcvbn::{Entropy, Score, zxcvbn};

use super::name::UserName;
use super::token::random_bytes;
use crate::secret::Secret;

/// Bytes of a password, at least and at most. Longer ones get no work at all.
const MIN_BYTES: usize = 10;
const MAX_BYTES: usize = 1024;
/// zxcvbn gets a password in pieces of so many characters, and the first few of them: on longer texts its numbers
/// overflow (a walk of 28 keys over the keypad has 5^28 ways), and its time grows with the square of the length.
const PIECE: usize = 24;
const PIECES: usize = 4;
/// Memory that one check may take, whatever a stored hash says: 1 GiB.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_ITERATIONS: u32 = 64;
const MAX_LANES: u32 = 64;

/// What one hash costs. The defaults are OWASP's first choice for argon2id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Argon2Settings {
    /// KiB of memory; 19 MiB unless set otherwise. At least 8 for each lane.
    pub memory_kib: u32,
    /// Passes over it; 2.
    pub iterations: u32,
    /// Lanes; 1. They are worked off one after the other.
    pub lanes: u32,
}

impl Default for Argon2Settings {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, iterations: 2, lanes: 1 }
    }
}

/// Why a password is not taken, or can't be hashed. No message has anything of it.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("the password is too short; take at least {MIN_BYTES} characters, such as four words")]
    TooShort,
    /// Too long.
    #[error("the password is longer than {MAX_BYTES} bytes; take a shorter one")]
    TooLong,
    /// Control characters.
    #[error("the password contains a control character, which not every client can send; leave it out")]
    Unsendable,
    /// The user's name.
    #[error("the password is the name of the user; take another one")]
    IsName,
    /// In a list of common passwords, or made of it in a common way.
    #[error("the password is too easy to guess{}; take another one, such as four words that don't belong together", because(.0.as_ref()))]
    Guessable(Option<Warning>),
    /// The settings can't be used.
    #[error(
        "argon2id can't work with {} KiB of memory, {} iterations and {} lanes; take 8 KiB per lane to 1 GiB, 1 to {MAX_ITERATIONS} iterations and 1 to {MAX_LANES} lanes",
        .0.memory_kib, .0.iterations, .0.lanes
    )]
    Settings(Argon2Settings),
    /// argon2 gave up; it has no memory or a fault.
    #[error("the password can't be hashed: {0}")]
    Hashing(argon2::password_hash::Error),
}

fn because(warning: Option<&Warning>) -> String {
    let sentence = warning.map(ToString::to_string).unwrap_or_default();
    if sentence.is_empty() { sentence } else { format!(" ({})", sentence.trim_end_matches('.')) }
}

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// It is the password.
    pub matches: bool,
    /// It is, and its hash was made with other parameters: hash it again and store that.
    pub rehash: bool,
}

const NO: Verified = Verified { matches: false, rehash: false };

/// Hashes and checks passwords. Every call takes tens of milliseconds and the memory of the settings: callers use a
/// thread that may block and bound how many run at once.
#[derive(Debug)]
pub struct Passwords {
    argon2: Argon2<'static>,
}

impl Passwords {
    /// With these parameters for new hashes.
    ///
    /// # Errors
    /// [`PasswordError::Settings`].
    pub fn new(settings: Argon2Settings) -> Result<Self, PasswordError> {
        let wrong = || PasswordError::Settings(settings);
        let params = Params::new(settings.memory_kib, settings.iterations, settings.lanes, None)
            .map_err(|_| wrong())?;
        if !is_bearable(&params) {
            return Err(wrong());
        }
        Ok(Self { argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params) })
    }

    /// Whether `name` may have this as a new password. Costs a millisecond or so, no hash.
    ///
    /// # Errors
    /// A sentence on what to choose instead.
    pub fn accept(&self, name: &UserName, password: &Secret<String>) -> Result<(), PasswordError> {
        let text = password.reveal();
        if text.len() > MAX_BYTES {
            return Err(PasswordError::TooLong);
        }
        if text.len() < MIN_BYTES {
            return Err(PasswordError::TooShort);
        }
        if text.chars().any(char::is_control) {
            return Err(PasswordError::Unsendable);
        }
        if [name.shown(), name.key()].contains(&text.as_str()) || text.to_lowercase() == name.key() {
            return Err(PasswordError::IsName);
        }
        let hardest = guess(text, name);
        if hardest.as_ref().is_none_or(|guess| guess.score() < Score::Two) {
            let warning = hardest.and_then(|guess| guess.feedback().and_then(Feedback::warning));
            return Err(PasswordError::Guessable(warning));
        }
        Ok(())
    }

    /// Hashes a password under a new salt; the answer is a PHC string (`$argon2id$v=19$m=…`). Does not ask
    /// [`Passwords::accept`].
    ///
    /// # Errors
    /// [`PasswordError::TooLong`], [`PasswordError::Hashing`].
    pub fn hash(&self, password: &Secret<String>) -> Result<Secret<String>, PasswordError> {
        if password.reveal().len() > MAX_BYTES {
            return Err(PasswordError::TooLong);
        }
        let salt: [u8; 16] = random_bytes();
        let hash = self.argon2.hash_password_with_salt(prepared(password).as_bytes(), &salt);
        Ok(Secret::new(hash.map_err(PasswordError::Hashing)?.to_string()))
    }

    /// Holds a password against the stored hash. `None` (no such user, or one without a password) and a text that is
    /// no hash of ours cost the work of a hash all the same, and never match.
    #[must_use]
    pub fn verify(&self, password: &Secret<String>, stored: Option<&Secret<String>>) -> Verified {
        if password.reveal().len() > MAX_BYTES {
            return NO;
        }
        let password = prepared(password);
        let Some((hash, params)) = stored.and_then(|text| checkable(text.reveal())) else {
            let wasted = self.argon2.hash_password_with_salt(password.as_bytes(), &[0; 16]);
            drop(std::hint::black_box(wasted));
            return NO;
        };
        let matches = self.argon2.verify_password(password.as_bytes(), &hash).is_ok();
        Verified { matches, rehash: matches && !self.is_current(&hash, &params) }
    }

    fn is_current(&self, hash: &PasswordHash, params: &Params) -> bool {
        let ours = self.argon2.params();
        let cost = |p: &Params| (p.m_cost(), p.t_cost(), p.p_cost());
        hash.algorithm == Algorithm::Argon2id.ident()
            && hash.version == Some(Version::V0x13.into())
            && cost(params) == cost(ours)
            && params.output_len().unwrap_or(0) >= Params::DEFAULT_OUTPUT_LEN
    }
}

/// The estimate for the piece that is hardest to guess; the whole password is at least as hard. The lists that come with
/// zxcvbn have some ten thousands of passwords, names and words.
fn guess(password: &str, name: &UserName) -> Option<Entropy> {
    let known = [name.shown(), name.key(), "condagate"];
    let characters: Vec<char> = password.chars().take(PIECE * PIECES).collect();
    let pieces = characters.chunks(PIECE).map(|piece| zxcvbn(&String::from_iter(piece), &known));
    pieces.max_by_key(Entropy::guesses)
}

/// A whole PHC string of argon2 that can be checked at a bearable cost.
fn checkable(stored: &str) -> Option<(PasswordHash, Params)> {
    let hash = PasswordHash::new(stored).ok()?;
    let params = Params::try_from(&hash).ok().filter(is_bearable)?;
    let whole =
        hash.salt.is_some() && hash.hash.is_some() && Algorithm::try_from(hash.algorithm.as_str()).is_ok();
    whole.then_some((hash, params))
}

fn is_bearable(params: &Params) -> bool {
    params.m_cost() <= MAX_MEMORY_KIB && params.t_cost() <= MAX_ITERATIONS && params.p_cost() <= MAX_LANES
}

/// The same bytes whichever keyboard wrote it (RFC 8265, OpaqueString: composed, one kind of space). What has no such
/// form stays as it is.
fn prepared(password: &Secret<String>) -> std::borrow::Cow<'_, str> {
    let text = password.reveal().as_str();
    OpaqueString::enforce(text).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHEAP: Argon2Settings = Argon2Settings { memory_kib: 16, iterations: 1, lanes: 1 };

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_password_matches_itself_only() {
        let passwords = Passwords::new(Argon2Settings::default()).unwrap();
        let stored = passwords.hash(&secret("correct horse battery")).unwrap();
        assert!(stored.reveal().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "OWASP's parameters");
        let yes = Verified { matches: true, rehash: false };
        assert_eq!(passwords.verify(&secret("correct horse battery"), Some(&stored)), yes);
        assert_eq!(passwords.verify(&secret("correct horse batterz"), Some(&stored)), NO);
        assert_ne!(passwords.hash(&secret("correct horse battery")).unwrap(), stored, "another salt");
    }

    #[test]
    fn users_without_a_password_never_match() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let stored = passwords.hash(&secret("correct horse battery")).unwrap();
        let cut = secret(&stored.reveal()[..stored.reveal().len() - 44]);
        let odd = [
            "",
            "x",
            "$argon2id$v=19$m=4294967295,t=4294967295,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        ];
        assert_eq!(passwords.verify(&secret("correct horse battery"), None), NO);
        assert_eq!(passwords.verify(&secret("correct horse battery"), Some(&cut)), NO);
        assert_eq!(
            passwords.verify(&secret("correct horse battery"), Some(&secret("correct horse battery"))),
            NO
        );
        for text in odd {
            assert_eq!(passwords.verify(&secret(text), Some(&secret(text))), NO, "{text}");
        }
    }

    #[test]
    fn other_parameters_ask_for_a_new_hash() {
        let old = Passwords::new(CHEAP).unwrap();
        let stored = old.hash(&secret("correct horse battery")).unwrap();
        let more = [
            Argon2Settings { memory_kib: 32, ..CHEAP },
            Argon2Settings { iterations: 2, ..CHEAP },
            Argon2Settings { lanes: 2, ..CHEAP },
        ];
        for settings in more {
            let new = Passwords::new(settings).unwrap();
            let found = new.verify(&secret("correct horse battery"), Some(&stored));
            assert_eq!(found, Verified { matches: true, rehash: true }, "{settings:?}");
            assert_eq!(new.verify(&secret("another one, wrong"), Some(&stored)), NO);
        }
        let argon2i = secret(
            &Argon2::new(Algorithm::Argon2i, Version::V0x13, old.argon2.params().clone())
                .hash_password_with_salt(b"correct horse battery", &[7; 16])
                .unwrap()
                .to_string(),
        );
        assert!(old.verify(&secret("correct horse battery"), Some(&argon2i)).rehash);
    }

    #[test]
    fn the_keyboard_does_not_matter() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let stored = passwords.hash(&secret("Jose\u{301} und\u{a0}Åsa")).unwrap();
        assert!(passwords.verify(&secret("José und A\u{30a}sa"), Some(&stored)).matches);
        assert!(!passwords.verify(&secret("jose und Asa"), Some(&stored)).matches);
    }

    #[test]
    fn new_passwords_are_looked_at() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let name = UserName::parse("Margarete.Vogelsang").unwrap();
        let accept = |text: &str| passwords.accept(&name, &secret(text));
        for good in ["correct horse battery", "tr0mbone-Gully-92", "пароль не простой", "naïve façade 17"]
        {
            assert_eq!(accept(good), Ok(()), "{good}");
        }
        assert_eq!(accept("too short"), Err(PasswordError::TooShort));
        assert_eq!(accept(&"a".repeat(1025)), Err(PasswordError::TooLong));
        assert_eq!(accept("with a\nline break"), Err(PasswordError::Unsendable));
        assert_eq!(accept("Margarete.vogelsang"), Err(PasswordError::IsName));
        let easy = [
            "1234567890",
            "qwertyuiop",
            "password123",
            "Passw0rd123",
            "aaaaaaaaaaaaaaaaaa",
            "condagate1",
            "iloveyou2!",
        ];
        for text in easy.into_iter().chain(["margarete.vogelsang1", "abcabcabcabc", &"12".repeat(50)]) {
            let error = accept(text).unwrap_err();
            assert!(matches!(error, PasswordError::Guessable(_)), "{text}: {error:?}");
            assert!(error.to_string().starts_with("the password is too easy to guess"));
            assert!(!error.to_string().contains(text));
        }
    }

    #[test]
    fn what_is_too_long_gets_no_work() {
        // A hash of this memory would take seconds.
        let passwords =
            Passwords::new(Argon2Settings { memory_kib: 1024 * 1024, iterations: 64, lanes: 1 }).unwrap();
        let long = secret(&"x".repeat(1_000_000));
        assert_eq!(passwords.verify(&long, None), NO);
        assert_eq!(passwords.hash(&long), Err(PasswordError::TooLong));
    }

    #[test]
    fn settings_that_can_not_work_are_refused() {
        for (memory_kib, iterations, lanes) in
            [(4, 1, 1), (8, 0, 1), (8, 1, 2), (8, 1, 0), (u32::MAX, 1, 1), (64, 65, 1)]
        {
            let settings = Argon2Settings { memory_kib, iterations, lanes };
            assert_eq!(Passwords::new(settings).unwrap_err(), PasswordError::Settings(settings));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn walks_over_keys_are_judged(text in "[0-9]{10,200}|[1245]{10,120}|[q-uw-z4-7QWER$%]{10,200}|\\PC{10,200}") {
            let passwords = Passwords::new(CHEAP).unwrap();
            let _ = passwords.accept(&UserName::parse("somebody").unwrap(), &secret(&text));
        }

        #[test]
        fn any_text_is_judged_and_matches_its_own_hash(text in ".{0,40}|[a-c]{0,200}", other in "\\$argon2.*|.*") {
            let passwords = Passwords::new(CHEAP).unwrap();
            let name = UserName::parse("somebody").unwrap();
            let text = secret(&text);
            let _ = passwords.accept(&name, &text);
            let stored = passwords.hash(&text).unwrap();
            prop_assert!(passwords.verify(&text, Some(&stored)).matches);
            prop_assert!(!passwords.verify(&text, Some(&secret(&other))).matches);
        }
    }
}
