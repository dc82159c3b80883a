//! What a plan needs: the channels and files that access rules are asked about.
//!
//! Belongs here: from a plan to its needs. Does not: asking (`admit`), what a channel needs (`snapshot`).

use super::plan::Plan;
use crate::conda::archive::ArchiveName;
use crate::conda::url::Route;
use crate::snapshot::{Need, PlainFile};

/// All that is needed; nothing for pages of the gate itself.
pub(super) fn needs(plan: &Plan) -> Vec<Need<'_>> {
    match plan {
        Plan::Package { channel, archive, .. } => vec![Need::of_channel(channel, Some(name_of(archive)))],
        Plan::Sidecar { channel, file, .. } => vec![Need::of_channel(channel, package_of(file))],
        Plan::Index { channel, .. }
        | Plan::Shard { channel, .. }
        | Plan::Doc { channel, .. }
        | Plan::Pass { channel: Some(channel), .. } => vec![Need::of_channel(channel, None)],
        Plan::Virtual { channel, route } => Need::of_virtual(
            channel,
            match route {
                Route::Package { archive, .. } => Some(name_of(archive)),
                Route::Sidecar { file, .. } => package_of(file),
                _ => None,
            },
        ),
        Plan::Plain(PlainFile::Upstream { prefix, needs_identity, .. }) => {
            vec![Need::of_file(prefix, *needs_identity)]
        }
        Plan::Plain(PlainFile::Local { prefix, .. }) => vec![Need::of_file(prefix, false)],
        // Who may publish is asked where it is known what is published.
        Plan::Pass { channel: None, .. }
        | Plan::Problem(_)
        | Plan::Home
        | Plan::Control(_)
        | Plan::Dialect(_) => Vec::new(),
    }
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
