//! JSON to MessagePack in one pass over the bytes, without a tree: the fast road of `transcode`.
//!
//! Belongs here: the plain JSON that nearly every record is. Does not: escapes, fractions, repeated keys, very wide or deep
//! objects; for a record with one of those (or that is no JSON) nothing is written, and the caller takes the slow road. What
//! this road writes is byte for byte what that one would.

use rmp::encode::{write_bin, write_bool, write_nil, write_sint, write_str_len, write_uint};

use super::transcode::{count, digest_len, ok};
use crate::repodata::scan::plain_end;

/// Members of one object on this road.
const WIDEST: usize = 48;
/// Nesting on this road.
const DEEPEST: u32 = 32;

/// Appends the record `raw`, or nothing; whether it did.
pub(super) fn record(out: &mut Vec<u8>, raw: &[u8]) -> bool {
    let start = out.len();
    let mut road = Road { raw, pos: 0, out, strange: false };
    road.space();
    let mut done = road.peek() == Some(b'{') && road.object(0).is_some();
    road.space();
    done &= road.pos == raw.len() && (!road.strange || std::str::from_utf8(raw).is_ok());
    if !done {
        out.truncate(start);
    }
    done
}

/// A place in a record. Every step gives `None` where this road ends.
struct Road<'a, 'o> {
    raw: &'a [u8],
    pos: usize,
    out: &'o mut Vec<u8>,
    /// Has bytes above 0x7F, which may not be UTF-8.
    strange: bool,
}

impl<'a> Road<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.raw.get(self.pos).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.pos += 1;
        }
    }

    /// Steps over `byte` and the white space before it.
    fn step(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.pos += 1)
    }

    /// After a value: `Some(true)` at a comma, `Some(false)` at the end.
    fn goes_on(&mut self, end: u8) -> Option<bool> {
        self.space();
        let found = self.peek()?;
        self.pos += 1;
        match found {
            b',' => Some(true),
            found if found == end => Some(false),
            _ => None,
        }
    }

    /// Steps over an end that stands where a first element could.
    fn is_empty(&mut self, end: u8) -> bool {
        self.space();
        let is = self.peek() == Some(end);
        self.pos += usize::from(is);
        is
    }

    /// The bytes of a string without escapes.
    fn text(&mut self) -> Option<&'a [u8]> {
        self.step(b'"')?;
        let start = self.pos;
        loop {
            self.pos = plain_end(self.raw, self.pos);
            match self.peek()? {
                b'"' => break,
                0x80.. => {
                    self.strange = true;
                    self.pos += 1;
                }
                _ => return None,
            }
        }
        let text = self.raw.get(start..self.pos)?;
        self.pos += 1;
        Some(text)
    }

    fn put_text(&mut self, text: &[u8]) {
        ok(write_str_len(self.out, count(text.len())));
        self.out.extend_from_slice(text);
    }

    fn object(&mut self, depth: u32) -> Option<()> {
        let head = self.open(depth)?;
        let mut keys: [&[u8]; WIDEST] = [&[]; WIDEST];
        let mut n = 0;
        let mut more = !self.is_empty(b'}');
        while more {
            let key = self.text()?;
            if keys.get(..n)?.contains(&key) {
                return None;
            }
            *keys.get_mut(n)? = key;
            n += 1;
            self.put_text(key);
            self.step(b':')?;
            self.space();
            if depth > 0 || !self.digest(key)? {
                self.value(depth)?;
            }
            more = self.goes_on(b'}')?;
        }
        self.close(head, n, 0x80, 0xDE)
    }

    fn array(&mut self, depth: u32) -> Option<()> {
        let head = self.open(depth)?;
        let mut n = 0;
        let mut more = !self.is_empty(b']');
        while more {
            self.space();
            self.value(depth)?;
            n += 1;
            more = self.goes_on(b']')?;
        }
        self.close(head, n, 0x90, 0xDC)
    }

    /// Steps over a bracket and leaves a byte for the header; gives its place.
    fn open(&mut self, depth: u32) -> Option<usize> {
        self.pos += 1;
        let head = self.out.len();
        self.out.push(0);
        (depth < DEEPEST).then_some(head)
    }

    /// Writes a collection's header, which is longer the more it has: one byte, three or five.
    fn close(&mut self, head: usize, len: usize, short: u8, long: u8) -> Option<()> {
        if len < 16 {
            *self.out.get_mut(head)? = short | u8::try_from(len).ok()?;
        } else if let Ok(len) = u16::try_from(len) {
            self.out.splice(head..=head, std::iter::once(long).chain(len.to_be_bytes()));
        } else {
            let len = u32::try_from(len).ok()?.to_be_bytes();
            self.out.splice(head..=head, std::iter::once(long + 1).chain(len));
        }
        Some(())
    }

    /// A record's digest as bytes. `Some(false)`: it is something else, and nothing was read.
    fn digest(&mut self, key: &[u8]) -> Option<bool> {
        let len = digest_len(key);
        if len == 0 || self.peek()? != b'"' {
            return Some(false);
        }
        let start = self.pos;
        let text = self.text()?;
        let mut digest = [0; 32];
        let digest = digest.get_mut(..len)?;
        if text.len() == len * 2 && hex::decode_to_slice(text, digest).is_ok() {
            ok(write_bin(self.out, digest));
            return Some(true);
        }
        self.pos = start;
        Some(false)
    }

    fn value(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => {
                let text = self.text()?;
                self.put_text(text);
            }
            b'{' => self.object(depth + 1)?,
            b'[' => self.array(depth + 1)?,
            b't' => {
                self.word(b"true")?;
                ok(write_bool(self.out, true));
            }
            b'f' => {
                self.word(b"false")?;
                ok(write_bool(self.out, false));
            }
            b'n' => {
                self.word(b"null")?;
                ok(write_nil(self.out));
            }
            _ => self.number()?,
        }
        Some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let rest = self.raw.get(self.pos..)?;
        rest.starts_with(word).then(|| self.pos += word.len())
    }

    /// A whole number of 64 bits.
    fn number(&mut self) -> Option<()> {
        let negative = self.peek()? == b'-';
        self.pos += usize::from(negative);
        let (start, mut n) = (self.pos, 0u64);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            n = n.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.pos += 1;
        }
        let digits = self.pos - start;
        let leading_zero = digits > 1 && self.raw.get(start) == Some(&b'0');
        if digits == 0 || leading_zero || matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        if negative {
            // JSON's -0 is a fraction to serde_json.
            let n = 0i64.checked_sub_unsigned(n).filter(|n| *n != 0)?;
            ok(write_sint(self.out, n));
        } else {
            ok(write_uint(self.out, n));
        }
        Some(())
    }
}
