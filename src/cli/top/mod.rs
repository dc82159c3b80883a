//! `condagate top`: what a running gate is doing, again and again.
//!
//! The gate is asked over its private socket; between two looks lie the rates. On a terminal each look takes the place of the one
//! before; elsewhere they come one after the other.
//!
//! Belongs here: asking, when, and where to print. Does not: what two looks mean ([`rates`]), how they look ([`page`]).

mod page;
mod rates;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args::Where;
use super::socket::{self, SocketError};
use super::{Exit, Terminal};
use crate::config::{self, Flags, Sources};
use crate::policy::units::{self, DURATION};
use crate::telemetry::glance::Glance;
use rates::Report;

/// Other screen, no cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner; to the end of a line, of the screen.
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";
/// Where the terminal does not tell: rows and columns.
const USUAL: (usize, usize) = (40, 120);

#[derive(Debug, Args)]
pub(super) struct TopArgs {
    #[command(flatten)]
    from: Where,
    /// Look once, and end
    #[arg(long)]
    once: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    /// How long to look before each report, such as 500ms or 5s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = pause)]
    every: Duration,
}

fn pause(text: &str) -> Result<Duration, String> {
    units::duration(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| format!("it must be {DURATION}, and not zero"))
}

impl TopArgs {
    fn flags(&self) -> Flags {
        self.from.flags()
    }
}

pub(super) fn run(args: &TopArgs, sources: &dyn Fn(Flags) -> Sources, terminal: &mut Terminal<'_>) -> Exit {
    let config = match config::load(&sources(args.flags())) {
        Ok(config) => config,
        Err(mistakes) => return terminal.refuse(&mistakes),
    };
    let on_screen = !args.once && !args.json && terminal.is_person && std::io::stdout().is_terminal();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return terminal.fail(error),
    };
    if on_screen {
        write(terminal, ENTER);
    }
    let ended = runtime.block_on(watch(args, &config.control_socket(), on_screen, terminal));
    if on_screen {
        write(terminal, LEAVE);
    }
    match ended {
        Ok(()) => Exit::Done,
        Err(error) => terminal.fail(error),
    }
}

/// Ends when it was asked to look once, at a signal, when nobody reads, or when the gate does not answer.
async fn watch(
    args: &TopArgs,
    socket: &Path,
    on_screen: bool,
    terminal: &mut Terminal<'_>,
) -> Result<(), SocketError> {
    let client = socket::client(socket)?;
    let mut stop = Stop::new();
    let mut before: Glance = socket::get(&client, socket, "/top").await?;
    loop {
        tokio::select! {
            () = tokio::time::sleep(args.every) => {}
            () = stop.asked() => return Ok(()),
        }
        let now: Glance = socket::get(&client, socket, "/top").await?;
        let report = Report::between(&before, &now);
        let text = match (args.json, on_screen) {
            (true, _) => report.json() + "\n",
            (false, true) => frame(&report),
            (false, false) => page::lines(&report, usize::MAX, usize::MAX).join("\n") + "\n\n",
        };
        if !write(terminal, &text) || args.once {
            return Ok(());
        }
        before = now;
    }
}

/// Whether somebody took it.
fn write(terminal: &mut Terminal<'_>, text: &str) -> bool {
    terminal.out.write_all(text.as_bytes()).and_then(|()| terminal.out.flush()).is_ok()
}

/// One screen, in the place of the one before.
fn frame(report: &Report) -> String {
    let (rows, columns) = size();
    let mut frame = HOME.to_owned();
    // The last row stays free: a line that ends there would move all others.
    for line in page::lines(report, rows.saturating_sub(1), columns) {
        frame.push_str(&line);
        frame.push_str(REST_OF_LINE);
        frame.push_str("\r\n");
    }
    frame + REST_OF_SCREEN
}

/// Rows and columns.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => USUAL,
    }
}

/// Signals that end it, so that the screen is put back first.
struct Stop([Option<Signal>; 3]);

impl Stop {
    /// A signal that can't be listened to ends the process by itself.
    fn new() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Self(kinds.map(|kind| signal(kind).ok()))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            () = heard(interrupt) => {}
            () = heard(terminate) => {}
            () = heard(hangup) => {}
        }
    }
}

async fn heard(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_have_units_and_are_not_nothing() {
        assert_eq!(pause("500ms"), Ok(Duration::from_millis(500)));
        assert!(pause("0s").is_err() && pause("5").unwrap_err().contains("unit"));
    }
}
