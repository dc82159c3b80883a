//! Undoing a content coding that nobody asked for, piece by piece.
//!
//! Belongs here: the two decoders behind one face, with bounded memory. Does not: deciding whether to decode
//! (`answer`), limits and timeouts (`body`).

use std::io::{self, Write};

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use super::answer::Coding;

/// Output per step; bounds what one hostile input byte can make us hold.
const STEP: usize = 64 << 10;
/// RFC 9659: the `zstd` coding needs no window beyond 8 MiB.
const WINDOW_LOG: u32 = 23;

/// A push decoder: [`feed`](Self::feed) input, [`step`](Self::step) until it wants more, then [`finish`](Self::finish).
pub(super) struct Decoder {
    engine: Engine,
    input: Bytes,
}

enum Engine {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd { decoder: Box<ZstdDecoder<'static>>, whole: bool, full: bool },
}

impl Decoder {
    /// A decoder for one body.
    ///
    /// # Errors
    /// Out of memory in the zstd library.
    pub(super) fn new(coding: Coding) -> io::Result<Self> {
        let engine = match coding {
            Coding::Gzip => Engine::Gzip(Box::new(MultiGzDecoder::new(Vec::with_capacity(STEP)))),
            Coding::Zstd => {
                let mut decoder = ZstdDecoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
                Engine::Zstd { decoder: Box::new(decoder), whole: true, full: false }
            }
        };
        Ok(Self { engine, input: Bytes::new() })
    }

    /// More input; only when [`step`](Self::step) gave `None`.
    pub(super) fn feed(&mut self, input: Bytes) {
        self.input = input;
    }

    /// The next piece of output; `None` when the input is used up.
    pub(super) fn step(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let output = match &mut self.engine {
                Engine::Gzip(decoder) => {
                    if self.input.is_empty() {
                        return Ok(None);
                    }
                    let used = decoder.write(&self.input)?;
                    self.input.advance(used);
                    let output = std::mem::take(decoder.get_mut());
                    // A member's trailer gives no output and may take no input; a decoder that stands still is at its end.
                    if used == 0 && output.is_empty() {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    output
                }
                Engine::Zstd { decoder, whole, full } => {
                    if self.input.is_empty() && !*full {
                        return Ok(None);
                    }
                    let mut output = vec![0; STEP];
                    let status = decoder.run_on_buffers(&self.input, &mut output)?;
                    self.input.advance(status.bytes_read);
                    *whole = status.remaining == 0;
                    // A full buffer may leave output inside the decoder although the input is used up.
                    *full = status.bytes_written == STEP;
                    output.truncate(status.bytes_written);
                    output
                }
            };
            if !output.is_empty() {
                return Ok(Some(output.into()));
            }
        }
    }

    /// The input has ended; the rest of the output, or an error if the coded body is cut.
    pub(super) fn finish(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.engine {
            Engine::Gzip(decoder) => {
                decoder.try_finish()?;
                let rest = std::mem::take(decoder.get_mut());
                Ok((!rest.is_empty()).then(|| rest.into()))
            }
            Engine::Zstd { whole: true, .. } => Ok(None),
            Engine::Zstd { .. } => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
