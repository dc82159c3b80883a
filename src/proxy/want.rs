//! What a plan needs: the channels and files that access rules are asked about.
//!
//! Belongs here: from a plan to its needs. Does not: asking (`admit`), what a channel needs (`snapshot`).

use super::plan::Plan;
use crate::conda::archive::ArchiveName;
use crate::conda::url::Route;
use crate::snapshot::{Need, PlainFile, VirtualChannel};

/// All that is needed; nothing for pages of the gate itself.
pub(super) fn needs(plan: &Plan) -> impl Iterator<Item = Need<'_>> {
    // Nearly always one, which needs no list.
    let (one, more) = match plan {
        Plan::Virtual { channel, route } => (None, of_virtual(channel, route)),
        other => (need(other), Vec::new()),
    };
    one.into_iter().chain(more)
}

fn of_virtual<'a>(channel: &'a VirtualChannel, route: &'a Route) -> Vec<Need<'a>> {
    let package = match route {
        Route::Package { archive, .. } => Some(name_of(archive)),
        Route::Sidecar { file, .. } => package_of(file),
        _ => None,
    };
    Need::of_virtual(channel, package)
}

fn need(plan: &Plan) -> Option<Need<'_>> {
    Some(match plan {
        Plan::Package { channel, archive, .. } => Need::of_channel(channel, Some(name_of(archive))),
        Plan::Sidecar { channel, file, .. } => Need::of_channel(channel, package_of(file)),
        Plan::Index { channel, .. }
        | Plan::Shard { channel, .. }
        | Plan::Doc { channel, .. }
        | Plan::Pass { channel: Some(channel), .. } => Need::of_channel(channel, None),
        Plan::Plain(PlainFile::Upstream { prefix, needs_identity, .. }) => {
            Need::of_file(prefix, *needs_identity)
        }
        Plan::Plain(PlainFile::Local { prefix, .. }) => Need::of_file(prefix, false),
        // Who may publish is asked where it is known what is published.
        Plan::Virtual { .. }
        | Plan::Pass { channel: None, .. }
        | Plan::Problem(_)
        | Plan::Home
        | Plan::Control(_)
        | Plan::Dialect(_) => return None,
    })
}

/// The package's name; a wheel's whole name where it has no parts.
fn name_of(archive: &ArchiveName) -> &str {
    archive.parts().map_or(archive.as_str(), |(name, _, _)| name)
}

/// The package of `<archive>.sigs…` and `<archive>.v0.sigs`.
fn package_of(file: &str) -> Option<&str> {
    let end = file.find(".conda").or_else(|| file.find(".tar.bz2"))?;
    let mut parts = file[..end].rsplitn(3, '-');
    (parts.next(), parts.next(), parts.next()).2
}
