//! What a tar archive is packed in: exactly one zstd frame, or one bzip2 stream, that ends where its part of the file ends.
//!
//! Clients differ in whether they read a second frame or stream, so there must be none. Every byte of the part goes through here,
//! and its checksum is compared at the end.
//!
//! Belongs here: decoding with limits. Does not: where the part lies (`zip`), what is in it (`tarball`).

use std::io::{self, Read};

use bzip2::{Decompress, Status};
use zstd::stream::raw::{DParameter, Decoder, Operation as _};

use super::error::{InspectError, PackedFlaw, ZipFlaw, shown};
use super::run::Run;

const PIECE: usize = 128 << 10;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A packed tar archive in the file.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// What messages call it.
    pub name: String,
    /// First byte.
    pub from: u64,
    /// Behind the last byte.
    pub to: u64,
    /// CRC-32 of its bytes, where the zip archive has one.
    pub crc: Option<u32>,
    /// How it is packed.
    pub packing: Packing,
}

/// How a tar archive is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Packing {
    /// zstd.
    Zst,
    /// bzip2.
    Bz2,
}

enum Codec {
    Zst(Decoder<'static>),
    Bz2(Box<Decompress>),
}

/// What one step of a decoder did.
struct Step {
    read: usize,
    written: usize,
    ended: bool,
}

/// The decoded bytes of a part. Its errors stop with the reason left in the [`Run`].
pub(super) struct Unpacker<'a> {
    run: &'a Run<'a>,
    part: &'a Part,
    codec: Codec,
    input: Vec<u8>,
    /// What of `input` is still to be decoded.
    rest: std::ops::Range<usize>,
    at: u64,
    crc: flate2::Crc,
    /// Decoded bytes so far.
    pub out: u64,
    ended: bool,
}

impl<'a> Unpacker<'a> {
    /// Begins at the start of the part.
    pub fn new(run: &'a Run<'a>, part: &'a Part) -> Result<Self, InspectError> {
        let codec = match part.packing {
            Packing::Zst => {
                let mut decoder = Decoder::new().map_err(|e| broken(part, "zstd", &e))?;
                let window = DParameter::WindowLogMax(run.limits.window_log);
                decoder.set_parameter(window).map_err(|e| broken(part, "zstd", &e))?;
                Codec::Zst(decoder)
            }
            Packing::Bz2 => Codec::Bz2(Box::new(Decompress::new(false))),
        };
        let (input, rest, crc) = (vec![0; PIECE], 0..0, flate2::Crc::new());
        let mut new = Self { run, part, codec, input, rest, at: part.from, crc, out: 0, ended: false };
        new.fill()?;
        // The library also reads what zstd wrote before 1.0, and clients don't.
        if part.packing == Packing::Zst && !new.input[new.rest.clone()].starts_with(&ZSTD_MAGIC) {
            return Err(broken(part, "zstd", &"it does not begin like a zstd frame"));
        }
        Ok(new)
    }

    /// Gets the next piece of the part; leaves nothing in `rest` at its end.
    fn fill(&mut self) -> Result<(), InspectError> {
        let left = usize::try_from(self.part.to - self.at).unwrap_or(PIECE);
        let len = left.min(PIECE);
        self.run.read_exact(self.at, &mut self.input[..len])?;
        self.crc.update(&self.input[..len]);
        self.at += len as u64;
        self.rest = 0..len;
        Ok(())
    }

    fn next(&mut self, out: &mut [u8]) -> Result<usize, InspectError> {
        while !self.ended && !out.is_empty() {
            if self.rest.is_empty() {
                self.fill()?;
            }
            let step = self.step(out)?;
            self.rest.start += step.read;
            self.out += step.written as u64;
            self.run.unpacked(step.written as u64)?;
            if step.ended {
                self.end()?;
            } else if step.written == 0 && step.read == 0 {
                let codec = self.codec_name();
                return Err(self.flaw(PackedFlaw::Cut { codec }));
            }
            if step.written > 0 {
                return Ok(step.written);
            }
        }
        Ok(0)
    }

    fn step(&mut self, out: &mut [u8]) -> Result<Step, InspectError> {
        let input = &self.input[self.rest.clone()];
        match &mut self.codec {
            Codec::Zst(decoder) => {
                let status = decoder.run_on_buffers(input, out).map_err(|e| broken(self.part, "zstd", &e))?;
                let (read, written) = (status.bytes_read, status.bytes_written);
                Ok(Step { read, written, ended: status.remaining == 0 })
            }
            Codec::Bz2(stream) => {
                let before = (stream.total_in(), stream.total_out());
                let status = stream.decompress(input, out).map_err(|e| broken(self.part, "bzip2", &e))?;
                let read = usize::try_from(stream.total_in() - before.0).unwrap_or(input.len());
                let written = usize::try_from(stream.total_out() - before.1).unwrap_or(out.len());
                Ok(Step { read, written, ended: status == Status::StreamEnd })
            }
        }
    }

    /// The frame or stream is over: so must the part be, with the right checksum.
    fn end(&mut self) -> Result<(), InspectError> {
        self.ended = true;
        if !self.rest.is_empty() || self.at != self.part.to {
            let codec = self.codec_name();
            return Err(self.flaw(PackedFlaw::More { codec }));
        }
        if self.part.crc.is_some_and(|crc| crc != self.crc.sum()) {
            return Err(ZipFlaw::Checksum { member: shown(self.part.name.as_bytes()) }.into());
        }
        Ok(())
    }

    fn flaw(&self, flaw: PackedFlaw) -> InspectError {
        InspectError::Packed { part: self.part.name.clone(), flaw }
    }

    const fn codec_name(&self) -> &'static str {
        match self.codec {
            Codec::Zst(_) => "zstd",
            Codec::Bz2(_) => "bzip2",
        }
    }
}

fn broken(part: &Part, codec: &'static str, what: &dyn std::fmt::Display) -> InspectError {
    let flaw = PackedFlaw::Broken { codec, what: what.to_string() };
    InspectError::Packed { part: part.name.clone(), flaw }
}

impl Read for Unpacker<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.next(out).map_err(|error| self.run.stop(error))
    }
}
