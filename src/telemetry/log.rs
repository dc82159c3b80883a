//! The program's own log: set up once, human or JSON, with the engine's messages at sane levels.
//!
//! Belongs here: the subscriber and its filter. Does not: access lines (`access`); what is worth logging is each room's choice.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::SubscriberInitExt;

/// The engine reports every client that goes away as an error; the gate writes its own line for those.
/// Listening trouble (`services::listening`) stays visible.
const QUIET: &str = "pingora_core=warn,pingora_core::protocols=error,pingora_core::apps=error,pingora_proxy=off,\
                     pingora_pool=error,hyper=warn,hyper_util=warn,rustls=warn,reqwest=warn,h2=warn,notify=warn";

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// For people: one line each, coloured on a terminal.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level or filter is not understood.
    #[error(
        "the log level `{filter}` is not understood: {source}; write error, warn, info, debug or trace, or a list like \
         `info,condagate::cache=debug`"
    )]
    BadFilter {
        /// As written.
        filter: String,
        /// What the parser says.
        source: ParseError,
    },
}

/// Starts logging to standard error. A second call changes nothing and is no error, so tests may each call it.
///
/// `filter` is a level (`info`) or a list of `target=level`; what it says about a target wins over the quiet defaults
/// for the engine's targets.
///
/// # Errors
/// [`LogError::BadFilter`].
pub fn init(format: Format, filter: &str) -> Result<(), LogError> {
    let filter = build_filter(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _second_call_is_harmless = match format {
        Format::Human => {
            builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).finish().try_init()
        }
        Format::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    Ok(())
}

/// The filter that `init` would use; `condagate check` asks it for mistakes.
///
/// # Errors
/// [`LogError::BadFilter`].
pub fn build_filter(filter: &str) -> Result<EnvFilter, LogError> {
    // Later directives for the same target replace earlier ones.
    EnvFilter::builder()
        .parse(format!("{QUIET},{filter}"))
        .map_err(|source| LogError::BadFilter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_init_is_harmless_and_bad_filters_are_told() {
        init(Format::Json, "warn").unwrap();
        init(Format::Human, "info").unwrap();
        let error = build_filter("condagate=loud").unwrap_err().to_string();
        assert!(error.contains("condagate=loud") && error.contains("error, warn"), "{error}");
    }

    #[test]
    fn user_directives_win_over_the_quiet_ones() {
        let shown = build_filter("debug,pingora_proxy=info").unwrap().to_string();
        assert!(shown.contains("pingora_proxy=info") && !shown.contains("pingora_proxy=off"), "{shown}");
        assert!(shown.contains("pingora_core=warn") && shown.contains("debug"), "{shown}");
    }
}
