//! The running gate behind its administrators' pages and API.
//!
//! Belongs here: carrying out what is asked. Does not: who may ask (`api`, `web`), what rules mean (`policy`).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Core;
use super::convert;
use super::operator::{GateOperator, channel_ref};
use crate::api::{OperateError, Operator as _, PurgeRequest};
use crate::cache::{CacheStatus, Inventory};
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing, Route};
use crate::config::rules::{Edit, load_edited};
use crate::config::{self, Machine};
use crate::delivery::Purged;
use crate::delivery::explain::{ExplainError, Explanation, Question, Rehearsal};
use crate::jobs::Desk;
use crate::manage::{
    Checked, Expected, Gate, LONGEST_FILE, ManageError, OWN_FILE, Purge, RulesFile, RulesShown, Served,
    SettingShown, Warm,
};
use crate::people::By;
use crate::policy::Rules;
use crate::secret::mask_urls;
use crate::snapshot::{Place, View};
use crate::store::StoreError;
use crate::trail::Happened;
use crate::upstream::{UpstreamSnapshot, Upstreams};

/// See the module's description.
pub(super) struct Managed(pub(super) Arc<Core>);

fn failed(error: impl std::fmt::Display) -> ManageError {
    ManageError::Failed(error.to_string())
}

/// The rules with the gate's own file as it would be.
fn edit(text: Option<String>) -> Edit {
    Edit { name: OWN_FILE.to_owned(), text }
}

#[async_trait]
impl Gate for Managed {
    async fn cache(&self) -> Result<CacheStatus, ManageError> {
        let cache = self.0.cache.clone();
        tokio::task::spawn_blocking(move || cache.status()).await.map_err(failed)?.map_err(failed)
    }

    async fn inventory(&self) -> Result<Arc<Inventory>, ManageError> {
        let mut inventory = Inventory::clone(&*self.0.cache.inventory().await.map_err(failed)?);
        let view = self.0.live.view();
        for held in &mut inventory.channels {
            held.channel = asked_as(&view, &held.kept);
        }
        Ok(Arc::new(inventory))
    }

    fn served(&self) -> Served {
        let mut served = Served::default();
        self.0.eyes.metrics.each_channel(|series| {
            for (outcome, answers, _) in series.totals() {
                served.answers += answers;
                served.from_here += if outcome.is_from_here() { answers } else { 0 };
            }
        });
        served
    }

    async fn purge(&self, by: &By, what: Purge) -> Result<Purged, ManageError> {
        let (request, told) = match what {
            Purge::Url(url) => {
                let told = json!({"url": crate::secret::mask_path(&mask_urls(&url))});
                (PurgeRequest::Url(url), told)
            }
            Purge::Channel(name) => (PurgeRequest::Channel(name.clone()), json!({"channel": name})),
            Purge::Digest(hex) => (PurgeRequest::Digest(hex.clone()), json!({"digest": hex})),
            Purge::All => (PurgeRequest::All(true), json!({"all": true})),
        };
        let done = GateOperator(Arc::clone(&self.0)).purge(request).await;
        let done = done.map_err(|error| match error {
            OperateError::Invalid(why) => ManageError::Invalid(why),
            OperateError::Failed(why) => ManageError::Failed(why),
        })?;
        let number = |name: &str| done.get(name).and_then(Value::as_u64).unwrap_or(0);
        let purged = Purged { removed: number("removed"), bytes: number("bytes") };
        let mut detail = told;
        detail["removed"] = purged.removed.into();
        detail["bytes"] = purged.bytes.into();
        self.note(by, "cache.purge", "cache", detail);
        Ok(purged)
    }

    async fn warm(&self, by: &By, what: Warm) -> Result<(), ManageError> {
        let invalid = |why: String| ManageError::Invalid(format!("{why}; nothing was fetched"));
        let asked =
            channel_ref(&what.channel).ok_or_else(|| invalid("this is not a channel's name".to_owned()))?;
        let subdirs = what.subdirs.iter().map(|subdir| {
            Subdir::parse(subdir).ok_or_else(|| invalid(format!("`{}` is no subdir", subdir.escape_debug())))
        });
        let subdirs: Vec<Subdir> = subdirs.collect::<Result<_, _>>()?;
        let place = self.0.live.view().place(&asked.name);
        let place = place.ok_or_else(|| invalid("no rule places this channel".to_owned()))?;
        let detail = json!({"channel": asked.to_string(), "subdirs": what.subdirs});
        for subdir in subdirs {
            let (delivery, place, asked) = (self.0.delivery.clone(), place.clone(), asked.clone());
            drop(tokio::spawn(async move {
                let file = IndexFile::Repodata(Packing::Zst);
                let fetched = match &place {
                    Place::Source(channel) => delivery.index(channel, &asked, &subdir, file).await.map(drop),
                    Place::Virtual(channel) => {
                        let route = Route::Index { channel: asked.clone(), subdir: subdir.clone(), file };
                        delivery.of_virtual(channel, &route).await.map(drop)
                    }
                };
                if let Err(refusal) = fetched {
                    tracing::info!(channel.name = %asked, %subdir, %refusal, "an index that an administrator asked for did not come");
                }
            }));
        }
        self.note(by, "cache.warm", "cache", detail);
        Ok(())
    }

    async fn rules(&self) -> RulesShown {
        let directory = self.0.config.rules.path.clone();
        let read = tokio::task::spawn_blocking({
            let directory = directory.clone();
            move || (files(&directory), own_tag(&directory))
        });
        let (files, own) = read.await.unwrap_or_default();
        RulesShown {
            directory: directory.display().to_string(),
            revision: format!("{:016x}", self.0.live.view().rules().revision()),
            files,
            mistakes: self.0.eyes.health.mistakes(),
            own,
        }
    }

    async fn check(&self, text: Option<String>) -> Checked {
        match self.read(text).await {
            Ok(rules) => {
                Checked { mistakes: Vec::new(), notes: rules.notes().map(ToString::to_string).collect() }
            }
            Err(ManageError::Mistakes(mistakes)) => Checked { mistakes, notes: Vec::new() },
            Err(error) => Checked { mistakes: vec![error.to_string()], notes: Vec::new() },
        }
    }

    async fn rehearse(&self, text: Option<String>) -> Result<Rehearsal, ManageError> {
        let rules = self.read(text).await?;
        let upstreams = Arc::new(Upstreams::new(
            Arc::clone(&self.0.clock),
            convert::egress(&self.0.config, &convert::pseudonym()),
        ));
        let set = upstreams.set(convert::upstreams(&rules, self.0.tune_upstream.as_ref()));
        set.map_err(|errors| ManageError::Mistakes(errors.iter().map(ToString::to_string).collect()))?;
        let now = Arc::clone(&self.0.live.view());
        let then = Arc::new(self.0.live.view_of(Arc::new(rules), upstreams));
        self.0.delivery.rehearse(now, then).await.map_err(failed)
    }

    async fn write(
        &self,
        by: &By,
        text: Option<String>,
        expected: Expected,
    ) -> Result<RulesShown, ManageError> {
        if let Some(text) = &text {
            check_text(text)?;
        }
        {
            let _one_at_a_time = self.0.reloading.lock().await;
            self.written(text.clone(), &expected).await?;
        }
        let what = if text.is_some() { "written" } else { "taken away" };
        self.note(by, "rules.write", "rules", json!({"file": OWN_FILE, "what": what}));
        Ok(self.rules().await)
    }

    async fn jobs(&self, by: &By) -> Result<Desk, StoreError> {
        let (store, clock) = (self.0.store.get().await?, Arc::clone(&self.0.clock));
        Ok(Desk::new(store, clock, by.actor().to_owned()).from(by.address()))
    }

    async fn explain(&self, question: Question) -> Result<Explanation, ExplainError> {
        self.0.explain(question).await
    }

    fn settings(&self) -> Vec<SettingShown> {
        let shown = |setting: &config::Setting| SettingShown {
            key: setting.key.to_owned(),
            value: setting.value.clone(),
            origin: setting.origin.clone(),
        };
        self.0.config.origins.iter().map(shown).collect()
    }

    fn upstreams(&self) -> Vec<UpstreamSnapshot> {
        self.0.upstreams.snapshot()
    }

    fn health(&self) -> (bool, Value) {
        let report = self.0.eyes.health.report(true);
        (report.status == 200, serde_json::from_slice(&report.body).unwrap_or_default())
    }
}

/// As which channel is asked for what is kept under a name.
fn asked_as(view: &View, kept: &str) -> Option<String> {
    let is_it = |asked: &ChannelRef| match view.place(&asked.name) {
        Some(Place::Source(channel)) => channel.fetched_as(asked).to_string() == kept,
        _ => false,
    };
    // Most are called as upstream calls them.
    let same = kept.split_once('/').and_then(|(_, rest)| channel_ref(rest)).filter(is_it);
    let named = || view.names().map(|name| ChannelRef { name: name.clone(), label: None }).find(is_it);
    same.or_else(named).map(|asked| asked.to_string())
}

fn check_text(text: &str) -> Result<(), ManageError> {
    if text.len() > LONGEST_FILE {
        return Err(ManageError::Invalid(format!("the file may have {LONGEST_FILE} bytes at most")));
    }
    if text.contains("://***") {
        return Err(ManageError::Invalid(
            "a password in a URL is masked in this text, and saved like this it would be lost; write such a URL into a file of its own, on \
             the gateway's machine"
                .to_owned(),
        ));
    }
    Ok(())
}

impl Managed {
    fn note(&self, by: &By, kind: &str, target: &str, detail: Value) {
        let Some(society) = &self.0.society else { return };
        let (actor, address) = (by.actor().to_owned(), by.address());
        society.trail.event(&Happened { actor, kind, target, address, result: "ok", detail });
    }

    /// The rules as they would be.
    async fn read(&self, text: Option<String>) -> Result<Rules, ManageError> {
        let directory = self.0.config.rules.clone();
        let edit = edit(text);
        let read = move || load_edited(&directory, &Machine::of_process(), Some(&edit));
        let read = tokio::task::spawn_blocking(read).await.map_err(failed)?;
        read.map_err(|mistakes| ManageError::Mistakes(mistakes.iter().map(ToString::to_string).collect()))
    }

    /// To be called with the lock on reloads.
    async fn written(&self, text: Option<String>, expected: &Expected) -> Result<(), ManageError> {
        let directory = self.0.config.rules.path.clone();
        let file = directory.join(OWN_FILE);
        let before = tokio::fs::read_to_string(&file).await.ok();
        if matches!(expected, Expected::Own(own) if *own != tag(before.as_deref())) {
            return Err(ManageError::Changed);
        }
        self.read(text.clone()).await?;
        put(file.clone(), text).await?;
        if let Err(mistakes) = self.0.reload_now().await {
            // What compiles may still name an upstream that can't be set up.
            put(file, before).await?;
            return Err(ManageError::Mistakes(mistakes.lines().map(str::to_owned).collect()));
        }
        Ok(())
    }
}

/// Says whether the file is still what it was; empty where there is none.
fn tag(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| Sha256::of(text.as_bytes()).to_hex()[..16].to_owned())
}

fn own_tag(directory: &Path) -> String {
    tag(std::fs::read_to_string(directory.join(OWN_FILE)).ok().as_deref())
}

fn files(directory: &Path) -> Vec<RulesFile> {
    let paths = config::rules::yaml_files(directory).unwrap_or_default();
    let file = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let text = mask_urls(&std::fs::read_to_string(&path).ok()?);
        Some(RulesFile { writable: name == OWN_FILE, name, text })
    };
    paths.into_iter().filter_map(file).collect()
}

/// Writes a file whole or not at all; durable when this returns.
async fn put(file: PathBuf, text: Option<String>) -> Result<(), ManageError> {
    let shown = file.display().to_string();
    let work = move || -> std::io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("."));
        match text {
            Some(text) => {
                std::fs::create_dir_all(directory)?;
                // Hidden, so nobody takes it for rules.
                let beside = directory.join(format!(".{OWN_FILE}.new"));
                let mut new = std::fs::File::create(&beside)?;
                new.write_all(text.as_bytes())?;
                new.sync_all()?;
                std::fs::rename(&beside, &file)?;
            }
            None => match std::fs::remove_file(&file) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            },
        }
        std::fs::File::open(directory)?.sync_all()
    };
    let done = tokio::task::spawn_blocking(work).await.map_err(failed)?;
    done.map_err(|error| {
        ManageError::Failed(format!(
            "`{shown}` can't be written: {error}; the account that the gateway runs as needs the right to write in that directory"
        ))
    })
}
