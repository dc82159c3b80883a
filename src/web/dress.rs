//! What every answer of the pages has: headers that keep browsers safe, cookies that are due, a page for what went wrong.
//!
//! Belongs here: what is the same for all. Does not: single pages.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Web;
use super::cookies::Cookies;
use super::desk::{self, Desk, add_cookie};
use super::page::{Page, html};
use super::sign_in::SignInPage;
use super::sorry::Sorry;
use crate::identity::{Entrance, SessionState, Visitor};

/// Scripts and styles are the gate's own files, nothing is inline, nothing comes from elsewhere, nobody frames the pages.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
                      object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "sorry.html")]
struct SorryPage {
    page: Page,
    sorry: Sorry,
    request: String,
}

/// Finds out who is asking, has the page made, and dresses the answer.
pub(super) async fn dress(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let (Some(visitor), Some(entrance)) =
        (extensions.get::<Visitor>().cloned(), extensions.get::<Entrance>().cloned())
    else {
        // The front door always says.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let had = Cookies::of(request.headers());
    let here = place(&request, &web.base);
    let desk = Desk::new(web, visitor, entrance, had.clone(), here);
    request.extensions_mut().insert(desk.clone());
    let mut answer = next.run(request).await;
    if let Some(sorry) = answer.extensions_mut().remove::<Sorry>() {
        let cookies: Vec<_> = answer.headers().get_all(header::SET_COOKIE).iter().cloned().collect();
        answer = apologise(&desk, sorry);
        for cookie in cookies {
            add_cookie(&mut answer, Some(cookie));
        }
    } else if answer.status().is_client_error() && is_of_the_router(&answer) {
        answer = apologise(&desk, unsaid(answer.status()));
    }
    bake(&desk, &had, &mut answer);
    add_headers(&mut answer);
    answer
}

/// Where whoever asks is, the base path before it: the page itself, or the one with the form that was sent. An address that takes
/// forms only is no place to come back to.
fn place(request: &Request, base: &str) -> String {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let here = if path == "/" { format!("{base}/") } else { format!("{base}/-{path}") };
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return here;
    }
    let from = request.headers().get(header::REFERER).and_then(|value| value.to_str().ok());
    let from = from.and_then(|from| url::Url::parse(from).ok()).and_then(|from| {
        let query = from.query().map_or_else(String::new, |query| format!("?{query}"));
        desk::own(base, &format!("{}{query}", from.path()))
    });
    from.unwrap_or(here)
}

/// Whether it was not a page that refused: those say it in pages, and to scripts in documents.
fn is_of_the_router(answer: &Response) -> bool {
    answer.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

/// What the router itself refuses.
fn unsaid(status: StatusCode) -> Sorry {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => Sorry {
            status,
            heading: "That can't be done here",
            ..Sorry::invalid("This page does not take such a request. Go back and try again.")
        },
        StatusCode::NOT_FOUND => nothing(),
        _ => Sorry { status, ..Sorry::invalid("The gate does not understand this request.") },
    }
}

fn nothing() -> Sorry {
    Sorry::not_found("The address may be mistyped, or what was here is gone.")
}

pub(super) async fn nowhere(_method: Method) -> Sorry {
    nothing()
}

fn apologise(desk: &Desk, sorry: Sorry) -> Response {
    let (status, retry_after) = (sorry.status, sorry.retry_after);
    let mut answer = if status == StatusCode::UNAUTHORIZED {
        html(status, &SignInPage::new(desk, "", Some(desk.here.clone()), Some(sorry.sentence)))
    } else {
        let request = desk.visitor.request.to_string();
        html(status, &SorryPage { page: desk.page(""), sorry, request })
    };
    if status == StatusCode::UNAUTHORIZED {
        // Without `Basic` no browser asks for a password by itself.
        let way = HeaderValue::from_static("Bearer realm=\"condagate\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, way);
    }
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// Cookies that are due, unless the page has set them itself.
fn bake(desk: &Desk, had: &Cookies, answer: &mut Response) {
    let baker = desk.baker();
    let sets = |answer: &Response, name: &str| {
        let all = answer.headers().get_all(header::SET_COOKIE);
        all.iter().any(|cookie| cookie.as_bytes().starts_with(name.as_bytes()))
    };
    if desk.entrance.session == SessionState::Over && !sets(answer, crate::auth::credential::SESSION_COOKIE) {
        add_cookie(answer, baker.no_session());
    }
    if let Some(guest) = desk.cookies.guest.as_ref().filter(|guest| had.guest.as_ref() != Some(*guest)) {
        add_cookie(answer, baker.guest(guest));
    }
    let is_page = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if had.flash.is_some() && is_page && !sets(answer, "condagate_flash") {
        add_cookie(answer, baker.no_flash());
    }
}

fn add_headers(answer: &mut Response) {
    let headers = answer.headers_mut();
    let fixed: [(HeaderName, &'static str); 7] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), payment=()",
        ),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
