//! Puts the pages and the API together.
//!
//! Belongs here: wiring. Does not: pages (`web`), answers (`api`).

use std::sync::Arc;

use futures_util::FutureExt;

use super::Core;
use super::forgotten;
use super::manage::Managed;
use super::society::Society;
use crate::api::dialects::Stages;
use crate::api::in_process;
use crate::api::v1::{Control, document};
use crate::channel::Hosting;
use crate::proxy::{Api, Explain};
use crate::sight::Sight;
use crate::web::{self, Parts};

impl Core {
    /// Answers questions by the rules in force.
    pub(super) fn explainer(self: &Arc<Self>) -> Explain {
        let this = Arc::clone(self);
        Arc::new(move |question| {
            let core = Arc::clone(&this);
            async move { core.explain(question).await }.boxed()
        })
    }

    /// What the API needs.
    pub(super) fn control(
        self: &Arc<Self>,
        society: &Society,
        hosting: &Hosting,
        stages: &Stages,
    ) -> Control {
        Control {
            people: society.open_people(&self.config),
            gate: Arc::new(Managed(Arc::clone(self))),
            live: Arc::clone(&self.live),
            delivery: self.delivery.clone(),
            sight: self.sight(hosting),
            base: self.base().to_owned(),
            stages: stages.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// The path of `public_url`, without trailing slash.
    fn base(&self) -> &str {
        let base = self.config.public_url.as_ref().map_or("", |public| public.base_path.as_str());
        base.trim_end_matches('/')
    }

    /// What callers are told of what there is.
    pub(super) fn sight(&self, hosting: &Hosting) -> Sight {
        Sight { hosting: hosting.clone(), live: Arc::clone(&self.live), delivery: self.delivery.clone() }
    }

    pub(super) fn for_people(self: &Arc<Self>, society: &Society, hosting: &Hosting) -> Api {
        let router = web::router(Parts {
            base: self.base().to_owned(),
            identity: Arc::clone(&society.identity),
            people: society.open_people(&self.config),
            send_code: forgotten::sender(&self.config, &self.work.queue, &self.clock),
            live: Arc::clone(&self.live),
            delivery: self.delivery.clone(),
            hosting: hosting.clone(),
            gate: Arc::new(Managed(Arc::clone(self))),
            document: Arc::new(document::document()),
            data: self.config.data.clone(),
            clock: Arc::clone(&self.clock),
        });
        in_process::call(router, society.threads())
    }
}
