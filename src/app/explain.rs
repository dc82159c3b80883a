//! Explaining: with the running gate's rules and indexes, or with those on disk while none runs.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::Runtime;

use super::serve::OfflineError;
use super::{Core, StartError, convert};
use crate::api::OperateError;
use crate::auth::name::UserName;
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::delivery::explain::{ExplainError, Explainer, Explanation, OwnAddress, Question};
use crate::policy::Rules;
use crate::repodata::store::GenerationStore;
use crate::snapshot::View;
use crate::snapshot::people::{Principal, State};
use crate::upstream::Upstreams;

impl Core {
    /// Answers by the rules in force.
    pub(super) async fn explain(&self, question: Question) -> Result<Explanation, ExplainError> {
        let view = Arc::clone(&self.live.view());
        let own = Arc::new(own_address(&self.config));
        let user = question.as_user.clone();
        let mut answer = self.delivery.explain(Arc::clone(&view), own, question).await?;
        if let Some(user) = user {
            let people = self.society.as_ref().and_then(|society| society.people.known());
            add_access(&mut answer, &view, people.as_ref(), &user)?;
        }
        Ok(answer)
    }
}

/// What `condagate rules explain` does while no gate runs: the same answer, from what is on disk. Nothing is written, and nothing is
/// locked: the cache is not opened.
///
/// # Errors
/// Upstreams that can't be set up, or the question's own mistake.
pub fn explain_offline(config: &Config, rules: Rules, question: &Question) -> Result<Value, OfflineError> {
    let clock: SharedClock = Arc::new(SystemClock);
    let now = clock.now();
    let upstreams = Arc::new(Upstreams::new(clock, convert::egress(config, &convert::pseudonym())));
    upstreams.set(convert::upstreams(&rules, None)).map_err(StartError::Upstreams)?;
    // A store that can't be read leaves open which names it hosts; answers say so where it matters.
    let runtime = Runtime::new().map_err(StartError::Runtime)?;
    let hosted = super::society::channels_in_store(config, &runtime);
    let view = View::new(Arc::new(rules), upstreams, hosted);
    let store = GenerationStore::to_look_at(&generations(config));
    let own = own_address(config);
    let answer = Explainer { view: &view, store: &store, own: &own, now }.answer(question);
    let answer = answer.and_then(|mut answer| {
        if let Some(user) = &question.as_user {
            let people = super::society::people_in_store(config)
                .map_err(|error| ExplainError::Store(error.to_string()))?;
            add_access(&mut answer, &view, Some(&people), user)?;
        }
        Ok(answer)
    });
    Ok(as_operated(answer)?)
}

/// Adds whether a user may have what was explained.
fn add_access(
    answer: &mut Explanation,
    view: &View,
    people: Option<&State>,
    user: &str,
) -> Result<(), ExplainError> {
    let people = people.ok_or_else(|| ExplainError::Store("users are not read yet".to_owned()))?;
    let name = UserName::parse(user).map_err(|error| ExplainError::User(error.to_string()))?;
    let nobody = || ExplainError::User(format!("there is no user `{}` that is not disabled", name.shown()));
    let id = people.names.get(name.key()).ok_or_else(nobody)?;
    let principal = Principal::of_user(people, id).ok_or_else(nobody)?;
    answer.add_access(view, &principal.name, &principal.caller());
    Ok(())
}

/// An answer as the control socket gives it.
pub(super) fn as_operated(answer: Result<Explanation, ExplainError>) -> Result<Value, OperateError> {
    let answer = answer.map_err(|error| {
        let make = if error.is_askers() { OperateError::Invalid } else { OperateError::Failed };
        make(error.to_string())
    })?;
    serde_json::to_value(answer).map_err(|error| OperateError::Failed(error.to_string()))
}

/// Where indexes are kept.
pub(super) fn generations(config: &Config) -> std::path::PathBuf {
    Path::join(&config.storage.cache, "generations")
}

fn own_address(config: &Config) -> OwnAddress {
    let public = config.public_url.as_ref();
    let host = public.and_then(|public| public.url.reveal().host_str()).map(str::to_ascii_lowercase);
    OwnAddress { host, base: public.map_or_else(String::new, |public| public.base_path.clone()) }
}
