//! `condagate client-config`: what to put into a client's settings so that it uses the gate.
//!
//! Belongs here: the snippets, each with where it goes. Does not: anything a client is asked at run time.

use super::args::ClientConfigArgs;
use super::{Exit, Terminal, load};
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
    match base {
        Ok(base) => {
            terminal.line(snippet(args.client, &base).trim_end());
            Exit::Done
        }
        Err(why) => {
            terminal.fail(why);
            Exit::Usage
        }
    }
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

fn snippet(client: Client, base: &str) -> String {
    match client {
        Client::Conda => format!(
            "# ~/.condarc\n\
             channel_alias: {base}\n\
             default_channels:\n  - {base}/pkgs/main\n  - {base}/pkgs/r\n"
        ),
        Client::Mamba => format!(
            "# ~/.mambarc (the lines for conda in ~/.condarc work as well)\n\
             channel_alias: {base}\n\
             mirrored_channels:\n  conda-forge:\n    - {base}/conda-forge\n"
        ),
        Client::Pixi => format!(
            "# ~/.config/pixi/config.toml, or .pixi/config.toml of a project; lock files keep the original URLs\n\
             [mirrors]\n\
             \"https://conda.anaconda.org\" = [\"{base}\"]\n\
             \"https://repo.anaconda.com\" = [\"{base}\"]\n"
        ),
        Client::PyRattler => format!(
            "from rattler.networking import Client, MirrorMiddleware\n\
             from rattler.repo_data import Gateway\n\n\
             client = Client([MirrorMiddleware({{\n    \
                 \"https://conda.anaconda.org/\": [\"{base}/\"],\n    \
                 \"https://repo.anaconda.com/\": [\"{base}/\"],\n\
             }})])\n\
             gateway = Gateway(client=client)  # give `gateway` to solve() and `client` to install()\n"
        ),
    }
}
