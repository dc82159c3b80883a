//! `telemetry`: to whom traces are told.
//!
//! Belongs here: the section's keys, the file of headers. Does not: other sections ([`super::read`]).

use http::{HeaderName, HeaderValue};

use super::outside::Machine;
use super::reader::Reader;
use super::secrets::in_file;
use super::settings::{OtlpConfig, TelemetryConfig};
use crate::policy::read::{Fields, url};
use crate::policy::{Mistakes, Node};
use crate::secret::{SafeUrl, Secret};

type Headers = Vec<(String, Secret<String>)>;

pub(super) fn read(r: &mut Reader<'_>, top: &mut Fields<'_>, machine: &Machine) -> TelemetryConfig {
    let mut section = r.section(top, "telemetry");
    let mut fields = section.as_mut().and_then(|section| r.section(section, "otlp"));
    let from_file = |n: &Node, p: &str, m: &mut Mistakes| {
        let (secret, shown) = in_file(n, p, m, machine)?;
        Some((headers(&secret, n, p, m)?, shown))
    };
    let shown = |(_, file): &(Headers, String)| file.clone();
    let otlp = OtlpConfig {
        endpoint: r.optional(
            fields.as_mut(),
            "telemetry.otlp.endpoint",
            url(&["http", "https"]),
            SafeUrl::to_string,
        ),
        headers: r
            .optional(fields.as_mut(), "telemetry.otlp.headers_file", from_file, shown)
            .map_or_else(Vec::new, |(headers, _)| headers),
        sample: r.number(fields.as_mut(), "telemetry.otlp.sample"),
        from_callers: r.flag(fields.as_mut(), "telemetry.otlp.from_callers"),
        to_upstreams: r.flag(fields.as_mut(), "telemetry.otlp.to_upstreams"),
    };
    r.finish(fields);
    r.finish(section);
    TelemetryConfig { otlp }
}

/// Lines of `Name: value`. What is wrong with them is told without them.
fn headers(text: &Secret<String>, node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Headers> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.reveal().lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let header = line.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
        let good = |(name, value): &(&str, &str)| {
            HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok()
        };
        let Some((name, value)) = header.filter(good) else {
            let what = format!("line {number} of the file that `{path}` names is no header");
            mistakes.add_hint(&node.at, what, "each line is `Name: value`");
            return None;
        };
        found.push((name.to_owned(), Secret::new(value.to_owned())));
    }
    Some(found)
}
