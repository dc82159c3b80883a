//! Where a command prints, and how it ends.
//!
//! Belongs here: standard output, error and input, exit codes. Does not: what is printed.

use std::fmt::Display;
use std::io::{Read, Write};
use std::process::ExitCode;

use crate::policy::Mistake;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// 0
    Done,
    /// 1
    Failed,
    /// 2: bad usage or configuration
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
        })
    }
}

/// Standard output, error and input. A reader that went away (`condagate … | head`) is no failure.
pub struct Terminal<'a> {
    /// For results.
    pub out: &'a mut dyn Write,
    /// For what went wrong.
    pub err: &'a mut dyn Write,
    /// For secrets that are piped in.
    pub input: &'a mut dyn Read,
    /// Whether the input is a terminal, so that somebody can be asked.
    pub is_person: bool,
}

impl Terminal<'_> {
    /// A line of the result.
    pub fn line(&mut self, text: impl Display) {
        let _reader_may_be_gone = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    /// Text on standard error.
    pub fn error(&mut self, text: impl Display) {
        let _reader_may_be_gone = write!(self.err, "{text}").and_then(|()| self.err.flush());
    }

    /// Says why a command failed.
    pub fn fail(&mut self, why: impl Display) -> Exit {
        self.error(format_args!("condagate: {why}\n"));
        Exit::Failed
    }

    /// Says everything that is wrong with configuration or rules.
    pub fn refuse(&mut self, mistakes: &[Mistake]) -> Exit {
        for mistake in mistakes {
            self.error(format_args!("{mistake}\n"));
        }
        let what = if mistakes.len() == 1 { "mistake" } else { "mistakes" };
        self.error(format_args!("condagate: {} {what} in configuration and rules\n", mistakes.len()));
        Exit::Usage
    }

    /// A value as JSON, indented.
    pub fn json(&mut self, value: &serde_json::Value) {
        self.line(format_args!("{value:#}"));
    }
}
