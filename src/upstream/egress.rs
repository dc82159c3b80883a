//! Which egress proxy a request goes through.
//!
//! Belongs here: reading the usual variables, checking proxy URLs, turning a choice into the client's proxies.
//! Does not: the rest of the client (`client`).
//!
//! The variables are read once, by us: what is in force can then be told, tested, and reported when it is wrong.

use reqwest::{NoProxy, Proxy};
use url::Url;

use super::settings::{ProxyChoice, SettingsError};

/// The proxy variables at start.
#[derive(Clone, Default)]
pub(super) struct ProxyEnvironment {
    http: Option<Variable>,
    https: Option<Variable>,
    no: Option<String>,
}

#[derive(Clone)]
struct Variable {
    name: String,
    value: String,
}

impl ProxyEnvironment {
    /// The variables of this process.
    pub(super) fn of_process() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// The variables as `get` gives them; lower case wins, empty is unset, `all_proxy` fills both gaps.
    pub(super) fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let find = |name: &str| {
            [name.to_owned(), name.to_ascii_uppercase()].into_iter().find_map(|name| {
                let value = get(&name)?.trim().to_owned();
                (!value.is_empty()).then_some(Variable { name, value })
            })
        };
        let all = find("all_proxy");
        Self {
            http: find("http_proxy").or_else(|| all.clone()),
            https: find("https_proxy").or(all),
            no: find("no_proxy").map(|v| v.value),
        }
    }

    fn proxies(&self) -> Result<Vec<Proxy>, SettingsError> {
        let no = || self.no.as_deref().and_then(NoProxy::from_string);
        let mut proxies = Vec::new();
        for (variable, make) in
            [(&self.http, Proxy::http::<Url> as fn(Url) -> _), (&self.https, Proxy::https)]
        {
            let Some(Variable { name, value }) = variable else { continue };
            let origin = format!("the variable {name}");
            let proxy = make(parse(value, &origin)?).map_err(|_| bad(&origin, NOT_A_URL))?;
            proxies.push(proxy.no_proxy(no()));
        }
        Ok(proxies)
    }
}

const NOT_A_URL: &str = "it isn't a URL such as http://proxy.example:3128";

fn bad(origin: &str, why: &'static str) -> SettingsError {
    SettingsError::BadProxy { origin: origin.to_owned(), why }
}

/// `proxy:3128` means `http://proxy:3128`, as for curl.
fn parse(value: &str, origin: &str) -> Result<Url, SettingsError> {
    let url = if value.contains("://") { Url::parse(value) } else { Url::parse(&format!("http://{value}")) };
    check(url.map_err(|_| bad(origin, NOT_A_URL))?, origin)
}

fn check(url: Url, origin: &str) -> Result<Url, SettingsError> {
    if !matches!(url.scheme(), "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h") {
        return Err(bad(origin, "its scheme is none of http, https, socks4, socks4a, socks5, socks5h"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad(origin, NOT_A_URL));
    }
    Ok(url)
}

/// The client's proxies for a choice; none means straight to the upstream. `origin` names the setting in errors.
pub(super) fn proxies(
    choice: &ProxyChoice,
    environment: &ProxyEnvironment,
    origin: &str,
) -> Result<Vec<Proxy>, SettingsError> {
    match choice {
        ProxyChoice::Direct => Ok(Vec::new()),
        ProxyChoice::FromEnvironment => environment.proxies(),
        ProxyChoice::Url(url) => {
            let url = check(url.reveal().clone(), origin)?;
            Ok(vec![Proxy::all(url).map_err(|_| bad(origin, NOT_A_URL))?])
        }
    }
}
