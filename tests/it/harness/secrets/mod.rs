//! Secrets must not be seen: after every test, everything that its gate left is searched for them.
//!
//! Three ways to know one. Whatever has the shape of a token of the gate (tokens, sessions, upload secrets; the checksum must be
//! right) or of a JWT. Whatever bears [`MARK`]: tests write it into the secrets that they make up. And whatever the raw client showed
//! to a gate as a credential, or a test told [`learn`] about. All of them also in Base64.
//!
//! Searched are: the gate's files, logs and access lines (when its [`super::Home`] goes), what it logs inside the test process
//! (`log`), its metrics (before it ends), answers that are errors or pages, what upstreams got, what commands print.
//!
//! Belongs here: how secrets are found. Does not: which are known (`learned`), where they are looked for (whoever has the place).

pub mod learned;
pub mod log;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use condagate::auth::token;

pub use learned::{learn, learn_request};

/// In every secret that a test makes up.
pub const MARK: &str = "MARKED-";
const TOKEN: &str = "cg-";
const TOKEN_LEN: usize = 52;
/// Of what is looked for.
const LONGEST: usize = 100;
const JWT: &str = "eyJ";

/// A secret where none may be.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is, and how it begins.
    pub what: String,
    at: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Token,
    /// So many characters before the match, the group of four began.
    TokenInBase64(usize),
    Jwt,
    Marked,
    Known,
}

/// What finds secrets in bytes.
pub struct Sieve {
    automaton: AhoCorasick,
    kinds: Vec<Kind>,
}

impl Sieve {
    /// One that knows shapes and marks, and these.
    pub fn new<'a>(known: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns = vec![(TOKEN.to_owned(), Kind::Token), (JWT.to_owned(), Kind::Jwt)];
        let began = [0, 2, 3];
        let encoded = in_base64(TOKEN).into_iter().zip(began);
        patterns.extend(encoded.map(|(text, before)| (text, Kind::TokenInBase64(before))));
        patterns.push((MARK.to_owned(), Kind::Marked));
        patterns.extend(in_base64(MARK).map(|text| (text, Kind::Marked)));
        for secret in known.into_iter().map(beginning) {
            patterns.extend(in_base64(secret).map(|text| (text, Kind::Known)));
            patterns.push((secret.to_owned(), Kind::Known));
        }
        let (texts, kinds): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
        Self { automaton: AhoCorasick::new(texts).expect("an automaton"), kinds }
    }

    /// The first secret that is none of the `allowed` ones.
    pub fn first(&self, bytes: &[u8], allowed: &[String]) -> Option<Found> {
        let found = self.automaton.find_overlapping_iter(bytes).filter_map(|hit| {
            let at = hit.start();
            let name = match self.kinds[hit.pattern().as_usize()] {
                Kind::Token => is_token(bytes.get(at..at + TOKEN_LEN)?).then_some("a token of the gate")?,
                Kind::TokenInBase64(before) => {
                    is_token_in_base64(bytes, at, before).then_some("a token of the gate in Base64")?
                }
                Kind::Jwt => is_jwt(&bytes[at..]).then_some("a JWT")?,
                Kind::Marked => "a secret with the mark",
                Kind::Known => "a credential that a client sent, or a secret of the test,",
            };
            let begins = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 16)]).into_owned();
            Some(Found { what: format!("{name} (`{begins}…`)"), at })
        });
        found.into_iter().find(|found| !covered(bytes, found.at, allowed))
    }
}

/// A megabyte of password is looked for by how it begins.
fn beginning(secret: &str) -> &str {
    &secret[..secret.floor_char_boundary(LONGEST)]
}

/// The one that knows shapes and marks only.
pub fn shapes() -> &'static Sieve {
    static SHAPES: LazyLock<Sieve> = LazyLock::new(|| Sieve::new([]));
    &SHAPES
}

/// Whether what begins at `at` is inside one of these.
fn covered(bytes: &[u8], at: usize, allowed: &[String]) -> bool {
    let forms = allowed.iter().flat_map(|text| in_base64(text).into_iter().chain([text.clone()]));
    forms.into_iter().any(|form| {
        let first = (at + 1).saturating_sub(form.len());
        (first..=at).any(|start| bytes[start..].starts_with(form.as_bytes()))
    })
}

/// A text as Base64 has it at each of the three places it may begin, without the characters that depend on its neighbours.
fn in_base64(text: &str) -> [String; 3] {
    [(0, 0), (1, 2), (2, 3)].map(|(before, shared)| {
        let padded = [&vec![0; before][..], text.as_bytes()].concat();
        let whole_bits = padded.len() * 8 / 6;
        STANDARD_NO_PAD.encode(&padded)[shared..whole_bits].to_owned()
    })
}

fn is_token(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(token::is_ours)
}

fn is_token_in_base64(bytes: &[u8], at: usize, before: usize) -> bool {
    let Some(start) = at.checked_sub(before) else { return false };
    let run = bytes[start..].iter().take_while(|b| b.is_ascii_alphanumeric() || b"+/".contains(b));
    let text: Vec<u8> = run.copied().take(76).collect();
    let Ok(decoded) = STANDARD_NO_PAD.decode(&text) else { return false };
    decoded.windows(TOKEN_LEN).take(3).any(is_token)
}

/// Three parts, of which the first is the JSON of a head.
fn is_jwt(bytes: &[u8]) -> bool {
    let run = bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b));
    let text: String = run.map(|b| char::from(*b)).collect();
    let parts: Vec<&str> = text.split('.').collect();
    let [head, claims, signature, ..] = parts[..] else { return false };
    let is_head = URL_SAFE_NO_PAD.decode(head).is_ok_and(|head| head.windows(5).any(|w| w == b"\"alg\""));
    is_head && claims.len() > 20 && signature.len() > 20
}

/// What a directory of a gate's has in its names and files that it may not have, one sentence each.
///
/// `known` beside what has a shape; `gates` says which files are the gate's, `may` what one of them may hold.
pub fn in_files(
    below: &Path,
    known: &[String],
    gates: &dyn Fn(&Path) -> bool,
    may: &dyn Fn(&Path) -> Vec<String>,
) -> Vec<String> {
    let sieve = Sieve::new(known.iter().map(String::as_str));
    let files = super::home::files_below(below);
    let leaks = files.iter().filter_map(|file| {
        let name = file.strip_prefix(below).ok().filter(|name| gates(name))?;
        let in_name = sieve.first(name.as_os_str().as_encoded_bytes(), &[]);
        let found = in_name.or_else(|| sieve.first(&content(file), &may(name)))?;
        Some(format!("{} is in the file {}", found.what, name.display()))
    });
    leaks.collect()
}

/// Files may go while they are looked at, and holes are not read.
fn content(file: &Path) -> Vec<u8> {
    use std::os::unix::fs::MetadataExt as _;
    let written = |meta: &fs::Metadata| meta.is_file() && meta.len() <= meta.blocks() * 512 + (1 << 20);
    match fs::metadata(file) {
        Ok(meta) if written(&meta) => fs::read(file).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Fails the test when a text has a secret in it.
pub fn must_be_clean(place: &str, bytes: &[u8]) {
    if let Some(found) = shapes().first(bytes, &[]) {
        panic!("{} is in {place}: {}", found.what, String::from_utf8_lossy(bytes));
    }
}

/// The credentials in one HTTP header's value: the secret and, of Basic, what was sent.
pub(super) fn of_header(name: &str, value: &str) -> Vec<String> {
    match name.to_ascii_lowercase().as_str() {
        "authorization" | "proxy-authorization" => {
            let (scheme, secret) = value.split_once(' ').unwrap_or(("", value));
            if scheme.eq_ignore_ascii_case("basic") {
                of_basic(secret.trim())
            } else {
                vec![secret.trim().to_owned()]
            }
        }
        "x-api-key" => vec![value.to_owned()],
        "cookie" => {
            value.split(';').filter_map(|pair| Some(pair.split_once('=')?.1.trim().to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

fn of_basic(encoded: &str) -> Vec<String> {
    let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((user, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
        return vec![encoded.to_owned()];
    };
    let secret = if ["", "x", "x-oauth-basic"].contains(&password) { user } else { password };
    if secret.len() < learned::SHORTEST { Vec::new() } else { vec![encoded.to_owned(), secret.to_owned()] }
}
