//! Reading one key after the other, with the defaults of the table, and remembering where each value came from.
//!
//! Belongs here: how a row of the table and what was written become a value. Does not: which keys there are ([`super::keys`]).

use std::time::Duration;

use super::keys::{self, Key, Shape};
use super::settings::Setting;
use super::values::count;
use crate::policy::read::{Fields, boolean};
use crate::policy::units::{show_duration, show_size};
use crate::policy::{Mistakes, Node};

/// Reads keys and remembers what is in force and why.
pub(super) struct Reader<'m> {
    pub(super) mistakes: &'m mut Mistakes,
    origins: Vec<Setting>,
}

impl<'m> Reader<'m> {
    pub(super) const fn new(mistakes: &'m mut Mistakes) -> Self {
        Self { mistakes, origins: Vec::new() }
    }

    /// Every key that was read, by name.
    pub(super) fn into_origins(self) -> Vec<Setting> {
        let mut origins = self.origins;
        origins.sort_by_key(|setting| setting.key);
        origins
    }

    /// The value behind `full`, a key path, or a default that depends on the machine.
    pub(super) fn take<T>(
        &mut self,
        fields: Option<&mut Fields<'_>>,
        full: &'static str,
        read: impl FnOnce(&Node, &str, &mut Mistakes) -> Option<T>,
        default: T,
        show: impl FnOnce(&T) -> String,
    ) -> T {
        let key = full.rsplit('.').next().unwrap_or(full);
        let found = fields.and_then(|fields| fields.read(key, self.mistakes, read));
        let (origin, value) =
            found.map_or_else(|| ("default".to_owned(), default), |f| (f.at.to_string(), f.value));
        self.origins.push(Setting { key: full, value: show(&value), origin });
        value
    }

    /// The same with the default of the table.
    pub(super) fn value<T>(
        &mut self,
        fields: Option<&mut Fields<'_>>,
        full: &'static str,
        mut read: impl FnMut(&Node, &str, &mut Mistakes) -> Option<T>,
        show: impl FnOnce(&T) -> String,
    ) -> T {
        let default = read(&row(full).default_node(), full, &mut Mistakes::new());
        #[expect(
            clippy::expect_used,
            reason = "constant input; whoever reads any configuration reads every default"
        )]
        let default = default.expect("a default that can be read");
        self.take(fields, full, read, default, show)
    }

    /// The same for what need not be there.
    pub(super) fn optional<T>(
        &mut self,
        fields: Option<&mut Fields<'_>>,
        full: &'static str,
        mut read: impl FnMut(&Node, &str, &mut Mistakes) -> Option<T>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let read = |node: &Node, path: &str, mistakes: &mut Mistakes| read(node, path, mistakes).map(Some);
        self.take(fields, full, read, None, |value| value.as_ref().map_or_else(String::new, show))
    }

    /// A whole number in the range that the table gives.
    pub(super) fn number(&mut self, fields: Option<&mut Fields<'_>>, full: &'static str) -> usize {
        self.value(fields, full, range(full), ToString::to_string)
    }

    pub(super) fn flag(&mut self, fields: Option<&mut Fields<'_>>, full: &'static str) -> bool {
        self.value(fields, full, boolean, ToString::to_string)
    }

    pub(super) fn time(
        &mut self,
        fields: Option<&mut Fields<'_>>,
        full: &'static str,
        read: impl FnMut(&Node, &str, &mut Mistakes) -> Option<Duration>,
    ) -> Duration {
        self.value(fields, full, read, |time| show_duration(*time))
    }

    pub(super) fn bytes(
        &mut self,
        fields: Option<&mut Fields<'_>>,
        full: &'static str,
        read: impl FnMut(&Node, &str, &mut Mistakes) -> Option<u64>,
    ) -> u64 {
        self.value(fields, full, read, |bytes| show_size(*bytes))
    }

    pub(super) fn section<'a>(&mut self, fields: &mut Fields<'a>, key: &'static str) -> Option<Fields<'a>> {
        fields.section(key, self.mistakes)
    }

    pub(super) fn finish(&mut self, fields: Option<Fields<'_>>) {
        if let Some(fields) = fields {
            fields.finish(self.mistakes);
        }
    }
}

/// Whole numbers as the table allows them for a key.
pub(super) fn range(full: &str) -> impl Fn(&Node, &str, &mut Mistakes) -> Option<usize> + use<> {
    let (least, most) = match row(full).shape {
        Shape::Number(least, most) => (least, most),
        _ => (0, u64::MAX),
    };
    count(least, most)
}

#[expect(clippy::expect_used, reason = "constant input; whoever reads any configuration asks for every row")]
fn row(full: &str) -> &'static Key {
    keys::find(full).expect("a row in src/config/keys/table.rs for every key that is read")
}
