//! A walk through a tar archive, to its very end, that accepts only what every reader understands alike.
//!
//! The readers of the ecosystem (Python's tarfile, libarchive, the tar crate) differ in how they treat sizes written twice, old fields,
//! sparse files, contents of links and what stands behind the end. So each header is looked at raw, and what they differ about is refused.
//!
//! Belongs here: from headers to members. Does not: what a member may be in a package (`contents`).

use std::io::{BufReader, Read};

use super::error::{InspectError, MemberFlaw, TarFlaw, shown};
use super::pax::Pax;
use super::run::Run;
use super::seen::Kind;
use super::unpack::{Part, Unpacker};

const BLOCK: u64 = 512;
const PIECE: usize = 64 << 10;
/// Longest extension header, in bytes: extended attributes live there.
const EXTENSION: u64 = 1 << 20;

/// What a header and its extensions say. The names are as they stand, not yet checked.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name, without the slash that ends a directory's.
    pub path: Vec<u8>,
    /// What it is.
    pub what: What,
    /// Bytes of contents.
    pub size: u64,
}

/// What a member is.
#[derive(Debug)]
pub(super) enum What {
    /// A directory, or something with contents.
    Plain(Kind),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// Another name for a file that came before.
    HardLink(Vec<u8>),
}

/// Is given every member in order, with its contents.
pub(super) type Visit<'v> = dyn FnMut(&Member, &mut dyn Read) -> Result<(), InspectError> + 'v;

/// Reads all of the part and gives every member to `visit`.
pub(super) fn walk(run: &Run<'_>, part: &Part, visit: &mut Visit<'_>) -> Result<(), InspectError> {
    let mut archive = tar::Archive::new(BufReader::with_capacity(PIECE, Unpacker::new(run, part)?));
    let tar = |flaw| InspectError::Tar { part: part.name.clone(), flaw };
    let broken = |e: std::io::Error| run.why().unwrap_or_else(|| tar(TarFlaw::Broken(e.to_string())));
    let (mut before, mut end) = (Extensions::default(), 0);
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        run.header()?;
        end = entry.raw_file_position() + entry.size().next_multiple_of(BLOCK);
        let raw_name = entry.path_bytes().into_owned();
        let flaw = |flaw| member_flaw(part, &raw_name, flaw);
        check_header(entry.header()).map_err(flaw)?;
        if let Some(what) = Extension::of(entry.header()) {
            let mut bytes = Vec::new();
            if entry.size() > EXTENSION {
                return Err(flaw(MemberFlaw::Header("an extension is too long")));
            }
            entry.read_to_end(&mut bytes).map_err(broken)?;
            if let Extension::Global = what {
                Pax::check_global(&bytes).map_err(tar)?;
                // The tar crate takes it for the member that the headers before it are about.
                if !before.is_empty() {
                    return Err(tar(TarFlaw::Dangling));
                }
            } else {
                before.take(what, bytes).map_err(flaw)?;
            }
            continue;
        }
        let member = std::mem::take(&mut before).member(entry.header(), &raw_name).map_err(flaw)?;
        visit(&member, &mut entry)?;
    }
    if !before.is_empty() {
        return Err(tar(TarFlaw::Dangling));
    }
    check_end(run, archive.into_inner(), end, &tar)
}

/// A flaw of the member that is called so.
pub(super) fn member_flaw(part: &Part, name: &[u8], flaw: MemberFlaw) -> InspectError {
    InspectError::Member { part: part.name.clone(), path: shown(name), flaw }
}

/// Behind the last member, which ends at `end`, come two blocks of zeros at least, and nothing but zeros.
fn check_end(
    run: &Run<'_>,
    mut rest: BufReader<Unpacker<'_>>,
    end: u64,
    tar: &dyn Fn(TarFlaw) -> InspectError,
) -> Result<(), InspectError> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = rest.read(&mut piece);
        match read.map_err(|e| run.why().unwrap_or_else(|| tar(TarFlaw::Broken(e.to_string()))))? {
            0 => break,
            len if piece[..len].iter().any(|b| *b != 0) => return Err(tar(TarFlaw::Behind)),
            _ => {}
        }
    }
    let zeros = rest.get_ref().out.saturating_sub(end);
    if zeros < 2 * BLOCK { Err(tar(TarFlaw::NoEnd)) } else { Ok(()) }
}

/// What readers take from different places of a header, or write differently.
fn check_header(header: &tar::Header) -> Result<(), MemberFlaw> {
    let bytes = header.as_bytes();
    // Python goes by the prefix whatever the magic; old GNU headers have other things there.
    if header.as_ustar().is_none() && bytes[345..500].iter().any(|b| *b != 0) {
        return Err(MemberFlaw::Header("fields of another tar format"));
    }
    let has_magic = header.as_ustar().is_some() || header.as_gnu().is_some();
    if !has_magic && Extension::of(header).is_some() {
        return Err(MemberFlaw::Header("an extension of another tar format"));
    }
    // Python takes a header with a number that it can't read for the end of the archive.
    for (field, may_be_binary) in NUMBERS {
        let number = &bytes[field];
        let is_binary = may_be_binary && matches!(number.first(), Some(0x80 | 0xff));
        if !is_binary && !is_octal(number) {
            return Err(MemberFlaw::Header(
                "a number that is not written in octal digits, or 8 GiB and more",
            ));
        }
    }
    Ok(())
}

/// Mode, owner, group, size, time, checksum, device; and which of them GNU writes in binary when they don't fit.
const NUMBERS: [(std::ops::Range<usize>, bool); 8] = [
    (100..108, false),
    (108..116, true),
    (116..124, true),
    (124..136, false),
    (136..148, true),
    (148..156, false),
    (329..337, false),
    (337..345, false),
];

/// Digits, with spaces before and spaces or zero bytes behind; none at all is zero.
fn is_octal(number: &[u8]) -> bool {
    let mut rest = number.iter().skip_while(|b| **b == b' ').skip_while(|b| (b'0'..=b'7').contains(*b));
    rest.all(|b| matches!(b, 0 | b' '))
}

/// A header that is about the next one.
#[derive(Clone, Copy)]
enum Extension {
    LongName,
    LongLink,
    Pax,
    /// About all that follow.
    Global,
}

impl Extension {
    fn of(header: &tar::Header) -> Option<Self> {
        match header.as_bytes()[156] {
            b'L' => Some(Self::LongName),
            b'K' => Some(Self::LongLink),
            b'x' => Some(Self::Pax),
            b'g' => Some(Self::Global),
            _ => None,
        }
    }
}

/// What came before a member and is about it.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

impl Extensions {
    const fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.pax.is_none()
    }

    fn take(&mut self, what: Extension, mut bytes: Vec<u8>) -> Result<(), MemberFlaw> {
        let twice = match what {
            Extension::Pax => self.pax.replace(Pax::parse(&bytes)?).is_some(),
            Extension::LongName | Extension::LongLink | Extension::Global => {
                bytes.pop_if(|last| *last == 0);
                let place = if matches!(what, Extension::LongLink) { &mut self.link } else { &mut self.name };
                place.replace(bytes).is_some()
            }
        };
        if twice { Err(MemberFlaw::Header("two extensions of one kind")) } else { Ok(()) }
    }

    fn member(self, header: &tar::Header, name: &[u8]) -> Result<Member, MemberFlaw> {
        let pax = self.pax.unwrap_or_default();
        let size = header.entry_size().map_err(|_| MemberFlaw::Header("its size"))?;
        if pax.size.is_some_and(|other| other != size) {
            return Err(MemberFlaw::Header("two sizes"));
        }
        let path = one_of(self.name, pax.path)?.unwrap_or_else(|| name.to_owned());
        let link = one_of(self.link, pax.linkpath)?
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let target = || link.clone().ok_or(MemberFlaw::NoTarget);
        let (what, has_contents) = match header.as_bytes()[156] {
            b'0' | 0 => (What::Plain(Kind::File), true),
            b'1' => (What::HardLink(target()?), false),
            b'2' => (What::Symlink(target()?), false),
            b'5' => (What::Plain(Kind::Dir), false),
            b'S' => return Err(MemberFlaw::Sparse),
            other => return Err(MemberFlaw::Kind(char::from(other))),
        };
        if !has_contents && size != 0 {
            return Err(MemberFlaw::HasContents);
        }
        let mut path = path;
        if matches!(what, What::Plain(Kind::Dir)) && path.len() > 1 {
            path.pop_if(|last| *last == b'/');
        }
        Ok(Member { path, what, size })
    }
}

/// GNU's way and POSIX's of saying the same; with both, readers differ in which one counts.
fn one_of(gnu: Option<Vec<u8>>, pax: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, MemberFlaw> {
    if gnu.is_some() && pax.is_some() {
        return Err(MemberFlaw::Header("two names"));
    }
    Ok(gnu.or(pax))
}
