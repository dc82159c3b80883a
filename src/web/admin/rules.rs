//! The rules: their files, what they say about a file or a package, and the one file that is written here, after it was tried.
//!
//! Belongs here: the page and its forms. Does not: reading rules (`config`), what they mean (`policy`, `delivery::explain`), writing (`manage`).

use askama::Template;
use axum::extract::{Extension, Query};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::tabbed;
use crate::delivery::explain::{Explanation, Question, Rehearsal};
use crate::manage::{Checked, Expected, ManageError, Recall, RulesShown};
use crate::web::desk::{Desk, Flash, Undo};
use crate::web::page::{self, Page};
use crate::web::posted::Posted;
use crate::web::show::count;
use crate::web::sorry::Sorry;

/// Where the page is.
const HERE: &str = "/-/ui/admin/rules";

#[derive(Deserialize, Default)]
pub(super) struct Asked {
    #[serde(default)]
    what: String,
    #[serde(default, rename = "as")]
    as_user: String,
}

/// What is in the gate's own file, or is proposed to be.
#[derive(Default)]
struct Draft {
    text: String,
    /// Of what was in it when somebody began to edit.
    tag: String,
    checked: Option<Checked>,
    rehearsed: Option<Rehearsal>,
}

impl Draft {
    /// How many, as people read it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
    fn count(n: &u64) -> String {
        count(*n)
    }
}

#[derive(Template)]
#[template(path = "admin/rules.html")]
struct RulesPage {
    page: Page,
    asked: Asked,
    shown: RulesShown,
    /// Ids, and the rules as they are written.
    recalls: Vec<(String, String)>,
    draft: Draft,
    answer: Option<Explanation>,
    told: Option<String>,
}

tabbed!(RulesPage, "rules");

impl RulesPage {
    async fn new(desk: &Desk, draft: Option<Draft>) -> Self {
        let shown = desk.web.gate.rules().await;
        let fresh =
            || Draft { text: shown.own_text().to_owned(), tag: shown.own.clone(), ..Draft::default() };
        let draft = draft.unwrap_or_else(fresh);
        let recalls = shown.recalls();
        let (page, asked) = (desk.page("admin"), Asked::default());
        Self { page, asked, shown, recalls, draft, answer: None, told: None }
    }
}

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut page = RulesPage::new(&desk, None).await;
    if let Some(what) = some(&asked.what) {
        let question = Question { as_user: some(&asked.as_user), ..Question::guess(&what) };
        match desk.web.gate.explain(question).await {
            Ok(said) => page.answer = Some(said),
            Err(error) => page.told = Some(error.to_string()),
        }
    }
    page.asked = asked;
    Ok(page::show(&page))
}

/// Tries what was written, or saves it.
pub(super) async fn act(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    desk.superuser()?;
    // Browsers send lines as mail has them.
    let text = posted.text("text").replace("\r\n", "\n");
    let text = if text.is_empty() { text } else { text + "\n" };
    let tag = posted.text("tag").to_owned();
    let proposed = Some(text.clone()).filter(|text| !text.is_empty());
    let gate = &desk.web.gate;
    let mut draft = Draft { text, tag: tag.clone(), ..Draft::default() };
    match posted.text("action") {
        "try" => {
            let checked = gate.check(proposed.clone()).await;
            if checked.mistakes.is_empty() {
                draft.rehearsed = Some(gate.rehearse(proposed).await?);
            }
            draft.checked = Some(checked);
        }
        "save" => match gate.write(&desk.by(), proposed, Expected::Own(tag)).await {
            Ok(shown) => {
                let told =
                    Flash::good(format!("The rules are in force; their revision is {}.", shown.revision));
                return Ok(desk.tell(HERE, &told));
            }
            Err(ManageError::Mistakes(mistakes)) => {
                draft.checked = Some(Checked { mistakes, notes: Vec::new() });
            }
            Err(error) => {
                let mut page = RulesPage::new(&desk, Some(draft)).await;
                page.told = Some(Sorry::from(error).sentence);
                return Ok(page::show(&page));
            }
        },
        _ => return Err(Sorry::invalid("the gate does not know what this form asks for")),
    }
    Ok(page::show(&RulesPage::new(&desk, Some(draft)).await))
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: String,
}

/// Takes a recall back.
pub(super) async fn undo(
    Extension(desk): Extension<Desk>,
    Query(Which { id }): Query<Which>,
    _posted: Posted,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let flash = match desk.web.gate.take_back(&desk.by(), &id).await {
        Ok(_) => Flash::good(format!("The recall `{id}` is taken back: what it refused is served again.")),
        Err(error) => Flash::bad(Sorry::from(error).sentence),
    };
    Ok(desk.tell(HERE, &flash))
}

/// Denies packages at once.
pub(super) async fn recall(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    desk.superuser()?;
    let what = posted.text("what");
    let is_digest = what.len() == 64 && what.bytes().all(|b| b.is_ascii_hexdigit());
    let words = what.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').filter(|word| !word.is_empty());
    let name: String = words.collect::<Vec<_>>().join("-").to_ascii_lowercase().chars().take(40).collect();
    let some = |text: &str| vec![text.to_owned()];
    let channels = posted.some("channel").map(some).unwrap_or_default();
    let (specs, digests) = if is_digest { (Vec::new(), some(what)) } else { (some(what), Vec::new()) };
    let reason = posted.some("reason").unwrap_or("recalled by an administrator").to_owned();
    let day = crate::http::date::rfc3339(desk.now()).split('T').next().unwrap_or_default().to_owned();
    let id = format!("recall-{}-{day}", name.trim_matches('-'));
    let recall = Recall { id: id.clone(), channels, specs, digests, reason };
    let flash = match desk.web.gate.recall(&desk.by(), &recall).await {
        Ok(_) => {
            let told = format!("`{what}` is refused everywhere from now on, by the rule `{id}`.");
            let path = format!("{HERE}/recall/undo?id={}", utf8_percent_encode(&id, NON_ALPHANUMERIC));
            Flash { undo: Some(Undo { path, label: "Undo".to_owned() }), ..Flash::good(told) }
        }
        Err(error) => Flash::bad(Sorry::from(error).sentence),
    };
    Ok(desk.tell(HERE, &flash))
}
