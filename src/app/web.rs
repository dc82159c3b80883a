//! Puts the pages together.
//!
//! Belongs here: wiring. Does not: pages (`web`).

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;

use super::Core;
use super::operator::GateOperator;
use super::society::Society;
use crate::api::in_process;
use crate::api::{Operator as _, PurgeRequest};
use crate::cache::CacheStatus;
use crate::channel::Hosting;
use crate::proxy::{Api, Explain};
use crate::web::{self, Parts, Purge, RulesFile, SettingShown};

/// The running gate behind the pages for administrators.
struct Shown(Arc<Core>);

#[async_trait]
impl web::Gate for Shown {
    async fn cache(&self) -> Result<CacheStatus, String> {
        let cache = self.0.cache.clone();
        let read = tokio::task::spawn_blocking(move || cache.status()).await;
        read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    async fn purge(&self, what: Purge) -> Result<u64, String> {
        let request = match what {
            Purge::Url(url) => PurgeRequest::Url(url),
            Purge::Channel(name) => PurgeRequest::Channel(name),
            Purge::Digest(hex) => PurgeRequest::Digest(hex),
            Purge::All => PurgeRequest::All(true),
        };
        let done = GateOperator(Arc::clone(&self.0)).purge(request).await;
        let done = done.map_err(|error| error.to_string())?;
        Ok(done.get("removed").and_then(serde_json::Value::as_u64).unwrap_or(0))
    }

    async fn rules(&self) -> (String, Vec<RulesFile>) {
        let dir = self.0.config.rules.path.clone();
        let shown = dir.display().to_string();
        let read = tokio::task::spawn_blocking(move || {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
            paths.retain(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"));
            paths.sort();
            let file = |path: std::path::PathBuf| {
                let name = path.file_name()?.to_string_lossy().into_owned();
                Some(RulesFile { name, text: std::fs::read_to_string(&path).ok()? })
            };
            paths.into_iter().filter_map(file).collect()
        });
        (shown, read.await.unwrap_or_default())
    }

    fn settings(&self) -> Vec<SettingShown> {
        let shown = |setting: &crate::config::Setting| SettingShown {
            key: setting.key.to_owned(),
            value: setting.value.clone(),
            origin: setting.origin.clone(),
        };
        self.0.config.origins.iter().map(shown).collect()
    }
}

impl Core {
    /// Answers questions by the rules in force.
    pub(super) fn explainer(self: &Arc<Self>) -> Explain {
        let this = Arc::clone(self);
        Arc::new(move |question| {
            let core = Arc::clone(&this);
            async move { core.explain(question).await }.boxed()
        })
    }

    pub(super) fn for_people(self: &Arc<Self>, society: &Society, hosting: &Hosting) -> Api {
        let base = self.config.public_url.as_ref().map_or("", |public| public.base_path.as_str());
        let router = web::router(Parts {
            base: base.trim_end_matches('/').to_owned(),
            identity: Arc::clone(&society.identity),
            people: society.open_people(&self.config),
            live: Arc::clone(&self.live),
            delivery: self.delivery.clone(),
            hosting: hosting.clone(),
            upstreams: Arc::clone(&self.upstreams),
            explain: self.explainer(),
            gate: Arc::new(Shown(Arc::clone(self))),
            data: self.config.data.clone(),
            clock: Arc::clone(&self.clock),
        });
        in_process::call(router, society.runtime().clone())
    }
}
