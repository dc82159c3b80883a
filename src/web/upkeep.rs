//! What is done with a file of a hosted channel: yank, restore, delete, labels.
//!
//! Belongs here: forms and what is said afterwards, with a way back. Does not: doing it (`channel`).

use axum::response::Response;

use super::desk::{Desk, Flash, Undo};
use super::posted::Posted;
use super::sorry::Sorry;
use super::upload::split;
use crate::channel::{Author, Labels, Retract};
use crate::conda::archive::ArchiveName;
use crate::conda::subdir::Subdir;
use crate::delivery::catalogue::Spot;
use crate::policy::access::Right;

/// What a link that takes something back says beside its form.
#[derive(serde::Deserialize, Default)]
pub(super) struct Back {
    action: Option<String>,
    subdir: Option<String>,
    file: Option<String>,
}

pub(super) async fn act(
    desk: &Desk,
    spot: &Spot,
    package: &str,
    (posted, back): (&Posted, &Back),
) -> Result<Response, Sorry> {
    desk.signed_in()?;
    let said = |name: &str, beside: &Option<String>| {
        posted.some(name).map(str::to_owned).or_else(|| beside.clone()).unwrap_or_default()
    };
    let subdir = Subdir::parse(&said("subdir", &back.subdir));
    let file = ArchiveName::parse(&said("file", &back.file));
    let (Some(subdir), Some(file)) = (subdir, file) else {
        return Err(Sorry::invalid("the form names no file"));
    };
    let page = format!("/-/ui/channels/{}/-/{package}", spot.name);
    let place = (&spot.name, &subdir, &file);
    let undo = Undo {
        path: format!(
            "{page}?action=restore&subdir={subdir}&file={}",
            crate::upstream::encode_path_segment(file.as_str())
        ),
        label: "Undo".to_owned(),
    };
    let retract =
        async |what| desk.web.hosting.retract(&desk.visitor, place, what, posted.some("reason")).await;
    let flash = match &*said("action", &back.action) {
        "yank" => {
            retract(Retract::Yank).await?;
            let text =
                format!("{file} is yanked: no index lists it, and lock files that name it still get it.");
            Flash { undo: Some(undo), ..Flash::good(text) }
        }
        "delete" => {
            retract(Retract::Delete).await?;
            let text = format!("{file} is deleted. For a week it can be restored.");
            let channel = format!("/-/ui/channels/{}", spot.name);
            // The package may be gone with it.
            return Ok(desk.tell(&channel, &Flash { undo: Some(undo), ..Flash::good(text) }));
        }
        "restore" => {
            retract(Retract::Restore).await?;
            Flash::good(format!("{file} is in the index again."))
        }
        "labels" => relabel(desk, spot, (&subdir, &file), &split(posted.text("labels"))).await?,
        _ => return Err(Sorry::invalid("the gate does not know what this form asks for")),
    };
    Ok(desk.tell(&page, &flash))
}

async fn relabel(
    desk: &Desk,
    spot: &Spot,
    (subdir, file): (&Subdir, &ArchiveName),
    wanted: &[String],
) -> Result<Flash, Sorry> {
    let hosting = &desk.web.hosting;
    hosting.check(&desk.visitor, &spot.name, Right::Write, file.parts().map(|(name, _, _)| name))?;
    let author = Author::of(&desk.visitor).ok_or_else(|| Sorry::sign_in("sign in to do that"))?;
    let found = hosting.desk().package(&spot.name, subdir, file).await?;
    let found = found.ok_or_else(|| Sorry::not_found(format!("there is no {file} in {}", spot.name)))?;
    let has = if found.labels.is_empty() { vec!["main".to_owned()] } else { found.labels };
    let wanted = if wanted.is_empty() { vec!["main".to_owned()] } else { wanted.to_vec() };
    let change = Labels {
        add: wanted.iter().filter(|label| !has.contains(label)).cloned().collect(),
        remove: has.into_iter().filter(|label| !wanted.contains(label)).collect(),
    };
    let now = hosting.desk().relabel_as(&author, (&spot.name, subdir, file), &change).await?;
    Ok(Flash::good(format!("{file} has the labels {} now.", now.join(", "))))
}
