//! Sending packages to the running gate.
//!
//! Belongs here: requests on its private socket. Does not: where packages come from (`source`).

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::people::HostedImport;
use super::super::socket::{self, SocketError};
use super::source::{Item, Opened};
use crate::conda::digest::Sha256;
use crate::upstream::encode_path;

/// See the module's description.
pub(super) struct Gate {
    socket: PathBuf,
    client: reqwest::Client,
    channel: String,
    query: String,
}

/// What became of a package.
pub(super) enum Sent {
    /// It is in the channel now; this long.
    Taken(u64),
    /// These very bytes were there.
    WasThere,
}

impl Gate {
    pub(super) fn new(socket: &Path, command: &HostedImport) -> Result<Self, SocketError> {
        let client = socket::client(socket)?;
        let labels: Vec<String> = command.labels.iter().map(|label| encode_path(label)).collect();
        let account = super::super::people::account();
        let query = format!("labels={}&account={}", labels.join(","), encode_path(&account));
        let channel = command.channel().as_str().to_owned();
        Ok(Self { socket: socket.to_owned(), client, channel, query })
    }

    fn url(&self, item: &Item) -> String {
        let subdir = item.subdir.as_ref().map_or("-", |subdir| subdir.as_str());
        format!("http://gate/hosted/{}/-/{subdir}/{}", self.channel, encode_path(item.name.as_str()))
    }

    /// Whether the channel has these bytes already.
    pub(super) async fn has(&self, item: &Item) -> Result<bool, SocketError> {
        let answer = self.client.get(self.url(item)).send().await;
        let answer = answer.map_err(|error| socket::failed(&self.socket, &error))?;
        if !answer.status().is_success() {
            return Ok(false);
        }
        let known = answer.bytes().await.unwrap_or_default();
        let known: Value = serde_json::from_slice(&known).unwrap_or_default();
        if known["state"] == "deleted" || item.size().is_some_and(|size| known["size"] != size) {
            return Ok(false);
        }
        let there = known["sha256"].as_str().and_then(Sha256::from_hex);
        Ok(there.is_some() && there == item.sha256())
    }

    /// Sends it; the gate's own sentence where it is refused.
    pub(super) async fn send(
        &self,
        item: &Item,
        opened: Opened,
    ) -> Result<Result<Sent, String>, SocketError> {
        let mut url = format!("{}?{}", self.url(item), self.query);
        if let Some(sha256) = item.expected.sha256 {
            url = format!("{url}&sha256={sha256}");
        } else if let Some(md5) = item.expected.md5 {
            url = format!("{url}&md5={md5}");
        }
        let mut request = self.client.put(url).body(opened.body);
        if let Some(len) = opened.len {
            request = request.header(reqwest::header::CONTENT_LENGTH, len);
        }
        let answer = request.send().await.map_err(|error| socket::failed(&self.socket, &error))?;
        let is_good = answer.status().is_success();
        let said = answer.bytes().await.map_err(|error| socket::failed(&self.socket, &error))?;
        let said: Value = serde_json::from_slice(&said).unwrap_or_default();
        Ok(match (is_good, said["created"].as_bool()) {
            (true, Some(true)) => Ok(Sent::Taken(said["size"].as_u64().unwrap_or(0))),
            (true, _) => Ok(Sent::WasThere),
            (false, _) => Err(said["detail"].as_str().unwrap_or("the gate does not say why").to_owned()),
        })
    }
}
