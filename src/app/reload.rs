//! New rules while running: all or nothing. A bad edit keeps the old rules and says so in the log and on `/-/readyz`.

use std::sync::Arc;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Core, convert};
use crate::config;
use crate::proxy::server::Stop;
use crate::telemetry::health::RulesState;
use crate::trail::Happened;

impl Core {
    /// Reads the rules and the certificates again and puts what they say in force.
    ///
    /// # Errors
    /// Every mistake, one a line; the old rules, or the old certificates, stay.
    pub(super) async fn reload(&self) -> Result<(), String> {
        // Whoever moved its file away to rotate it says so like this.
        self.eyes.access.reopen();
        match (self.reload_certificates().await, self.reload_rules().await) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(one), Err(other)) => Err(format!("{one}\n{other}")),
            (Err(one), Ok(())) | (Ok(()), Err(one)) => Err(one),
        }
    }

    async fn reload_rules(&self) -> Result<(), String> {
        let _one_at_a_time = self.reloading.lock().await;
        self.reload_now().await
    }

    /// The same, for who has the lock.
    pub(super) async fn reload_now(&self) -> Result<(), String> {
        let dir = self.config.rules.clone();
        let machine = config::Machine::of_process();
        let noted = machine.clone();
        let read = tokio::task::spawn_blocking(move || config::rules::load(&dir, &machine));
        let loaded = read.await.map_err(|_| "reading the rules failed inside; see the log".to_owned())?;
        let rules = match loaded {
            Ok(rules) => rules,
            Err(mistakes) => {
                return Err(self.keep_old(mistakes.iter().map(ToString::to_string).collect()));
            }
        };
        if rules == *self.live.view().rules() {
            self.eyes.health.set_rules(RulesState::Current { revision: rules.revision() });
            return Ok(());
        }
        if let Err(errors) = self.upstreams.set(convert::upstreams(&rules, self.tune_upstream.as_ref())) {
            return Err(self.keep_old(errors.iter().map(ToString::to_string).collect()));
        }
        for note in noted.notes() {
            tracing::warn!("{note}");
        }
        tell_notes(&rules);
        let view_before = Arc::clone(&self.live.view());
        let before = view_before.rules().policy().rules().len();
        if before > 0 && rules.policy().rules().len() == 0 {
            tracing::warn!(
                before,
                "no rule about packages is left: everything that was hidden or denied is shown again"
            );
        }
        let revision = rules.revision();
        self.live.replace(Arc::new(rules));
        self.tell_of_recalls(view_before.rules(), self.live.view().rules());
        self.delivery.forget_absences();
        // Indexes that say something else now are made again at once; downloads go by the new rules already.
        self.tend(true);
        self.eyes.health.set_rules(RulesState::Current { revision });
        tracing::info!(revision, "new rules are in force");
        self.note("rules.reload", "ok", &json!({"revision": revision}));
        Ok(())
    }

    /// Rules are files: who changed them, the file system knows.
    fn note(&self, kind: &str, result: &str, detail: &serde_json::Value) {
        let Some(society) = &self.society else { return };
        society.trail.event(&Happened {
            actor: "system".to_owned(),
            kind,
            target: "rules",
            address: "local",
            result,
            detail: detail.clone(),
        });
    }

    fn keep_old(&self, mistakes: Vec<String>) -> String {
        let text = mistakes.join("\n");
        let revision = self.live.view().rules().revision();
        tracing::error!(mistakes = %text, "the rules have mistakes; the old ones stay in force");
        self.note("rules.reload", "refused: the rules have mistakes", &json!({"mistakes": mistakes.len()}));
        self.eyes.health.set_rules(RulesState::Kept { revision, mistakes });
        text
    }

    /// Reloads when a file below the rules directory changes.
    pub(super) fn watch_rules(self: &Arc<Self>, runtime: &Handle, stop: Stop) -> JoinHandle<()> {
        let (due, mut changes) = mpsc::channel::<()>(1);
        let guard = config::watch::rules(&self.config.rules, move || {
            // Full means that a reload is due anyway.
            let _due_anyway = due.try_send(());
        });
        let this = Arc::clone(self);
        runtime.spawn(async move {
            let _watching = guard;
            loop {
                tokio::select! {
                    change = changes.recv() => if change.is_none() { return },
                    () = stop.requested() => return,
                }
                tokio::select! {
                    // The sentence is in the log already.
                    _kept = this.reload_rules() => {}
                    () = stop.requested() => return,
                }
            }
        })
    }
}

/// What may be meant and may be a mistake, for the log.
pub(super) fn tell_notes(rules: &crate::policy::Rules) {
    for note in rules.notes() {
        tracing::warn!(%note, "a rule may not do what it seems to");
    }
}
