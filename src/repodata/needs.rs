//! Which packages of a generation need which: by the newest file of each that is shown.
//!
//! Reads one record for each package, which takes some tenths of a second for thirty thousand of them, so it belongs on a blocking thread.
//!
//! Belongs here: one walk over the records. Does not: several generations together (`delivery::catalogue`).

use std::borrow::Cow;

use ahash::AHashMap;
use serde::Deserialize;

use super::error::BuildError;
use super::generation::Generation;
use super::summary::{Summary, version_of};
use crate::conda::spec::dependency_name;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Needs {
    /// In order.
    names: Vec<Box<str>>,
    /// By what is needed: places in `names`, in order.
    by: AHashMap<Box<str>, Vec<u32>>,
}

/// What of a record is read.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, default)]
    depends: Vec<Cow<'a, str>>,
}

impl Needs {
    /// Reads the records.
    ///
    /// # Errors
    /// As [`Generation::known`]. What can't be understood is left out.
    pub fn of(generation: &Generation, summary: &Summary) -> Result<Self, BuildError> {
        let mut all = Self::default();
        for package in &summary.packages {
            let is_newest = |file: &str| version_of(file, &package.name) == Some(&*package.latest);
            let mut files = generation.table().of_package(&package.name);
            let Some(newest) = files.find(|entry| entry.is_shown() && is_newest(entry.file)) else {
                continue;
            };
            let Some(record) = generation.known(&newest)?.record else { continue };
            let Ok(record) = serde_json::from_slice::<Record<'_>>(&record) else { continue };
            let place = u32::try_from(all.names.len()).unwrap_or(u32::MAX);
            all.names.push(package.name.clone());
            for needed in record.depends.iter().map(|text| dependency_name(text)) {
                all.add(needed, place);
            }
        }
        Ok(all)
    }

    fn add(&mut self, needed: &str, place: u32) {
        match self.by.get_mut(needed) {
            // A package may name another in several specs.
            Some(places) if places.last() == Some(&place) => {}
            Some(places) => places.push(place),
            None => drop(self.by.insert(needed.into(), vec![place])),
        }
    }

    /// The packages that need one, in the order of their names.
    pub fn of_package(&self, name: &str) -> impl Iterator<Item = &str> {
        let places = self.by.get(name).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| self.names.get(*place as usize)).map(AsRef::as_ref)
    }
}
