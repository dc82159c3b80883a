//! `condagate audit`
//!
//! Belongs here: what is listed. Does not: what is written down (`people`, the gate).

use super::args::{AuditCommand, AuditList};
use super::listing::{Line, Listing};
use super::{Desk, Failed, PAGE};
use crate::clock::{Clock as _, SystemClock};
use crate::conda::digest::Sha256;
use crate::people::view::{DownloadView, EventView};
use crate::store::model::{AuditEvent, Downloads};
use crate::store::repo::AuditFilter;

impl Line for EventView {
    const HEADS: &'static [&'static str] = &["AT", "ACTOR", "KIND", "TARGET", "FROM", "RESULT", "DETAIL"];

    fn cells(&self) -> Vec<String> {
        let detail = if self.detail.is_null() { String::new() } else { self.detail.to_string() };
        vec![
            self.at.clone(),
            self.actor_name.clone().unwrap_or_else(|| self.actor.clone()),
            self.kind.clone(),
            self.target.clone(),
            self.address.clone(),
            self.result.clone(),
            detail,
        ]
    }
}

impl Line for DownloadView {
    const HEADS: &'static [&'static str] = &["DAY", "WHO", "TOKEN", "FROM", "COUNT", "FILE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.day.clone(),
            self.user.clone().unwrap_or_else(|| self.actor.clone()),
            self.token.clone().unwrap_or_else(|| "-".to_owned()),
            self.address.clone(),
            self.count.to_string(),
            self.file.clone(),
        ]
    }
}

pub(super) async fn answer(command: &AuditCommand, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    match command {
        AuditCommand::List(args) => list(args, desk).await,
        AuditCommand::Downloads { digest, .. } => downloads(digest, desk).await,
    }
}

async fn list(args: &AuditList, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    let now = SystemClock.now();
    let actor = match &args.actor {
        Some(text) => Some(desk.people.actor(text).await?),
        None => None,
    };
    let filter = AuditFilter {
        actor,
        kinds: args.kinds.clone(),
        since: args.since.map(|when| when.begin(now)),
        until: args.until.map(|when| when.end(now)),
    };
    let mut names = desk.people.names();
    let mut listing = Listing::new(desk.terminal, desk.json);
    let (mut last, mut left): (Option<AuditEvent>, _) = (None, args.limit);
    loop {
        let limit = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
        let mut page =
            if limit == 0 { Vec::new() } else { desk.people.events(&filter, last.as_ref(), limit).await? };
        left = left.saturating_sub(page.len() as u64);
        let mut rows = Vec::new();
        for event in &page {
            rows.push(EventView::new(event, names.actor(&event.actor).await?));
        }
        listing.rows(&rows);
        last = page.pop();
        if last.is_none() {
            listing.end();
            return Ok(());
        }
    }
}

async fn downloads(digest: &Sha256, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    let mut names = desk.people.names();
    let mut listing = Listing::new(desk.terminal, desk.json);
    let mut last: Option<Downloads> = None;
    loop {
        let mut page = desk.people.downloads(digest, last.as_ref(), PAGE).await?;
        let mut rows = Vec::new();
        for row in &page {
            rows.push(DownloadView::new(row, names.actor(&row.actor).await?));
        }
        listing.rows(&rows);
        last = page.pop();
        if last.is_none() {
            listing.end();
            return Ok(());
        }
    }
}
