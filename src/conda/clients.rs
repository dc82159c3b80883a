//! What each client's own settings must say so that it uses a gate.
//!
//! Sources: conda's `base/context.py`, `models/channel.py` and `common/url.py` (a token may stand in `channel_alias`, and may have letters,
//! digits and `-` only); libmamba's `mirrored_channels` and `auth/authentication.json`; rattler's authentication and mirror middleware
//! (hosts without port as keys) and pixi's `[mirrors]`; anaconda-client's `url` and `ssl_verify`; the `netrc` of curl and requests.
//!
//! Belongs here: the text of files and commands. Does not: who asks for it (`cli`, `proxy`), the address of the gate.

use std::fmt::Write as _;

/// Clients with settings of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Client {
    /// conda, with either solver.
    Conda,
    /// mamba and micromamba 2.
    Mamba,
    /// pixi and rattler-build.
    Pixi,
    /// py-rattler.
    PyRattler,
    /// anaconda-client, to publish.
    Anaconda,
    /// A `.netrc`, which conda, mamba, rattler and curl read.
    Netrc,
}

/// The gate as a client shall see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gate<'a> {
    /// Its address, without a trailing slash and without anything that must be quoted.
    pub base: &'a str,
    /// Its host, without a port.
    pub host: &'a str,
    /// What the caller shows; without it, public channels only.
    pub token: Option<&'a str>,
    /// A file on the client's machine with the certificate of the gate's authority.
    pub ca_file: Option<&'a str>,
}

/// What to write or type; the first line of each part says where.
#[must_use]
pub fn snippet(client: Client, gate: &Gate<'_>) -> String {
    match client {
        Client::Conda => conda(gate),
        Client::Mamba => mamba(gate),
        Client::Pixi => pixi(gate),
        Client::PyRattler => py_rattler(gate),
        Client::Anaconda => anaconda_client(gate),
        Client::Netrc => netrc(gate),
    }
}

fn conda(gate: &Gate<'_>) -> String {
    let base = gate.token.map_or_else(|| gate.base.to_owned(), |token| format!("{}/t/{token}", gate.base));
    let mut text = format!(
        "# ~/.condarc\nchannel_alias: {base}\ndefault_channels:\n  - {base}/pkgs/main\n  - {base}/pkgs/r\n"
    );
    text.push_str(&ssl_verify(gate));
    text
}

fn ssl_verify(gate: &Gate<'_>) -> String {
    gate.ca_file.map_or_else(String::new, |file| format!("ssl_verify: {file}\n"))
}

fn mamba(gate: &Gate<'_>) -> String {
    let base = gate.base;
    let mut text = format!(
        "# ~/.mambarc (the lines for conda in ~/.condarc work as well)\n\
         channel_alias: {base}\n\
         mirrored_channels:\n  conda-forge:\n    - {base}/conda-forge\n"
    );
    text.push_str(&ssl_verify(gate));
    if let Some(token) = gate.token {
        let place = base.split_once("://").map_or(base, |(_, place)| place);
        let _infallible = write!(
            text,
            "\n# ~/.mamba/auth/authentication.json (chmod 600)\n{{\"{place}\": {{\"type\": \"BearerToken\", \"token\": \"{token}\"}}}}\n"
        );
    }
    text
}

fn pixi(gate: &Gate<'_>) -> String {
    let base = gate.base;
    let mut text = format!(
        "# ~/.config/pixi/config.toml, or .pixi/config.toml of a project; lock files keep the original URLs\n\
         [mirrors]\n\
         \"https://conda.anaconda.org\" = [\"{base}\"]\n\
         \"https://repo.anaconda.com\" = [\"{base}\"]\n"
    );
    if let Some(token) = gate.token {
        let _infallible = write!(
            text,
            "\n# once, in a shell; rattler-build reads the same\npixi auth login {} --conda-token {token}\n",
            gate.host
        );
    }
    if gate.ca_file.is_some() {
        text.push_str("\n# the gate's authority belongs into the certificate store of the machine\n");
    }
    text
}

fn py_rattler(gate: &Gate<'_>) -> String {
    let base = gate.base;
    let mut text = format!(
        "from rattler.networking import Client, MirrorMiddleware\n\
         from rattler.repo_data import Gateway\n\n\
         client = Client([MirrorMiddleware({{\n    \
             \"https://conda.anaconda.org/\": [\"{base}/\"],\n    \
             \"https://repo.anaconda.com/\": [\"{base}/\"],\n\
         }})])\n\
         gateway = Gateway(client=client)  # give `gateway` to solve() and `client` to install()\n"
    );
    if let Some(token) = gate.token {
        let _infallible = write!(
            text,
            "\n# ~/.rattler/credentials.json, or the file that RATTLER_AUTH_FILE names (chmod 600)\n# {{\"{}\": {{\"BearerToken\": \"{token}\"}}}}\n",
            gate.host
        );
    }
    text
}

fn anaconda_client(gate: &Gate<'_>) -> String {
    let mut text = format!("# once, in a shell\nanaconda config --set url {}\n", gate.base);
    if let Some(file) = gate.ca_file {
        let _infallible = writeln!(text, "anaconda config --set ssl_verify {file}");
    }
    let token = gate.token.unwrap_or("TOKEN");
    let _infallible = write!(
        text,
        "\n# then, with a token that may write to the channel `team`\nanaconda --token {token} upload --user team PACKAGE.conda\n"
    );
    text
}

fn netrc(gate: &Gate<'_>) -> String {
    let token = gate.token.unwrap_or("TOKEN");
    format!("# ~/.netrc (chmod 600)\nmachine {} login __token__ password {token}\n", gate.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Client; 6] =
        [Client::Conda, Client::Mamba, Client::Pixi, Client::PyRattler, Client::Anaconda, Client::Netrc];

    #[test]
    fn every_client_is_told_gate_and_token() {
        let gate = Gate {
            base: "https://gate.example.org:8443/conda",
            host: "gate.example.org",
            token: Some("tk-1"),
            ca_file: Some("/etc/ca.pem"),
        };
        let all = ALL.map(|client| snippet(client, &gate));
        for text in &all {
            assert!(
                text.contains("gate.example.org") && text.contains("tk-1") && text.ends_with('\n'),
                "{text}"
            );
        }
        let [conda, mamba, pixi, rattler, anaconda, netrc] = &all;
        assert!(
            conda.contains("channel_alias: https://gate.example.org:8443/conda/t/tk-1\n")
                && conda.contains("ssl_verify: /etc/ca.pem\n")
        );
        assert!(mamba.contains("{\"gate.example.org:8443/conda\": {\"type\": \"BearerToken\""), "{mamba}");
        assert!(pixi.contains("pixi auth login gate.example.org --conda-token tk-1\n"), "{pixi}");
        assert!(rattler.contains("{\"gate.example.org\": {\"BearerToken\": \"tk-1\"}}"), "{rattler}");
        assert!(anaconda.contains("anaconda config --set ssl_verify /etc/ca.pem\n"), "{anaconda}");
        assert_eq!(netrc, "# ~/.netrc (chmod 600)\nmachine gate.example.org login __token__ password tk-1\n");
    }

    #[test]
    fn without_a_token_none_is_asked_for() {
        let gate = Gate { base: "http://gate", host: "gate", token: None, ca_file: None };
        for client in [Client::Conda, Client::Mamba, Client::Pixi, Client::PyRattler] {
            let text = snippet(client, &gate);
            assert!(!text.to_lowercase().contains("token") && !text.contains("ssl_verify"), "{text}");
        }
    }
}
