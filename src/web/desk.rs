//! One request for a page: who sends it, what they may do, how it is answered.
//!
//! Belongs here: what every handler needs. Does not: single pages.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Web;
use super::cookies::{Baker, Cookies};
use super::page::Page;
use super::proof::Proof;
use super::sorry::Sorry;
use crate::clock::UnixMillis;
use crate::identity::{Entrance, SessionState, Visitor};
use crate::people::{By, People};
use crate::snapshot::people::Principal;
use crate::store::model::UserId;

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub(super) struct Desk(Arc<Inner>);

pub(super) struct Inner {
    pub(super) web: Web,
    pub(super) visitor: Visitor,
    pub(super) entrance: Entrance,
    pub(super) cookies: Cookies,
    /// What proves that a form is of this browser.
    pub(super) proof: Option<Proof>,
    /// Path and query of the page, the base path before it; of the page with the form where one was sent.
    pub(super) here: String,
}

/// A message to be shown once, on the next page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flash {
    /// `good` or `bad`
    pub(super) kind: String,
    pub(super) text: String,
    /// Where a form leads that takes it back, behind the base path; and what it says.
    #[serde(default)]
    pub(super) undo: Option<Undo>,
}

/// See [`Flash`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Undo {
    pub(super) path: String,
    pub(super) label: String,
}

impl Flash {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { kind: "good".to_owned(), text: text.into(), undo: None }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { kind: "bad".to_owned(), text: text.into(), undo: None }
    }

    /// What the cookie says; made up ones lead nowhere but to forms of the gate's own.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut flash: Self = serde_json::from_str(text).ok()?;
        if flash.kind != "good" {
            flash = Self { undo: flash.undo, ..Self::bad(flash.text) };
        }
        let ours = ["/-/ui/channels/", "/-/ui/admin/rules/recall/undo?"];
        flash.undo = flash.undo.filter(|undo| ours.iter().any(|way| undo.path.starts_with(way)));
        Some(flash)
    }
}

impl std::ops::Deref for Desk {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Desk {
    pub(super) fn new(
        web: Web,
        visitor: Visitor,
        entrance: Entrance,
        mut cookies: Cookies,
        here: String,
    ) -> Self {
        let fresh = || crate::auth::token::mint().secret;
        if cookies.guest.as_ref().is_none_or(|guest| guest.reveal().len() < 32) {
            cookies.guest = Some(fresh());
        }
        let by_session = entrance.session == SessionState::Good;
        let secret = cookies.session.as_ref().filter(|_| by_session).or(cookies.guest.as_ref());
        let proof = secret.map(Proof::of);
        Self(Arc::new(Inner { web, visitor, entrance, cookies, proof, here }))
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.web.clock.now()
    }

    pub(super) fn baker(&self) -> Baker<'_> {
        Baker { base: &self.web.base, secure: self.entrance.https }
    }

    /// Whoever has opened the page, if that is known.
    pub(super) fn who(&self) -> Option<&Arc<Principal>> {
        self.visitor.principal.as_ref()
    }

    /// Whoever has signed in; only they get more than what is there to be read.
    pub(super) fn signed_in(&self) -> Result<(&Arc<Principal>, &UserId), Sorry> {
        let who = self.who().filter(|_| self.entrance.session == SessionState::Good);
        let user = who.and_then(|who| Some((who, who.user.as_ref()?)));
        user.ok_or_else(|| Sorry::sign_in("Sign in to see this page."))
    }

    pub(super) fn is_superuser(&self) -> bool {
        self.entrance.session == SessionState::Good && self.who().is_some_and(|who| who.is_superuser())
    }

    pub(super) fn superuser(&self) -> Result<(), Sorry> {
        self.signed_in()?;
        if self.is_superuser() {
            return Ok(());
        }
        Err(Sorry::forbidden(
            "These pages are for administrators (superusers). Ask one of them for what you need.",
        ))
    }

    /// Who does something, for the audit trail.
    pub(super) fn by(&self) -> By {
        let address = self.visitor.address();
        match self.who().and_then(|who| who.user.as_ref()) {
            Some(user) => By::user(user, &address),
            None => By::anonymous(&address),
        }
    }

    pub(super) async fn people(&self) -> Result<People, Sorry> {
        Ok((self.web.people)().await?)
    }

    /// What every page shows; `nav` names the part of the navigation it belongs to.
    pub(super) fn page(&self, nav: &'static str) -> Page {
        Page::new(self, nav)
    }

    /// An address of the gate, for links: the base path before it.
    pub(super) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.web.base)
    }

    /// Leads on to another page of the gate, behind the base path.
    pub(super) fn to(&self, path: &str) -> Response {
        Self::away(&self.link(path))
    }

    /// The same with a message to be shown there.
    pub(super) fn tell(&self, path: &str, flash: &Flash) -> Response {
        let mut answer = self.to(path);
        let text = serde_json::to_string(flash).unwrap_or_default();
        add_cookie(&mut answer, self.baker().flash(&text));
        answer
    }

    /// Leads on to an address of the gate that has its base path already.
    pub(super) fn away(address: &str) -> Response {
        let mut answer = StatusCode::SEE_OTHER.into_response();
        if let Ok(address) = HeaderValue::from_str(address) {
            answer.headers_mut().insert(header::LOCATION, address);
        }
        answer
    }

    /// An address that a form or a query names, if it is one of this gate's own pages.
    pub(super) fn own(&self, address: Option<&str>) -> Option<String> {
        own(&self.web.base, address?)
    }
}

/// An address behind a base path, if it is one of the gate's own pages.
pub(super) fn own(base: &str, address: &str) -> Option<String> {
    let rest = address.strip_prefix(base)?;
    let is_plain = |c: char| c.is_ascii_graphic() && c != '\\';
    let is_page = rest == "/" || rest.starts_with("/-/ui");
    (is_page && address.chars().all(is_plain)).then(|| address.to_owned())
}

pub(super) fn add_cookie(answer: &mut Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
