//! `notices:`: sentences that the gate adds to what a channel tells its users (CEP 6).
//!
//! Belongs here: reading one and saying which channel it is for. Does not: a channel's own notices, making `notices.json` of
//! both (`delivery`).

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::judge::patterns::{Kind, Patterns};
use super::mistake::Mistakes;
use super::node::{At, Node};
use super::read::{Fields, choice, list, positive_duration, text};
use crate::clock::UnixMillis;

/// Longer messages are refused: conda asks for a whole `notices.json` of at most 1 MiB.
const MAX_MESSAGE: usize = 4000;
/// Notices in all files together.
const MAX_NOTICES: usize = 200;

/// How much a notice matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// `info`
    Info,
    /// `warning`
    Warning,
    /// `critical`
    Critical,
}

impl Level {
    /// As it stands in `notices.json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One notice, with the fields of CEP 6.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// `id`; clients show a notice once per id.
    pub id: String,
    /// `message`
    pub message: String,
    /// `level`
    pub level: Level,
    /// `created_at`, if it was written.
    pub created_at: Option<UnixMillis>,
    /// `expired_at`, if it was written: from then on it is not shown.
    pub expired_at: Option<UnixMillis>,
    /// `interval` in whole hours: how often clients that repeat notices may show it.
    pub interval: Option<u64>,
}

impl Notice {
    /// Whether it is to be shown at `now`.
    #[must_use]
    pub fn is_current(&self, now: UnixMillis) -> bool {
        self.expired_at.is_none_or(|end| now < end)
    }
}

/// A moment as `notices.json` has it (RFC 3339, UTC): `2026-01-31T00:00:00+00:00`. Whole seconds and no `Z`: conda reads it with
/// `datetime.fromisoformat`, which takes neither `Z` nor every fraction before Python 3.11.
#[must_use]
pub fn rfc3339(moment: UnixMillis) -> String {
    Timestamp::from_millisecond(moment.0).map_or_else(
        |_| "9999-12-31T23:59:59+00:00".to_owned(),
        |t| t.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
    )
}

/// A notice and where it is shown.
#[derive(Clone, Debug)]
pub struct NoticeRule {
    /// Where it stands.
    pub at: At,
    channels: Patterns,
    /// `channels` as written, for comparing.
    written: Vec<String>,
    /// Shared by all channels it is for.
    notice: Arc<Notice>,
}

/// Equal when they say the same; their places don't count.
impl PartialEq for NoticeRule {
    fn eq(&self, other: &Self) -> bool {
        self.notice == other.notice && self.written == other.written
    }
}

impl Eq for NoticeRule {}

/// Those for one source channel, in the order written.
pub(super) fn for_channel(rules: &[NoticeRule], channel: &str) -> Vec<Arc<Notice>> {
    rules.iter().filter(|rule| rule.channels.is_match(channel)).map(|rule| Arc::clone(&rule.notice)).collect()
}

/// What of the notices counts for a revision.
pub(super) fn content(rules: &[NoticeRule]) -> Vec<(&[String], &Notice)> {
    rules.iter().map(|rule| (rule.written.as_slice(), &*rule.notice)).collect()
}

/// Reads one entry.
pub(super) fn read(node: &Node, path: &str, m: &mut Mistakes) -> Option<NoticeRule> {
    let mut fields = Fields::open(node, path, m)?;
    let missing: Vec<_> = ["id", "message"].into_iter().filter(|key| fields.get(key).is_none()).collect();
    let id = fields.read("id", m, id);
    let written = fields.read("channels", m, list(text));
    let message = fields.read("message", m, message);
    let levels = &[("info", Level::Info), ("warning", Level::Warning), ("critical", Level::Critical)];
    let level = fields.read("level", m, choice(levels));
    let expires = fields.read("expires", m, moment);
    let created = fields.read("created", m, moment);
    let interval = fields.read("interval", m, positive_duration);
    fields.finish(m);
    for key in missing {
        m.add(&node.at, format!("`{path}.{key}` is missing"));
    }
    if let (Some(created), Some(expires)) = (&created, &expires)
        && created.value >= expires.value
    {
        m.add(&expires.at, format!("`{path}.expires` must be later than `created`"));
    }
    let written =
        written.map_or_else(|| vec!["*".to_owned()], |l| l.value.into_iter().map(|l| l.value).collect());
    let channels = Patterns::compile(Kind::Path, &written)
        .map_err(|(_, why)| m.add(&node.at, format!("`{path}.channels` {why}")))
        .ok()?;
    let notice = Notice {
        id: id?.value,
        message: message?.value,
        level: level.map_or(Level::Info, |l| l.value),
        created_at: created.map(|c| c.value),
        expired_at: expires.map(|e| e.value),
        interval: interval.map(|i| i.value.as_secs().div_ceil(3600)),
    };
    Some(NoticeRule { at: node.at.clone(), channels, written, notice: Arc::new(notice) })
}

/// Puts the notices of all files together: ids are unique.
pub(super) fn merge(rules: Vec<NoticeRule>, m: &mut Mistakes) -> Vec<NoticeRule> {
    let mut taken: HashMap<&str, &At> = HashMap::new();
    for (n, rule) in rules.iter().enumerate() {
        if n == MAX_NOTICES {
            m.add(&rule.at, format!("there are more than {MAX_NOTICES} notices"));
            break;
        }
        if let Some(first) = taken.insert(&rule.notice.id, &rule.at) {
            m.add_hint(
                &rule.at,
                format!("the notice id `{}` is taken", rule.notice.id),
                format!("the other notice is at {first}; clients show a notice once per id"),
            );
        }
    }
    rules
}

fn id(node: &Node, path: &str, m: &mut Mistakes) -> Option<String> {
    let id = text(node, path, m)?;
    if id.len() > 128 || !id.bytes().all(|b| b.is_ascii_graphic()) {
        m.add(&node.at, format!("`{path}` must have at most 128 visible ASCII characters"));
        return None;
    }
    Some(id)
}

fn message(node: &Node, path: &str, m: &mut Mistakes) -> Option<String> {
    let message = text(node, path, m)?;
    // A terminal obeys control characters.
    if message.len() > MAX_MESSAGE || message.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        m.add(
            &node.at,
            format!("`{path}` must have at most {MAX_MESSAGE} characters, none of them a control character"),
        );
        return None;
    }
    Some(message.trim_end().to_owned())
}

/// RFC 3339, or a date: its first moment in UTC.
fn moment(node: &Node, path: &str, m: &mut Mistakes) -> Option<UnixMillis> {
    let text = text(node, path, m)?;
    let by_date = || format!("{text}T00:00:00Z").parse::<Timestamp>().ok();
    let found = text.parse::<Timestamp>().ok().or_else(by_date);
    if found.is_none() {
        m.add_hint(
            &node.at,
            format!("`{path}` must be a date or a moment"),
            "such as `2026-01-31` or `2026-01-31T18:00:00Z`",
        );
    }
    found.map(|moment| UnixMillis(moment.as_millisecond()))
}
