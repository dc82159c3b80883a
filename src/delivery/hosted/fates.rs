//! What becomes of packages of a hosted channel, by their rows: as the index would show them and the download would be answered.
//!
//! No index is made for it, so it is cheap for a page of rows under any label, and true before the next index is there.
//!
//! Belongs here: asking rules and patches about rows. Does not: who may see what is not shown (`api`, `web`).

use ahash::AHashMap;

use super::reading::as_hosted;
use super::{MAIN, exists};
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::subdir::Subdir;
use crate::delivery::catalogue::{Fate, Spot};
use crate::delivery::{Delivery, Refusal};
use crate::policy::verdict::Verdict;
use crate::repodata::hosted::known_file;
use crate::repodata::hosted_patches::HostedPatches;
use crate::repodata::judging::KnownFile;
use crate::snapshot::{Channel, Hosted, Place};
use crate::store::model::{Package, PackageState};

/// What changes the records of a subdir under a label.
type Patches<'a> = AHashMap<(Subdir, &'a str), Option<HostedPatches>>;

impl Delivery {
    /// What becomes of each of these rows for whoever sees the channel as `spot` has it; the best of what its labels say. `None`: it is deleted,
    /// or no index can list it.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] where the store can't be asked; [`Refusal::NotFound`] where the channel is not hosted here.
    pub async fn fates(&self, spot: &Spot, rows: &[Package]) -> Result<Vec<Option<Fate>>, Refusal> {
        let none = || Refusal::NotFound(format!("the channel `{}` is not hosted here", spot.name));
        let Place::Source(channel) = &spot.place else { return Err(none()) };
        let hosted = channel.hosted().ok_or_else(none)?;
        exists(hosted)?;
        let (mut patches, mut fates) = (Patches::new(), Vec::with_capacity(rows.len()));
        for row in rows {
            let subdir = Subdir::parse(&row.subdir).filter(|_| row.state != PackageState::Deleted);
            let Some(subdir) = subdir else {
                fates.push(None);
                continue;
            };
            let mut best = None;
            let unlabelled = row.labels.is_empty().then_some(MAIN);
            for label in row.labels.iter().map(String::as_str).chain(unlabelled) {
                let key = (subdir.clone(), label);
                if !patches.contains_key(&key) {
                    let found = self.patches_under(channel, hosted, (&spot.name, label), &subdir).await?;
                    patches.insert(key.clone(), found);
                }
                let known = known_file(&as_hosted(row), patches.get(&key).and_then(Option::as_ref));
                let fate = known.map(|known| self.fate(channel, &subdir, &known));
                best = best.max(fate);
            }
            fates.push(best);
        }
        Ok(fates)
    }

    async fn patches_under(
        &self,
        channel: &Channel,
        hosted: &Hosted,
        (name, label): (&ChannelName, &str),
        subdir: &Subdir,
    ) -> Result<Option<HostedPatches>, Refusal> {
        let label = Some(label).filter(|label| *label != MAIN).map(Into::into);
        let key = (channel.stored_as(&ChannelRef { name: name.clone(), label }), subdir.clone());
        let store = self.inner.hosted.store().await?;
        self.hosted_patches(&store, hosted, &key).await
    }

    fn fate(&self, channel: &Channel, subdir: &Subdir, known: &KnownFile) -> Fate {
        let (judge, now) = (channel.judge(subdir), self.inner.clock.now());
        let verdict = if channel.is_unruled() || judge.is_idle() {
            Verdict::Show
        } else {
            let source = channel.source();
            known.with_subject(source, subdir.as_str(), |subject| judge.decide(subject, now)).verdict
        };
        match verdict {
            verdict if verdict.refuses_file().is_some() => Fate::Refused,
            Verdict::Show if known.standing.departed || known.standing.removed => Fate::Left,
            Verdict::Show => Fate::Shown,
            Verdict::Hide { .. } | Verdict::Deny { .. } => Fate::Hidden,
        }
    }
}
