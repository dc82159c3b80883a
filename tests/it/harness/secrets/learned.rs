//! The secrets that tests used: what the raw client showed to each gate, and what a test said by itself.
//!
//! Belongs here: remembering them by place. Does not: shapes (`super`).

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use parking_lot::Mutex;
use serde_json::Value;

use super::beginning;

/// Shorter ones are also words.
pub const SHORTEST: usize = 10;
/// Keys of JSON whose values are secrets.
const KEYS: [&str; 4] = ["password", "old_password", "code", "refresh_token"];

#[derive(Default)]
struct Learned {
    by_place: HashMap<String, HashSet<String>>,
    all: HashSet<String>,
}

static LEARNED: LazyLock<Mutex<Learned>> = LazyLock::new(Mutex::default);

/// Remembers a secret of a place: an address of a gate, or its data directory.
pub fn learn(place: &str, secret: &str) {
    if secret.len() < SHORTEST {
        return;
    }
    let secret = beginning(secret);
    let mut learned = LEARNED.lock();
    learned.all.insert(secret.to_owned());
    learned.by_place.entry(place.to_owned()).or_default().insert(secret.to_owned());
}

/// Remembers the credentials in a request.
pub fn learn_request(place: &str, target: &str, headers: &[(String, String)], body: &[u8]) {
    let in_headers = headers.iter().flat_map(|(name, value)| super::of_header(name, value));
    in_headers.chain(in_path(target)).for_each(|secret| learn(place, &secret));
    if body.first() == Some(&b'{')
        && let Ok(value) = serde_json::from_slice(body)
    {
        of_json(&value, &mut |secret| learn(place, secret));
    }
}

/// `/t/<token>/`, anywhere.
fn in_path(target: &str) -> impl Iterator<Item = String> {
    let mut parts = target.split(['/', '?', '=']).collect::<Vec<_>>().into_iter();
    let next = move || {
        parts.by_ref().find(|part| *part == "t")?;
        parts.next().map(str::to_owned)
    };
    std::iter::from_fn(next).collect::<Vec<_>>().into_iter()
}

fn of_json(value: &Value, learn: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(all) => {
            for (key, value) in all {
                match value.as_str().filter(|_| KEYS.contains(&key.as_str())) {
                    Some(secret) => learn(secret),
                    None => of_json(value, learn),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| of_json(value, learn)),
        _ => {}
    }
}

/// What is known of these places.
pub fn of(places: &[String]) -> Vec<String> {
    let learned = LEARNED.lock();
    places.iter().filter_map(|place| learned.by_place.get(place)).flatten().cloned().collect()
}

/// Whether any gate was shown this.
pub fn is_known(text: &str) -> bool {
    text.len() >= SHORTEST && LEARNED.lock().all.contains(beginning(text))
}
