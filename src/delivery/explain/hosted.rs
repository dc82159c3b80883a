//! Hosted channels, whose indexes are made when they are asked for: an explanation is to know what was uploaded a moment ago.
//!
//! Belongs here: which indexes a question is about, bringing them up to date. Does not: reading them.

use std::sync::Arc;

use super::question::Asked;
use super::{Explainer, Question};
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::delivery::Delivery;
use crate::snapshot::{Channel, Place};

/// An index of a hosted channel that a question is about; without a subdir, all of the channel's.
type About = (Arc<Channel>, ChannelRef, Option<Subdir>);

impl Delivery {
    /// Brings up to date what a question is about. An index that can't be is explained as it is.
    pub(super) async fn bring_hosted_up(&self, explainer: Explainer<'_>, question: &Question) {
        for (channel, asked, subdir) in explainer.hosted_in(question) {
            let Some(hosted) = channel.hosted() else { continue };
            let subdirs = match subdir {
                Some(subdir) => vec![subdir],
                None => self.hosted_subdirs(hosted).await.unwrap_or_default(),
            };
            for subdir in subdirs {
                if let Err(refusal) = self.hosted_generation(&channel, hosted, &asked, &subdir).await {
                    tracing::debug!(channel = %asked, %subdir, %refusal, "explained without an index that is up to date");
                }
            }
        }
    }
}

impl Explainer<'_> {
    fn hosted_in(&self, question: &Question) -> Vec<About> {
        let mut all = Vec::new();
        match question.parse() {
            Ok(Asked::Url(text)) => {
                if let Ok(file) = self.find_file(text) {
                    add(&file.place, &file.asked, Some(&file.subdir), &mut all);
                }
            }
            Ok(Asked::Spec(wanted)) => {
                let subdir = wanted.subdir.as_ref();
                let named = |name: &_| ChannelRef { name: Clone::clone(name), label: None };
                let channels: Vec<_> = match &wanted.channel {
                    Some(asked) => vec![asked.clone()],
                    None => self.view.names().map(named).collect(),
                };
                for asked in channels {
                    if let Some(place) = self.place(&asked.name) {
                        add(&place, &asked, subdir, &mut all);
                    }
                }
            }
            Err(_) => {}
        }
        all
    }
}

/// The hosted channels of a place: itself, or its members.
fn add(place: &Place, asked: &ChannelRef, subdir: Option<&Subdir>, all: &mut Vec<About>) {
    match place {
        Place::Source(channel) if channel.hosted().is_some() => {
            all.push((Arc::clone(channel), asked.clone(), subdir.cloned()));
        }
        Place::Source(_) => {}
        Place::Virtual(channel) => {
            channel.members.iter().for_each(|member| add(&member.place, &member.asked, subdir, all));
        }
    }
}
