//! Single files out of a package that was found good before.
//!
//! Belongs here: finding and reading them. Does not: what is in them.

use std::fs::File;
use std::io;

use super::error::{InspectError, TarFlaw};
use super::run::{Limits, Run};
use super::seen::Kind;
use super::tarball::{self, Member, What};
use super::unpack::{Packing, Part};
use super::{path, zip};
use crate::conda::archive::{ArchiveKind, ArchiveName};

/// The files outside `info/` whose paths are wanted, in the package's order. Reads all of it; blocks.
///
/// # Errors
/// What is wrong with the package; a wanted file has more than `longest` bytes.
pub fn pick(
    file: &File,
    (name, size): (&ArchiveName, u64),
    (limits, longest): (&Limits, u64),
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<(String, Vec<u8>)>, InspectError> {
    let run = Run::new(file, size, limits)?;
    let part = match name.kind() {
        ArchiveKind::Wheel => return Err(InspectError::Wheel { file: name.clone() }),
        ArchiveKind::Conda => {
            let stem = name.as_str().strip_suffix(name.kind().extension()).unwrap_or_default();
            let place = zip::members(&run, stem)?.pkg;
            Part {
                name: format!("pkg-{stem}.tar.zst"),
                from: place.from,
                to: place.to,
                crc: Some(place.crc),
                packing: Packing::Zst,
            }
        }
        ArchiveKind::TarBz2 => {
            Part { name: name.as_str().to_owned(), from: 0, to: run.len, crc: None, packing: Packing::Bz2 }
        }
    };
    let mut picked = Vec::new();
    tarball::walk(&run, &part, &mut |member, bytes| {
        let Some(path) = path_of(member, limits.path).filter(|path| is_wanted(path)) else { return Ok(()) };
        if member.size > longest {
            return Err(InspectError::TooMuch { what: "bytes of one file that is read", limit: longest });
        }
        let mut contents = Vec::new();
        let read = bytes.read_to_end(&mut contents).and_then(|read| {
            if read as u64 == member.size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        });
        read.map_err(|error| {
            let flaw = TarFlaw::Broken(error.to_string());
            run.why().unwrap_or_else(|| InspectError::Tar { part: part.name.clone(), flaw })
        })?;
        picked.push((path.to_owned(), contents));
        Ok(())
    })?;
    Ok(picked)
}

fn path_of(member: &Member, longest: usize) -> Option<&str> {
    let is_file = matches!(member.what, What::Plain(Kind::File));
    path::clean(&member.path, longest).ok().filter(|_| is_file)
}
