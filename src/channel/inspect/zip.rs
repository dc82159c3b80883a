//! The outer archive of a `.conda`: a zip of exactly three stored members (CEP 35), accepted only when it can be read in one way.
//!
//! Some clients go by the directory at the end of a zip (conda, mamba), others walk it from its beginning (rattler). Zip libraries
//! are built to get the most out of any file: they pass over bytes before, between and behind, repair, and take the last of two.
//! Here every byte must belong to something, and both descriptions of a member must agree. So this reads the few structures itself
//! (APPNOTE 6.3.10, sections 4.3 to 4.5); the tests hold what it accepts against two libraries.
//!
//! Belongs here: where the members lie. Does not: their contents.

use super::error::{InspectError, ZipFlaw, shown};
use super::run::Run;
use super::zip_fields::{Fields, LOCAL_SIGNATURE, Record, extra};

/// Where a member's bytes lie, and their CRC-32.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stored {
    /// First byte.
    pub from: u64,
    /// Behind the last byte.
    pub to: u64,
    /// As the directory says.
    pub crc: u32,
}

/// The members of a `.conda`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Members {
    /// `metadata.json`.
    pub metadata: Stored,
    /// `info-<stem>.tar.zst`.
    pub info: Stored,
    /// `pkg-<stem>.tar.zst`.
    pub pkg: Stored,
}

const MEMBERS: u64 = 3;
/// Longest directory of three members that is looked at, in bytes.
const DIRECTORY: u64 = 64 << 10;
const END: u64 = 22;
const END64: u64 = 56;
const LOCATOR: u64 = 20;
const LOCAL: usize = 30;
const CENTRAL: usize = 46;
/// Encrypted, encrypted strongly, names masked.
const ENCRYPTION: u16 = 0x2041;
/// What may be set: hints about a compression that is not there, sizes behind the data, names in UTF-8.
const HARMLESS: u16 = 0x080e;
const SIZES_BEHIND: u16 = 0x0008;

/// Finds the three members of the `.conda` that is called `stem`.
pub(super) fn members(run: &Run<'_>, stem: &str) -> Result<Members, InspectError> {
    let (from, to) = directory(run)?;
    let len = usize::try_from(to - from).map_err(|_| ZipFlaw::Directory)?;
    let bytes = run.read(from, len)?;
    let mut found = entries(&bytes)?;
    found.sort_by_key(|entry| entry.header);
    let mut at = 0;
    for n in 0..found.len() {
        let behind = found.get(n + 1).map_or(from, |next| next.header.min(from));
        at = found[n].locate(run, at, behind)?;
    }
    if at != from {
        return Err(ZipFlaw::Gap.into());
    }
    let take = |name: String| -> Result<Stored, InspectError> {
        let entry = found.iter().find(|entry| entry.name == name.as_bytes());
        Ok(entry.map(Entry::stored).ok_or(ZipFlaw::Count { found: 2 })?)
    };
    let (info, pkg) = (format!("info-{stem}.tar.zst"), format!("pkg-{stem}.tar.zst"));
    let names = ["metadata.json", &info, &pkg];
    for (n, entry) in found.iter().enumerate() {
        let member = shown(&entry.name);
        if !names.iter().any(|name| name.as_bytes() == entry.name) {
            return Err(ZipFlaw::Unexpected { member }.into());
        }
        if found[..n].iter().any(|other| other.name == entry.name) {
            return Err(ZipFlaw::Twice { member }.into());
        }
    }
    Ok(Members { metadata: take("metadata.json".to_owned())?, info: take(info)?, pkg: take(pkg)? })
}

/// First byte of the directory, and the one behind it.
fn directory(run: &Run<'_>) -> Result<(u64, u64), InspectError> {
    let end_at = run.len.checked_sub(END).ok_or(ZipFlaw::NoEnd)?;
    let end = Record(run.read(end_at, 22)?);
    // A comment, or anything else behind the end, would let a reader find another end.
    if !end.begins(*b"PK\x05\x06") || end.u16(20) != 0 {
        return Err(ZipFlaw::NoEnd.into());
    }
    if end.u16(4) != 0 || end.u16(6) != 0 {
        return Err(ZipFlaw::End("it is split over several files").into());
    }
    let (mut count, mut size) = (u64::from(end.u16(10)), u64::from(end.u32(12)));
    let (mut from, mut tail) = (u64::from(end.u32(16)), end_at);
    if u64::from(end.u16(8)) != count {
        return Err(ZipFlaw::End("it has two numbers of members").into());
    }
    if let Some((end64, at)) = end64(run, end_at)? {
        let agree = |short: u64, most: u64, long: u64| short == most || short == long;
        let (count64, size64, from64) = (end64.u64(32), end64.u64(40), end64.u64(48));
        let same = agree(count, 0xffff, count64)
            && agree(size, 0xffff_ffff, size64)
            && agree(from, 0xffff_ffff, from64)
            && end64.u64(24) == count64;
        if !same {
            return Err(ZipFlaw::End("its 32-bit and 64-bit ends differ").into());
        }
        (count, size, from, tail) = (count64, size64, from64, at);
    }
    if count != MEMBERS {
        return Err(ZipFlaw::Count { found: count }.into());
    }
    if size > DIRECTORY || from.checked_add(size) != Some(tail) {
        return Err(ZipFlaw::End("the directory does not lie right before the end").into());
    }
    Ok((from, tail))
}

/// The 64-bit end and its offset, where there is one.
fn end64(run: &Run<'_>, end_at: u64) -> Result<Option<(Record, u64)>, InspectError> {
    let Some(locator_at) = end_at.checked_sub(LOCATOR) else { return Ok(None) };
    let locator = Record(run.read(locator_at, 20)?);
    if !locator.begins(*b"PK\x06\x07") {
        return Ok(None);
    }
    let at = locator_at.checked_sub(END64).ok_or(ZipFlaw::End("the 64-bit end is cut"))?;
    let end = Record(run.read(at, 56)?);
    let sound = locator.u32(4) == 0
        && locator.u64(8) == at
        && locator.u32(16) <= 1
        && end.begins(*b"PK\x06\x06")
        && end.u64(4) == END64 - 12
        && end.u32(16) == 0
        && end.u32(20) == 0;
    if sound { Ok(Some((end, at))) } else { Err(ZipFlaw::End("the 64-bit end is broken").into()) }
}

/// A member as the directory describes it.
struct Entry {
    name: Vec<u8>,
    flags: u16,
    crc: u32,
    size: u64,
    /// Offset of its local header.
    header: u64,
    /// Offset of its data, once it is known.
    data: u64,
}

fn entries(bytes: &[u8]) -> Result<Vec<Entry>, ZipFlaw> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (entry, len) = entry(rest)?;
        found.push(entry);
        rest = &rest[len..];
    }
    let count = found.len() as u64;
    if count == MEMBERS { Ok(found) } else { Err(ZipFlaw::Count { found: count }) }
}

/// The entry that `bytes` begins with, and its length.
fn entry(bytes: &[u8]) -> Result<(Entry, usize), ZipFlaw> {
    let record = Record(bytes.get(..CENTRAL).ok_or(ZipFlaw::Directory)?.to_vec());
    if !record.begins(*b"PK\x01\x02") {
        return Err(ZipFlaw::Directory);
    }
    let lengths = [record.u16(28), record.u16(30), record.u16(32)].map(usize::from);
    let len = CENTRAL + lengths.iter().sum::<usize>();
    let variable = bytes.get(CENTRAL..len).ok_or(ZipFlaw::Directory)?;
    let name = variable[..lengths[0]].to_vec();
    let member = || shown(&name);
    let flags = record.u16(8);
    check_features(flags, record.u16(10), &member)?;
    if record.u16(34) != 0 {
        return Err(ZipFlaw::Features { member: member() });
    }
    let extra = extra(&variable[lengths[0]..lengths[0] + lengths[1]], &member)?;
    let fields = Fields { size: record.u32(24), packed: record.u32(20), header: Some(record.u32(42)) };
    let (size, header) = fields.widen(extra.as_deref(), &member)?;
    Ok((Entry { name, flags, crc: record.u32(16), size, header, data: 0 }, len))
}

fn check_features(flags: u16, method: u16, member: &impl Fn() -> String) -> Result<(), ZipFlaw> {
    if flags & ENCRYPTION != 0 {
        return Err(ZipFlaw::Encrypted { member: member() });
    }
    if method != 0 {
        return Err(ZipFlaw::Compressed { member: member() });
    }
    if flags & !HARMLESS != 0 { Err(ZipFlaw::Features { member: member() }) } else { Ok(()) }
}

impl Entry {
    fn stored(&self) -> Stored {
        Stored { from: self.data, to: self.data + self.size, crc: self.crc }
    }

    /// Compares the member with its own header, which must stand at `at`, and says where it ends: at `behind`.
    fn locate(&mut self, run: &Run<'_>, at: u64, behind: u64) -> Result<u64, InspectError> {
        let member = || shown(&self.name);
        if self.header != at {
            return Err(ZipFlaw::Place { member: member() }.into());
        }
        let room = behind.saturating_sub(at);
        if room < LOCAL as u64 {
            return Err(ZipFlaw::Place { member: member() }.into());
        }
        let local = Record(run.read(at, LOCAL)?);
        let (name_len, extra_len) = (usize::from(local.u16(26)), usize::from(local.u16(28)));
        let head = (LOCAL + name_len + extra_len) as u64;
        if room < head {
            return Err(ZipFlaw::Place { member: member() }.into());
        }
        let variable = run.read(at + LOCAL as u64, name_len + extra_len)?;
        let differs = || InspectError::from(ZipFlaw::Differs { member: member() });
        let same = local.begins(LOCAL_SIGNATURE)
            && local.u16(6) == self.flags
            && local.u16(8) == 0
            && variable[..name_len] == *self.name;
        if !same {
            return Err(differs());
        }
        let extra = extra(&variable[name_len..], &member)?;
        let fields = Fields { size: local.u32(22), packed: local.u32(18), header: None };
        let behind_data = self.flags & SIZES_BEHIND != 0;
        let ((size, _), crc) = (fields.widen(extra.as_deref(), &member)?, local.u32(14));
        let blank = behind_data && size == 0 && crc == 0;
        if !blank && (size != self.size || crc != self.crc) {
            return Err(differs());
        }
        let data = at + head;
        let end = data.checked_add(self.size).filter(|end| *end <= behind);
        let end = end.ok_or_else(|| ZipFlaw::Place { member: member() })?;
        let end = if behind_data { self.descriptor(run, end, behind)? } else { end };
        self.data = data;
        Ok(end)
    }

    /// What follows the data when its sizes were not known before: everything up to `behind`.
    fn descriptor(&self, run: &Run<'_>, at: u64, behind: u64) -> Result<u64, InspectError> {
        let differs = || InspectError::from(ZipFlaw::Differs { member: shown(&self.name) });
        let len = usize::try_from(behind - at).ok().filter(|len| matches!(len, 12 | 16 | 20 | 24));
        let record = Record(run.read(at, len.ok_or_else(differs)?)?);
        let start = if record.0.len().is_multiple_of(8) { 4 } else { 0 };
        let sizes = match record.0.len() - start {
            12 => [record.u32(start + 4), record.u32(start + 8)].map(u64::from),
            _ => [record.u64(start + 4), record.u64(start + 12)],
        };
        let signed = start == 0 || record.begins(*b"PK\x07\x08");
        let same = signed && record.u32(start) == self.crc && sizes == [self.size; 2];
        if same { Ok(behind) } else { Err(differs()) }
    }
}
