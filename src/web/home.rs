//! The first page: what this is, and how to point each client here.
//!
//! Belongs here: the settings of clients, for this host and this visitor. Does not: channels (`channels`).

use askama::Template;
use axum::extract::Extension;
use axum::response::Response;

use super::desk::Desk;
use super::page::{self, Page};
use crate::conda::clients::{Client, Gate, snippet};

/// What a client is told.
pub(super) struct ClientShown {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) text: String,
}

/// In the order of the page.
const CLIENTS: [(&str, &str, Client); 5] = [
    ("conda", "conda", Client::Conda),
    ("mamba", "mamba, micromamba", Client::Mamba),
    ("pixi", "pixi, rattler-build", Client::Pixi),
    ("rattler", "py-rattler", Client::PyRattler),
    ("anaconda-client", "anaconda-client, to publish", Client::Anaconda),
];

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    page: Page,
    address: String,
    clients: Vec<ClientShown>,
}

pub(super) async fn show(Extension(desk): Extension<Desk>) -> Response {
    let address = desk.entrance.address.to_string();
    let clients = clients(&address, desk.signed_in().is_ok());
    page::show(&HomePage { page: desk.page("home"), address, clients })
}

/// `address`: of the gate, without trailing slash. With a `token` there is a place for it.
fn clients(address: &str, token: bool) -> Vec<ClientShown> {
    let host = url::Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned));
    let host = host.unwrap_or_default();
    let gate = Gate { base: address, host: &host, token: token.then_some("TOKEN"), ca_file: None };
    let client = |(id, name, client): (&'static str, &'static str, Client)| ClientShown {
        id,
        name,
        text: snippet(client, &gate).trim_end().to_owned(),
    };
    CLIENTS.map(client).into()
}
