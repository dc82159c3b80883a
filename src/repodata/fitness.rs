//! Whether clients may have upstream's document as it is: the cheapest look at it that answers that.
//!
//! A build finds the same out, but it also packs, and is slower than a fast line. Who passes upstream's own bytes on can't wait for it.
//!
//! Belongs here: the questions a build would answer with an edit. Does not: edits (`rewrite`), who waits for the answer (`delivery`).

use super::build::{Limits, RawDocument};
use super::error::BuildError;
use super::info;
use super::onlooker::Onlooker;
use super::read::read;
use super::rewrite::FileNames;
use super::scan::{Record, Shape, Sink};
use crate::conda::subdir::Subdir;
use crate::conda::url::Packing;

/// Reads a document to its end and tells `onlooker` whether it is fit, as a build would. Blocks while it arrives.
///
/// # Errors
/// It can't be read or is no index; nothing is said then, and a build finds the same.
pub fn look_through(
    raw: &dyn RawDocument,
    packing: Packing,
    subdir: &Subdir,
    limits: &Limits,
    onlooker: &dyn Onlooker,
) -> Result<(), BuildError> {
    let mut look =
        Look { subdir: subdir.as_str(), onlooker, has_info: false, fit: true, files: FileNames::default() };
    let path = raw.path();
    let input = raw.open().map_err(BuildError::io("open", path))?;
    let unpacked = read(path, input, packing, Shape::Records, limits, &mut look)?;
    look.must(unpacked.members == 1);
    if look.fit {
        onlooker.read();
    }
    Ok(())
}

struct Look<'a> {
    subdir: &'a str,
    onlooker: &'a dyn Onlooker,
    has_info: bool,
    fit: bool,
    files: FileNames,
}

impl Look<'_> {
    fn must(&mut self, fit: bool) {
        if self.fit && !fit {
            self.fit = false;
            self.onlooker.unfit();
        }
    }

    /// Whether a build would leave a record as it is, but for its age.
    fn stays(&mut self, record: &Record<'_>) -> bool {
        let Ok(good) = record.judge() else { return false };
        record.check_package().is_ok() && record.foreign_url().is_none() && self.files.is_new(&good.file)
    }
}

impl Sink for Look<'_> {
    type Error = BuildError;

    fn info(&mut self, value: &[u8]) -> Result<(), BuildError> {
        self.has_info = true;
        let stays = info::edit(value, self.subdir)?.is_none();
        self.must(stays);
        if self.fit {
            self.onlooker.info_passed();
        }
        Ok(())
    }

    fn version(&mut self, value: &[u8]) -> Result<(), BuildError> {
        self.must(matches!(value, b"0" | b"1"));
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), BuildError> {
        if self.fit {
            let stays = self.stays(record);
            self.must(stays);
        }
        Ok(())
    }

    fn closing(&mut self) -> Result<(), BuildError> {
        self.must(self.has_info);
        Ok(())
    }
}
