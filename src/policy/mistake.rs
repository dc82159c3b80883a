//! A mistake in something a person wrote: where it is, what is wrong, what was probably meant.
//!
//! Belongs here: [`Mistake`], the collector [`Mistakes`], the nearest-name hint. Does not: any knowledge of what
//! is being read.

use std::fmt;

use super::node::At;

/// One thing wrong in a configuration or rules file, in a variable or in a flag.
///
/// The message is a sentence that never contains the content of a secret or a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The file, or `environment variable X`, or `flag --x`.
    pub file: String,
    /// The line, from 1; 0 where lines have no meaning.
    pub line: usize,
    /// The column in characters, from 1; 0 where columns have no meaning.
    pub column: usize,
    /// What is wrong, as a sentence that begins with the key where there is one.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake at `at`, without a hint.
    #[must_use]
    pub fn new(at: &At, message: impl Into<String>) -> Self {
        Self {
            file: at.file.to_string(),
            line: at.line,
            column: at.column,
            message: message.into(),
            hint: None,
        }
    }

    /// The same mistake with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// `file:line:column: message`, then the hint on a line of its own.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

/// Collects mistakes while everything is read, so that all of them can be told at once.
#[derive(Debug, Default)]
pub struct Mistakes {
    all: Vec<Mistake>,
    notes: Vec<Mistake>,
}

impl Mistakes {
    /// No mistakes yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { all: Vec::new(), notes: Vec::new() }
    }

    /// Notes one.
    pub fn push(&mut self, mistake: Mistake) {
        self.all.push(mistake);
    }

    /// Notes one without a hint.
    pub fn add(&mut self, at: &At, message: impl Into<String>) {
        self.push(Mistake::new(at, message));
    }

    /// Notes one with a hint.
    pub fn add_hint(&mut self, at: &At, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Mistake::new(at, message).hint(hint));
    }

    /// Adds those of another reader.
    pub fn extend(&mut self, others: Vec<Mistake>) {
        self.all.extend(others);
    }

    /// Notes what may be meant, and may be a mistake.
    pub fn note(&mut self, at: &At, message: impl Into<String>, hint: impl Into<String>) {
        self.notes.push(Mistake::new(at, message).hint(hint));
    }

    /// What may be a mistake, by file and place.
    pub fn take_notes(&mut self) -> Vec<Mistake> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.sort();
        notes.dedup();
        notes
    }

    /// Whether all is well so far.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them, by file and place, each told once.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Mistake> {
        self.all.sort();
        self.all.dedup();
        self.all
    }

    /// `value` when nothing was noted, else everything that was.
    ///
    /// # Errors
    /// The mistakes, sorted.
    pub fn or<T>(self, value: T) -> Result<T, Vec<Mistake>> {
        if self.is_empty() { Ok(value) } else { Err(self.into_sorted()) }
    }
}

/// The one of `known` that `text` was probably meant to be: at most a third of its letters differ.
#[must_use]
pub fn nearest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(text.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The few of `known` that are nearest to `text`, nearest first: at most a third of the letters differ.
#[must_use]
pub fn nearest_few<'k>(text: &str, known: impl IntoIterator<Item = &'k str>, most: usize) -> Vec<&'k str> {
    let near = |candidate: &'k str| {
        let limit = candidate.len().max(text.len()).div_ceil(3);
        // Most are told apart by their lengths alone.
        let may_be = candidate.len().abs_diff(text.len()) <= limit;
        may_be.then(|| (distance(text, candidate), candidate)).filter(|(distance, _)| *distance <= limit)
    };
    let mut found: Vec<_> = known.into_iter().filter_map(near).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(most).map(|(_, candidate)| candidate).collect()
}

/// A hint that names the nearest of `known`, or all of them when none is near.
#[must_use]
pub fn did_you_mean<'k>(text: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> String {
    nearest(text, known.clone()).map_or_else(
        || {
            let mut all: Vec<_> = known.into_iter().map(|k| format!("`{k}`")).collect();
            all.sort();
            all.dedup();
            format!("known here: {}", all.join(", "))
        },
        |name| format!("did you mean `{name}`?"),
    )
}

/// Edit distance where swapping two neighbours counts as one step (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substitute = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitute.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let known = ["upstream", "path", "ttl"];
        assert_eq!(nearest("upsteam", known), Some("upstream"));
        assert_eq!(nearest("tll", known), Some("ttl"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest_few("pth", ["patch", "path", "ttl", "path"], 2), ["path", "patch"]);
        assert_eq!(did_you_mean("colour", known), "known here: `path`, `ttl`, `upstream`");
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn printed_form() {
        let at = At { file: "a.yaml".into(), line: 3, column: 5 };
        let mistake = Mistake::new(&at, "no.").hint("yes");
        assert_eq!(mistake.to_string(), "a.yaml:3:5: no.\n  hint: yes");
        assert_eq!(Mistake::new(&At::outside("flag --x"), "no.").to_string(), "flag --x: no.");
    }
}
