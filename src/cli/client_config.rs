//! `condagate client-config`: what to put into a client's settings so that it uses the gate.
//!
//! Belongs here: whose address and token are meant. Does not: what clients read (`conda::clients`). It prints and runs nothing.

use super::args::ClientConfigArgs;
use super::{Exit, Terminal, load};
use crate::conda::clients::{self, Gate};
use crate::config::{Config, Flags, Sources};

/// Clients with settings of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Client {
    /// conda, with either solver
    Conda,
    /// mamba and micromamba 2
    Mamba,
    /// pixi, rattler-build
    Pixi,
    /// py-rattler
    PyRattler,
    /// anaconda-client, to publish
    #[value(name = "anaconda-client")]
    Anaconda,
    /// a .netrc, which conda, mamba, rattler and curl read
    Netrc,
}

impl Client {
    const fn known(self) -> clients::Client {
        match self {
            Self::Conda => clients::Client::Conda,
            Self::Mamba => clients::Client::Mamba,
            Self::Pixi => clients::Client::Pixi,
            Self::PyRattler => clients::Client::PyRattler,
            Self::Anaconda => clients::Client::Anaconda,
            Self::Netrc => clients::Client::Netrc,
        }
    }
}

pub(super) fn run(
    args: &ClientConfigArgs,
    sources: &dyn Fn(Flags) -> Sources,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let base = match &args.url {
        Some(url) => checked(url),
        None => match load(&sources(args.from.flags()), terminal) {
            Ok(config) => configured(&config),
            Err(exit) => return exit,
        },
    };
    match base.and_then(|base| written(args, &base)) {
        Ok(text) => {
            terminal.line(text.trim_end());
            Exit::Done
        }
        Err(why) => {
            terminal.fail(why);
            Exit::Usage
        }
    }
}

/// What is typed stands in files and commands of several languages, so only what no language takes amiss is taken.
fn written(args: &ClientConfigArgs, base: &str) -> Result<String, &'static str> {
    let is_plain = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || more.contains(c))
    };
    if args.token.as_deref().is_some_and(|token| !is_plain(token, "-_.")) {
        return Err("`--token` must be a token as `condagate token create` prints it");
    }
    if args.ca.as_deref().is_some_and(|file| !is_plain(file, "/._-+:~")) {
        return Err("`--ca` must be the path of a file, without spaces and quotes");
    }
    let url = url::Url::parse(base).map_err(|_| "the address of the gate can't be read")?;
    let gate = Gate {
        base,
        host: url.host_str().unwrap_or_default(),
        token: args.token.as_deref(),
        ca_file: args.ca.as_deref(),
    };
    Ok(clients::snippet(args.client.known(), &gate))
}

/// An address as typed, without its trailing slash. Quotes and the like would break out of the snippets; a URL has none.
fn checked(text: &str) -> Result<String, &'static str> {
    let url = url::Url::parse(text).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    match url {
        Some(url)
            if url.query().is_none() && url.fragment().is_none() && !url.as_str().contains(['\'', '"']) =>
        {
            Ok(url.as_str().trim_end_matches('/').to_owned())
        }
        _ => Err("`--url` must be the address of the gate, such as http://gate.example.org"),
    }
}

fn configured(config: &Config) -> Result<String, &'static str> {
    if let Some(public) = &config.public_url {
        return Ok(public.url.to_string().trim_end_matches('/').to_owned());
    }
    match config.listen.first() {
        Some(address) if !address.ip().is_unspecified() && address.port() != 0 => {
            Ok(format!("http://{address}"))
        }
        _ => Err(
            "say how clients reach the gate: `--url http://gate.example.org`, or `public_url` in the settings",
        ),
    }
}
