//! What every page shows: the frame around it.
//!
//! Belongs here: the frame's values, from a template to an answer. Does not: single pages.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::assets;
use super::desk::{Desk, Flash};
use super::icons::{self, Icon};
use super::proof::Proof;
use super::show::Prose;
use super::sorry::Sorry;

/// See the module's description.
pub(super) struct Page {
    /// The base path.
    pub(super) base: String,
    /// Who has signed in, as shown.
    pub(super) user: Option<String>,
    pub(super) superuser: bool,
    pub(super) csrf: String,
    /// Path and query of this page.
    pub(super) here: String,
    pub(super) nav: &'static str,
    theme: Option<String>,
    pub(super) flash: Option<Flash>,
}

impl Page {
    pub(super) fn new(desk: &Desk, nav: &'static str) -> Self {
        let theme = desk.cookies.theme.clone().filter(|theme| theme == "dark" || theme == "light");
        Self {
            base: desk.web.base.clone(),
            user: desk.signed_in().ok().map(|(who, _)| who.name.to_string()),
            superuser: desk.is_superuser(),
            csrf: desk.proof.as_ref().map(Proof::written).unwrap_or_default(),
            here: desk.here.clone(),
            nav,
            theme,
            flash: desk.cookies.flash.as_deref().and_then(Flash::read),
        }
    }

    /// Where one goes to sign in: back here afterwards, unless this page is for people who have not signed in.
    pub(super) fn sign_in(&self) -> String {
        let way = format!("{}/-/ui/sign-in", self.base);
        let behind = self.here.strip_prefix(&*self.base).unwrap_or(&self.here);
        if ["sign-in", "forgotten", "new-password", "setup"]
            .iter()
            .any(|page| behind.strip_prefix("/-/ui/").is_some_and(|rest| rest.starts_with(page)))
        {
            return way;
        }
        format!("{way}?next={}", utf8_percent_encode(&self.here, NON_ALPHANUMERIC))
    }

    pub(super) fn asset(&self, name: &str) -> String {
        format!("{}{}", self.base, assets::path(name))
    }

    pub(super) fn theme(&self) -> Option<&str> {
        self.theme.as_deref()
    }

    /// The next one of: as the system has it, dark, light.
    pub(super) fn next_theme(&self) -> &'static str {
        match self.theme() {
            None => "dark",
            Some("dark") => "light",
            Some(_) => "auto",
        }
    }

    pub(super) fn theme_icon(&self) -> Icon {
        icons::icon(match self.theme() {
            None => "auto",
            Some("dark") => "moon",
            Some(_) => "sun",
        })
    }

    #[expect(clippy::unused_self, reason = "templates know `page` only")]
    pub(super) fn icon(&self, name: &str) -> Icon {
        icons::icon(name)
    }

    /// A sentence in which names stand in backticks.
    #[expect(clippy::unused_self, reason = "templates know `page` only")]
    pub(super) fn prose<'a>(&self, text: &'a str) -> Prose<'a> {
        Prose(text)
    }

    /// The first letter of the user's name.
    pub(super) fn letter(&self) -> String {
        self.user.iter().flat_map(|user| user.chars().take(1)).collect()
    }

    #[expect(clippy::unused_self, reason = "templates know `page` only")]
    pub(super) const fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// Where a list goes on that is longer than a page.
pub(super) struct Way {
    /// Of the first page, the base path before it.
    pub(super) path: String,
    /// The last line here, where there are more behind it.
    pub(super) next: Option<String>,
    pub(super) is_first: bool,
}

/// A page of a list that is all at hand.
pub(super) struct Turn {
    /// From 1.
    pub(super) page: usize,
    pub(super) pages: usize,
    /// Lines before it.
    pub(super) first: usize,
    /// Lines of all pages.
    pub(super) of: usize,
    pub(super) lines: usize,
    /// What stands before the number of a page, and behind it.
    link: (String, &'static str),
}

impl Turn {
    /// The page that was asked for, or the nearest that there is.
    pub(super) fn new(of: usize, lines: usize, page: usize, link: (String, &'static str)) -> Self {
        let pages = of.div_ceil(lines).max(1);
        let page = page.clamp(1, pages);
        Self { page, pages, first: (page - 1) * lines, of, lines, link }
    }

    /// The number of the last line here.
    pub(super) fn last(&self) -> usize {
        (self.first + self.lines).min(self.of)
    }

    pub(super) fn to(&self, page: usize) -> String {
        format!("{}{page}{}", self.link.0, self.link.1)
    }
}

/// What a list is asked for.
#[derive(Deserialize, Default)]
pub(super) struct Behind {
    /// The last line of the page before.
    pub(super) after: Option<String>,
}

impl Way {
    pub(super) fn new(desk: &Desk, path: &str, next: Option<String>, is_first: bool) -> Self {
        Self { path: desk.link(path), next, is_first }
    }

    pub(super) const fn is_needed(&self) -> bool {
        self.next.is_some() || !self.is_first
    }

    /// What stands before one more parameter.
    pub(super) fn joint(&self) -> char {
        if self.path.contains('?') { '&' } else { '?' }
    }
}

/// The answer with a page.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page can't be written");
            Sorry::broken().into_response()
        }
    }
}

/// The same where all is well.
pub(super) fn show(page: &impl Template) -> Response {
    html(StatusCode::OK, page)
}
