//! The files that `condagate config init` writes: settings with every key, its default and a sentence, and rules that name channels.
//!
//! Belongs here: how a file is laid out. Does not: the keys and their sentences ([`super::keys`]), writing to disk (`cli`).

use std::fmt::Write as _;

use super::keys::{Default, KEYS, Key, SECTIONS, Section};

const HEAD: &str = "\
# The settings of condagate: every key with its default. Keys can be left out. The same key in a later layer wins:
# /etc/condagate/*.yaml in name order, the file that CONDAGATE_CONFIG names, --config FILE, variables
# (CONDAGATE_CACHE__SIZE=200GiB), flags. `condagate config show --origin` says who said what, `condagate check` what is wrong.
# For an editor that knows JSON Schema: `condagate config schema > condagate.schema.json`.
";

/// How long sentences get before their defaults go to a line of their own.
const WIDTH: usize = 120;

/// An entry of `auth.issuers`.
const ISSUER: &str = concat!(
    "    # - issuer: https://ci.example.org                # as `iss` has it, letter by letter\n",
    "    #   audience: condagate\n",
    "    #   jwks_url: https://ci.example.org/jwks.json    # default: what the issuer's own description says\n",
    "    #   user_claim: sub\n",
    "    #   groups_claim: groups                          # default: none\n",
    "    #   algorithms: [RS256, ES256, EdDSA]             # default: all that have public keys\n",
);

/// An entry of `notify.webhooks`.
const WEBHOOK: &str = concat!(
    "    # - url: https://chat.example.org/hooks/gate\n",
    "    #   secret_file: /etc/condagate/webhook.key         # or secret_env: a variable; `openssl rand -hex 32` makes one\n",
    "    #   events: [recall, disk, upstream, job]           # default: all, which are publish and token too\n",
);

/// An entry of `notify.mail`.
const MAIL: &str = concat!(
    "    # - to: [ops@example.org]\n",
    "    #   events: [token, disk]                           # default: all\n",
);

/// An entry of `tls.certificates`.
const CERTIFICATE: &str = concat!(
    "    # - certificate: /etc/condagate/tls/gate.pem       # with those that lead to its root\n",
    "    #   key: /etc/condagate/tls/gate.key\n",
);

/// The rules beside new settings: channels are named one by one.
pub const CHANNELS: &str = "\
# Which channels this gate serves. `builtins: false` takes away what is built in, so that only what is named here is served.
# `condagate check` tells every mistake; a running gate takes an edit at once. For an editor that knows JSON Schema:
# `condagate config schema --rules > condagate-rules.schema.json`.
builtins: false

upstreams:
  anaconda:
    urls: [https://conda.anaconda.org]
    hosts: [conda.anaconda.org]
  # defaults:
  #   urls: [https://repo.anaconda.com]
  #   hosts: [repo.anaconda.com]
  #   max_concurrent: 16

channels:
  - {name: conda-forge, upstream: anaconda, ttl: 20m}
  - {name: bioconda, upstream: anaconda, ttl: 20m}
  # Every other channel of anaconda.org too:
  # - {match: \"*\", upstream: anaconda, ttl: 20m}
  # Anaconda's own channels (pkgs/main, pkgs/r, …). Anaconda's terms of service ask larger organisations for a paid plan; a gate
  # does not change who has to accept them. Take the comments off `defaults` above as well.
  # - {match: \"pkgs/*\", upstream: defaults, ttl: 30s}
";

/// A file of settings. `instead` gives other values than the defaults, as they would be written.
#[must_use]
pub fn settings(instead: &[(&str, &str)]) -> String {
    let mut text = HEAD.to_owned();
    let mut open: Vec<&Section> = Vec::new();
    for key in KEYS {
        let inside = |section: &Section| key.path.starts_with(&format!("{}.", section.path));
        open.retain(|section| inside(section));
        if open.is_empty() {
            text.push('\n');
        }
        for section in SECTIONS.iter().filter(|section| inside(section)) {
            if open.iter().all(|known| known.path != section.path) {
                begin(section, instead, &mut text);
                open.push(section);
            }
        }
        row(key, instead, &mut text);
    }
    text
}

/// Whether a key stands there in force and not as a comment.
fn is_live(key: &Key, instead: &[(&str, &str)]) -> bool {
    let is_named = instead.iter().any(|(path, _)| *path == key.path);
    let below = |section: &Section| key.path.starts_with(&format!("{}.", section.path));
    let is_switched = SECTIONS.iter().any(|section| section.is_switch && below(section));
    is_named || (matches!(key.default, Default::Text(_)) && !is_switched)
}

fn begin(section: &Section, instead: &[(&str, &str)], text: &mut String) {
    let below = format!("{}.", section.path);
    let is_live = KEYS.iter().any(|key| key.path.starts_with(&below) && is_live(key, instead));
    let name = section.path.rsplit('.').next().unwrap_or(section.path);
    let indent = indent(section.path);
    let mark = if is_live { "" } else { "# " };
    let _infallible = write!(text, "{indent}# {}\n{indent}{mark}{name}:\n", section.says);
}

fn row(key: &Key, instead: &[(&str, &str)], text: &mut String) {
    let indent = indent(key.path);
    let named = instead.iter().find(|(path, _)| *path == key.path).map(|(_, value)| *value);
    let (value, default) = match (key.default, named) {
        (Default::Text(default), Some(value)) => (value, format!(" Default: {default}.")),
        (Default::Depends(what, _), Some(value)) => (value, format!(" Default: {what}.")),
        (Default::Nothing(_), Some(value)) | (Default::Nothing(value) | Default::Text(value), None) => {
            (value, String::new())
        }
        (Default::Depends(what, example), None) => (example, format!(" Default: {what}.")),
    };
    let mark = if is_live(key, instead) { "" } else { "# " };
    let parted =
        if key.says.len() + default.len() > WIDTH { format!("\n{indent}#{default}") } else { default };
    let _infallible = writeln!(text, "{indent}# {}{parted}", key.says);
    let _infallible = writeln!(text, "{indent}{mark}{}: {}", key.name(), key.as_yaml(value));
    text.push_str(match key.path {
        "auth.issuers" => ISSUER,
        "notify.webhooks" => WEBHOOK,
        "notify.mail" => MAIL,
        "tls.certificates" => CERTIFICATE,
        _ => "",
    });
}

fn indent(path: &str) -> String {
    "  ".repeat(path.matches('.').count())
}
