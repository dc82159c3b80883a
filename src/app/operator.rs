//! What the control socket's requests do to a running gate.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Core;
use super::explain::as_operated;
use crate::api::{OperateError, Operator, PurgeRequest};
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::digest::Sha256;
use crate::conda::url;
use crate::delivery::Purged;
use crate::delivery::explain::Question;
use crate::snapshot::{Place, View};

/// The running gate behind the control socket.
pub(super) struct GateOperator(pub(super) Arc<Core>);

#[async_trait]
impl Operator for GateOperator {
    async fn status(&self) -> Result<Value, OperateError> {
        let status = {
            let cache = self.0.cache.clone();
            tokio::task::spawn_blocking(move || cache.status()).await.map_err(failed)?.map_err(failed)?
        };
        serde_json::to_value(status).map_err(failed)
    }

    async fn glance(&self) -> Result<Value, OperateError> {
        serde_json::to_value(self.0.glance()).map_err(failed)
    }

    async fn verify(&self) -> Result<Value, OperateError> {
        self.0.cache.settle(Duration::from_secs(2)).await;
        let report = self.0.cache.verify(None, |_progress| {}).await.map_err(failed)?;
        serde_json::to_value(report).map_err(failed)
    }

    async fn collect(&self) -> Result<Value, OperateError> {
        let report = self.0.cache.gc().await.map_err(failed)?;
        let store = Arc::clone(&self.0.generations);
        let now = self.0.clock.now();
        let pruned =
            tokio::task::spawn_blocking(move || store.prune(now)).await.map_err(failed)?.map_err(failed)?;
        let mut report = serde_json::to_value(report).map_err(failed)?;
        if let Value::Object(fields) = &mut report {
            fields.insert("generations_removed".to_owned(), json!(pruned.generations));
        }
        Ok(report)
    }

    async fn purge(&self, what: PurgeRequest) -> Result<Value, OperateError> {
        let purged = match what {
            PurgeRequest::All(true) => self.0.delivery.purge_all().await,
            PurgeRequest::All(false) => return Err(invalid("`all` must be true; nothing was removed")),
            PurgeRequest::Digest(hex) => {
                let digest = Sha256::from_hex(&hex)
                    .ok_or_else(|| invalid("a digest is 64 hex digits of SHA-256; nothing was removed"))?;
                self.0.delivery.purge_digest(&digest).await
            }
            PurgeRequest::Channel(name) => self.purge_channel(&name).await?,
            PurgeRequest::Url(text) => self.purge_url(&text).await?,
        };
        serde_json::to_value(purged.map_err(failed)?).map_err(failed)
    }

    async fn explain(&self, question: Question) -> Result<Value, OperateError> {
        as_operated(self.0.explain(question).await)
    }

    async fn reload(&self) -> Result<Value, OperateError> {
        self.0.reload().await.map_err(OperateError::Failed)?;
        Ok(json!({"revision": self.0.live.view().rules().revision()}))
    }

    async fn upgrade(&self) -> Result<Value, OperateError> {
        let core = Arc::clone(&self.0);
        // Whoever asked may leave; what was begun is finished.
        let upgrade = tokio::spawn(async move { core.upgrade().await });
        let (pid, version) = upgrade.await.map_err(failed)?.map_err(OperateError::Failed)?;
        Ok(json!({"pid": pid, "version": version}))
    }
}

type Done = Result<Purged, crate::delivery::Refusal>;

impl GateOperator {
    async fn purge_channel(&self, name: &str) -> Result<Done, OperateError> {
        let asked =
            channel_ref(name).ok_or_else(|| invalid("this is not a channel name; nothing was removed"))?;
        let view = self.0.live.view();
        let place = view.place(&asked.name);
        let place = place.ok_or_else(|| nowhere(&view, &asked))?;
        Ok(match place {
            Place::Source(channel) => self.0.delivery.purge_channel(&channel, &asked).await,
            Place::Virtual(channel) => self.0.delivery.purge_virtual(&channel).await,
        })
    }

    async fn purge_url(&self, text: &str) -> Result<Done, OperateError> {
        let path = match ::url::Url::parse(text) {
            Ok(parsed) => parsed.path().to_owned(),
            Err(_) => format!("/{}", text.trim_start_matches('/')),
        };
        let base = self.0.config.public_url.as_ref().map_or("", |public| public.base_path.as_str());
        let path = path.strip_prefix(base.trim_end_matches('/')).unwrap_or(&path);
        let target = url::parse(path).map_err(|error| invalid(&format!("{error}; nothing was removed")))?;
        let view = self.0.live.view();
        if let Some(crate::snapshot::PlainFile::Upstream { upstream, path, .. }) =
            view.plain_file(&target.path)
        {
            return Ok(self.0.delivery.purge_plain(&upstream, &path).await);
        }
        let Some(asked) = target.route.channel().cloned() else {
            return Err(invalid(
                "this URL is not a file of a channel nor under a prefix; nothing was removed",
            ));
        };
        let place = view.place(&asked.name);
        let place = place.ok_or_else(|| nowhere(&view, &asked))?;
        drop(view);
        Ok(match place {
            Place::Source(channel) => self.0.delivery.purge_file(&channel, &target.route).await,
            Place::Virtual(channel) => self.0.delivery.purge_virtual_file(&channel, &target.route).await,
        })
    }
}

pub(super) fn channel_ref(text: &str) -> Option<ChannelRef> {
    let (name, label) = match text.split_once("/label/") {
        Some((name, label)) => (name, Some(label)),
        None => (text, None),
    };
    if label.is_some_and(|label| !ChannelRef::is_label(label)) {
        return None;
    }
    Some(ChannelRef { name: ChannelName::parse(name)?, label: label.map(Into::into) })
}

fn invalid(sentence: &str) -> OperateError {
    OperateError::Invalid(sentence.to_owned())
}

fn failed(error: impl std::fmt::Display) -> OperateError {
    OperateError::Failed(error.to_string())
}

/// Why a channel's name means nothing.
fn nowhere(view: &View, asked: &ChannelRef) -> OperateError {
    if view.waits_for_store(&asked.name) {
        return OperateError::Failed(format!(
            "the store can't be read, and `{}` may be a channel that is hosted here; nothing was removed",
            asked.name
        ));
    }
    invalid("no rule places this channel; nothing was removed")
}
