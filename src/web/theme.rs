//! Light, dark, or as the system has it: remembered in a cookie, so that pages come in the right colours at once.
//!
//! Belongs here: the switch. Does not: colours (`style.css`).

use axum::extract::Extension;
use axum::response::Response;

use super::desk::{Desk, add_cookie};
use super::posted::Posted;

pub(super) async fn set(Extension(desk): Extension<Desk>, posted: Posted) -> Response {
    let theme = match posted.text("theme") {
        theme @ ("dark" | "light") => theme,
        _ => "auto",
    };
    let mut answer = Desk::away(&desk.own(posted.some("next")).unwrap_or_else(|| desk.link("/")));
    add_cookie(&mut answer, desk.baker().theme(theme));
    answer
}
