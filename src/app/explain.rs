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
use crate::policy::access::Caller;
use crate::policy::judge::audience::AudienceSet;
use crate::repodata::store::GenerationStore;
use crate::snapshot::View;
use crate::snapshot::people::{Principal, State};
use crate::upstream::Upstreams;

impl Core {
    /// Answers by the rules in force.
    pub(super) async fn explain(&self, question: Question) -> Result<Explanation, ExplainError> {
        let view = Arc::clone(&self.live.view());
        let own = Arc::new(own_address(&self.config));
        let people = self.society.as_ref().and_then(|society| society.people.known());
        let user = question.as_user.as_deref();
        let user = user.map(|user| somebody(people.as_ref(), user)).transpose()?;
        let audience = audience(&view, user.as_ref());
        let mut answer = self.delivery.explain(Arc::clone(&view), own, question, audience).await?;
        if let Some(user) = &user {
            answer.add_access(&view, &user.name, &user.caller());
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
    let user = question.as_user.as_deref().map(|user| {
        let people = super::society::people_in_store(config);
        let people = people.map_err(|error| ExplainError::Store(error.to_string()))?;
        somebody(Some(&people), user)
    });
    let answer = user.transpose().and_then(|user| {
        let audience = audience(&view, user.as_ref());
        let mut answer =
            Explainer { view: &view, store: &store, own: &own, now, audience }.answer(question)?;
        if let Some(user) = &user {
            answer.add_access(&view, &user.name, &user.caller());
        }
        Ok(answer)
    });
    Ok(as_operated(answer)?)
}

/// The user that was asked about.
fn somebody(people: Option<&State>, user: &str) -> Result<Principal, ExplainError> {
    let people = people.ok_or_else(|| ExplainError::Store("users are not read yet".to_owned()))?;
    let name = UserName::parse(user).map_err(|error| ExplainError::User(error.to_string()))?;
    let nobody = || ExplainError::User(format!("there is no user `{}` that is not disabled", name.shown()));
    let id = people.names.get(name.key()).ok_or_else(nobody)?;
    Principal::of_user(people, id).ok_or_else(nobody)
}

/// Whose rules count: that user's, or those of strangers.
fn audience(view: &View, user: Option<&Principal>) -> AudienceSet {
    let caller = user.map_or(Caller::ANONYMOUS, Principal::caller);
    view.rules().policy().audience_of(&caller)
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
