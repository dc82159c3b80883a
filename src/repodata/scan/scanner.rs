//! The push parser: which byte belongs to what, across any pieces.
//!
//! Belongs here: the levels of a document and what is buffered. Does not: single values (`value`), single records (`record`).

use super::error::ScanError;
use super::record::{Group, Record};
use super::text::{self, Stop, Suspects};
use super::value::{self, BadValue, Progress, ValueScan, skip_space};
use super::{ScanLimits, Shape, Sink};

/// What the members of the current object are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Level {
    Top,
    V3,
    Group { group: Group, inside_v3: bool },
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each scanner; a box would be made for every record"
)]
enum Phase {
    Start,
    KeyOrEnd,
    CommaOrEnd,
    Key,
    InKey,
    Colon,
    BeforeValue,
    InValue(ValueScan, Use),
    End,
}

/// What becomes of the value being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    Raw,
    Info,
    Version,
    Removed,
    Record(Group),
}

/// A push parser; see [`Sink`].
#[derive(Debug)]
pub struct Scanner {
    limits: ScanLimits,
    shape: Shape,
    buf: Vec<u8>,
    /// Offset of `buf[0]` in the document.
    base: u64,
    /// First byte of `buf` not given to the sink.
    unsent: usize,
    /// First byte of `buf` not understood.
    pos: usize,
    key: (usize, usize),
    suspects: Suspects,
    level: Level,
    phase: Phase,
    seen: Vec<&'static str>,
}

enum Step {
    On,
    More,
}

impl Scanner {
    /// A scanner for one document.
    pub fn new(shape: Shape, limits: ScanLimits) -> Self {
        Self {
            limits,
            shape,
            buf: Vec::new(),
            base: 0,
            unsent: 0,
            pos: 0,
            key: (0, 0),
            suspects: Suspects::default(),
            level: Level::Top,
            phase: Phase::Start,
            seen: Vec::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// What the document or the sink has against going on; the scanner is of no use afterwards.
    pub fn feed<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<(), S::Error> {
        self.buf.extend_from_slice(bytes);
        while let Step::On = self.step(sink)? {}
        self.send_what_is_raw(sink)?;
        self.compact();
        self.check_sizes().map_err(S::Error::from)
    }

    /// Says that there are no more bytes.
    ///
    /// # Errors
    /// The document is cut, or was never repodata.
    pub fn finish(self) -> Result<(), ScanError> {
        match self.phase {
            Phase::End => Ok(()),
            Phase::Start if self.offset(self.pos) == 0 => Err(not_repodata("it is empty")),
            _ => Err(ScanError::Cut { at: self.offset(self.buf.len()) }),
        }
    }

    fn offset(&self, pos: usize) -> u64 {
        self.base + pos as u64
    }

    fn malformed(&self, what: &'static str) -> ScanError {
        ScanError::Malformed { at: self.offset(self.pos), what }
    }

    fn step<S: Sink>(&mut self, sink: &mut S) -> Result<Step, S::Error> {
        if let Phase::InValue(scan, what) = &mut self.phase {
            let what = *what;
            match scan.run(&self.buf, &mut self.pos) {
                Ok(Progress::More) => return Ok(Step::More),
                Ok(Progress::Done) => self.value_done(what, sink)?,
                Err(bad) => return Err(self.bad_value(bad).into()),
            }
            return Ok(Step::On);
        }
        if matches!(self.phase, Phase::InKey) {
            return Ok(self.in_key()?);
        }
        skip_space(&self.buf, &mut self.pos);
        let Some(&byte) = self.buf.get(self.pos) else { return Ok(Step::More) };
        self.punctuation(byte, sink)?;
        Ok(Step::On)
    }

    /// One byte between keys and values.
    fn punctuation<S: Sink>(&mut self, byte: u8, sink: &mut S) -> Result<(), S::Error> {
        match (&self.phase, byte) {
            (Phase::Start, b'{') => self.advance(Phase::KeyOrEnd),
            (Phase::Start, _) => return Err(looks_like(&self.buf[self.pos..]).into()),
            (Phase::KeyOrEnd | Phase::CommaOrEnd, b'}') => self.close(sink)?,
            (Phase::CommaOrEnd, b',') => self.advance(Phase::Key),
            (Phase::KeyOrEnd | Phase::Key, b'"') => {
                self.advance(Phase::InKey);
                self.key = (self.pos, self.pos);
                self.suspects = Suspects::default();
            }
            (Phase::Colon, b':') => self.advance(Phase::BeforeValue),
            (Phase::BeforeValue, _) => self.value_begins(byte, sink)?,
            (Phase::CommaOrEnd, _) => {
                return Err(self.malformed("neither a comma nor a closing brace").into());
            }
            (Phase::Colon, _) => return Err(self.malformed("a key without its colon").into()),
            (Phase::End, _) => return Err(self.malformed("more text behind the document's end").into()),
            _ => return Err(self.malformed("something that is not a key").into()),
        }
        Ok(())
    }

    fn advance(&mut self, phase: Phase) {
        self.pos += 1;
        self.phase = phase;
    }

    fn in_key(&mut self) -> Result<Step, ScanError> {
        let stop = text::skip(&self.buf, &mut self.pos, &mut self.suspects);
        if self.pos - self.key.0 > self.limits.key {
            return Err(self.too_big("a key of more bytes", self.limits.key));
        }
        match stop {
            Stop::More => Ok(Step::More),
            Stop::Bad(what) => Err(self.malformed(what)),
            Stop::Quote => {
                self.key.1 = self.pos;
                self.advance(Phase::Colon);
                Ok(Step::On)
            }
        }
    }

    /// A key of a level whose keys mean something. Only records may have unreadable keys, because only they are dropped.
    fn key_text(&self) -> Result<String, ScanError> {
        let raw = &self.buf[self.key.0..self.key.1];
        text::unescape(raw)
            .map(std::borrow::Cow::into_owned)
            .ok_or_else(|| self.malformed("a key that is not text"))
    }

    fn value_begins<S: Sink>(&mut self, byte: u8, sink: &mut S) -> Result<(), S::Error> {
        let what = match self.level {
            Level::Group { group, .. } => Use::Record(group),
            Level::V3 => {
                let group = Group::of_v3(&self.key_text()?);
                if byte == b'{' {
                    return self.open(Level::Group { group, inside_v3: true }, sink);
                }
                Use::Raw
            }
            Level::Top => {
                let key = self.key_text()?;
                if self.shape == Shape::Records {
                    self.first_time(&key)?;
                    if let Some(level) = level_of(&key) {
                        if byte != b'{' {
                            return Err(not_repodata("its groups of packages are not objects").into());
                        }
                        return self.open(level, sink);
                    }
                }
                match key.as_str() {
                    "info" if self.shape == Shape::Records => Use::Info,
                    "repodata_version" if self.shape == Shape::Records => Use::Version,
                    "removed" if self.shape == Shape::Records => Use::Removed,
                    _ => Use::Raw,
                }
            }
        };
        if matches!(what, Use::Info | Use::Version | Use::Removed) {
            self.send(self.pos, sink)?;
        }
        self.phase = Phase::InValue(ValueScan::new(self.pos), what);
        Ok(())
    }

    /// Refuses keys that decide something when they come again.
    fn first_time(&mut self, key: &str) -> Result<(), ScanError> {
        const KNOWN: [&str; 7] =
            ["info", "packages", "packages.conda", "packages.whl", "v3", "removed", "repodata_version"];
        let Some(key) = KNOWN.into_iter().find(|known| *known == key) else { return Ok(()) };
        if self.seen.contains(&key) {
            return Err(ScanError::Repeated { key });
        }
        self.seen.push(key);
        Ok(())
    }

    fn open<S: Sink>(&mut self, level: Level, sink: &mut S) -> Result<(), S::Error> {
        self.advance(Phase::KeyOrEnd);
        self.level = level;
        self.send(self.pos, sink)?;
        match level {
            Level::Group { group, .. } => sink.group(group),
            Level::Top | Level::V3 => Ok(()),
        }
    }

    fn close<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        match self.level {
            Level::Group { inside_v3, .. } => {
                self.level = if inside_v3 { Level::V3 } else { Level::Top };
                self.advance(Phase::CommaOrEnd);
            }
            Level::V3 => {
                self.level = Level::Top;
                self.advance(Phase::CommaOrEnd);
            }
            Level::Top => {
                let has_packages = self.seen.iter().any(|key| level_of(key).is_some());
                if self.shape == Shape::Records && !has_packages {
                    return Err(not_repodata("it is a JSON object without `packages`").into());
                }
                self.send(self.pos, sink)?;
                sink.closing()?;
                self.advance(Phase::End);
            }
        }
        Ok(())
    }

    fn value_done<S: Sink>(&mut self, what: Use, sink: &mut S) -> Result<(), S::Error> {
        let Phase::InValue(scan, _) = std::mem::replace(&mut self.phase, Phase::CommaOrEnd) else {
            return Ok(());
        };
        let odd = scan.suspects.non_ascii || scan.suspects.surrogate;
        if scan.too_deep && !matches!(what, Use::Record(_)) {
            return Err(self.bad_value(BadValue::TooDeep).into());
        }
        match what {
            Use::Raw => {}
            Use::Info | Use::Version => {
                let value = &self.buf[scan.start()..self.pos];
                if value.len() > self.limits.info {
                    return Err(self.too_big("an `info` of more bytes", self.limits.info).into());
                }
                if what == Use::Info {
                    sink.info(value)?;
                } else {
                    sink.version(value)?;
                }
                self.unsent = self.pos;
            }
            Use::Removed => {
                sink.removed(&self.buf[scan.start()..self.pos])?;
                self.unsent = self.pos;
            }
            Use::Record(group) => {
                let whole = &self.buf[self.unsent..self.pos];
                if whole.len() > self.limits.record {
                    return Err(self.too_big("a record of more bytes", self.limits.record).into());
                }
                sink.record(&Record {
                    group,
                    whole,
                    key: &self.buf[self.key.0..self.key.1],
                    value_at: scan.start() - self.unsent,
                    spans: scan.spans,
                    repeated: scan.repeated,
                    too_deep: scan.too_deep,
                    suspect: odd || self.suspects.non_ascii || self.suspects.surrogate,
                })?;
                self.unsent = self.pos;
            }
        }
        Ok(())
    }

    fn bad_value(&self, bad: BadValue) -> ScanError {
        match bad {
            BadValue::Malformed(what) => self.malformed(what),
            BadValue::TooDeep => self.too_big("nesting", value::MAX_DEPTH as usize),
        }
    }

    fn too_big(&self, what: &'static str, limit: usize) -> ScanError {
        ScanError::TooBig { at: self.offset(self.pos), what, limit: limit as u64 }
    }

    /// Gives the sink everything before `to` as raw bytes.
    fn send<S: Sink>(&mut self, to: usize, sink: &mut S) -> Result<(), S::Error> {
        if to > self.unsent {
            sink.raw(&self.buf[self.unsent..to])?;
            self.unsent = to;
        }
        Ok(())
    }

    /// At the end of a piece: what can't become part of a record, and is not needed again, goes out.
    fn send_what_is_raw<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        match (&self.phase, self.level) {
            (Phase::InValue(_, Use::Raw) | Phase::Start | Phase::End, _) => self.send(self.pos, sink),
            _ => Ok(()),
        }
    }

    fn compact(&mut self) {
        let n = self.unsent;
        if n == 0 {
            return;
        }
        self.buf.copy_within(n.., 0);
        self.buf.truncate(self.buf.len() - n);
        self.base += n as u64;
        self.unsent = 0;
        self.pos -= n;
        self.key = (self.key.0.saturating_sub(n), self.key.1.saturating_sub(n));
        if let Phase::InValue(scan, _) = &mut self.phase {
            scan.shift(n);
        }
    }

    /// Refuses to buffer more than the limits allow.
    fn check_sizes(&self) -> Result<(), ScanError> {
        let held = self.buf.len();
        match &self.phase {
            Phase::InValue(_, Use::Info | Use::Version) if held > self.limits.info => {
                Err(self.too_big("an `info` of more bytes", self.limits.info))
            }
            Phase::InValue(_, Use::Raw) => Ok(()),
            _ if held > self.limits.record => Err(self.too_big("a record of more bytes", self.limits.record)),
            _ => Ok(()),
        }
    }
}

fn level_of(key: &str) -> Option<Level> {
    match key {
        "v3" => Some(Level::V3),
        key => Group::of_top(key).map(|group| Level::Group { group, inside_v3: false }),
    }
}

const fn not_repodata(found: &'static str) -> ScanError {
    ScanError::NotRepodata { found }
}

/// What a document that does not begin with `{` most likely is.
fn looks_like(start: &[u8]) -> ScanError {
    not_repodata(match start.first() {
        Some(b'<') => {
            "it is an HTML or XML page; a proxy, a login page or an error page may stand in for the channel"
        }
        Some(b'[') => "it is a JSON list",
        Some(0xEF | 0xFE | 0xFF) => "it begins with a byte order mark",
        Some(0x28 | b'B') => "it is still compressed",
        _ => "it does not begin with an opening brace",
    })
}
