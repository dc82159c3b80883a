//! The packages of a channel, over all its subdirs.
//!
//! Belongs here: putting summaries together, finding names, pages of them. Does not: making summaries.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::clock::UnixMillis;
use crate::conda::spec::Version;
use crate::repodata::summary::{PackageSummary, Summary};

/// One package, over all subdirs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its name.
    pub name: Box<str>,
    /// The latest version in any subdir.
    pub latest: Box<str>,
    /// In which of the catalogue's subdirs it is, by their places.
    pub subdirs: u64,
    /// Files that are shown.
    pub files: u32,
    /// Bytes of them.
    pub bytes: u64,
    /// When the gate first saw the newest of them.
    pub newest: Option<UnixMillis>,
}

/// All of them, in the order of names. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<[Line]>);

/// In which order lines are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// By name.
    #[default]
    Name,
    /// The newest first.
    Newest,
    /// The largest first.
    Size,
}

impl Names {
    pub(super) fn of(summaries: &[Arc<Summary>]) -> Self {
        let mut tagged: Vec<(usize, &PackageSummary)> = Vec::new();
        for (place, summary) in summaries.iter().enumerate() {
            tagged.extend(summary.packages.iter().map(|package| (place.min(63), package)));
        }
        // Each part is sorted already, which this sort makes use of.
        tagged.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        let lines = tagged.chunk_by(|(_, a), (_, b)| a.name == b.name).filter_map(line);
        Self(lines.collect())
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Line> {
        let place = self.0.binary_search_by(|line| (*line.name).cmp(name)).ok()?;
        self.0.get(place)
    }

    /// Those whose names have a text in them, the best first: the name itself, then names that begin with it, then all others; within
    /// each in the order that is wanted. An empty text is in every name.
    #[must_use]
    pub fn matching(&self, text: &str, order: Order) -> Vec<&Line> {
        let text = text.to_ascii_lowercase();
        let finder = memchr::memmem::Finder::new(text.as_bytes());
        let mut found: Vec<&Line> =
            self.0.iter().filter(|line| finder.find(line.name.as_bytes()).is_some()).collect();
        let rank = |line: &Line| match (*line.name == *text, line.name.starts_with(&text)) {
            (true, _) => 0_u8,
            (false, true) => 1,
            (false, false) => 2,
        };
        match order {
            Order::Name if text.is_empty() => {}
            Order::Name => found.sort_by_key(|line| rank(line)),
            Order::Newest => found.sort_by_key(|line| Reverse(line.newest)),
            Order::Size => found.sort_by_key(|line| Reverse(line.bytes)),
        }
        found
    }
}

fn line(same: &[(usize, &PackageSummary)]) -> Option<Line> {
    let ((place, first), rest) = same.split_first()?;
    let mut line = Line {
        name: first.name.clone(),
        latest: first.latest.clone(),
        subdirs: 1 << place,
        files: first.files,
        bytes: first.bytes,
        newest: first.newest,
    };
    for (place, more) in rest {
        line.subdirs |= 1 << place;
        line.files += more.files;
        line.bytes = line.bytes.saturating_add(more.bytes);
        line.newest = line.newest.max(more.newest);
        if more.latest != line.latest && Version::parse(&line.latest) < Version::parse(&more.latest) {
            line.latest = more.latest.clone();
        }
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(names: &[(&str, &str)]) -> Arc<Summary> {
        let package = |(name, latest): &(&str, &str)| PackageSummary {
            name: (*name).into(),
            latest: (*latest).into(),
            files: 1,
            bytes: 10,
            newest: Some(UnixMillis(latest.len().try_into().unwrap())),
        };
        Arc::new(Summary { packages: names.iter().map(package).collect(), ..Summary::default() })
    }

    #[test]
    fn names_of_all_subdirs_are_put_together() {
        let names = Names::of(&[
            summary(&[("alpha", "1.9"), ("beta", "1.0")]),
            summary(&[("alpha", "1.10"), ("my-alpha", "2"), ("alphabet", "1")]),
        ]);
        assert_eq!(names.len(), 4);
        let alpha = names.find("alpha").unwrap();
        assert_eq!((&*alpha.latest, alpha.subdirs, alpha.files, alpha.bytes), ("1.10", 0b11, 2, 20));
        let found =
            |text, order| names.matching(text, order).iter().map(|l| l.name.to_string()).collect::<Vec<_>>();
        assert_eq!(found("ALPHA", Order::Name), ["alpha", "alphabet", "my-alpha"]);
        assert_eq!(found("", Order::Newest)[0], "alpha");
        assert_eq!(found("nothing", Order::Name), [""; 0]);
    }
}
